# SPDX-License-Identifier: GPL-2.0-only
"""The KUnit suites execute every line of what accepts a device"""
import base64
import json
import pathlib
import shutil
import subprocess

MATRIX = {"abi": ["smc", "x86_64"]}
VARIANT = "gcov"
APPEND = "kunit.enable=1 kunit.autorun=1 kunit.filter_glob=confidential-* log_buf_len=4M swiotlb=force"
TOPIC = "confidential-devices"
SUITE = "measure"
LIMIT = 300
COMPARE = False     # the base has no such file

# lab/kernel.sh has them instrumented.
FILES = ["drivers/base/confidential.c", "drivers/base/confidential-mmio.c"]


def gcov(guest, file):
    """What gcov says of each line: the compiler's notes, the guest's counters."""
    stem = pathlib.PurePath(file).stem
    folder = guest.logs / f"gcov-{stem}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    build = guest.setup.images["kernel"].parents[3]
    shutil.copy(build / pathlib.PurePath(file).with_suffix(".gcno"), folder)
    counters = guest.run(f"base64 \"$(find /sys/kernel/debug/gcov -name {stem}.gcda)\"")
    (folder / f"{stem}.gcda").write_bytes(base64.b64decode(counters))
    tool = "gcov" if guest.setup.arch == "x86_64" else "aarch64-linux-gnu-gcov"
    output = subprocess.run([tool, "--json-format", "--stdout", "--branch-probabilities",
                             f"{stem}.gcda"], cwd=folder, capture_output=True, check=True).stdout
    (folder / f"{stem}.json").write_bytes(output)
    # A header's line appears under the header's name.
    return [line for part in json.loads(output)["files"] if part["file"].endswith(file)
            for line in part["lines"]]


def scenario(guest):
    failed = [line for line in guest.dmesg().splitlines() if "not ok" in line]
    guest.must(not failed, "; ".join(failed))
    for file in FILES:
        cover(guest, file)


def cover(guest, file):
    executed, branches, taken = {}, {}, {}
    for line in gcov(guest, file):      # once for each function that has it
        number = line["line_number"]
        executed[number] = executed.get(number, 0) + line["count"]
        for n, branch in enumerate(line["branches"]):
            key = f"{number}.{n}"
            branches[key] = number
            taken[key] = taken.get(key, 0) + branch["count"]
    guest.must(executed, f"gcov knows no line of {file}")
    missed = [number for number, count in executed.items() if not count]
    never = [number for key, number in branches.items() if not taken[key]]
    name = pathlib.PurePath(file).name
    guest.facts[name] = {"missed_lines": missed, "lines_with_missed_branches": never}
    guest.figure(f"{name}: lines", len(executed), "lines")
    guest.figure(f"{name}: lines executed", 100 * (1 - len(missed) / len(executed)), "%")
    guest.figure(f"{name}: branches", len(branches), "branches")
    guest.figure(f"{name}: branches taken", 100 * (1 - len(never) / max(1, len(branches))), "%")
    guest.must(not missed, f"{file}: never executed: line {', '.join(map(str, missed))}")
