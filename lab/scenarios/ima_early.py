# SPDX-License-Identifier: GPL-2.0-only
"""What is read before user space, by the kernel and by its helpers, is in IMA's list"""

# ima: see ima.py.
MATRIX = {"abi": ["ffa"], "ima": ["late", "sync"]}
TOPIC = "ffa-ima"
SUITE = "soak"          # kernels of their own
TPM = ACPI = True
APPEND = "early_readers ima_policy=tcb rootfstype=ramfs initcall_blacklist=optee_core_init"
FILES = {"/lab/client", "/lab/held"}    # see lab/kernel/order.patch


def VARIANT(ima, **_):
    return "sync" if ima == "sync" else "order"


def scenario(guest, ima):
    log = guest.dmesg()
    guest.must("early_readers: read " in log and "early_readers: read -" not in log, "nothing was read early")
    guest.run("mount -t securityfs none /sys/kernel/security 2> /dev/null || :")
    measured = guest.run("cat /sys/kernel/security/ima/ascii_runtime_measurements")
    missing = {file for file in FILES if f" {file}\n" not in measured + "\n"}
    guest.figure("files not measured", len(missing), "files")
    # What IMA_INIT_LATE_SYNC costs, as its help says.
    guest.must(ima == "sync" or not missing, f"not measured: {', '.join(sorted(missing))}")
