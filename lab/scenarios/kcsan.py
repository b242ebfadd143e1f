# SPDX-License-Identifier: GPL-2.0-only
"""KCSAN sees the races of its own test, so that its silence elsewhere says something"""
import re

MATRIX = {"abi": ["smc", "x86_64"], "cpus": [4]}
VARIANT = "kcsan"
APPEND = "kunit.enable=1 kunit.autorun=1 kunit.filter_glob=kcsan.test_basic log_buf_len=4M"
SUITE = "soak"
LIMIT = 900
COMPARE = False     # it is about the laboratory
BOOT = False        # only with the tolerance below


def scenario(guest):
    guest.tolerate(r"BUG: KCSAN: .*")
    guest.boot()
    log = guest.dmesg()
    guest.must(re.search(r"\] ok \d+ kcsan", log),
               "; ".join(re.findall(r"not ok .*", log)) or "the suite kcsan did not run")
    guest.must(re.search(r"ok \d+ test_basic(?! # SKIP)", log), "test_basic did not run")
    guest.figure("reports", log.count("BUG: KCSAN: "), "reports")
