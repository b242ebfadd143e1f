# SPDX-License-Identifier: GPL-2.0-only
"""The KUnit suites execute every line of what accepts a device"""
import base64
import json
import pathlib
import shutil
import subprocess

MATRIX = {"abi": ["smc", "x86_64"]}
VARIANT = "gcov"
APPEND = "kunit.enable=1 kunit.autorun=1 kunit.filter_glob=confidential-* log_buf_len=4M"
TOPIC = "confidential-devices"
SUITE = "measure"
LIMIT = 300
COMPARE = False     # the base has no such file

FILE = "drivers/base/confidential.c"      # lab/kernel.sh has it instrumented


def gcov(guest, folder):
    """What gcov says of each line: the compiler's notes, the guest's counters."""
    stem = pathlib.PurePath(FILE).stem
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    build = guest.setup.images["kernel"].parents[3]
    shutil.copy(build / pathlib.PurePath(FILE).with_suffix(".gcno"), folder)
    counters = guest.run(f"base64 \"$(find /sys/kernel/debug/gcov -name {stem}.gcda)\"")
    (folder / f"{stem}.gcda").write_bytes(base64.b64decode(counters))
    tool = "gcov" if guest.setup.arch == "x86_64" else "aarch64-linux-gnu-gcov"
    output = subprocess.run([tool, "--json-format", "--stdout", "--branch-probabilities",
                             f"{stem}.gcda"], cwd=folder, capture_output=True, check=True).stdout
    (folder / f"{stem}.json").write_bytes(output)
    # A header's line appears under the header's name.
    return [line for file in json.loads(output)["files"] if file["file"].endswith(FILE)
            for line in file["lines"]]


def scenario(guest):
    failed = [line for line in guest.dmesg().splitlines() if "not ok" in line]
    guest.must(not failed, "; ".join(failed))
    executed, branches, taken = {}, {}, {}
    for line in gcov(guest, guest.logs / "gcov"):      # once for each function that has it
        number = line["line_number"]
        executed[number] = executed.get(number, 0) + line["count"]
        for n, branch in enumerate(line["branches"]):
            key = f"{number}.{n}"
            branches[key] = number
            taken[key] = taken.get(key, 0) + branch["count"]
    guest.must(executed, f"gcov knows no line of {FILE}")
    missed = [number for number, count in executed.items() if not count]
    never = [number for key, number in branches.items() if not taken[key]]
    guest.facts.update(file=FILE, missed_lines=missed, lines_with_missed_branches=never)
    guest.figure("lines", len(executed), "lines")
    guest.figure("lines executed", 100 * (1 - len(missed) / len(executed)), "%")
    guest.figure("branches", len(branches), "branches")
    guest.figure("branches taken", 100 * (1 - len(never) / len(branches)), "%")
    guest.must(not missed, f"{FILE}: never executed: line {', '.join(map(str, missed))}")
