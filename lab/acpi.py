# SPDX-License-Identifier: GPL-2.0-only
"""What a firmware hands to an arm64 kernel that is to boot through ACPI.

No UEFI is run: a kernel finds EFI's system table and memory map through
properties of /chosen, where UEFI's stub would leave them, and ACPI's tables
through the system table. All of it survives a kexec, which hands on the device
tree, and leaves memory alone that the map calls ACPI's or reserved.

The machine is QEMU's virt with a GICv3, and PSCI in TF-A. Chapters are those of
ACPI 6.3 and UEFI 2.8; TPM2 is TCG's ACPI specification, the CRB is TCG's PC
Client Platform TPM Profile (PTP).
"""
import pathlib
import struct
import subprocess
import uuid
import zlib

TOP = pathlib.Path(__file__).resolve().parent.parent

RAM = 0x40000000
SHM = (0x42000000, 0x200000)        # static shared memory of OP-TEE
CRB = (0x4e000000, 0x10000)         # what the TPM behind FF-A is talked to with
TABLES = (0x4f000000, 0x100000)
OPTEE = 0x0e100000                  # where OP-TEE runs without ASLR
LEAST = 0x40000000                  # of RAM: kernel, initrd and the above have fixed places

# Words of the CRB's last page: what the TPM's service is to do other than right.
MAGIC = 0x4d50544c      # "LTPM": there is such a service
SWITCHES = ["version", "busy", "status", "delay", "flags", "ffa"]


class Bad(ValueError):
    """A machine that there cannot be."""


def ram_size(text):
    """Bytes of what QEMU's -m takes, such as 2G."""
    unit = {"K": 10, "M": 20, "G": 30}.get(text[-1:].upper())
    if not unit or not text[:-1].isdigit():
        raise Bad(f"{text!r} is no size of RAM: a number, and K, M or G")
    size = int(text[:-1]) << unit
    if size < LEAST:
        raise Bad(f"{text} of RAM are too little for a machine with ACPI: {LEAST >> 20}M at least")
    return size


# ACPI

def table(signature, revision, body):
    """A table with its header (5.2.6)."""
    head = struct.pack("<4sIBB6s8sI4sI", signature.encode(), 36 + len(body), revision, 0,
                       b"LAB   ", b"TEELINUX", 1, b"LAB ", 1)
    return summed(head + body, 9)


def summed(data, at):
    """With the byte at this place such that all of them add up to zero."""
    data = bytearray(data)
    data[at] = 0
    data[at] = -sum(data) & 0xff
    return bytes(data)


def madt(cpus):
    """A distributor, the CPUs, and their redistributors; no ITS (5.2.12)."""
    if not 1 <= cpus <= 8:
        raise Bad(f"{cpus} CPUs: the lab's arm64 kernels have 1 to 8")
    body = struct.pack("<II", 0, 0)
    body += struct.pack("<BBHIQIB3x", 0xc, 24, 0, 0, 0x08000000, 0, 3)
    for cpu in range(cpus):
        # Enabled; the PMU's interrupt; maintenance of virtual interrupts; MPIDR.
        body += struct.pack("<BBHIIIIIQQQQIQQBBH", 0xb, 80, 0, cpu, cpu, 1, 0, 23, 0, 0, 0, 0,
                            25, 0, cpu, 0, 0, 0)
    body += struct.pack("<BBHQI", 0xe, 16, 0, 0x080a0000, 0xf60000)
    return table("APIC", 5, body)


def gtdt():
    """Timers: secure and not, virtual, EL2; low while they fire (5.2.24)."""
    low = 2
    timers = struct.pack("<8I", 29, low, 30, low, 27, low, 26, low)
    return table("GTDT", 2, struct.pack("<QI", 2**64 - 1, 0) + timers + struct.pack("<QII", 2**64 - 1, 0, 0))


def fadt(dsdt):
    """No ACPI hardware, PSCI by SMC, and where the DSDT is (5.2.9)."""
    body = bytearray(276 - 36)

    def put(at, form, value):
        struct.pack_into("<" + form, body, at - 36, value)
    put(112, "I", 1 << 20)      # HW_REDUCED_ACPI
    put(129, "H", 1)            # PSCI_COMPLIANT, and not by HVC
    put(131, "B", 3)            # 6.3
    put(140, "Q", dsdt)
    return table("FACP", 6, bytes(body))


def mcfg():
    """PCIe's configuration space (PCI firmware specification, 4.1.2)."""
    return table("MCFG", 1, struct.pack("<8xQHBB4x", 0x4010000000, 0, 0, 255))


def tpm2():
    """A TPM with a CRB, started through FF-A, and without a log of events."""
    start_method, no_notifications, partition = 15, 0, 0
    return table("TPM2", 4, struct.pack("<HHQIBBH8xIQ", 0, 0, CRB[0] + 0x40, start_method,
                                        no_notifications, 0, partition, 0, 0))


