# SPDX-License-Identifier: GPL-2.0-only
"""FF-A 1.0, 1.1 and 1.2: OP-TEE, the TPM and kexec work with each of them"""
import ima

MATRIX = {"abi": ["ffa"], "ffa": ["1.0", "1.1", "1.2"], "cpus": [2]}
TOPIC = "ffa-ima"
TPM = ACPI = True
ROOTFS = ["tpm"]
LIMIT = 120
# OP-TEE's fTPM would be a second TPM.
APPEND = "ima_policy=tcb rootfstype=ramfs initcall_blacklist=ftpm_mod_init"


def CRB(ffa, **_):
    major, minor = map(int, ffa.split("."))
    return {"ffa": major << 16 | minor}


def scenario(guest, ffa):
    look(guest, ffa)
    guest.figure("kexec", guest.kexec("file"), "s")
    look(guest, ffa)


def look(guest, ffa):
    log = guest.dmesg()
    guest.must(f"ARM FF-A: Firmware version {ffa} found" in log, f"the firmware's FF-A is not {ffa}")
    guest.must("WARNING:" not in log, "the kernel warns")
    ima.found(guest)
    ima.agree(guest, "sha256")
    guest.run("/lab/supplicant start && xtest -t regression 1001 && /lab/supplicant stop")
