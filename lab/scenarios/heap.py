# SPDX-License-Identifier: GPL-2.0-only
"""OP-TEE's heap does not grow from kexec to kexec, with clients alive at each"""
import re

MATRIX = {"abi": ["smc", "ffa"]}
LIMIT = 180
KEXECS = 8


def scenario(guest):
    heap = []
    for _ in range(KEXECS):
        guest.run("/lab/supplicant start && /lab/client hold 2 && sleep 0.3")
        guest.kexec()
        guest.run("xtest -t regression 1001")
        heap.append(allocated(guest))
    # What OP-TEE allocates once, at the first use of something, is not a loss.
    left = (heap[-1] - heap[0]) / (KEXECS - 1)
    guest.figure("heap left by a kexec", left, "bytes")
    guest.must(left == 0, f"OP-TEE's heap after each kexec, in bytes: {heap}")


def allocated(guest):
    """Bytes that OP-TEE's own statistics call allocated."""
    stats = guest.run("xtest --stats --alloc")
    found = re.search(r"Pool: +Heap.*?Bytes allocated: +(\d+)", stats, re.S)
    guest.must(found, f"xtest's statistics do not show the heap: {stats[:300]}")
    return int(found[1])
