# SPDX-License-Identifier: GPL-2.0-only
"""A TEE's shutdown races with its users, in KUnit, and neither KCSAN nor lockdep objects"""
import re

import races

# Not on arm64, where KCSAN of this kernel has never been seen to report anything.
MATRIX = {"abi": ["x86_64"], "cpus": [4]}
VARIANT = "kcsan"
APPEND = ("kunit.enable=1 kunit.autorun=1 kunit.filter_glob=tee_* log_buf_len=4M "
          "kcsan.skip_watch=200")
TOPIC = "optee-kexec"
SUITE = "soak"
LIMIT = 900
COMPARE = False     # the base has none of these suites
BOOT = False        # only with the tolerance below

# Who asks for it, or has raced, is of the TEE core or of its tests. A mutex's queue is
# read without a mark while another CPU writes to it: mainline's, whoever has the mutex.
OURS = re.compile(r"\A(?!BUG: KCSAN: data-race in osq_lock / osq_unlock).*\btee(?:dev)?_\w+", re.S)


def scenario(guest):
    # Mainline has data races; of ours each is one too many.
    guest.tolerate(r"BUG: KCSAN: .*")
    guest.boot()
    log = guest.dmesg()
    for suite in "tee_shm", "tee_shutdown":
        guest.must(re.search(rf"\] ok \d+ {suite}", log),
                   "; ".join(re.findall(r"not ok .*", log)) or f"the suite {suite} did not run")
    races.locks_and_races(guest, log, OURS)
