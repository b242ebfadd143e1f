# SPDX-License-Identifier: GPL-2.0-only
"""With FF-A 1.0, 1.1 and 1.2 OP-TEE or the TPM works, also after a kexec"""
import ima

MATRIX = {"abi": ["ffa"], "ffa": ["1.0", "1.1", "1.2"], "user": ["optee", "tpm"], "cpus": [2]}
TPM = ACPI = True
ROOTFS = ["tpm"]
LIMIT = 120


def TOPIC(user, **_):
    return "optee-kexec" if user == "optee" else "ffa-ima"


def APPEND(user, **_):
    # One user of FF-A at a time, and not OP-TEE's fTPM as a second TPM.
    without = "crb_acpi_driver_init,ftpm_mod_init" if user == "optee" else "optee_core_init"
    return f"ima_policy=tcb rootfstype=ramfs initcall_blacklist={without}"


def CRB(ffa, **_):
    major, minor = map(int, ffa.split("."))
    return {"ffa": major << 16 | minor}


def scenario(guest, ffa, user):
    look(guest, ffa, user)
    guest.figure("kexec", guest.kexec("file"), "s")
    look(guest, ffa, user)


def look(guest, ffa, user):
    log = guest.dmesg()
    guest.must(f"ARM FF-A: Firmware version {ffa} found" in log, f"the firmware's FF-A is not {ffa}")
    guest.must("WARNING:" not in log, "the kernel warns")
    if user == "optee":
        guest.run("/lab/supplicant start && xtest -t regression 1001")
    else:
        ima.found(guest)
        ima.agree(guest, "sha256")