def dsdt(folder, tpm):
    """The compiled lab/acpi/dsdt.asl."""
    (folder / "dsdt.aml").unlink(missing_ok=True)
    command = ["iasl", *(["-DTPM"] if tpm else []), "-p", str(folder / "dsdt"), str(TOP / "lab/acpi/dsdt.asl")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Bad("there is no iasl, which compiles ACPI's tables; make boot, or make check, "
                  "installs it (acpica-tools)") from None
    made = folder / "dsdt.aml"
    if done.returncode or not made.exists():
        raise Bad(f"iasl does not take lab/acpi/dsdt.asl: {done.stdout}{done.stderr}")
    return made.read_bytes()


# EFI

def memory_map(size):
    """Memory descriptors, version 1 (UEFI 7.2, GetMemoryMap)."""
    reserved, conventional, reclaim = 0, 7, 9
    cached = 0xf        # can be mapped uncached, write combining, through or back
    found, at = [], RAM
    for start, length, kind in [(*SHM, reserved), (*CRB, reserved), (*TABLES, reclaim), (RAM + size, 0, 0)]:
        found.append((conventional, at, start - at))
        if length:
            found.append((kind, start, length))
        at = start + length
    return b"".join(struct.pack("<IIQQQQ", kind, 0, start, 0, length >> 12, cached)
                    for kind, start, length in found)


def system_table(vendor, configuration):
    """UEFI 4.3, of a firmware whose services are over; one configuration table."""
    body = struct.pack("<QI4x", vendor, 0) + bytes(64) + struct.pack("<QQ", 1, configuration)

    def head(crc):
        return struct.pack("<8sIIII", b"IBI SYST", 2 << 16 | 80, 24 + len(body), crc, 0)
    return head(zlib.crc32(head(0) + body)) + body


def tables(size, cpus, dsdt_, tpm):
    """What is at TABLES, and the properties of /chosen that lead there."""
    data = bytearray()

    def place(what):
        data.extend(bytes(-len(data) % 64))
        at = TABLES[0] + len(data)
        data.extend(what)
        return at
    there = [fadt(place(dsdt_)), madt(cpus), gtdt(), mcfg()] + ([tpm2()] if tpm else [])
    xsdt = place(table("XSDT", 1, struct.pack(f"<{len(there)}Q", *map(place, there))))
    rsdp = struct.pack("<8sB6sBIIQB3x", b"RSD PTR ", 0, b"LAB   ", 2, 0, 36, xsdt, 0)
    rsdp = place(summed(summed(rsdp[:20], 8) + rsdp[20:], 32))
    acpi_20 = uuid.UUID("8868e871-e4f1-11d3-bc22-0080c73c8881")
    configuration = place(acpi_20.bytes_le + struct.pack("<Q", rsdp))
    vendor = place("tee-linux\0".encode("utf-16-le"))
    descriptors = memory_map(size)
    chosen = {"system-table": (8, place(system_table(vendor, configuration))),
              "mmap-start": (8, place(descriptors)), "mmap-size": (4, len(descriptors)),
              "mmap-desc-size": (4, 40), "mmap-desc-ver": (4, 1), "secure-boot": (4, 0)}
    return bytes(data), chosen


# The TPM behind FF-A

def crb(switches):
    """Memory that normal world and TPM talk through: a page for each locality, as
    a firmware leaves it, and the lab's switches in the last one."""
    unknown = set(switches) - {"absent", *SWITCHES}
    if unknown:
        raise Bad(f"CRB has no switch {', '.join(sorted(unknown))}; there are: absent, {', '.join(SWITCHES)}")
    data = bytearray(CRB[1])
    for locality in range(5):
        page = locality << 12
        buffer, room = CRB[0] + page + 0x80, 0xf80
        # loc_state: its registers are valid, no locality is active
        struct.pack_into("<I", data, page, 1 << 7)
        # intf_id: a CRB, version 1, with five localities, selected, and that locked
        struct.pack_into("<Q", data, page + 0x30, 1 | 1 << 4 | 1 << 8 | 3 << 11 | 1 << 14 | 1 << 17 | 1 << 19)
        struct.pack_into("<I", data, page + 0x44, 1 << 1)       # ctrl_sts: idle
        struct.pack_into("<IQIQ", data, page + 0x58, room, buffer, room, buffer)
    if not switches.get("absent"):
        struct.pack_into("<7I", data, CRB[1] - 0x1000, MAGIC, *(switches.get(name, 0) for name in SWITCHES))
    return bytes(data)


def place(address):
    """The kaslr-seed for OP-TEE to run at this address. It is the same read from
    either end: OP-TEE 4.10 swaps its bytes once more than it should."""
    seed = (address - OPTEE & 0xffffffff).to_bytes(4, "big")
    return [seed[::-1].hex(), seed.hex()]


def hand_over(setup, folder, dump):
    """QEMU's options for it; dump(file) writes QEMU's own device tree."""
    folder = pathlib.Path(folder)
    blob, chosen = tables(ram_size(setup.memory), setup.cpus, dsdt(folder, setup.tpm), setup.tpm)
    (folder / "acpi.bin").write_bytes(blob)
    dtb = folder / "acpi.dtb"
    dump(dtb)
    for name, (size, value) in chosen.items():
        cells = [f"{value >> 32:x}", f"{value & 0xffffffff:x}"][-(size // 4):]
        subprocess.run(["fdtput", "-t", "x", str(dtb), "/chosen", f"linux,uefi-{name}", *cells], check=True)
    if setup.aslr:
        subprocess.run(["fdtput", "-p", "-t", "x", str(dtb), "/secure-chosen", "kaslr-seed", *place(setup.aslr)],
                       check=True)
    options = ["-dtb", str(dtb), "-device", f"loader,file={folder}/acpi.bin,addr={TABLES[0]:#x},force-raw=on"]
    if setup.tpm:
        (folder / "crb.bin").write_bytes(crb(setup.crb))
        options += ["-device", f"loader,file={folder}/crb.bin,addr={CRB[0]:#x},force-raw=on"]
    return options
