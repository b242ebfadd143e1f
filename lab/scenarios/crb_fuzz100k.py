# SPDX-License-Identifier: GPL-2.0-only
"""The TPM service over FF-A survives 100,000 random calls, with each of three seeds"""
import crb_fuzz

MATRIX = {"abi": ["ffa"], "cpus": [2], "seed": [1, 2, 3]}
VARIANT = "modules"
SUITE = "soak"
LIMIT = 1200
TPM = True
COMPARE = False
APPEND = crb_fuzz.APPEND
DEVICES = crb_fuzz.DEVICES


def scenario(guest, seed):
    crb_fuzz.scenario(guest, 100000, seed)
