# SPDX-License-Identifier: GPL-2.0-only
"""Fifty crashes in a row with all threads of OP-TEE suspended, and each dump can be read"""
import dump

MATRIX = {"abi": ["smc", "ffa"], "cpus": [4]}     # dump.py has one
SUITE = "soak"
LIMIT = 3600
APPEND = dump.APPEND


def scenario(guest, abi, crashes=50):
    for _ in range(crashes):
        dump.scenario(guest, abi, "load", "suspended")
        guest.reboot()
