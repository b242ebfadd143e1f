# SPDX-License-Identifier: GPL-2.0-only
"""OP-TEE's heap does not grow over 200 kexecs, with all clients bound and others alive at each"""
import clients
import heap

# The small machine and the large one, where the same address comes again only
# after some kexecs.
MATRIX = {"abi": ["smc", "ffa"], "cpus": [1, 4]}
TOPIC = heap.TOPIC
FIRMWARE = clients.FIRMWARE
SUITE = "soak"
LIMIT = 5400


def MEMORY(cpus, **_):
    return "2G" if cpus == 1 else "8G"


def scenario(guest, kexecs=200):
    def check(guest):
        clients.all_bound(guest)
        clients.nothing_left(guest)

    clients.all_bound(guest)
    heap.scenario(guest, kexecs, check)
    clients.no_complaint(guest)
