# SPDX-License-Identifier: GPL-2.0-only
"""A kexec tells of an accepted device that its bus cannot give back, and the next kernel starts anew"""
import re

import accept

MATRIX = {"abi": ["x86_64"], "cpus": [2], "how": ["load", "file"]}
APPEND = accept.APPEND
DEVICES = accept.DEVICES
TOPIC = "confidential-devices"
COMPARE = False     # the base has no acceptance
LIMIT = 240
TOLD = r"not given back \(\S+\): the next kernel has to reset it"


def bounces(guest):
    """Whether what is read from the disk goes through bounce buffers."""
    return bool(accept.measure(guest, 4096, 1000)[1])


def anew(guest):
    """What a kernel makes of the disk, whatever the one before it did."""
    found = guest.run(f"cat /sys/bus/pci/devices/{accept.DEVICE}/cc_accepted")
    guest.must(found == "0", f"cc_accepted is {found} in the next kernel")
    guest.must(bounces(guest), "nothing bounces in the next kernel")
    accept.state(guest, True)
    guest.must(not bounces(guest), "the DMA of an accepted device bounces in the next kernel")


def down(guest, how):
    """kexec; what the console showed from then on."""
    # The driver core then names each device whose bus or driver it calls.
    guest.run("echo 1 > /sys/module/kernel/parameters/initcall_debug")
    start = len(guest.text)
    guest.figure("kexec", guest.kexec(how), "s")
    return guest.text[start:]


def scenario(guest, how):
    guest.run("mount -t debugfs none /sys/kernel/debug 2> /dev/null; [ -e /dev/vda ]")
    accept.measure(guest, 4096, 1000)
    accept.state(guest, True)
    driver = guest.run(f"basename $(readlink /sys/bus/pci/devices/{accept.DEVICE}/virtio*/driver)")
    guest.must(driver == "virtio_blk", f"the driver of the accepted device is {driver}")

    log = down(guest, how)
    told = re.findall(rf"(\S+): accepted, and {TOLD}", log)
    guest.must(told == [accept.DEVICE], f"not given back, as the console has it: {told}")
    guest.must(re.search(rf"{accept.DEVICE}: shutdown\n(?s:.*){accept.DEVICE}: accepted, and not", log),
               "a device is given back before its bus has quiesced it")
    anew(guest)

    # A driver makes no difference to that, and what is outside is nothing to tell of.
    guest.run(f"echo {accept.DEVICE} > /sys/bus/pci/devices/{accept.DEVICE}/driver/unbind")
    log = down(guest, how)
    guest.must(re.search(rf"{accept.DEVICE}: accepted, and {TOLD}", log), "not a word of it without a driver")
    anew(guest)
    accept.state(guest, False)
    log = down(guest, how)
    guest.must("not given back" not in log, "a device is to be given back that was rejected")
