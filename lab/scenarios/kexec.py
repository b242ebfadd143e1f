# SPDX-License-Identifier: GPL-2.0-only
"""Five kexecs in a row, and the TEE answers after each"""
import re

MATRIX = {"abi": ["smc", "ffa", "x86_64"], "cpus": [1, 4], "how": ["load", "file"],
          "users": ["idle", "supplicant"]}
LIMIT = 240     # four CPUs emulated on two, beside another machine
TOPIC = {"ffa": "optee-kexec"}     # mainline does not get there with a client alive


def sensible(abi, users, **_):
    """Without a secure world there is nobody to use it."""
    return abi != "x86_64" or users == "idle"


def scenario(guest, abi, how, users):
    for _ in range(5):
        if users == "supplicant":
            guest.run("/lab/supplicant start")
        guest.figure("kexec", guest.kexec(how), "s")
        if abi != "x86_64":
            # One session with a PTA: the secure world takes calls, and memory.
            guest.run("xtest -t regression 1001")
        if abi == "ffa":
            nothing_registered(guest)


def nothing_registered(guest):
    """The kernel before has withdrawn from the firmware what that would go on to use."""
    found = re.search(r"replacing the .* of an earlier kernel", guest.dmesg())
    guest.must(not found, f"the kernel after a kexec is {found and found[0]}")
