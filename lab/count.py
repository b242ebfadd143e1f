#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""How many instructions a mapping for DMA takes, with confidential devices and without.

    count.py RESULTS ARCH...

RESULTS/size/ARCH/ holds kernels with lab/kernel/count.patch, of the topic with its
option off (off.image), and on (on.image). Each one maps 4 KiB and unmaps them,
100,000 times, and tells what that took, under QEMU's -icount: one nanosecond is
one instruction, whatever the machine. Prints KTAP, and leaves
RESULTS/fork/count-*.json.
"""
import pathlib
import re
import subprocess
import sys

from size import Wrong, conclude

LIMIT = 2
MACHINES = {
    "arm64": ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57", "-append", "console=ttyAMA0 panic=-1"],
    "x86_64": ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max",
               "-append", "console=ttyS0 panic=-1"],
}


def count(arch, image):
    """Instructions of one mapping and unmapping. The kernel has no root: it ends by itself."""
    try:
        console = subprocess.run([*MACHINES[arch], "-icount", "shift=0,sleep=off", "-m", "1G", "-display", "none",
                                  "-nodefaults", "-serial", "stdio", "-no-reboot", "-kernel", str(image)],
                                 capture_output=True, text=True, errors="replace", timeout=300, check=False).stdout
    except subprocess.TimeoutExpired as late:
        raise Wrong(f"{image} did not end within {late.timeout:.0f} s") from None
    image.with_suffix(".log").write_text(console)
    found = re.search(r"count_dma: (\d+) ns for (\d+) times", console)
    if not found:
        raise Wrong(f"{image} counted nothing, see {image.with_suffix('.log')}")
    return int(found[1]) / int(found[2])


def main():
    results, archs = pathlib.Path(sys.argv[1]), sys.argv[2:]
    print(f"KTAP version 1\n1..{len(archs)}")
    failed = 0
    for number, arch in enumerate(archs, 1):
        result = {"test": f"count-{arch}", "title": "A mapping for DMA takes two instructions more at most",
                  "tree": "fork", "arch": arch, "outcome": "pass", "message": "", "figures": {}, "facts": {}}
        try:
            off, on = (count(arch, results / f"size/{arch}/{option}.image") for option in ("off", "on"))
            result["figures"] = {name: {"unit": "instructions", "values": [round(value, 2)]} for name, value
                                 in (("option off", off), ("option on", on), ("difference", on - off))}
            # What the loop is aligned to, and the clock's steps, are no instruction.
            if round(on - off) > LIMIT:
                raise Wrong(f"{on - off:+.2f} instructions, at most {LIMIT:+} are allowed")
        except Wrong as wrong:
            result.update(outcome="failed", message=str(wrong))
        for name, figure in result["figures"].items():
            print(f"# {name}: {figure['values'][0]} instructions")
        failed += not conclude(results, number, result)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
