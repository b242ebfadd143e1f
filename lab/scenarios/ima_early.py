# SPDX-License-Identifier: GPL-2.0-only
"""What is read before user space, by the kernel and by its helpers, is in IMA's list"""
import ima as tpm

# ima: see ima.py. With protected KVM the TPM is found by what IMA does about it,
# which has the same probes retried that read files.
MATRIX = {"abi": ["ffa"], "ima": ["late", "sync"], "kvm": ["none", "pkvm"]}
TOPIC = "ffa-ima"
SUITE = "soak"          # kernels of their own
TPM = ACPI = True
ROOTFS = ["tpm"]
LIMIT = 120
APPEND = "early_readers ima_policy=tcb ima_hash=sha256 rootfstype=ramfs initcall_blacklist=optee_core_init"
FILES = {"/lab/client", "/lab/held", "/lab/tpm"}    # see lab/kernel/order.patch


def VARIANT(ima, **_):
    return "sync" if ima == "sync" else "order"


def PKVM(kvm, **_):
    return kvm == "pkvm"


def scenario(guest, ima):
    log = guest.dmesg()
    for words in "early_readers: read ", "early_reader: probed, read ":
        guest.must(words in log and f"{words}-" not in log, f"the log does not say: {words}")
    measured = guest.run(f"cat {tpm.LIST % 'ascii'}").splitlines()
    names = [line.split(" ", 4)[4] for line in measured]
    missing = FILES - set(names)
    guest.figure("files not measured", len(missing), "files")
    # What IMA_INIT_LATE_SYNC costs, as its help says.
    guest.must(ima == "sync" or not missing, f"not measured: {', '.join(sorted(missing))}")
    tpm.found(guest)
    guest.must(names[0].startswith("boot_aggregate"), f"the first entry is {names[0]}")
    tpm.agree(guest, "sha256")
