#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Take one fix at a time out of the fork, and see that its scenario notices.

    lab/without.py SRC TREE [PATTERN]
    lab/without.py --list [PATTERN]

SRC is the fork's kernel tree, TREE a clean work tree at the same commit, where
one lab/without/NAME.patch after the other is applied and built; PATTERN is a
part of a NAME. What a patch takes out, and what must be seen of it, is in the
text above its first diff, in lines of

    Red: TEST REGEX     this test must fail, and say this
    Green: TEST         this one must pass: what is left does without the fix

In the guest the fork's own kernel is /boot/fork. Prints KTAP.
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
PATCHES = TOP / "lab/without"
SUITES = ["--suite", "check,soak,without"]


class Failed(Exception):
    """Why a patch, or a test of it, is not what it should be."""


def expectations(patch):
    """[(test, what it must say, or None if it must pass)] of a patch."""
    head = patch.read_text().partition("\ndiff --git ")[0]
    found = [(test, says if colour == "Red" else None)
             for colour, test, says in re.findall(r"^(Red|Green): (\S+) *(.*)$", head, re.M)]
    if not found or any(says == "" for _, says in found):
        sys.exit(f"lab/without.py: {patch}: above its first diff there must be lines of "
                 "'Red: TEST REGEX' or 'Green: TEST'")
    return found


def call(*argv):
    """Run a command; its output. Progress, on stderr, goes to the terminal."""
    done = subprocess.run([str(a) for a in argv], cwd=TOP, text=True, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise Failed(f"{argv[0]} ended with {done.returncode}, see above")
    return done.stdout


def build(src, test, built):
    """What a test needs of a tree; `built` is what needs no look any more."""
    for line in call("lab/run.py", "--src", src, *SUITES, "--needs", "--only", test).splitlines():
        kind, *what = line.split()
        if line in built:
            continue
        built.add(line)
        if kind == "kernel":
            call("lab/kernel.sh", src, *what, *os.environ.get("FRAGMENTS", "").split())
        else:
            call(f"lab/{kind}.sh", *what)


def apply(patch, tree):
    done = subprocess.run(["git", "-C", tree, "apply", patch], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"does not apply any more: {done.stderr.strip().splitlines()[0]}\n"
                     f"In {tree}: git apply --reject {patch}, take the fix out by hand where that\n"
                     "left a .rej, and put the output of git diff in the place of the old diff. If\n"
                     "the fix is gone, delete the patch")


def perform(name, test, says, src, tree):
    """Run a test without the fix; the line that says what it must, or Failed."""
    result = TOP / f"build/results/without/{name}/{test}.json"
    result.unlink(missing_ok=True)
    subprocess.run([TOP / "lab/run.py", "--tree", f"without/{name}", "--src", tree, "--other",
                    f"fork={src}", *SUITES, "--only", test], stdout=subprocess.DEVNULL, check=False)
    if not result.exists():
        raise Failed(f"there is no test {test} (make list), or it did not end")
    result = json.loads(result.read_text())
    said = f"{result['outcome']}: {result['message']}"
    if says is None and result["outcome"] != "pass":
        raise Failed(f"it must pass, and does not\n{said}\nlogs: {result['logs']}")
    if says is not None and result["outcome"] == "pass":
        raise Failed("it passes: nobody would notice if the fix were gone")
    found = re.search(says or "", said)
    if not found:
        raise Failed(f"fails for another reason than /{says}/\n{said}\nlogs: {result['logs']}")
    line = said[said.rfind("\n", 0, found.start()) + 1:].splitlines()[0]
    return line[:160].replace("#", "")


def restore(tree):
    subprocess.run(["git", "-C", tree, "reset", "-q", "--hard"], check=True)


def main():
    words = sys.argv[2:] if sys.argv[1:2] == ["--list"] else sys.argv[3:]
    patches = {p: expectations(p) for p in sorted(PATCHES.glob("*.patch"))
               if all(word in p.stem for word in words)}
    if not patches:
        sys.exit(f"lab/without.py: no patch is called {' '.join(words)}. There are: "
                 + ", ".join(sorted(p.stem for p in PATCHES.glob("*.patch"))))
    if sys.argv[1] == "--list":
        for patch, tests in patches.items():
            print(f"{patch.stem:18}", ", ".join(f"{'red' if says else 'green'}: {test}" for test, says in tests))
        return 0
    src, tree = sys.argv[1:3]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"KTAP version 1\n1..{sum(map(len, patches.values()))}", flush=True)
    number = failed = 0
    built_src = set()
    for patch, tests in patches.items():
        broken, built = None, set()
        try:
            try:
                apply(patch, tree)
            except Failed as why:
                broken = why
            for test, says in tests:
                number, start = number + 1, time.monotonic()
                line = f"{number} - {patch.stem}: {test}"
                try:
                    if broken:
                        raise broken
                    build(src, test, built_src)
                    build(tree, test, built)
                    said = perform(patch.stem, test, says, src, tree)
                    print(f"ok {line} is {'red (' + said + ')' if says else 'green'} "
                          f"# {time.monotonic() - start:.0f} s", flush=True)
                except Failed as why:
                    failed += 1
                    print("\n".join(f"# {text}" for text in str(why).splitlines()))
                    print(f"not ok {line} should be {'red' if says else 'green'}", flush=True)
        finally:
            restore(tree)
    print(f"# without: pass:{number - failed} fail:{failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("lab/without.py: interrupted; the work tree is as it was")
