# SPDX-License-Identifier: GPL-2.0-only
"""The KUnit suites of the TEE core and of AMD's TEE pass on x86_64, and a crash kernel leaves that alone"""
import kunit

MATRIX = {"abi": ["x86_64"], "cpus": [2]}
VARIANT = "psp"
APPEND = "kunit.enable=1 kunit.autorun=1 kunit.filter_glob=*tee* log_buf_len=4M crashkernel=384M"
TOPIC = "optee-kexec"
SUITE = "soak"      # for the kernel, which nothing else uses
LIMIT = 300
COMPARE = False     # the base has none of these suites
SUITES = ["tee_shm", "tee_shutdown", "psp-tee-ring", "amdtee"]


def scenario(guest):
    ktap = kunit.report(guest, guest.dmesg())
    for suite in SUITES:
        guest.must(any(line.startswith("ok ") and line.split()[2] == suite for line in ktap),
                   f"the suite {suite} did not run")
    guest.crash("file")
    guest.must("amdtee: not used in a kdump kernel" in guest.dmesg(),
               "the crash kernel does not say that it leaves AMD's TEE alone")
