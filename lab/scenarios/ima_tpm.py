# SPDX-License-Identifier: GPL-2.0-only
"""IMA tells a TPM that came too late from one that does not work, and from none"""
import hashlib
import re

import ima

MATRIX = {"abi": ["ffa"],
          "tpm": ["absent", "module", "version", "refuses", "fails", "stuck", "busy", "slow", "first",
                  "second", "late", "carried", "trimmed", "forged"]}
TOPIC = "ffa-ima"
TPM = ACPI = True
SELFTEST = "ima/test_tpm.sh"
LIMIT = 90


def VARIANT(tpm, **_):
    return "ffa-module" if tpm == "module" else "plain"


def SUITE(tpm, **_):
    return "soak" if tpm == "module" else "check"   # for want of that kernel


def ROOTFS(tpm, **_):
    return ["tpm"] if tpm == "late" else []


# What the TPM's service does, what the kernel's log must say of it, once, and
# what becomes of the TPM.
CASES = {
    "absent": ({"absent": 1}, "no FF-A partition has a TPM service that can be used", "none"),
    # In a kernel that has the FF-A core as a module.
    "module": ({}, "this TPM needs a kernel with CONFIG_TCG_ARM_CRB_FFA", "none"),
    "version": ({"version": 2 << 16}, "TPM service unusable: interface version 2.0, 1.x is needed", "none"),
    "refuses": ({"status": 0x8e00000a}, "TPM service refused a locality request at locality 0: -13", "none"),
    "fails": ({"status": 0x8e00000b}, "TPM service refused a locality request at locality 0: -12", "none"),
    "stuck": ({"busy": 10 ** 9}, "TPM service unusable: interface version not to be had: -16", "none"),
    "busy": ({"busy": 20}, "", "anchored"),
    "slow": ({"delay": 20}, "", "anchored"),
    # Takes one kind of direct requests only.
    "first": ({"flags": 1}, "", "anchored"),
    "second": ({"flags": 2}, "", "anchored"),
    # Busy for as long as the kernel asks before IMA is initialised, once.
    "late": ({"busy": 1}, "TPM service unusable: interface version not to be had: -16", "none"),
    # The same, and the TPM is there for the next kernel.
    "carried": ({"busy": 1}, "TPM service unusable: interface version not to be had: -16", "none"),
    # The same, and user space has taken out of the list all that tells so.
    "trimmed": ({"busy": 1}, "TPM service unusable: interface version not to be had: -16", "none"),
    # There is a TPM, and a user who would have it otherwise.
    "forged": ({}, "", "anchored"),
}


def CRB(tpm, **_):
    return CASES[tpm][0]


def APPEND(tpm, **_):
    return ("ima_policy=tcb initcall_blacklist=optee_core_init" +
            (" tpm_crb_ffa.busy_timeout_ms=0" if tpm in ("late", "carried", "trimmed") else "") +
            (" rootfstype=ramfs" if tpm == "forged" else ""))     # what is read of tmpfs is not measured


def scenario(guest, tpm):
    _, line, state = CASES[tpm]
    log = guest.dmesg()
    said = [words for words in log.splitlines()
            if re.search(r"MSFT0101:|arm-ffa-\d|ffa-crb|CRB_FFA:", words) and "ABI version" not in words]
    guest.must(len(said) == bool(line) and line in "".join(said),
               f"of the TPM the log must say {line!r}, and no more: {said}")
    bypass = "ima: No TPM chip found, activating TPM-bypass!" in log
    guest.must(bypass == (state == "none"), f"IMA did {'' if bypass else 'not '}go without a TPM")
    check(guest, state)
    if tpm == "late":
        late(guest)
    if tpm in ("late", "carried", "trimmed"):
        carried(guest, tpm == "trimmed")
    if tpm == "forged":
        forged(guest)


