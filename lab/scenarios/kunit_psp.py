# SPDX-License-Identifier: GPL-2.0-only
"""The KUnit suites of the TEE core, and of the ring buffer to AMD's, pass on x86_64"""
import kunit

MATRIX = {"abi": ["x86_64"], "cpus": [2]}
VARIANT = "psp"
APPEND = "kunit.enable=1 kunit.autorun=1 kunit.filter_glob=*tee* log_buf_len=4M"
TOPIC = "optee-kexec"
SUITE = "soak"      # for the kernel, which nothing else uses
LIMIT = 300
COMPARE = False     # the base has none of these suites
SUITES = ["tee_shm", "tee_shutdown", "psp-tee-ring"]


def scenario(guest):
    ktap = kunit.report(guest, guest.dmesg())
    for suite in SUITES:
        guest.must(any(line.startswith("ok ") and line.split()[2] == suite for line in ktap),
                   f"the suite {suite} did not run")
