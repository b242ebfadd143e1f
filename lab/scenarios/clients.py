# SPDX-License-Identifier: GPL-2.0-only
"""After a kexec OP-TEE holds nothing of the kernel before, with all clients bound"""
import re

MATRIX = {"abi": ["smc", "ffa"], "cpus": [1, 4], "users": ["idle", "hold"], "memory": ["2G", "8G"]}
LIMIT = 240
TOPIC = "optee-kexec"
DRIVERS = {"tee_bnxt_fw", "optee-rng", "optee_rtc", "scmi-optee"}


def FIRMWARE(abi, **_):
    """The stand-ins that make them bind are in the OP-TEE that the lab builds."""
    return "smc-lab" if abi == "smc" else "ffa"


def SUITE(abi, **_):
    return "soak" if abi == "smc" else "check"      # for want of that firmware


def MEMORY(memory, **_):
    return memory


def sensible(abi, cpus, users, memory):
    """Much memory is where one buffer of BNXT's lands on an earlier one, at the fourth kexec."""
    if memory == "8G":
        return cpus == 4 and users == "hold"
    return abi == "ffa" or (cpus == 1 and users == "hold")


def scenario(guest, users, kexecs=4):
    for _ in range(kexecs):
        all_bound(guest)
        if users == "hold":
            guest.run("/lab/supplicant start && /lab/client hold 2 && sleep 0.5")
        guest.figure("kexec", guest.kexec(), "s")
        guest.figure("shutdown", guest.shutdown(), "s")
        nothing_left(guest)
    no_complaint(guest)


def all_bound(guest):
    """The clients in the kernel have found what they look for."""
    bound = set(guest.run("cd /sys/bus/tee/devices; for d in *; do [ ! -e $d/driver ] || "
                          "basename $(readlink $d/driver); done; cd /").split())
    guest.must(bound >= DRIVERS, f"these have no device: {DRIVERS - bound}")


def left(guest):
    """What OP-TEE holds of earlier kernels."""
    held = dict(word.split("=") for word in guest.run("/lab/held").split())
    found = {what: int(held[f"earlier_{what}"]) for what in ("objects", "pages", "sessions")}
    for what, count in found.items():
        guest.figure(f"{what} left", count, what)
    return found


def nothing_left(guest):
    found = left(guest)
    guest.must(not any(found.values()), f"OP-TEE holds of the kernel before: {found}")


def no_complaint(guest):
    """Nothing that the patched OP-TEE was given was not as it must be, and nothing is an error that is none."""
    secure = guest.secure_log.read_text(errors="replace")
    guest.must("LAB:" not in secure, "OP-TEE complains: " + secure.partition("LAB:")[2][:200])
    # An end of a call by the shutdown; memory that is given back twice, or not at all
    errors = re.findall(r"(?:invoke err|Failed to wait for alarm|mem_reclaim:|Release SHM id|unregister shm).*",
                        guest.text)
    guest.must(not errors, f"the kernel complains: {errors}")
