# SPDX-License-Identifier: GPL-2.0-only
"""The DMA of an accepted device does not go through bounce buffers"""
import re

MATRIX = {"abi": ["x86_64"], "cpus": [2]}
APPEND = "swiotlb=force,track_hiwater dma_debug=off"     # its cost is not the point
DEVICES = ["-blockdev", "driver=null-co,node-name=disk,size=1073741824,read-zeroes=on",
           "-device", "virtio-blk-pci,drive=disk,iommu_platform=on,disable-legacy=on,addr=0x10"]
TOPIC = "confidential-devices"
COMPARE = False     # the base has no acceptance
LIMIT = 240
DEVICE = "0000:00:10.0"
HIWATER = "/sys/kernel/debug/swiotlb/io_tlb_used_hiwater"


def measure(guest, size, count):
    """Read from the disk; MB/s, and the most bytes that were in bounce buffers."""
    guest.run(f"echo 0 > {HIWATER}")
    out = guest.run(f"a=$(cut -d ' ' -f 1 /proc/uptime); dd if=/dev/vda of=/dev/null iflag=direct "
                    f"bs={size} count={count} 2>&1; echo up $a $(cut -d ' ' -f 1 /proc/uptime)",
                    limit=120)
    begin, end = map(float, re.search(r"^up (\S+) (\S+)$", out, re.M).groups())
    return size * count / 1e6 / (end - begin), int(guest.run(f"cat {HIWATER}")) * 2048


def state(guest, accepted):
    guest.run(f"echo {DEVICE} > /sys/module/confidential_accept/parameters/"
              + ("accept" if accepted else "reject"))
    found = guest.run(f"cat /sys/bus/pci/devices/{DEVICE}/cc_accepted")
    guest.must(found == str(int(accepted)), f"cc_accepted is {found}")


def scenario(guest, rounds=3):
    guest.run("mount -t debugfs none /sys/kernel/debug 2> /dev/null; [ -e /dev/vda ]")
    for name, size, count in ("4 KiB", 4096, 8000), ("1 MiB", 1 << 20, 500):
        measure(guest, size, count)         # the first one is slower
        for _ in range(rounds):
            bounced, before = measure(guest, size, count)
            guest.must(before, "nothing bounces with swiotlb=force")
            state(guest, True)
            direct, after = measure(guest, size, count)
            guest.must(not after, f"{after} bytes of an accepted device were in bounce buffers")
            state(guest, False)
            guest.figure(f"bounce buffers, {name}", before, "bytes")
            guest.figure(f"bounced, {name}", bounced, "MB/s")
            guest.figure(f"accepted, {name}", direct, "MB/s")
            guest.figure(f"accepted / bounced, {name}", direct / bounced, "times")
    guest.must(measure(guest, size, count)[1], "nothing bounces after the rejection")
