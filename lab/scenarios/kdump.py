# SPDX-License-Identifier: GPL-2.0-only
"""A crash kernel leaves OP-TEE alone, says so, and has what is behind FF-A"""
import re

MATRIX = {"abi": ["smc", "ffa"]}
APPEND = "crashkernel=384M"
TOPIC = "optee-kexec"


def scenario(guest, abi):
    guest.run("/lab/supplicant start")
    # In the crash kernel alone, a suite that is for that.
    guest.crash(append="kunit.enable=1 kunit.autorun=1 kunit.filter_glob=tstee-kdump")
    guest.must(not guest.run("ls /dev/tee*", check=False).startswith("/dev"),
               "the crash kernel drives the crashed kernel's OP-TEE")
    guest.must("optee: not used in a kdump kernel" in guest.dmesg(),
               "the crash kernel does not say that it leaves OP-TEE alone")
    test = re.search(r"(?:not )?ok \d+ tstee_kdump_refuses.*", guest.dmesg())
    guest.must(test and test[0].startswith("ok") and "SKIP" not in test[0],
               f"a partition of Trusted Services is used: {test[0] if test else 'not tested'}")
    if abi == "ffa":
        # The crashed kernel's RX/TX buffers no longer belong to the secure world.
        guest.must(guest.run("ls /sys/bus/arm_ffa/devices"),
                   "the FF-A core of the crash kernel lists no partitions")
        # Nor do the notifications that its OP-TEE driver had bound.
        guest.must("bitmap create error" not in guest.dmesg(),
                   "the FF-A core of the crash kernel has no notifications")
