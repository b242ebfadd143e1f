# SPDX-License-Identifier: GPL-2.0-only
"""OP-TEE's heap does not grow over 200 kexecs of a machine with 8 GiB, with clients alive at each"""
import heap

MATRIX = heap.MATRIX
TOPIC = heap.TOPIC
SUITE = "soak"
MEMORY = "8G"
LIMIT = 3600


def scenario(guest):
    heap.scenario(guest, 200)
