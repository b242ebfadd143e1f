# SPDX-License-Identifier: GPL-2.0-only
"""OP-TEE's own regression tests"""
import re

MATRIX = {"abi": ["smc", "ffa"], "cpus": [2]}
LIMIT = 900


def scenario(guest):
    guest.run("/lab/supplicant start")
    excluded = " ".join(f"-x {case}" for case in EXCLUDED)
    log = guest.run(f"xtest -t regression {excluded}", limit=880, check=False)
    (guest.logs / "xtest.log").write_text(log)
    total = re.search(r"(\d+) test cases? of which (\d+) failed", log)
    guest.must(total, f"xtest did not end with its summary: {log[-300:]}")
    failed = re.findall(r"^  (\S+) FAILED", log, re.M)
    guest.figure("cases", int(total[1]), "cases")
    guest.must(total[2] == "0", f"{total[2]} of {total[1]} cases fail: {' '.join(failed)}")


# Cases that cannot pass here, on any kernel, and why.
EXCLUDED = {
    "2001": "TCP over GlobalPlatform's sockets: the lab's kernels have no IP",
    "2002": "UDP, likewise",
    "2003": "its errors, likewise",
    "2004": "many of them at once, likewise",
}
