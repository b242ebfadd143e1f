# SPDX-License-Identifier: GPL-2.0-only
"""OP-TEE's own regression tests of cryptography"""
import xtest

MATRIX, LIMIT = xtest.MATRIX, xtest.LIMIT
SUITE = "soak"
COMPARE = False         # the kernel passes on calls, and waits


def scenario(guest):
    log = xtest.regression(guest, *xtest.CRYPTO)
    for case in xtest.CRYPTO:       # a name, or what several names begin with
        guest.must(f"* regression_{case}" in log, f"xtest has no case {case}")
