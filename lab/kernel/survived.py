#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Say which symbols of the fragments did not survive in a .config.

    survived.py SRC DOTCONFIG FRAGMENT...

A later fragment overrides an earlier one. A symbol that is lost, or has
another value, is an error. That a module became of what was to be built in is
none if there are fragments that want modules: it depends on one. A symbol that
no Kconfig file of the tree knows is an error too, unless the fork defines it:
then the tree is the base, or has only some of the topics, and a notice is enough.
"""
import pathlib
import re
import sys

LINE = re.compile(r"(?:# )?CONFIG_(\w+)(?:=(.*)| is not set)$")


def read(path):
    """Symbols of a .config or fragment: name -> value ('n' where not set)."""
    found = {}
    for line in pathlib.Path(path).read_text().splitlines():
        match = LINE.match(line)
        if match:
            found[match[1]] = match[2] or "n"
    return found


def known(src):
    """Every symbol that a Kconfig file of the tree defines."""
    names = set()
    for path in pathlib.Path(src).rglob("Kconfig*"):
        if path.is_file():
            names.update(re.findall(r"^\s*(?:menu)?config\s+(\w+)",
                                    path.read_text(errors="replace"), re.M))
    return names


def of_the_fork(top):
    """Symbols that a series adds, in new Kconfig files or by a patch."""
    names = set()
    for path in top.glob("series/*/*.patch"):
        names.update(re.findall(r"^\+\s*(?:menu)?config\s+(\w+)",
                                path.read_text(errors="replace"), re.M))
    for folder in ("arch", "drivers", "include", "kernel", "samples", "security"):
        if (top / folder).is_dir():
            names |= known(top / folder)
    return names


def main():
    src, dotconfig, *fragments = sys.argv[1:]
    wanted = {}
    for fragment in fragments:
        for name, value in read(fragment).items():
            wanted[name] = (value, fragment)
    have = read(dotconfig)
    modules = ("y", "m") if ("m" in (w[0] for w in wanted.values())) else None
    lost = {n: w for n, w in wanted.items()
            if have.get(n, "n") != w[0] and (w[0], have.get(n)) != modules}
    if not lost:
        return 0
    symbols = known(src)
    fork = of_the_fork(pathlib.Path(__file__).resolve().parents[2])
    status = 0
    for name, (value, fragment) in sorted(lost.items()):
        if name not in symbols and name in fork:
            print(f"  {'KERNEL':9} CONFIG_{name} is not in this tree, left out",
                  file=sys.stderr)
            continue
        why = (f"became {have[name]}" if name in have else
               "was dropped: a dependency is missing" if name in symbols else
               "is in no Kconfig file of the tree: misspelt, or gone")
        print(f"{fragment}: CONFIG_{name}={value} {why}", file=sys.stderr)
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
