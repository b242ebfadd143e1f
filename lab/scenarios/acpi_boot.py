# SPDX-License-Identifier: GPL-2.0-only
"""A kernel that booted through ACPI kexecs, and crashes, into one that does too"""
MATRIX = {"abi": ["ffa"], "cpus": [1, 4], "how": ["load", "file"]}
ACPI = True
APPEND = "crashkernel=384M initcall_blacklist=optee_core_init"
LIMIT = 120
TABLES = "cd /sys/firmware/acpi/tables && md5sum APIC DSDT FACP GTDT MCFG"


def sensible(cpus, how, **_):
    """Each of them once: how a kernel is loaded and how many CPUs it has are not related."""
    return (cpus == 1) == (how == "load")


def scenario(guest, cpus, how):
    tables = check(guest, cpus)
    for _ in range(2):
        guest.figure("kexec", guest.kexec(how, append="crashkernel=384M"), "s")
        guest.must(check(guest, cpus) == tables, "a kexec changed ACPI's tables")
    guest.crash(how)
    guest.must(guest.run(TABLES) == tables, "a crash changed ACPI's tables")


def check(guest, cpus):
    """Everything is there that ACPI tells of, and what is reserved is no RAM; the tables."""
    log = guest.dmesg()
    for text in ("ACPI: Interpreter enabled", "ARMH0011:00: ttyAMA0", "psci: PSCIv1",
                 "PCI host bridge to bus 0000:00", f"smp: Brought up 1 node, {cpus} CPU"):
        guest.must(text in log, f"the kernel's log lacks {text!r}")
    for line in guest.run("grep 'System RAM' /proc/iomem").splitlines():
        start, end = (int(x, 16) for x in line.split()[0].split("-"))
        guest.must(end < 0x4e000000 or start > 0x4e00ffff, f"the TPM's memory is RAM: {line}")
    guest.must(guest.run("ls /sys/bus/arm_ffa/devices"), "the FF-A core lists no partitions")
    return guest.run(TABLES)
