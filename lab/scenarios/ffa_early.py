# SPDX-License-Identifier: GPL-2.0-only
"""FF-A's partitions are there before the first driver that may want one"""
import re

MATRIX = {"abi": ["ffa"]}
TOPIC = "ffa-ima"
APPEND = "initcall_debug ignore_loglevel"


def scenario(guest):
    calls = re.findall(r"calling +(\w+)\+\S+ @", guest.dmesg())
    guest.must("ffa_init" in calls, "ffa_init was not called")
    guest.must("crb_acpi_driver_init" in calls, "the kernel has no CRB driver to be early for")
    before = [c for c in DRIVERS if c in calls and calls.index(c) < calls.index("ffa_init")]
    guest.must(not before, f"called before the FF-A core: {', '.join(before)}")


# Device initcalls that want a partition, or a driver of one.
DRIVERS = ["crb_acpi_driver_init", "tpm_crb_ffa_driver_init", "optee_core_init"]
