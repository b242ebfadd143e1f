# SPDX-License-Identifier: GPL-2.0-only
"""Clients killed at any moment leave nothing in OP-TEE, and do not take it down"""
import random

import clients

MATRIX = {"abi": ["smc", "ffa"], "cpus": [2]}
LIMIT = 120
FIRMWARE, SUITE = clients.FIRMWARE, clients.SUITE

# Storage: an object in a file of the supplicant's, which is asked for every block.
# A client that is killed has its requests to the supplicant end with an error. Most
# are killed while their application is loaded, 10 to 15 of 80 later.
CLIENT = "xtest -t regression 6001 > /dev/null 2>&1"


def scenario(guest, abi, kills=80):
    dice = random.Random(abi)       # the same moments each time
    guest.run("/lab/supplicant start")
    # What OP-TEE and its driver keep for the next call is there after the first ones.
    kill(guest, dice, kills // 4)
    before = held(guest)
    kill(guest, dice, kills - kills // 4)
    after = held(guest)
    guest.must(before == after, f"OP-TEE holds {after} after {kills} clients, {before} before")
    guest.run("xtest -t regression 1001")


def kill(guest, dice, times):
    moments = " ".join(str(dice.randrange(50_000, 700_000)) for _ in range(times))
    alive = guest.run(f"n=0; for usec in {moments}; do {CLIENT} & usleep $usec; "
                      "kill -9 $! 2> /dev/null && n=$((n + 1)); wait; done; echo $n")
    guest.must(int(alive) >= times // 2, f"{alive} of {times} clients were alive when they were killed")


def held(guest):
    # The supplicant may be at a request of the last one still, with memory of its own.
    said = dict(word.split("=") for word in guest.run("sleep 1; /lab/held").split())
    return {what: int(said[what]) for what in ("objects", "pages", "sessions", "threads")}
