# SPDX-License-Identifier: GPL-2.0-only
"""Going down races with users of the TEE, and neither KCSAN nor lockdep objects"""
import re

import races

MATRIX = {"abi": ["smc", "ffa"], "cpus": [2]}
VARIANT = "kcsan"
APPEND = ("kunit.enable=1 kunit.autorun=1 kunit.filter_glob=tee_* log_buf_len=4M "
          "initcall_blacklist=optee_rtc_driver_init")       # see users.py
TOPIC = "optee-kexec"
SUITE = "soak"
LIMIT = 1800
COMPARE = False     # the base does not survive it without KCSAN either
BOOT = False        # only with the tolerance below

# A line of a report that is of the TEE subsystem, of OP-TEE's driver, of FF-A's core,
# or of their tests.
OURS = re.compile(r"(?:data-race in .*|^.*\] +)\b(?:tee|optee|ffa|handle_ffa)_\w+", re.M)
USERS = ["hold", "load", "busy", "quit 4", "xtest"]


def scenario(guest):
    # Mainline has data races; of ours each is one too many.
    guest.tolerate(r"BUG: KCSAN: .*")
    guest.boot()
    log = guest.dmesg()
    for suite in "tee_shm", "tee_shutdown":
        guest.must(re.search(rf"\] ok \d+ {suite}", log), f"the suite {suite} did not pass")
    for user in USERS:
        guest.run("/lab/supplicant start")
        if user == "xtest":
            guest.run("(while xtest -t regression 1004; do :; done > /tmp/xtest.log 2>&1 &)")
        else:
            guest.run(f"/lab/client {user}")
        guest.run("sleep 3", limit=120)
        guest.figure("kexec", guest.kexec(), "s")
    guest.run("/lab/supplicant start && xtest -t regression 1004", limit=300)
    # The console's, since what a kernel says as it goes down is in no later one's log.
    races.locks_and_races(guest, guest.text, OURS)
