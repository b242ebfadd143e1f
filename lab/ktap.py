# SPDX-License-Identifier: GPL-2.0-only
"""What the project's own test programs share: running functions as KTAP.

A test is a function with the decorator @test. It passes when it returns,
fails when it raises, and is skipped when it returns skip("why").
"""
import os
import signal
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

TESTS = []


class Skip(str):
    """Why a test could not be run here."""


def test(function):
    TESTS.append(function)
    return function


def run(argv, cwd=None, env=None, status=0, stdin=None):
    """Run a command that must end with this status; returns all its output."""
    done = subprocess.run([str(a) for a in argv], cwd=cwd, env=env, input=stdin, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert status is None or done.returncode == status, \
        f"{argv} ended with {done.returncode}, not {status}:\n{done.stdout}"
    return done.stdout


def has(text, *words):
    for word in words:
        assert word in text, f"'{word}' is not in:\n{text}"


def _one(function, perform):
    """(result, seconds, why it failed)"""
    begin, result, why = time.monotonic(), None, ""
    try:
        result = perform(function)
    except Exception:           # a test may fail in any way: say which, and go on
        result, why = False, traceback.format_exc()
    return result, time.monotonic() - begin, why


def main(perform, prepare=lambda: None):
    """Run the tests whose names hold a word of the command line, or all."""
    words = sys.argv[1:]
    # A job in the background has it ignored, and so would what the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tests = [t for t in TESTS if not words or any(w in t.__name__ for w in words)]
    failed = skipped = 0
    print(f"KTAP version 1\n1..{len(tests)}", flush=True)
    prepare()
    with ThreadPoolExecutor((os.cpu_count() or 1) + 2) as pool:      # many of them sleep
        runs = [pool.submit(_one, t, perform) for t in tests]
        for number, (function, done) in enumerate(zip(tests, runs), 1):
            result, seconds, why = done.result()
            for line in why.splitlines():
                print(f"# {line}")
            mark = f"SKIP {result}" if isinstance(result, Skip) else f"{seconds:.1f} s"
            print(f"{'not ok' if result is False else 'ok'} {number} {function.__name__} # {mark}",
                  flush=True)
            failed += result is False
            skipped += isinstance(result, Skip)
    print(f"{len(tests) - failed - skipped} passed, {failed} failed"
          + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0
