# SPDX-License-Identifier: GPL-2.0-only
"""OP-TEE's heap does not grow from kexec to kexec, with clients alive at each"""
MATRIX = {"abi": ["smc", "ffa"]}
LIMIT = 180
TOPIC = "optee-kexec"


def scenario(guest, kexecs=8, check=lambda guest: None):
    heap = guest.facts["heap"] = []
    for _ in range(kexecs):
        guest.run("/lab/supplicant start && /lab/client hold 2 && /lab/client quit && sleep 0.5")
        guest.kexec()
        guest.run("xtest -t regression 1001")
        heap.append(guest.tee_heap())
        check(guest)
    # What OP-TEE allocates once, at the first use of something, is not a loss.
    left = (heap[-1] - heap[0]) / (kexecs - 1)
    guest.figure("heap left by a kexec", left, "bytes")
    guest.must(len(set(heap)) == 1, f"OP-TEE's heap after each kexec, in bytes: {heap}")
