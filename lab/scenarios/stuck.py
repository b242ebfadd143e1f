# SPDX-License-Identifier: GPL-2.0-only
"""A driver that waits for a stuck supplicant, or for a thread, does not keep the machine from going down"""
import re
import time

from ftpm import command, send

# The driver is that of a TPM in OP-TEE, whose state the supplicant keeps. It sends
# TPM2_Shutdown before OP-TEE's driver hears that the machine goes down.
# With "threads" the supplicant is fine, but calls that do not end have all of OP-TEE's.
MATRIX = {"abi": ["ffa"], "cpus": [2], "how": ["poweroff", "kexec"], "supplicant": ["stuck", "fine", "threads"]}
LIMIT = 60
TPM = True
TOPIC = "optee-kexec"
# TPM2_Shutdown(STATE): each TPM2_Shutdown needs the supplicant from then on.
KEEP_STATE = command(0x8001, 0x145, b"\0\1")
# Its alarm takes a thread of OP-TEE all the time: the clients are to have them all.
APPEND = "initcall_blacklist=optee_rtc_driver_init"


def secure_says(guest, words, times):
    """The threads are taken one by one, as each client has its application loaded."""
    said = 0
    while said < times and time.monotonic() < guest.deadline:
        said = guest.secure_log.read_text(errors="replace").count(words)
        time.sleep(0.1)
    guest.must(said == times, f"secure world says {words!r} {said} times, not {times}")


def scenario(guest, how, supplicant):
    guest.run("/lab/supplicant start")
    send(guest, KEEP_STATE)
    if supplicant == "stuck":
        guest.run("kill -STOP $(cat /run/tee-supplicant.pid)")
    if supplicant == "threads":
        guest.run("/lab/client wait 3")
        secure_says(guest, "M/TA: waiting", 3)
    if how == "poweroff":
        guest.off()
    else:
        guest.kexec()
    guest.figure("shutdown", guest.shutdown(), "s")
    kept = re.findall("state kept by the normal world: (.*)", guest.secure_log.read_text(errors="replace"))
    if supplicant == "threads":
        guest.must(kept == ["0"], f"keeping the state ended with {kept}, the kernel had a thread for it")
        guest.must("All threads in secure world are in use, going down without one" in guest.text,
                   "the kernel does not say that it had no thread")
        return
    guest.must(len(kept) == 2 and (kept[1] == "0") == (supplicant == "fine"),
               f"keeping the state ended with {kept}, the first is the user's, the second the kernel's")
    if how == "kexec":
        guest.run("/lab/supplicant start")
        send(guest, KEEP_STATE)
