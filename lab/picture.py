#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The picture of `make soak`: OP-TEE's heap against the number of kexecs.

    picture.py RESULTS    write RESULTS/heap.svg and RESULTS/heap.png

RESULTS is a folder with a folder of results for each tree: base and fork.
"""
import json
import pathlib
import subprocess
import sys

NAMES = {"base": "mainline", "fork": "fork", "smc": "SMC", "ffa": "FF-A", 1: "1 CPU", 4: "4 CPUs"}
GNUPLOT = """
set terminal {terminal} size {size} font "sans,{font}"
set output "{output}"
set title "Heap of OP-TEE after each kexec, with clients alive at it"
set xlabel "kexecs"
set ylabel "KiB"
set key below
set grid
set yrange [0:*]
plot {plots}
{data}
"""


def line(path):
    """A plot's title and points: what was measured until it ended or went wrong."""
    result = json.loads(path.read_text())
    heap = result["facts"].get("heap", [])
    title = f"{NAMES[result['tree']]}, {NAMES[result['abi']]}, {NAMES[result['cpus']]}"
    if result["outcome"] in ("hang", "panic"):
        title += f": {result['outcome']} at kexec {len(heap) + 1}"
    # gnuplot takes no data without a point
    points = [f"{n} {size / 1024}" for n, size in enumerate(heap, 1)] or ["0 NaN"]
    return title, "\n".join(points + ["e"])


def main():
    folder = pathlib.Path(sys.argv[1])
    lines = [line(path) for tree in ("base", "fork") for path in
             sorted((folder / tree).glob("heap200-*.json"))]
    if not lines:
        sys.exit(f"lab/picture.py: {folder} has no results of heap200. `make soak` makes them.")
    plots = ", ".join(f"'-' title '{title}' with linespoints" for title, _ in lines)
    for terminal, size, font in (("svg", "900,500", 14), ("pngcairo", "1200,700", 12)):
        output = folder / f"heap.{terminal[:3]}"
        subprocess.run(["gnuplot"], check=True, text=True, input=GNUPLOT.format(
            terminal=terminal, size=size, font=font, output=output, plots=plots,
            data="\n".join(data for _, data in lines)))
        print(output)


if __name__ == "__main__":
    main()
