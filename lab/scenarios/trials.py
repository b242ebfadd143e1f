# SPDX-License-Identifier: GPL-2.0-only
"""A hundred times at random moments, users of the TEE do not keep the machine from going down"""
import random
import statistics

MATRIX = {"abi": ["smc", "ffa"], "cpus": [1, 2, 4], "how": ["poweroff", "reboot", "kexec"],
          "user": ["supplicant", "xtest", "wait", "spin", "killed"]}
SUITE = "soak"
TOPIC = "optee-kexec"
LIMIT = 3600
CPUS = {"poweroff": 1, "reboot": 2, "kexec": 4}
IDLE = 10      # times without a user, to compare with
START = {
    "idle": ":",
    "supplicant": "/lab/supplicant start",
    # Sessions, applications that are loaded, storage: see users.py.
    "xtest": "/lab/supplicant start; (while xtest -t regression 1004 && xtest -t regression 6001; "
             "do :; done > /tmp/xtest.log 2>&1 &)",
    "wait": "/lab/supplicant start; /lab/client wait",
    "spin": "/lab/client spin",
}
START["killed"] = START["xtest"]


def MEMORY(how, **_):
    return "8G" if how == "reboot" else "2G"


def sensible(cpus, how, **_):
    """A machine of its own for each way to go down: all of them would take a day."""
    return cpus == CPUS[how]


def scenario(guest, abi, how, user, trials=100):
    dice = random.Random(f"{abi} {how} {user}")      # the same moments each time
    # From where the kernel knows: on the only CPU, which "spin" has over SMC, user space
    # takes as long as OP-TEE lets it.
    command = f"/lab/leave {how}"
    seconds = {"idle": [], user: []}
    for who in ["idle"] * IDLE + [user] * trials:
        guest.run(START[who])
        moment = dice.randrange(1_000_000)
        first = f"usleep {moment}"
        if who == "killed":
            # Up to 20 ms before or after the machine begins to go down.
            first = f"(usleep {max(0, moment + dice.randrange(-20_000, 20_000))}; " \
                    f"kill -9 $(pidof xtest)) & {first}"
        if how == "kexec":
            guest.kexec(first=first, command=command)
        elif how == "reboot":
            guest.reboot(first, command)
        else:
            guest.off(first, command)
            guest.boot()
        seconds[who].append(guest.shutdown("lab: goes down"))
        if how == "kexec" and who in ("wait", "spin"):
            guest.reboot()      # their threads are lost to the next kernels
        elif how == "kexec":
            guest.run("xtest -t regression 1001")
    idle = statistics.median(seconds["idle"])
    more = [took - idle for took in seconds[user]]
    guest.figure("shutdown without a user", idle, "s")
    guest.figure("shutdown takes longer by, median", statistics.median(more), "s")
    guest.figure("shutdown takes longer by, worst", max(more), "s")
    guest.must(max(more) <= 1, f"shutdown takes up to {max(more):.2f} s longer with {user} than without")
