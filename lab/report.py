#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The report of `make boot`, on one screen.

    report.py RESULT.json < output of series/tree.py status
"""
import json
import pathlib
import re
import statistics
import sys
import textwrap

RECORDED = {"yes": "the recorded one", "no": "not the recorded one"}


def main():
    result = json.loads(pathlib.Path(sys.argv[1]).read_text())
    tree = dict(line.rstrip("\n").split("=", 1) for line in sys.stdin if "=" in line)
    facts, figures = result["facts"], result["figures"]
    rows = [
        ("tree", f"Linux {tree['version']}, {tree['commits']} commits of "
                 + (tree["topics"].replace(",", ", ") or "no topic")),
        ("", f"integration {tree['integration'][:12]}, {RECORDED.get(tree['recorded'], tree['recorded'])}"
             + (", with uncommitted changes" if tree.get("dirty") == "yes" else "")),
        ("kernel", facts.get("kernel", "?")),
        ("firmware", ", ".join(f"{n} {facts[n]}" for n in ("TF-A", "OP-TEE", "FF-A") if n in facts)
         or "none"),
        ("devices", ", ".join(map(device, facts.get("devices", []))) or "none"),
        ("boot", seconds(figures, "boot")),
        ("kexec", seconds(figures, "kexec")),
        ("logs", result["logs"]),
        ("outcome", result["outcome"] + (f": {result['message']}" if result["message"] else "")),
    ]
    print()
    for name, text in rows:
        lines = textwrap.wrap(text, 66, break_long_words=False, break_on_hyphens=False) or [""]
        print(f"  {name:9} {lines[0]}")
        for line in lines[1:]:
            print(12 * " " + line)
    print()
    return result["outcome"] != "pass"


def device(words):
    """Its driver, or what it is called if it has none."""
    name = re.sub(r"(?<=optee-ta-.{8})-.*", "-…", words[0])
    return words[1] if len(words) > 1 else name


def seconds(figures, name):
    """Median of a figure in seconds, as text."""
    if name not in figures:
        return "not measured"
    return f"{statistics.median(figures[name]['values']):.2f} s"


if __name__ == "__main__":
    sys.exit(main())
