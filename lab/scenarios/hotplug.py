# SPDX-License-Identifier: GPL-2.0-only
"""CPUs go off and come back while the TEE is in use"""
MATRIX = {"abi": ["smc", "ffa"], "cpus": [2, 4]}


def scenario(guest, cpus):
    for _ in range(5):
        for cpu in range(1, cpus):
            guest.run(f"echo 0 > /sys/devices/system/cpu/cpu{cpu}/online")
        guest.run("xtest -t regression 1001")
        for cpu in range(1, cpus):
            guest.run(f"echo 1 > /sys/devices/system/cpu/cpu{cpu}/online")
    guest.must(guest.run("cat /sys/devices/system/cpu/online") == f"0-{cpus - 1}",
               "not every CPU came back")
