# SPDX-License-Identifier: GPL-2.0-only
"""A kernel boots on its firmware, its TEE answers, and it kexecs"""
import re

MATRIX = {"abi": ["smc", "ffa", "x86_64"], "cpus": [2]}
TOPIC = {"ffa": "optee-kexec"}     # mainline does not get there with a client alive


def scenario(guest, abi):
    guest.facts["kernel"] = guest.run("uname -r")
    if abi != "x86_64":
        secure_world(guest, abi)
    guest.figure("kexec", guest.kexec(), "s")
    if abi != "x86_64":
        guest.run("xtest -t regression 1001")


def secure_world(guest, abi):
    log = guest.dmesg()
    secure = guest.secure_log.read_text(errors="replace")
    # TF-A speaks on the normal world's console until it hands over.
    guest.facts["TF-A"] = one(guest, r"BL31: v([^(\s]+)", guest.text, "TF-A's version")
    guest.facts["OP-TEE"] = one(guest, r"OP-TEE version: ([\w.]+)", secure, "OP-TEE's version")
    if abi == "ffa":
        guest.facts["FF-A"] = one(guest, r"ARM FF-A: Firmware version (\S+) found", log, "FF-A's")
    one(guest, r"(optee: initialized driver)", log, "OP-TEE's driver")
    # With the driver that is bound to it, or without one.
    lines = guest.run("for d in /sys/bus/tee/devices/* /sys/bus/arm_ffa/devices/*; do "
                      "[ ! -e $d ] || echo ${d##*/} "
                      "$(readlink $d/driver | sed 's,.*/,,'); done")
    guest.facts["devices"] = [line.split() for line in lines.splitlines()]
    guest.run("/lab/supplicant start && xtest -t regression 1001")


def one(guest, pattern, text, what):
    found = re.search(pattern, text)
    guest.must(found, f"the logs do not show {what}")
    return found[1]
