# SPDX-License-Identifier: GPL-2.0-only
"""A TEE's shutdown races with its users, and neither KCSAN nor lockdep objects"""
import re

import races

MATRIX = {"abi": ["smc", "ffa", "x86_64"], "cpus": [4]}
VARIANT = "kcsan"
TOPIC = "optee-kexec"
SUITE = "soak"
LIMIT = 1800
COMPARE = False     # the base has none of the suites, and hangs with such users
BOOT = False        # only with the tolerance below

# On x86_64, where no TEE is, with fake ones.
SUITES = {"smc": ["tee_shm", "tee_shutdown", "optee_wait", "tstee"], "x86_64": ["tee_shm", "tee_shutdown"]}
SUITES["ffa"] = SUITES["smc"]
USERS = ["hold", "load", "busy", "quit 2", "xtest"]     # see users.py

# Who asks for it, or has raced, is of the TEE subsystem, of FF-A's core, or of their tests.
# A mutex's queue is read without a mark while another CPU writes to it: mainline's,
# whoever has the mutex.
OURS = re.compile(r"\A(?!BUG: KCSAN: data-race in osq_)"
                  r".*\b(?:tee(?:dev)?|optee|tstee|(?:handle_)?ffa)_\w+", re.S)


def APPEND(abi, **_):
    # The accesses from one that is watched to the next. With 200 the boot of arm64 meets the
    # hung-task watchdog. The clock's alarm has a thread all the time, see users.py.
    watch = 200 if abi == "x86_64" else 2000
    return ("kunit.enable=1 kunit.autorun=1 kunit.filter_glob=*tee* log_buf_len=4M "
            f"initcall_blacklist=optee_rtc_driver_init kcsan.skip_watch={watch}")


def scenario(guest, abi):
    # Mainline has data races; of ours each is one too many.
    guest.tolerate(r"BUG: KCSAN: .*")
    guest.boot()
    log = guest.dmesg()
    for suite in SUITES[abi]:
        guest.must(re.search(rf"\] ok \d+ {suite}\b", log),
                   "; ".join(re.findall(r"not ok .*", log)) or f"the suite {suite} did not run")
    for user in USERS if abi != "x86_64" else []:
        guest.run("/lab/supplicant start")
        if user == "xtest":
            guest.run("(while xtest -t regression 1004; do :; done > /tmp/xtest.log 2>&1 &)")
        else:
            guest.run(f"/lab/client {user}")
        guest.run("sleep 3", limit=120)
        guest.figure("kexec", guest.kexec(append="kunit.autorun=0"), "s")
    # The console's, since what a kernel says as it goes down is in no later one's log.
    races.locks_and_races(guest, guest.text, OURS)
