# SPDX-License-Identifier: GPL-2.0-only
"""A driver that waits for a stuck supplicant does not keep the machine from going down"""
import re

from ftpm import command, send

# The driver is that of a TPM in OP-TEE, whose state the supplicant keeps. It sends
# TPM2_Shutdown before OP-TEE's driver hears that the machine goes down.
MATRIX = {"abi": ["ffa"], "cpus": [2], "how": ["poweroff", "kexec"], "supplicant": ["stuck", "fine"]}
LIMIT = 60
TPM = True
TOPIC = "optee-kexec"
# TPM2_Shutdown(STATE): each TPM2_Shutdown needs the supplicant from then on.
KEEP_STATE = command(0x8001, 0x145, b"\0\1")


def scenario(guest, how, supplicant):
    guest.run("/lab/supplicant start")
    send(guest, KEEP_STATE)
    if supplicant == "stuck":
        guest.run("kill -STOP $(cat /run/tee-supplicant.pid)")
    if how == "poweroff":
        guest.off()
    else:
        guest.kexec()
    guest.figure("shutdown", guest.shutdown(), "s")
    kept = re.findall("state kept by the normal world: (.*)", guest.secure_log.read_text(errors="replace"))
    guest.must(len(kept) == 2 and (kept[1] == "0") == (supplicant == "fine"),
               f"keeping the state ended with {kept}, the first is the user's, the second the kernel's")
    if how == "kexec":
        guest.run("/lab/supplicant start")
        send(guest, KEEP_STATE)
