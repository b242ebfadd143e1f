# SPDX-License-Identifier: GPL-2.0-only
"""IMA finds the TPM behind FF-A whatever is initialised first, with and without pKVM"""
import re

import ima

# The three that must come after one another, by a letter each.
CALLS = {"f": "ffa_init", "d": "tpm_crb_ffa_driver_init", "t": "crb_acpi_driver_init"}
# ima: see there.
MATRIX = {"abi": ["ffa"], "ima": ["late", "sync"], "order": ["fdt", "ftd", "dft", "dtf", "tfd", "tdf"],
          "kvm": ["none", "pkvm"]}
TOPIC = "ffa-ima"
SUITE = "soak"          # kernels of their own, with KVM
TPM = ACPI = True
LIMIT = 120


def VARIANT(ima, **_):
    return "sync" if ima == "sync" else "order"


def PKVM(kvm, **_):
    return kvm == "pkvm"


def APPEND(order, **_):
    calls = ",".join(CALLS[letter] for letter in order)
    return f"initcall_order={calls} initcall_blacklist=optee_core_init"


def called(guest, order):
    """They were called in this order."""
    calls = re.findall(r"initcall_order: calling (\w+)$", guest.dmesg(), re.M)
    guest.must(calls == [CALLS[letter] for letter in order], f"the kernel called {calls}, wanted is {order}")


def scenario(guest, order, kvm):
    called(guest, order)
    log = guest.dmesg()
    if kvm == "pkvm":
        guest.must("Protected nVHE mode initialized successfully" in log, "the kernel has no protected KVM")
    ima.found(guest)
