# SPDX-License-Identifier: GPL-2.0-only
"""The KUnit suites of the series pass in the kernel that they are built into"""
import re

import sequences

MATRIX = {"abi": ["smc", "x86_64"]}
# With swiotlb=force, what must not bounce can be seen not to.
APPEND = "kunit.enable=1 kunit.autorun=1 log_buf_len=4M swiotlb=force"
LIMIT = 300
COMPARE = False     # the base has none of these suites

# Suites that must have run: one that is not there is a failure.
SUITES = [
    # topic, where, suite
    ("optee-kexec", ["smc"], "tee_shm"),
    ("optee-kexec", ["smc"], "tee_shutdown"),
    ("optee-kexec", ["smc"], "optee_wait"),
    ("optee-kexec", ["smc"], "tstee"),
    ("ffa-ima", ["smc", "x86_64"], "deferred_probe_settle"),
    ("ffa-ima", ["smc"], "tpm_crb_ffa"),
    ("ffa-ima", ["smc"], "tpm_chip"),
    ("confidential-devices", ["smc", "x86_64"], "confidential-device"),
    ("confidential-devices", ["smc", "x86_64"], "confidential-off"),
    ("confidential-devices", ["smc", "x86_64"], "confidential-sequence"),
    ("confidential-devices", ["smc", "x86_64"], "confidential-dma"),
    ("confidential-devices", ["smc", "x86_64"], "confidential-mmio"),
]


def report(guest, log):
    """The lines of KTAP in the kernel's log; none of them may be "not ok"."""
    ktap = [re.sub(r"^\[ *[\d.]+\] (?:\[ *[CT]\d+\] )?", "", line) for line in log.splitlines()]
    bad = [line.strip() for line in ktap if line.strip().startswith("not ok")]
    guest.must(not bad, "; ".join(bad))
    cases = [line for line in ktap if re.match(r"\s+ok \d+ ", line)]
    skipped = [line for line in cases if "# SKIP" in line]
    guest.figure("passed", len(cases) - len(skipped), "cases")
    guest.figure("skipped", len(skipped), "cases")
    return ktap


def scenario(guest, abi):
    log = guest.dmesg()
    suites = {m[1] for line in report(guest, log) if (m := re.match(r"ok \d+ (\S+)", line))}
    missing = [suite for topic, where, suite in SUITES
               if topic in guest.setup.topics and abi in where and suite not in suites]
    guest.must(not missing, f"did not run: {', '.join(missing)}")
    if "confidential-devices" in guest.setup.topics:
        sequences.count(guest, log, 5)
