# SPDX-License-Identifier: GPL-2.0-only
"""IMA has its TPM no later than by IMA_INIT_LATE_SYNC, and what has no TPM boots as fast"""
import re

# With a TPM behind FF-A; without it, and without FF-A. Not with protected KVM: the
# base's IMA has no TPM there, wherever it starts (ima_order), so that there is nothing
# to compare with, and its last line would come before the probes that it settles.
MATRIX = {"abi": ["ffa", "smc"]}
TOPIC = "ffa-ima"
SUITE = "soak"
APPEND = "initcall_blacklist=optee_core_init"
LIMIT = 400
BOOT = False

# What IMA says last, and the kernel.
LAST = {"ffa": ("IMA ready", r"ima: No architecture policies found", 20),
        "smc": ("kernel ready", r"Run /init as init process", 3)}


def VARIANT(abi):
    return "order" if abi == "ffa" else "plain"


def BESIDE(abi):
    """The base finds that TPM only if IMA waits for the next level of initcalls."""
    return "sync" if abi == "ffa" else ""


def AT_MOST(abi):
    return {LAST[abi][0]: (1, 0) if abi == "ffa" else (1, 1)}


def TPM(abi):
    return abi == "ffa"


ACPI = TPM


# By the clock of the host twenty boots on two busy CPUs vary by a third, and the medians of
# two equal kernels by several percent. Here a nanosecond is an instruction, and what the
# TPM itself takes counts for less than it does, in both kernels alike.
DEVICES = ["-icount", "shift=0,sleep=off"]


def scenario(guest, abi):
    name, line, boots = LAST[abi]
    for number in range(boots):
        if number:
            guest.reboot()
        else:
            guest.boot()
        log = guest.dmesg()
        guest.must(abi == "smc" or "ima: No TPM chip found" not in log, "IMA found no TPM")
        found = re.search(r"^\[ *(\d+\.\d+)\] " + line, log, re.M)
        guest.must(found, f"the log has no line {line!r}")
        guest.figure(name, 1000 * float(found[1]), "ms")
