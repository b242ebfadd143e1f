# SPDX-License-Identifier: GPL-2.0-only
"""Every sequence of seven calls on a confidential device does what the model says"""
import re

LENGTH, CALLS = 7, 8

MATRIX = {"abi": ["smc", "x86_64"]}
APPEND = ("kunit.enable=1 kunit.autorun=1 kunit.filter_glob=confidential-sequence log_buf_len=4M dma_debug=off "
          f"confidential_sequence_test.length={LENGTH}")
TOPIC = "confidential-devices"
SUITE = "soak"
LIMIT = 3600
COMPARE = False     # the base has no such device


def count(guest, log, length):
    """The number of sequences that the suite says it knows the outcome of."""
    found = re.search(r"(\d+) sequences of up to (\d+) calls: (\d+) made", log)
    guest.must(found, "the suite confidential-sequence did not count its sequences")
    every = sum(CALLS ** n for n in range(1, length + 1))
    guest.must(found.group(1, 2) == (str(every), str(length)),
               f"{found[0]}: there are {every} of up to {length}")
    guest.figure("sequences", every, "sequences")
    guest.figure("made", int(found[3]), "sequences")


def scenario(guest, length=LENGTH):
    log = guest.dmesg()
    guest.must(re.search(r"\] ok \d+ confidential-sequence", log),
               "; ".join(re.findall(r"not ok .*", log)) or "the suite confidential-sequence did not run")
    count(guest, log, length)
    first, last = (float(re.search(rf"\[ *([\d.]+)\] {line} confidential-sequence", log)[1])
                   for line in (r" +# Subtest:", r"ok \d+"))
    guest.figure("time", last - first, "s")
