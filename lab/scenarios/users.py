# SPDX-License-Identifier: GPL-2.0-only
"""Poweroff and kexec do not wait for users of the TEE"""
import contextlib
import re
import threading
import time

import clients

MATRIX = {"abi": ["smc", "ffa"], "cpus": [1, 2], "how": ["poweroff", "kexec"],
          "user": ["hold", "load", "wait", "waits", "spin", "beside", "all", "busy", "quit", "xtest"]}
LIMIT = 120
TOPIC = "optee-kexec"

# See lab/rootfs/client.c. "waits" are as many as OP-TEE has threads, "beside" spins
# on the CPU that shuts down, "all" spin on all CPUs.
CLIENTS = {"hold": "hold", "load": "load", "wait": "wait", "waits": "wait 3",
           "spin": "spin", "beside": "yield", "busy": "busy", "quit": "quit 4"}

# On a CPU of one that spins, whose timer is off over SMC: until the kernel knows that
# it goes down, all may take long there. So no sync(), and count from then on.
OFF = {"poweroff": {"beside": "taskset 2 /lab/leave poweroff",
                    "spin": "/lab/leave poweroff",
                    "all": "/lab/client all < /dev/console"},
       "kexec": {"spin": "/lab/leave kexec",
                 "all": "/lab/client all kexec < /dev/console"}}
FROM = {"beside": "lab: goes down", "spin": "lab: goes down", "all": r"\S+ \S+: shutdown"}
SPIN = {"spin": "spin", "beside": "yield", "all": "all"}


def APPEND(user, **_):
    # Its alarm takes a thread of OP-TEE all the time: the clients are to have them all.
    return "initcall_blacklist=optee_rtc_driver_init" + \
        (" initcall_debug" if user == "all" else "")      # says when devices are shut down


def sensible(abi, cpus, how, user):
    """One that spins may end before the next kernel is up, or not. Not over SMC, where
    none of them has a CPU any longer when there is one left. A machine with no other CPU
    is another one for them only."""
    lost = abi == "smc" and user == ("spin" if cpus == 1 else "all")
    return (cpus > 1 or user == "spin") and (how != "kexec" or user not in SPIN or lost)


def scenario(guest, abi, how, user):
    guest.run("/lab/supplicant start")
    if user == "beside":    # not yet
        guest.run("taskset -p 1 $$")
    if user == "load":      # for a supplicant that takes no request any longer
        guest.run("kill -STOP $(cat /run/tee-supplicant.pid)")
    if user == "xtest":
        # Sessions, applications that are loaded, storage: calls that end. One that
        # sleeps with a lock of OP-TEE held keeps it, as no kernel can take that back.
        guest.run("(while xtest -t regression 1004 && xtest -t regression 6001; do :; done "
                  "> /tmp/xtest.log 2>&1 &); sleep 2")
    elif user == "all":
        threading.Thread(target=line_of_input, args=[guest], daemon=True).start()
    else:
        guest.run(f"/lab/client {CLIENTS[user]}; sleep 1")
    # On a single CPU in secure world this ends when OP-TEE's timer gets it out. It goes
    # back there for a second then, if it may.
    first = "sleep 1" if user == "spin" else ":"
    if how == "poweroff":
        guest.figure("poweroff", guest.off(first, OFF[how].get(user, "poweroff -f")), "s")
        not_long(guest, user)
        guest.must(user not in SPIN or f"client {SPIN[user]}: ended" not in guest.text,
                   "the client's call was at its end before the shutdown was")
    else:
        command = OFF[how].get(user, "kexec -e -x")
        guest.figure("kexec", guest.kexec(first=first, command=command), "s")
        if user in SPIN:
            not_long(guest, user)
        after_kexec(guest, abi, user)


def line_of_input(guest):
    """For the client "all", a second after both spin: by our clock, theirs stands still."""
    while guest.text.count("@lab client all") < 2 and time.monotonic() < guest.deadline:
        time.sleep(0.1)
    time.sleep(1)
    with contextlib.suppress(OSError):      # the machine is off, as the test says
        guest.send("")


def not_long(guest, user):
    took = guest.shutdown(FROM.get(user))
    limit = (1.2 if user in ("spin", "all") else 2) * guest.pace()
    guest.must(took < limit, f"the shutdown took {took:.1f} s, not {limit:.1f} at most")
    if user == "spin":
        had = re.search(rf"\[ *(\d+\.\d+)\] {FROM[user]}.*\[ *(\d+\.\d+)\] "
                        "tee tee0: 1 calls did not finish within 500 ms", guest.text, re.S)
        # A kernel that gives it none says nothing, and is down at once.
        took = float(had[2]) - float(had[1]) if had else took
        limit = 0.7 * guest.pace()
        guest.must(took < limit, f"the 500 ms that the call had were {took:.2f} s")


def after_kexec(guest, abi, user):
    """The next kernel has a TEE, or says why it cannot have one."""
    if user in ("wait", "spin", "all") and abi == "smc" or user == "waits":
        words = {"smc": "a thread of an earlier kernel is suspended",
                 "ffa": "All threads in secure world are in use, and not by this kernel"}[abi]
        guest.must(words in guest.dmesg(), f"the next kernel does not say: {words}")
        found = guest.run("ls /dev | grep ^tee || :")
        guest.must(not found, f"the next kernel has {found}, which nobody answers")
    else:
        # Of a call that hangs all is left. OP-TEE can tell if it is the lab's own.
        if abi == "ffa" and user != "wait":
            clients.nothing_left(guest)
            clients.no_complaint(guest)
        guest.run("xtest -t regression 1001")
