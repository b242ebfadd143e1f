# SPDX-License-Identifier: GPL-2.0-only
"""Accepting a device races with binding, removal and ioremap(), and neither KCSAN nor lockdep objects"""
import re

MATRIX = {"abi": ["x86_64"], "cpus": [2]}
VARIANT = "kcsan"
APPEND = ("kunit.enable=1 kunit.autorun=1 kunit.filter_glob=confidential-[dm]* log_buf_len=4M "
          "kcsan.skip_watch=200")
TOPIC = "confidential-devices"
SUITE = "soak"
LIMIT = 900
COMPARE = False     # the base has no such device
BOOT = False        # only with the tolerance below

# What is ours of a report: what has raced, or who asked for it. Not the suite, which
# takes references as anybody does.
OURS = re.compile(r"data-race in .*\bcc[dr]?_|\b(?:(?:__)?device_cc_\w+|cc_set|cc_accepted_show|"
                  r"iomem_(?:(?:un)?mark_encrypted|marks_busy|mark_in_tree|encrypted)|"
                  r"ioremap_is_encrypted|swiotlb_dev_set_private|dma_debug_device_idle)\+0x")
SUITES = ["confidential-device", "confidential-dma", "confidential-mmio"]


def scenario(guest):
    # Mainline has data races; of ours each is one too many, see below.
    guest.tolerate(r"BUG: KCSAN: .*")
    guest.boot()
    log = guest.dmesg()
    for suite in SUITES:
        guest.must(re.search(rf"\] ok \d+ {suite}", log),
                   "; ".join(re.findall(r"not ok .*", log)) or f"the suite {suite} did not run")
    for test in "cc_lock_test", "cc_race_test", "cc_race_remove_test", "ccr_ioremap_stress":
        guest.must(re.search(rf"ok \d+ {test}(?! # SKIP)", log), f"{test} did not run")
    locks_and_races(guest, log, OURS)
    for number, what in re.findall(r"(\d+) (devices removed|bindings while accepted)", log):
        guest.figure(what, int(number), "times")


def locks_and_races(guest, log, ours):
    """Of the data races in a log none may be ours, and lockdep must be on at the end."""
    reports = re.findall(r"BUG: KCSAN: .*?={60}", log, re.S)
    found = [report for report in reports if ours.search(report)]
    guest.must(not found, f"{len(found)} data races, the first: {found[0] if found else ''}")
    locks = guest.run("grep debug_locks: /proc/lockdep_stats")
    guest.must(locks.split()[-1] == "1", f"lockdep is off by now: {locks}")
    guest.figure("data races of others", len(reports), "reports")
