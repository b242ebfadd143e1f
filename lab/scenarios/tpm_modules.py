# SPDX-License-Identifier: GPL-2.0-only
"""A TPM behind FF-A comes and goes with its drivers, and with the way to it, where they are modules"""
import ftpm
from reload import load, unload

MATRIX = {"abi": ["ffa"], "cpus": [2]}
VARIANT = "modules"     # without IMA, which would have them built in
SUITE = "soak"
TOPIC = "ffa-ima"
TPM = ACPI = True
LIMIT = 300

WAY, DRIVERS = ["ffa-core", "ffa-module"], ["tpm_crb_ffa", "tpm_crb"]


def scenario(guest, times=10):
    def there(expected, when):
        if expected:    # what has waited is probed by a workqueue
            guest.run("n=0; until [ -e /sys/class/tpm/tpm0 ] || [ $((n += 1)) = 20 ]; do sleep 0.1; done")
        found = guest.run("ls /sys/class/tpm")
        guest.must(bool(found) == expected, f"{when} there is {found or 'no TPM'}")
        if expected:
            ftpm.send(guest, ftpm.RANDOM)

    def partitions(how):
        guest.run(f"cd /sys/bus/platform/drivers/arm-ffa && echo arm-ffa > {how}")

    for _ in range(times):
        for module in WAY + DRIVERS:
            there(False, f"before {module}")
            load(guest, [module])
        there(True, "with all modules")
        # The way to the TPM goes and comes back, and so does the TPM, in use as it is.
        ftpm.send(guest, ftpm.RANDOM, "busy")
        partitions("unbind")
        there(False, "without the partitions")
        guest.run("killall tpm")
        partitions("bind")
        there(True, "with the partitions again")
        unload(guest, DRIVERS)
        there(False, "without its drivers")
        partitions("unbind")
        load(guest, DRIVERS)
        there(False, "with its drivers, but without the partitions")
        partitions("bind")
        there(True, "with the partitions after its drivers")
        unload(guest, WAY + DRIVERS)
