# SPDX-License-Identifier: GPL-2.0-only
"""OP-TEE starts wherever ASLR places it, also where a translation table ends"""

# So many blocks of 2 MiB are between OP-TEE's core and the next multiple of
# 1 GiB, where a table ends: its early mappings are before it, across it, after it.
MATRIX = {"abi": ["ffa"], "blocks": [1, 2, 3, 4, 5]}
TPM = ACPI = True      # the more OP-TEE's drivers map, the more of these are hit
TOPIC = "ffa-ima"
CORE = 0x200000         # OP-TEE's, at the most
PAGES = 0xd000          # which ASLR goes by, and no mapping of 2 MiB begins with


def ASLR(blocks, **_):
    return 0x80000000 - blocks * 0x200000 - CORE - PAGES


def scenario(guest, blocks):
    log = guest.secure_log.read_text(errors="replace")
    guest.must("TPM: behind FF-A" in log, "OP-TEE has no TPM, and so fewer mappings")
    guest.must("optee: initialized driver" in guest.dmesg(), "Linux has no OP-TEE")
    guest.run("xtest -t regression 1001")
