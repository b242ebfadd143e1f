# SPDX-License-Identifier: GPL-2.0-only
"""Poweroff and reboot, with and without tee-supplicant running"""
MATRIX = {"abi": ["smc", "ffa"], "how": ["poweroff", "reboot"], "users": ["idle", "supplicant"]}
LIMIT = 90      # the kernel's own report of a hung task takes up to 60 s
TOPIC = {"ffa": "optee-kexec"}     # mainline does not get there with a client alive


def scenario(guest, how, users):
    if users == "supplicant":
        guest.run("/lab/supplicant start")
    if how == "poweroff":
        guest.figure("poweroff", guest.off(), "s")
    else:
        guest.figure("reboot", guest.reboot(), "s")
