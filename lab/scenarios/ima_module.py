# SPDX-License-Identifier: GPL-2.0-only
"""A TPM behind FF-A whose drivers are modules comes after IMA, and IMA says so"""
import ima_tpm

# last: the module that is loaded when the others wait for it.
MATRIX = {"abi": ["ffa"], "last": ["transport", "interface"]}
VARIANT = "modules"
SUITE = "soak"          # for want of that kernel
TOPIC = "ffa-ima"
TPM = ACPI = True
APPEND = "ima_policy=tcb"
SELFTEST = "ima/test_tpm.sh"
LIMIT = 90
FFA, CRB = ["ffa-module"], ["tpm_crb_ffa", "tpm_crb"]


def scenario(guest, last):
    guest.must("ima: No TPM chip found, activating TPM-bypass!" in guest.dmesg(), "IMA did not go without a TPM")
    for module in ["ffa-core", *(CRB + FFA if last == "transport" else FFA + CRB)]:
        guest.run(f"insmod /boot/{module}.ko")
    ima_tpm.came_late(guest)
    log = guest.dmesg()
    guest.must("WARNING:" not in log, "the kernel warns")
    guest.must(log.count("tpm0 came after IMA had started without a TPM") == 1, "IMA does not say it once")
