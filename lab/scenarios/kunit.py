# SPDX-License-Identifier: GPL-2.0-only
"""The KUnit suites of the series pass in the kernel that they are built into"""
import re

MATRIX = {"abi": ["smc", "x86_64"]}
APPEND = "kunit.enable=1 log_buf_len=4M"
LIMIT = 300

# Suites that must have run, by topic and ABI: one that is not there is a failure.
SUITES = {}


def scenario(guest, abi):
    log = guest.run("dmesg", limit=60)
    ktap = [re.sub(r"^\[ *[\d.]+\] (?:\[ *[CT]\d+\] )?", "", line) for line in log.splitlines()]
    suites = {m[2]: m[1] for line in ktap if (m := re.match(r"((?:not )?ok) \d+ (\S+)", line))}
    bad = [line.strip() for line in ktap if line.strip().startswith("not ok")]
    guest.must(not bad, "; ".join(bad))
    wanted = [s for (topic, where), names in SUITES.items()
              if topic in guest.setup.topics and abi in where for s in names]
    missing = [s for s in wanted if s not in suites]
    guest.must(not missing, f"did not run: {', '.join(missing)}")
    cases = sum(1 for line in ktap if re.match(r"\s+ok \d+ ", line))
    guest.figure("passed", cases, "cases")
