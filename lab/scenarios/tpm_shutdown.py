# SPDX-License-Identifier: GPL-2.0-only
"""The TPM behind FF-A hears that the kernel goes down, before the way to it is gone"""
import re

# How the kernel goes down: the last way tells nobody.
MATRIX = {"abi": ["ffa"], "how": ["reboot", "kexec", "reset"]}
TOPIC = "ffa-ima"
TPM = ACPI = True
ROOTFS = ["tpm"]
APPEND = "initcall_blacklist=optee_core_init"
LIMIT = 90
RESET = "echo b > /proc/sysrq-trigger"


def scenario(guest, how):
    used(guest)
    if how == "kexec":
        # The TPM is asked after the machine was reset, by a kernel that leaves it alone.
        guest.kexec("file", append="initcall_blacklist=crb_acpi_driver_init")
        guest.must(not guest.run("ls /sys/class/tpm"), "the next kernel has a TPM, and may have used it")
    guest.reboot(command="reboot -f" if how == "reboot" else RESET)
    orderly = used(guest)
    guest.must(orderly == (how != "reset"), f"after a {how} the TPM says "
               + ("that it was shut down" if orderly else "that its power went, with no TPM2_Shutdown before"))


def used(guest):
    """Did TPM2_Shutdown come last, the time before? Whatever is asked undoes it for the next time."""
    properties = guest.run("tpm2 getcap -T device:/dev/tpmrm0 properties-variable")
    found = re.search(r"TPM2_PT_STARTUP_CLEAR:.*?orderly: +([01])", properties, re.S)
    guest.must(found, f"tpm2 getcap does not tell: {properties[:300]}")
    return found[1] == "1"
