# SPDX-License-Identifier: GPL-2.0-only
"""The TPM service over FF-A survives 100,000 random calls, under sanitizers"""
import crb_fuzz

MATRIX = {"abi": ["ffa"], "cpus": [2], "seed": [1, 2, 3]}
VARIANT = "modules"
SUITE = "soak"
FIRMWARE = "ffa-checks"
LIMIT = 2400
TPM = True
COMPARE = False
APPEND = crb_fuzz.APPEND
DEVICES = crb_fuzz.DEVICES


def scenario(guest, seed):
    crb_fuzz.scenario(guest, 100000, seed)
