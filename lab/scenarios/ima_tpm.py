# SPDX-License-Identifier: GPL-2.0-only
"""IMA tells a TPM that came too late from one that does not work, and from none"""
import hashlib

MATRIX = {"abi": ["ffa"],
          "tpm": ["absent", "version", "refuses", "stuck", "busy", "slow", "late"]}
TOPIC = "ffa-ima"
TPM = ACPI = True
SELFTEST = "ima/test_tpm.sh"
LIMIT = 90

# What the TPM's service does, what the kernel's log must say of it, once, and
# what becomes of the TPM.
CASES = {
    "absent": ({"absent": 1}, "no FF-A partition has a TPM service that can be used", "none"),
    "version": ({"version": 2 << 16}, "TPM service unusable: interface version 2.0, 1.x is needed", "none"),
    "refuses": ({"status": 0x8e00000a}, "TPM service refused a locality request at locality 0: -13", "none"),
    "stuck": ({"busy": 10 ** 9}, "TPM service unusable: interface version not to be had: -16", "none"),
    "busy": ({"busy": 20}, "", "anchored"),
    "slow": ({"delay": 20}, "", "anchored"),
    # Busy for as long as the kernel asks before IMA is initialised, once.
    "late": ({"busy": 1}, "TPM service unusable: interface version not to be had: -16", "none"),
}


def CRB(tpm, **_):
    return CASES[tpm][0]


def APPEND(tpm, **_):
    return ("ima_policy=tcb initcall_blacklist=optee_core_init" +
            (" tpm_crb_ffa.busy_timeout_ms=0" if tpm == "late" else ""))


def scenario(guest, tpm):
    _, line, state = CASES[tpm]
    log = guest.dmesg()
    if line:
        guest.must(log.count(line) == 1, f"the log has {log.count(line)} lines {line!r}, not one")
    bypass = "ima: No TPM chip found, activating TPM-bypass!" in log
    guest.must(bypass == (state == "none"), f"IMA did {'' if bypass else 'not '}go without a TPM")
    check(guest, state)
    if tpm == "late":
        late(guest)


def check(guest, state):
    """The kernel's own test agrees that this is the state."""
    ktap = guest.run("/boot/selftest", check=False)
    guest.must("# Totals: pass:3 fail:0" in ktap and f"# tpm: {state}," in ktap, f"not {state}: {ktap}")


def late(guest):
    """The FF-A core is bound again, and with it the TPM: nobody has to look for it."""
    guest.run("cd /sys/bus/platform/drivers/arm-ffa && echo arm-ffa > unbind && echo arm-ffa > bind")
    guest.run("i=0; while ! [ -e /dev/tpm0 ] && [ $i -lt 50 ]; do i=$((i + 1)); sleep 0.1; done; ls /dev/tpm0")
    guest.must("tpm0 came after IMA had started without a TPM" in guest.dmesg(), "IMA does not say that the TPM is late")
    check(guest, "missed")
    # What a violation leads to from zeros
    pcr = guest.run("cat /sys/class/tpm/tpm0/pcr-sha256/10").strip().lower()
    expected = hashlib.sha256(bytes(32) + b"\xff" * 32).hexdigest()
    guest.must(pcr == expected, f"PCR 10 is {pcr}, not that of a violation: {expected}")
