#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the topic confidential-devices makes of vmlinux.

    size.py RESULTS SRC ARCH...

RESULTS/size/ARCH/ holds a vmlinux and its configuration of the base (base), of
the topic with its option off (off), and on (on); SRC is the kernel tree whose
bloat-o-meter is used. Prints KTAP, and leaves RESULTS/fork/size-*.json.

Off against the base: every section that is loaded has the same size, and the
same symbols, by name, type and size. Bytes may differ where a line number is
stored, as a patch moves the lines below it, and in instructions, as the compiler
may add a + b for b + a: that is reported, section by section, and function by
function. On against off: what bloat-o-meter says.
"""
import bisect
import collections
import json
import pathlib
import re
import subprocess
import sys

LIMIT = 8192
CROSS = {"arm64": "aarch64-linux-gnu-", "x86_64": ""}
OPTION = "CONFIG_CONFIDENTIAL_DEVICES"
# Where bytes may differ: instructions, the lines of WARN() and BUG(), and the
# build ID, which is made of all of it.
CONTENT = {".text", ".init.text", "__bug_table", ".notes"}


class Wrong(Exception):
    """Why a figure is not what it must be."""


def call(*argv):
    done = subprocess.run([str(a) for a in argv], text=True, capture_output=True, check=False)
    if done.returncode:
        raise Wrong(f"{argv[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def sections(cross, vmlinux):
    """name -> (offset in the file, or None where it takes none there; size; address)"""
    found = {}
    for line in call(cross + "readelf", "-SW", vmlinux).splitlines():
        match = re.match(r" *\[ *\d+\] (\S+) +(\S+) +(\S+) (\S+) (\S+) \S+ +[A-Z]*A[A-Z]* ", line)
        if match:
            name, kind, address, offset, size = match.groups()
            found[name] = (None if kind == "NOBITS" else int(offset, 16), int(size, 16), int(address, 16))
    return found


def symbols(cross, vmlinux):
    """How often there is a symbol of this name, type and size.

    Without the line in an initcall's name, and without what the compiler has
    counted: CSWTCH.12, __initcall__kmod_resource__595_167_ioresources_init6.
    """
    found = collections.Counter()
    for line in call(cross + "nm", "-P", vmlinux).splitlines():
        name, kind, *rest = line.split()
        name = re.sub(r"^(__initcall__\w+?__)\d+_\d+_|\.\d+$", r"\1", name)
        found[name, kind, int(rest[1], 16) if len(rest) > 1 else 0] += 1
    return found


def functions(cross, vmlinux, addresses):
    """In which functions these addresses are."""
    starts = [line.split() for line in call(cross + "nm", "-n", vmlinux).splitlines()]
    starts = [(int(start, 16), name) for start, kind, name in (x for x in starts if len(x) == 3) if kind in "tTwW"]
    return sorted({starts[bisect.bisect(starts, (address, "~")) - 1][1] for address in addresses})


def configuration(path):
    """All but the option, and what cannot be asked for without it."""
    return {line for line in path.read_text().splitlines() if re.match(r"(# )?CONFIG_", line)
            and not re.match(rf"{OPTION}=|# {OPTION}\w* is not set", line)}


def totals(cross, vmlinux):
    """text, data and bss, as size says."""
    return [int(n) for n in call(cross + "size", vmlinux).splitlines()[1].split()[:3]]


def off(cross, folder, say):
    """Bytes by which the topic with its option off differs from the base."""
    before, after = folder / "base", folder / "off"
    old, new = sections(cross, before), sections(cross, after)
    sizes = {n: new.get(n, (0, 0))[1] - old.get(n, (0, 0))[1] for n in old | new}
    sizes = {n: d for n, d in sizes.items() if d}
    gone, come = (symbols(cross, before) - symbols(cross, after),
                  symbols(cross, after) - symbols(cross, before))
    for what, a, b in zip(("text", "data", "bss"), totals(cross, before), totals(cross, after)):
        say(f"{what}", b - a, "bytes")
    say("sections of another size", len(sizes), "sections")
    say("symbols that differ", sum((gone + come).values()), "symbols")
    if sizes or gone or come:
        raise Wrong(f"sections: {sizes}; symbols gone: {sorted(gone)[:20]}, new: {sorted(come)[:20]}")
    images, differ = [p.read_bytes() for p in (before, after)], {}
    for name, (offset, size, address) in old.items():
        if offset is not None:
            one, two = images[0][offset:offset + size], images[1][new[name][0]:new[name][0] + size]
            if one != two:
                differ[name] = [address + i for i in range(size) if one[i] != two[i]]
    for name, addresses in differ.items():
        where = f"of {old[name][1]} bytes"
        if name.endswith("text"):
            where += ", in " + ", ".join(functions(cross, before, addresses))
        say(f"bytes of another value in {name}", len(addresses), where)
    if other := differ.keys() - CONTENT:
        raise Wrong(f"no line number is in {', '.join(sorted(other))}")


def on(cross, folder, say, bloat):
    """Bytes that the option adds."""
    old, new = (totals(cross, folder / kind) for kind in ("off", "on"))
    for what, a, b in zip(("text", "data", "bss"), old, new):
        say(what, b - a, "bytes")
    # bloat-o-meter puts nm behind the prefix
    listed = call(bloat, *(["-p", cross] if cross else []), folder / "off", folder / "on")
    growth = int(re.search(r"up/down: \S+ \((-?\d+)\)", listed)[1])
    say("bloat-o-meter", growth, f"bytes, at most {LIMIT}")
    if growth > LIMIT:
        raise Wrong(f"it grows by {growth} bytes, at most {LIMIT} are allowed")
    return listed.splitlines()


def conclude(results, number, result):
    """Print a result's line of KTAP, and keep it; did it pass?"""
    ok = result["outcome"] == "pass"
    if result["message"]:
        print(f"# {result['message']}")
    print(f"{'ok' if ok else 'not ok'} {number} {result['test']}", flush=True)
    part = results / "fork" / f"{result['test']}.json.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(json.dumps(result, indent=1) + "\n")
    part.rename(part.with_suffix(""))
    return ok


def main():
    results, src, archs = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    print(f"KTAP version 1\n1..{2 * len(archs)}")
    number = failed = 0
    for arch in archs:
        folder = results / "size" / arch
        for name, title, tree in (("off", "The kernel with the option off is as large as the base's", "base"),
                                  ("on", "The option makes the kernel grow by 8 KiB at most", "on")):
            figures = {}
            result = {"test": f"size-{name}-{arch}", "title": title, "tree": "fork", "arch": arch,
                      "outcome": "pass", "message": "", "figures": figures, "facts": {}}

            def say(what, value, unit):
                figures[what] = {"unit": unit, "values": [value]}
                print(f"# {what}: {value:+} {unit}")

            try:
                if configuration(folder / f"{tree}.config") != configuration(folder / "off.config"):
                    raise Wrong(f"the configurations differ by more than {OPTION}: diff {folder}/*.config")
                if name == "off":
                    off(CROSS[arch], folder, say)
                else:
                    result["facts"]["bloat-o-meter"] = on(CROSS[arch], folder, say,
                                                          src / "scripts/bloat-o-meter")
            except Wrong as wrong:
                result.update(outcome="failed", message=str(wrong))
            for line in result["facts"].get("bloat-o-meter", []):
                print(f"# {line}")
            number += 1
            failed += not conclude(results, number, result)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
