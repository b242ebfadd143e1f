# SPDX-License-Identifier: GPL-2.0-only
"""IMA finds the TPM behind FF-A, and what it measured is in the TPM, also after kexecs"""
import base64
import hashlib
import re

# ima: where it starts, at late_initcall or, by IMA_INIT_LATE_SYNC, thereafter.
MATRIX = {"abi": ["ffa"], "ima": ["late", "sync"], "hash": ["sha1", "sha256"]}
TOPIC = "ffa-ima"
TPM = ACPI = True
ROOTFS = ["tpm"]
LIMIT = 240
BANKS = {"sha1": 20, "sha256": 32}


def VARIANT(ima, **_):
    return "sync" if ima == "sync" else "plain"


def SUITE(ima, **_):
    return "soak" if ima == "sync" else "check"     # for want of that kernel


def APPEND(hash, **_):
    # A root that is no tmpfs, since the policy does not measure what is read of
    # one. Without OP-TEE's driver: its fTPM would be a second TPM.
    return f"ima_policy=tcb ima_hash={hash} rootfstype=ramfs initcall_blacklist=optee_core_init"


def found(guest):
    """What IMA says of the TPM."""
    log = guest.dmesg()
    lines = [line for line in log.splitlines() if re.search(r"\bima: |tpm", line)]
    guest.must("ima: No TPM chip found" not in log, "IMA found no TPM: " + "; ".join(lines))
    guest.must("/" in guest.run("readlink /sys/class/tpm/tpm0/device/driver"), "there is no TPM at all")


def agree(guest, hash):
    """boot_aggregate and PCR 10 are what the TPM has of them."""
    count = 8 if hash == "sha1" else 10     # what a boot loader measures is in none of SHA-1
    # More than once: what the tools themselves are is measured as they first run.
    for _ in range(2):
        pcrs = guest.run(f"{READ} {hash} | tee /tmp/pcrs")
        said = guest.run(f"evmctl -v ima_measurement --pcrs {hash},/tmp/pcrs {LIST % 'binary'}", check=False)
    guest.must("Matched per TPM bank calculated digest(s)." in said, f"PCR 10 is not what was measured: {said}")
    entries = [line.split() for line in guest.run(f"cat {LIST % 'ascii'}").splitlines()]
    guest.figure("measurements", len(entries), "entries")
    aggregate = [entry[3] for entry in entries if entry[4] in ("boot_aggregate", "boot_aggregate_late")][-1]
    values = [bytes.fromhex(value) for value in re.findall(r"^PCR-\d\d: (\w+)$", pcrs, re.M)]
    guest.must(len(values) == 24, f"tpm2_pcrread did not read all PCRs: {pcrs}")
    expected = f"{hash}:{hashlib.new(hash, b''.join(values[:count])).hexdigest()}"
    guest.must(aggregate == expected, f"boot_aggregate is {aggregate}, the TPM's PCRs make {expected}")
    said = guest.run(f"evmctl ima_boot_aggregate --pcrs {hash},/tmp/pcrs")
    guest.must(expected in said, f"evmctl ima_boot_aggregate says {said}, not {expected}")


def reservations(guest):
    """How many the flat device tree has."""
    fdt = base64.b64decode(guest.run("base64 /sys/firmware/fdt"))
    start = int.from_bytes(fdt[16:20], "big")
    return next(n for n in range(len(fdt)) if not any(fdt[start + 16 * n:start + 16 * (n + 1)]))


LIST = "/sys/kernel/security/ima/%s_runtime_measurements"
# As evmctl wants it: it would start another tool for each single PCR.
READ = "pcrs() { tpm2_pcrread -T device:/dev/tpmrm0 $1 | sed -n " \
       "'s/^ *\\([0-9]\\) *: 0x/PCR-0\\1: /p; s/^ *\\([0-9][0-9]\\) *: 0x/PCR-\\1: /p'; }; pcrs"


def scenario(guest, hash, kexecs=5):
    found(guest)
    agree(guest, hash)
    for number in range(kexecs):
        # So that the next boot_aggregate is another one.
        digest = ",".join(f"{bank}={number:0{2 * size}x}" for bank, size in BANKS.items())
        guest.run(f"for pcr in 0 9; do tpm2_pcrextend -T device:/dev/tpmrm0 $pcr:{digest} || exit; done")
        guest.figure("kexec", guest.kexec("file"), "s")
        found(guest)
        agree(guest, hash)
        guest.must(reservations(guest) == 1, "more than the initrd is reserved for the kernel after this one")
    # The other way hands no list on, so PCR 10 is not what the next one has. Nor does
    # it hand on the list before, where it was: that memory is anybody's.
    guest.kexec("load")
    found(guest)
    log = guest.dmesg()
    guest.must("restore" not in log, "IMA restores what no kernel has left: "
               + "; ".join(re.findall(r"ima: .*restore.*", log)))
    firsts = guest.run(f"grep -c ' boot_aggregate' {LIST % 'ascii'}")
    guest.must(firsts == "1", f"a list that was not handed on has {firsts} entries boot_aggregate")
