# SPDX-License-Identifier: GPL-2.0-only
"""A CPU that does not answer the clocksource watchdog holds up no other one

That watchdog asks another CPU with its own interrupts off. Before it has chosen a
clocksource a kernel counts in jiffies, which stand still meanwhile: this machine
does for as long as it runs.
"""
MATRIX = {"abi": ["x86_64"], "cpus": [2]}
APPEND = "clocksource=jiffies nohz=off highres=off"
CLOCK = "/sys/devices/system/clocksource/clocksource0/current_clocksource"


def scenario(guest):
    guest.must(guest.run(f"cat {CLOCK}") == "jiffies", "the clock of this kernel is not jiffies")
    # The console is not to go with the CPU that goes.
    guest.run("taskset -p 1 $$; for i in /proc/irq/*/smp_affinity; do echo 1 > $i; done 2> /dev/null\n"
              "mount -t debugfs none /sys/kernel/debug 2> /dev/null; sleep 1")
    guest.run("taskset 2 sh -c 'echo HARDLOCKUP > /sys/kernel/debug/provoke-crash/DIRECT' & sleep 1")
    guest.run("dmesg | grep 'lkdtm: Performing direct entry HARDLOCKUP'", 10)
    # The watchdog asks twice a second.
    for _ in range(5):
        guest.run("sleep 1", 10)
    # It says so once a boot, at first or by now: the watchdog is on the CPU that is left.
    guest.run("dmesg | grep 'clocksource: Watchdog remote CPU 1 read timed out'", 10)
