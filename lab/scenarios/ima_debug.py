# SPDX-License-Identifier: GPL-2.0-only
"""IMA has its TPM in each of a hundred boots and fifty kexecs of a kernel that checks itself"""
import ima
import ima_order

MATRIX = {"abi": ["ffa"], "cpus": [1, 4]}       # half of them with each
VARIANT = "debug-order"
SUITE = "soak"
TOPIC = "ffa-ima"
TPM = ACPI = True
ROOTFS = ["tpm"]
LIMIT = 1800        # four times that, as the kernel is a debug one
COMPARE = False     # mainline's first boot has no TPM for IMA: see ima.py
HASH = "sha256"


# Of the second machine the TPM's probe is deferred until IMA asks. What is read until
# then has to wait.
ORDER = {1: "fdt", 4: "tfd"}


def APPEND(cpus, **_):
    return f"{ima.APPEND(hash=HASH)} early_readers {ima_order.APPEND(ORDER[cpus])}"


def scenario(guest, cpus, rounds=25):
    def agree():
        ima_order.called(guest, ORDER[cpus])
        ima.found(guest)
        ima.agree(guest, HASH)

    agree()
    for left in reversed(range(rounds)):
        guest.off()
        guest.boot()
        agree()
        guest.figure("kexec", guest.kexec("file"), "s")
        agree()
        guest.leaks()
        if left:
            guest.figure("reboot", guest.reboot(), "s")
            agree()
