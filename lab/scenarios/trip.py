# SPDX-License-Identifier: GPL-2.0-only
"""A kexec round trip takes no longer than on mainline"""
# QEMU counts instructions, a nanosecond each, in place of the time that they
# take on this machine: what else runs on it does not show.
import re

MATRIX = {"abi": ["smc", "ffa"], "how": ["load", "file"]}
DEVICES = ["-icount", "shift=0,sleep=off"]
SUITE = "soak"
LIMIT = 900
TOPIC = "optee-kexec"
AT_MOST = {"round trip": (1.02, 0)}


def APPEND(abi, **_):
    """With these clients mainline hangs at the first kexec over FF-A, and there is nothing to compare with."""
    return "initcall_blacklist=optee_rtc_driver_init,tee_bnxt_fw_driver_init" if abi == "ffa" else ""


def scenario(guest, how, kexecs=30):
    for _ in range(kexecs):
        guest.kexec(how)
    left, ready = (re.findall(rf"@lab {what} .*clock=(\d+)\n", guest.text)
                   for what in ("leaves", "ready"))
    for start, end in zip(left, ready[1:], strict=True):
        guest.figure("round trip", (int(end) - int(start)) / 1e6, "ms of the guest's counter")
