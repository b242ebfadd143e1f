# SPDX-License-Identifier: GPL-2.0-only
"""Fifty crashes in a row with all threads of OP-TEE suspended, and each dump can be read"""
import dump

MATRIX = {"abi": ["smc", "ffa"]}
SUITE = "soak"
LIMIT = 3600
APPEND = dump.APPEND


def scenario(guest, crashes=50):
    for _ in range(crashes):
        dump.scenario(guest, "load", "suspended")
        guest.reboot()
