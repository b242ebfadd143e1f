# SPDX-License-Identifier: GPL-2.0-only
"""The kernel after one that did not clean up does not touch what secure world kept of that one"""
# For lab/without.py: kernels of the lab that do not clean up are made there.
MATRIX = {"abi": ["smc", "ffa"], "after": ["itself", "fork"]}
SUITE = "without"
LIMIT = 120
TOPIC = "optee-kexec"
# Its alarm takes a thread of OP-TEE, which a kernel that does not clean up leaves suspended.
APPEND = "initcall_blacklist=optee_rtc_driver_init"


def scenario(guest, after):
    use(guest)
    for _ in range(2):      # the second time this one gives back, or not, what it found
        guest.kexec(image="fork" if after == "fork" else "kernel")
        use(guest)


def use(guest):
    """Applications that are loaded by tee-supplicant: OP-TEE calls back, with memory that
    it keeps for the next time."""
    guest.run("/lab/supplicant start; xtest -t regression 1001 && xtest -t regression 1004")
