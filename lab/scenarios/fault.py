# SPDX-License-Identifier: GPL-2.0-only
"""Nothing is lost where the kernel runs out of memory on behalf of a client of the TEE"""
import re

MATRIX = {"abi": ["smc", "ffa"]}
VARIANT = "debug"
SUITE = "soak"    # a kernel of its own
LIMIT = 300
TOPIC = "optee-kexec"
ROUNDS = 50         # times 1 MiB: a page or two lost elsewhere does not matter


def scenario(guest, abi):
    guest.run("mount -t debugfs none /sys/kernel/debug 2> /dev/null || :")
    # Allocations that may wait, which is all of these, fail only if told to.
    for what in "failslab", "fail_page_alloc":
        guest.run(f"echo N > /sys/kernel/debug/{what}/ignore-gfp-wait; "
                  f"echo 0 > /sys/kernel/debug/{what}/verbose")
    guest.run("echo 0 > /sys/kernel/debug/fail_page_alloc/min-order")
    guest.run("/lab/fault 2")       # what is allocated once, and kept
    before, held = free(guest), holds(guest, abi)
    said = guest.run(f"/lab/fault {ROUNDS}", limit=200)
    for what, number in re.findall(r"(\w+)=(\d+)", said):
        guest.figure(f"failures, {what}", int(number), "places")
    lost = before - free(guest)
    guest.figure("memory lost", lost / 1024, "MiB")
    guest.must(lost < ROUNDS * 1024 / 2, f"{lost} KiB of memory are lost after {ROUNDS} times {said}")
    guest.must(holds(guest, abi) == held, f"OP-TEE held {held} before, and now {holds(guest, abi)}")


def free(guest):
    return int(guest.run("sync; sleep 1; awk '/MemFree/ { print $2 }' /proc/meminfo"))


def holds(guest, abi):
    """What OP-TEE has of this kernel; its heap, where it does not tell that."""
    return guest.run("/lab/held") if abi == "ffa" else guest.tee_heap()