def check(guest, state):
    """The kernel's own test agrees that this is the state."""
    ktap = guest.run("/boot/selftest", check=False)
    guest.must("# Totals: pass:3 fail:0" in ktap and f"# tpm: {state}," in ktap, f"not {state}: {ktap}")


def late(guest):
    """The FF-A core is bound again, and with it the TPM: nobody has to look for it. Then another one comes."""
    pcrs = {bank: bytes(size) for bank, size in ima.BANKS.items()}
    for count in (1, 2):
        guest.run("cd /sys/bus/platform/drivers/arm-ffa && echo arm-ffa > unbind && echo arm-ffa > bind")
        guest.run("i=0; while ! [ -e /dev/tpm0 ] && [ $i -lt 50 ]; do i=$((i + 1)); sleep 0.1; done; ls /dev/tpm0")
        said = guest.dmesg().count("tpm0 came after IMA had started without a TPM")
        guest.must(said == count, f"IMA says of {said} late TPMs, not of {count}")
        check(guest, "missed")
        # Not what a violation leads to, which any list may have: a digest that none has
        for bank, pcr in pcrs.items():
            pcrs[bank] = pcr = hashlib.new(bank, pcr + bytes(len(pcr))).digest()
            found = guest.run(f"cat /sys/class/tpm/tpm0/pcr-{bank}/10").strip().lower()
            guest.must(found == pcr.hex(),
                       f"PCR 10 ({bank}) of late TPM {count} is {found}, not invalidated: {pcr.hex()}")
        records = names(guest).count("tpm/missed")
        guest.must(records == 1, f"after {count} late TPMs the list has {records} tpm/missed, not 1")
        # Whoever checks the one against the other.
        for option in ("", "--ignore-violations"):
            said = guest.run(f"{ima.READ} sha256 > /tmp/pcrs; evmctl {option} ima_measurement "
                             f"--pcrs sha256,/tmp/pcrs {ima.LIST % 'binary'} 2>&1; echo status $?")
            guest.must("status 0" not in said and "Failed to match" in said,
                       f"evmctl {option} takes a list for good that no TPM has seen: {said}")


def names(guest):
    """Of the entries of the list."""
    return guest.run("cut -d ' ' -f 5 /sys/kernel/security/ima/ascii_runtime_measurements").splitlines()


def carried(guest, trimmed):
    """The next kernel has the TPM in time, and a list of measurements that the TPM has not."""
    for kexecs in (1, 2):
        if trimmed:
            guest.run(f"echo {len(names(guest))} > /sys/kernel/security/ima/binary_runtime_measurements")
            guest.must(not names(guest), "user space could not empty the list")
        guest.kexec("file")
        log = guest.dmesg()
        guest.must("ima: No TPM chip found" not in log, "IMA does without a TPM after kexec")
        guest.must("tpm0 was not there for a kernel before this one" in log,
                   "IMA does not say what kexec has carried over")
        check(guest, "missed")
        for name, count in (("tpm/missed", 1), ("tpm/none", 1 if trimmed else kexecs)):
            found = names(guest).count(name)
            guest.must(found == count, f"the list has {found} {name}, not {count}")


def forged(guest):
    """Files that look like entries of IMA's own: their path is too long to be measured by it."""
    mine = ["boot_aggregate", "tpm_none", "tpm_missed"]
    # One that somebody may write to is a violation, with zeros for a digest.
    guest.run(f"""half=$(printf '%0200d/' $(seq 15)); mkdir -p /deep/$half && cd /deep/$half && mkdir -p $half
for file in {' '.join(mine)}; do file=$half$file; echo > $file; exec 3<> $file; cat $file > /dev/null; exec 3>&-; done
cd /""")
    zeros = guest.run("awk '$4 ~ /:0*$/ { print $5 }' /sys/kernel/security/ima/ascii_runtime_measurements")
    guest.must(zeros.split() == mine, f"the list has zeros for {zeros.split()}, not for {mine}")
    guest.kexec("file")
    check(guest, "anchored")
