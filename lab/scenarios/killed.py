# SPDX-License-Identifier: GPL-2.0-only
"""Clients killed at any moment leave nothing in OP-TEE, and take neither it nor the supplicant down"""
import random

MATRIX = {"abi": ["smc", "ffa"], "cpus": [2], "optee": ["debian", "lab"]}
TOPIC = "optee-kexec"
LIMIT = 120

# Applications that are loaded, and objects in files of the supplicant's, which is
# asked for every block. It fails where a killed one has left its object.
CLIENTS = "while :; do xtest -t regression 6001; done > /dev/null 2>&1 & echo $!"


def FIRMWARE(abi, optee, **_):
    """Only the lab's says what it holds. Debian's, 4.5, panics if storage fails at some moments."""
    return "smc-lab" if (abi, optee) == ("smc", "lab") else abi


def SUITE(abi, optee, **_):
    return "soak" if (abi, optee) == ("smc", "lab") else "check"      # for want of that firmware


def sensible(abi, optee, **_):
    return (abi, optee) != ("ffa", "debian")


def scenario(guest, abi, optee, kills=80):
    dice = random.Random(abi)       # the same moments each time
    guest.run("/lab/supplicant start")
    # What OP-TEE and its driver keep for the next call is there after the first ones.
    kill(guest, dice, kills // 4)
    before = held(guest) if optee == "lab" else None
    kill(guest, dice, kills - kills // 4)
    supplicant = guest.run("/lab/supplicant status || cat /run/tee-supplicant.log")
    guest.must(supplicant == "running", f"the supplicant is gone: {supplicant}")
    after = held(guest) if optee == "lab" else None
    guest.must(before == after, f"OP-TEE holds {after} after {kills} clients, {before} before")
    guest.run("xtest -t regression 1004")


def kill(guest, dice, times):
    moments = " ".join(str(dice.randrange(50_000, 1_000_000)) for _ in range(times))
    shell = guest.run(CLIENTS)
    killed = guest.run(f"n=0; for usec in {moments}; do usleep $usec; "
                       "kill -9 $(pidof xtest) 2> /dev/null && n=$((n + 1)); done; echo $n")
    guest.run(f"kill {shell}; kill -9 $(pidof xtest); while pidof xtest; do usleep 10000; done")
    guest.must(int(killed) >= times * 3 // 4, f"only {killed} of {times} clients were there to be killed")


def held(guest):
    # The supplicant may be at a request of the last one still, with memory of its own.
    said = dict(word.split("=") for word in guest.run("sleep 1; /lab/held").split())
    return {what: int(said[what]) for what in ("objects", "pages", "sessions", "threads")}
