#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The table of `make compare`: situation | mainline | fork.

    table.py RESULTS              print it
    table.py RESULTS --readme F   write it into F, between its two markers

RESULTS is a folder with a folder of results for each tree: base and fork.
"""
import json
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


def cell(result):
    """Outcome, and the medians of what was measured."""
    if not result:
        return "not run"
    words = {"pass": "works", "hang": "**hangs**", "panic": "**panics**", "failed": "**fails**"}
    text = words.get(result["outcome"], f"**{result['outcome']}**")
    if result["outcome"] != "pass":
        return text
    figures = [f"{name} {statistics.median(f['values']):.2f} {f['unit']}"
               for name, f in result["figures"].items() if name != "boot"]
    return ", ".join([text] + figures)


def table(folder):
    base, fork = results(folder / "base"), results(folder / "fork")
    if not base or not fork:
        sys.exit(f"lab/table.py: {folder} does not hold the results of both trees. "
                 "`make compare` makes them.")
    lines = ["| situation | mainline 7.3.4 | fork |", "|---|---|---|"]
    for name in sorted(base.keys() & fork.keys()):
        lines.append(f"| {fork[name]['title']} (`{name}`) | {cell(base[name])} | {cell(fork[name])} |")
    return "\n".join(lines)


def main():
    folder = pathlib.Path(sys.argv[1])
    text = table(folder)
    if len(sys.argv) < 4:
        print(text)
        return
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
