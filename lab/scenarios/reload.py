# SPDX-License-Identifier: GPL-2.0-only
"""The TEE's drivers are unloaded and loaded again and again, as modules"""
MATRIX = {"abi": ["smc", "ffa"], "cpus": [2], "kernel": ["modules", "debug-modules"]}
SUITE = "soak"
LIMIT = 1800
TOPIC = "optee-kexec"

MODULES = ["ffa-core", "ffa-module", "tee", "optee", "optee-rng", "rtc-optee", "tee_bnxt_fw",
           "scmi-core", "scmi-module", "scmi_transport_optee", "tpm_ftpm_tee"]


def VARIANT(kernel, **_):
    return kernel


def COMPARE(kernel, **_):
    return kernel == "modules"      # to build mainline's other one takes a quarter of an hour


def load(guest, modules):
    guest.run(" && ".join(f"insmod /boot/{m}.ko" for m in modules))


def unload(guest, modules):
    guest.run(" && ".join(f"rmmod {m}" for m in reversed(modules)))


def scenario(guest, abi, times=50):
    # With SMC there is no FF-A, but OP-TEE's driver needs the bus of that (ffa-core).
    modules = [m for m in MODULES if abi == "ffa" or m != "ffa-module"]
    heap = []
    for _ in range(times):
        load(guest, modules)
        guest.run("/lab/supplicant start; xtest -t regression 1001")
        heap.append(guest.tee_heap())
        guest.run("/lab/supplicant stop")
        unload(guest, modules)
    guest.figure("heap left by a reload", (heap[-1] - heap[1]) / (times - 2), "bytes")
    guest.must(heap[-1] == heap[1], f"OP-TEE's heap grew from {heap[1]} to {heap[-1]} bytes")
