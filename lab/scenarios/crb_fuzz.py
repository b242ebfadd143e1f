# SPDX-License-Identifier: GPL-2.0-only
"""The TPM service over FF-A does what its specification says, whatever it is asked"""
import re

import ftpm

MATRIX = {"abi": ["ffa"], "cpus": [2], "firmware": ["ffa", "ffa-checks"]}
VARIANT = "modules"     # a kernel of its own: too long for make check
SUITE = "soak"
LIMIT = 600
TPM = True
COMPARE = False         # the kernel has no part in it
# The CRB is above the memory that the kernel may use, and its last page tells
# OP-TEE that there is one.
CRB = 0x4e000000
APPEND = f"mem={(CRB - 0x40000000) >> 20}M"
DEVICES = ["-device", f"loader,addr={CRB + 0xf000:#x},data=0x4d50544c,data-len=4"]


def FIRMWARE(firmware, **_):
    return firmware


def scenario(guest, calls=4000, seed=1):
    guest.run(" && ".join(f"insmod /boot/{m}.ko" for m in
                          ["ffa-core", "ffa-module", "tee", "optee", "tpm_ftpm_tee"]))
    # OP-TEE's other way to the same TPM is used all the time.
    guest.run(f"/lab/tpm busy {ftpm.RANDOM.hex()}")
    guest.run(f"insmod /boot/crb_fuzz.ko calls={calls} seed={seed}", limit=LIMIT + calls / 20)
    log = guest.dmesg()
    said = [line.partition("crb_fuzz: ")[2] for line in log.splitlines() if "crb_fuzz: " in line]
    guest.must(said and said[-1].endswith(": fine"), "; ".join(said[-4:]) or "the service is not there")
    guest.must(any(re.fullmatch(r"0x5000001: [1-9]\d*", line) for line in said), "no random call was served")
    guest.must("commands, then" not in log, "the other user lost the TPM")
    guest.figure("random calls", calls, "calls")
