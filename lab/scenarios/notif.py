# SPDX-License-Identifier: GPL-2.0-only
"""OP-TEE notifies each kernel, and is told to stop before the next one runs"""
# The OP-TEE behind SMC has a test watchdog that notifies once a second.
MATRIX = {"abi": ["smc"], "cpus": [1, 4]}
LIMIT = 120
TOPIC = "optee-kexec"


def scenario(guest):
    for kernel in range(4):
        if kernel:
            guest.kexec()
            stops = guest.secure_log.read_text(errors="replace").count("notifications stopped")
            guest.must(stops == kernel, f"kernel {kernel} of 4 did not tell OP-TEE to stop")
        before, after = count(guest), count(guest, "sleep 3;")
        guest.must(after > before, f"no notification in 3 s, in kernel {kernel + 1} of 4")


def count(guest, then=""):
    """Interrupts of OP-TEE so far, on all CPUs."""
    line = guest.run(f"{then} grep optee /proc/interrupts")
    return sum(int(word) for word in line.split(":")[1].split() if word.isdigit())
