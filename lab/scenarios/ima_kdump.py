# SPDX-License-Identifier: GPL-2.0-only
"""A crash kernel comes up with the TPM behind FF-A, which was in use at the crash, or without it"""
import ftpm

# Stuck: its service does not stop to be busy, neither before nor after the crash.
MATRIX = {"abi": ["ffa"], "cpus": [1, 4], "service": ["works", "stuck"]}
TOPIC = "ffa-ima"
TPM = ACPI = True
APPEND = "crashkernel=384M initcall_blacklist=optee_core_init"


def CRB(service, **_):
    return {"busy": 10 ** 9} if service == "stuck" else {}


def scenario(guest, service):
    if service == "works":
        guest.run(f"/lab/tpm busy {ftpm.RANDOM.hex()}")
    guest.crash()
    up = float(guest.run("cut -d ' ' -f 1 /proc/uptime"))
    guest.figure("crash kernel up", up, "s")
    # Without the other series the FF-A core has no buffers: those of the crashed
    # kernel are still mapped. Then there is no TPM, but a crash kernel all the same.
    guest.run("mount -t securityfs none /sys/kernel/security 2> /dev/null || :")
    state = guest.run("cat /sys/kernel/security/ima/tpm").strip()
    works = service == "works" and "optee-kexec" in guest.setup.topics
    expected = "anchored" if works else "none"
    guest.must(state == expected, f"for IMA the TPM is {state}, not {expected}")
