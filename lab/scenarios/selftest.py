# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's selftest of the TEE subsystem passes, without and with tee-supplicant"""
import re

MATRIX = {"abi": ["smc", "ffa"], "cpus": [2], "users": ["idle", "supplicant"]}
SELFTEST = "tee/tee_test"
TOPIC = "optee-kexec"
LIMIT = 120


def scenario(guest, users):
    if users == "supplicant":
        guest.run("/lab/supplicant start")
    ktap = guest.run("/boot/selftest", check=False)
    bad = [line for line in ktap.splitlines() if line.startswith("not ok")]
    guest.must(not bad, "; ".join(bad))
    totals = re.search(r"# Totals: pass:(\d+) fail:0 .*skip:(\d+) error:0", ktap)
    guest.must(totals, f"the selftest did not come to an end: {ktap[-300:]}")
    # With tee-supplicant running, the tests that are the supplicant cannot be.
    guest.must(int(totals[2]) <= (20 if users == "supplicant" else 3),
               f"{totals[2]} tests were skipped")
    guest.figure("passed", int(totals[1]), "tests")
