# SPDX-License-Identifier: GPL-2.0-only
"""OP-TEE's own regression tests of asymmetric cryptography"""
import xtest

MATRIX, LIMIT = xtest.MATRIX, xtest.LIMIT
SUITE = "soak"
COMPARE = False         # the kernel passes on calls, and waits


def scenario(guest):
    count = xtest.regression(guest, *xtest.CRYPTO)
    guest.must(count == len(xtest.CRYPTO), f"{count} cases ran, not {len(xtest.CRYPTO)}")
