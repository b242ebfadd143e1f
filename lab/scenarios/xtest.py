# SPDX-License-Identifier: GPL-2.0-only
"""OP-TEE's own regression tests"""
import re

MATRIX = {"abi": ["smc", "ffa"], "cpus": [2]}
LIMIT = 900


def regression(guest, *arguments):
    """xtest, in which every test case must pass."""
    guest.run("/lab/supplicant start")
    log = guest.run(f"xtest -t regression {' '.join(arguments)}", limit=880, check=False)
    (guest.logs / "xtest.log").write_text(log)
    total = re.search(r"(\d+) test cases? of which (\d+) failed", log)
    guest.must(total, f"xtest did not end with its summary: {log[-300:]}")
    failed = re.findall(r"^  (\S+) FAILED", log, re.M)
    guest.figure("cases", int(total[1]), "cases")
    guest.must(total[2] == "0", f"{total[2]} of {total[1]} cases fail: {' '.join(failed)}")
    return log


def scenario(guest):
    regression(guest, *(f"-x {case}" for case in [*EXCLUDED, *CRYPTO]))


# Cases that cannot pass here, on any kernel, and why.
EXCLUDED = {
    "2001": "TCP over GlobalPlatform's sockets: the lab's kernels have no IP",
    "2002": "UDP, likewise",
    "2003": "its errors, likewise",
    "2004": "many of them at once, likewise",
}

# Two fifths of the time of all cases: OP-TEE computes in these, and Linux has nothing to
# do: the scenario xtest_crypto runs them, in make soak.
CRYPTO = {
    "4002": "message authentication codes",
    "4003": "ciphers",
    "4005": "authenticated encryption",
    "4006": "asymmetric ciphers, signatures and key agreement",
    "4007": "keys generated",
    "4009": "keys derived with elliptic curves",
    "4011": "Bleichenbacher's attack",
    "4014": "key agreement of SM2",
    "4017": "ciphers that buffer blocks",
    "4112": "primes",
}
