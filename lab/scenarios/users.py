# SPDX-License-Identifier: GPL-2.0-only
"""Poweroff, reboot and kexec do not wait for users of the TEE"""
MATRIX = {"abi": ["smc", "ffa"], "how": ["poweroff", "reboot", "kexec"],
          "user": ["hold", "load", "wait", "busy", "xtest"]}
LIMIT = 120


def scenario(guest, abi, how, user):
    guest.run("/lab/supplicant start")
    if user == "xtest":
        guest.run("(xtest -t regression > /tmp/xtest.log 2>&1 &); sleep 3")
    else:
        if user == "load":      # the supplicant takes no request any longer
            guest.run("kill -STOP $(cat /run/tee-supplicant.pid)")
        guest.run(f"/lab/client {user}; sleep 1")
    if how == "poweroff":
        guest.figure("poweroff", guest.off(), "s")
    elif how == "reboot":
        guest.send("reboot -f")
        guest.ready()
    else:
        guest.figure("kexec", guest.kexec(), "s")
        after_kexec(guest, abi, user)


def after_kexec(guest, abi, user):
    """The next kernel has a TEE, unless a thread there is suspended for ever."""
    if user == "wait" and abi == "smc":
        guest.must("a thread of an earlier kernel is suspended" in guest.dmesg(),
                   "the next kernel does not say why it has no OP-TEE")
    else:
        guest.run("xtest -t regression 1001")
