# SPDX-License-Identifier: GPL-2.0-only
"""What secure world asked of its supplicant is still answered while the machine goes down"""
import re

MATRIX = {"abi": ["smc", "ffa"], "cpus": [2]}
LIMIT = 60
TOPIC = "optee-kexec"
ITEM_NOT_FOUND = "0xffff0008"

# The device can be opened until it is shut down: the supplicant, which was stopped,
# goes on only then.
GO_ON = "(while true < /dev/tee0; do usleep 2000; done; kill -CONT $(cat /run/tee-supplicant.pid)) " \
        "2> /dev/null & :"


def scenario(guest):
    guest.run("/lab/supplicant start; kill -STOP $(cat /run/tee-supplicant.pid)")
    guest.run("/lab/client ask; sleep 1")
    before = len(guest.text)
    guest.kexec(first=GO_ON)
    said = re.findall(r"client ask: ended with (\S+)", guest.text[before:])
    guest.must(said == [ITEM_NOT_FOUND], f"asking for an application that the supplicant does "
               f"not have ended with {said}, not with its answer {ITEM_NOT_FOUND}")
    guest.run("/lab/supplicant start; xtest -t regression 1001")
