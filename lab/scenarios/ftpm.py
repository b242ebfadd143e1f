# SPDX-License-Identifier: GPL-2.0-only
"""A TPM in OP-TEE goes on over kexecs while it is in use, and OP-TEE keeps nothing"""
import hashlib
import struct

import clients

MATRIX = {"abi": ["smc", "ffa"], "cpus": [1, 4]}
LIMIT = 240
TPM = True
TOPIC = "optee-kexec"
PCR = 8         # one that neither the kernel nor IMA extends
DRIVER = "optee-ftpm"
# The stand-in for the TA is where those for the other clients are. It has swtpm behind it.
FIRMWARE, SUITE = clients.FIRMWARE, clients.SUITE


def command(tag, code, body):
    return struct.pack(">HII", tag, 10 + len(body), code) + body


RANDOM = command(0x8001, 0x17b, struct.pack(">H", 16))


def extend(digest):
    """TPM2_PCR_Extend with SHA-256, and an empty password."""
    password = struct.pack(">IHBH", 0x40000009, 0, 0, 0)
    return command(0x8002, 0x182, struct.pack(">II", PCR, len(password)) + password
                   + struct.pack(">IH", 1, 0xb) + digest)


def send(guest, what, how="send"):
    response = bytes.fromhex(guest.run(f"/lab/tpm {how} {what.hex()}"))
    _, size, code = struct.unpack(">HII", response[:10])
    guest.must(size == len(response) and code == 0, f"the TPM's answer to {what.hex()}: {response.hex()}")
    return response[10:]


def answers(guest, value):
    """The TPM is there, and its PCR is what it was extended to."""
    driver = guest.run("basename $(readlink /sys/class/tpm/tpm0/device/driver)")
    guest.must(driver == DRIVER, f"the TPM's driver is {driver}, not {DRIVER}")
    found = bytes.fromhex(guest.run(f"cat /sys/class/tpm/tpm0/pcr-sha256/{PCR}"))
    guest.must(found == value, f"PCR {PCR} is {found.hex()}, not {value.hex()}")
    guest.must(send(guest, RANDOM) != send(guest, RANDOM), "the same random number twice")


def scenario(guest, kexecs=3):
    value = bytes(32)
    answers(guest, value)
    for number in range(kexecs):
        digest = hashlib.sha256(f"kexec {number}".encode()).digest()
        send(guest, extend(digest))
        value = hashlib.sha256(value + digest).digest()
        answers(guest, value)
        send(guest, RANDOM, "busy")
        guest.figure("kexec", guest.kexec(), "s")
        guest.figure("shutdown", guest.shutdown(), "s")
        answers(guest, value)
        clients.nothing_left(guest)
    guest.reboot()
    answers(guest, bytes(32))
    clients.no_complaint(guest)
