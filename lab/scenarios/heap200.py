# SPDX-License-Identifier: GPL-2.0-only
"""OP-TEE's heap does not grow over 200 kexecs, with all clients bound and others alive at each"""
import clients
import ftpm
import heap

# The small machine and the large one, where the same address comes again only
# after some kexecs.
MATRIX = {"abi": ["smc", "ffa"], "cpus": [1, 4]}
TOPIC = heap.TOPIC
FIRMWARE = clients.FIRMWARE
TPM = True
SUITE = "soak"
LIMIT = 5400


def MEMORY(cpus, **_):
    return "2G" if cpus == 1 else "8G"


def scenario(guest, kexecs=200):
    # What is left is judged at the end: mainline's growth is to be seen too.
    left = []

    def check(guest):
        ftpm.send(guest, ftpm.RANDOM)
        left.append(clients.left(guest))

    all_bound(guest)
    guest.run("/lab/held")      # for which OP-TEE allocates something once
    heap.scenario(guest, kexecs, check)
    all_bound(guest)
    clients.no_complaint(guest)
    guest.must(not any(any(each.values()) for each in left),
               f"OP-TEE holds of the kernels before, after each kexec: {left}")


def all_bound(guest):
    clients.all_bound(guest)
    ftpm.answers(guest, bytes(32))
