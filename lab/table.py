#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The table of `make compare`: situation | mainline | fork.

    table.py RESULTS              print it, a row for each test
    table.py RESULTS --readme F   write it into F, between its two markers, with one
                                  row for what a scenario's tests have in common

RESULTS is a folder with a folder of results for each tree: base and fork.
"""
import itertools
import json
import os.path
import pathlib
import statistics
import sys

BEGIN, END = "<!-- compare: begin -->", "<!-- compare: end -->"


def results(folder):
    found = {}
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text())
        found[result["test"]] = result
    return found


def cell(tests):
    """Outcome, and the medians of what was measured: of one test, or from the lowest
    to the highest of several."""
    words = {"pass": "works", "hang": "**hangs**", "panic": "**panics**", "failed": "**fails**"}
    outcome, medians = tests[0]["outcome"], {}
    text = words.get(outcome, f"**{outcome}**")
    if outcome != "pass":
        return text
    for test in tests:
        for name, figure in test["figures"].items():
            if name != "boot":
                medians.setdefault((name, figure["unit"]), []).append(
                    f"{statistics.median(figure['values']):.2f}")
    for (name, unit), values in medians.items():
        values = sorted(set(values), key=float)
        text += f", {name} {' to '.join(values[::len(values) - 1] if values[1:] else values)} {unit}"
    return text


def called(names, all_names):
    """What these tests are called, short: as ONLY takes it, if they are all of their kind."""
    if len(names) == 1:
        return f"`{names[0]}`"
    if names == all_names:
        return f"`{kind(names[0])}-*`, {len(names)} tests"
    start = os.path.commonprefix(all_names)
    start = start[:start.rfind("-") + 1]
    return f"`{start}{{{','.join(n[len(start):] for n in names)}}}`"


def kind(name):
    """A scenario on one ABI or architecture: what comes first in a test's name."""
    return "-".join(name.split("-")[:2])


def table(folder, short):
    trees = base, fork = results(folder / "base"), results(folder / "fork")
    if not base or not fork:
        sys.exit(f"lab/table.py: {folder} does not hold the results of both trees. "
                 "`make compare` makes them.")
    lines = ["| situation | mainline 7.3.4 | fork |", "|---|---|---|"]
    for _, names in itertools.groupby(sorted(base.keys() & fork.keys()), key=kind):
        names, rows = list(names), {}
        for name in names:
            outcomes = tuple(tree[name]["outcome"] for tree in trees)
            rows.setdefault((fork[name]["title"], outcomes) if short else name, []).append(name)
        for row in rows.values():
            lines.append(f"| {fork[row[0]]['title']} ({called(row, names)}) | "
                         + " | ".join(cell([tree[n] for n in row]) for tree in trees) + " |")
    return "\n".join(lines)


def main():
    folder = pathlib.Path(sys.argv[1])
    if len(sys.argv) < 4:
        print(table(folder, short=False))
        return
    text = table(folder, short=True)
    readme = pathlib.Path(sys.argv[3])
    old = readme.read_text()
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        sys.exit(f"lab/table.py: {readme} must hold the markers {BEGIN} and {END}, once each.")
    head, rest = old.split(BEGIN)
    part = readme.with_suffix(".part")
    part.write_text(head + BEGIN + "\n" + text + "\n" + END + rest.split(END)[1])
    part.rename(readme)


if __name__ == "__main__":
    main()
