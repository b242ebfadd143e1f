# SPDX-License-Identifier: GPL-2.0-only
"""What every part of tree.py stands on: git, progress, locks, signals.

git runs isolated from the configuration of whoever calls it: the same input
must give the same commit ids and the same patches on every machine, whatever
that person likes to see in a diff.
"""

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tee-linux"
NAME, EMAIL = "tee-linux", "tee-linux@tee-linux.invalid"
VERBOSE = os.environ.get("V") == "1"

CONFIG = {
    "safe.directory": "*",          # a clone that the caller named, or our own
    "core.hooksPath": "/dev/null",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.quotePath": "false",
    "core.fsmonitor": "false",
    "core.autocrlf": "false",
    "core.looseCompression": "1",
    "pack.compression": "1",        # import is bound by zlib; 356 MB instead of 290
    "checkout.workers": "0",        # as many as there are CPUs
    "gc.auto": "0",
    "i18n.commitEncoding": "UTF-8",
    "i18n.logOutputEncoding": "UTF-8",
    "log.showSignature": "false",
    "mailinfo.scissors": "false",
    "merge.renames": "false",
    # Which function a hunk header names differs from one git to the next with
    # the built-in drivers of .gitattributes: pin the plainest rule.
    "diff.cpp.xfuncname": "^[[:alpha:]$_].*$",
    "diff.dts.xfuncname": "^[[:alpha:]$_].*$",
    "diff.rust.xfuncname": "^[[:alpha:]$_].*$",
}


class Failure(Exception):
    """Something a person must act on; its text says what, where, what to do."""


class GitError(Failure):
    """git itself failed: `stderr` is what it said."""

    def __init__(self, argv, stderr):
        self.stderr = stderr.strip()
        hint = "run again with V=1 to see the commands"
        if "No space left on device" in stderr:
            hint = "make room on the disk and run the same command again"
        super().__init__(f"git failed: {shlex.join(argv)}\n{indent(self.stderr)}\n  {hint}")


def indent(text):
    return "\n".join("    " + line for line in text.splitlines())


def environment():
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env.update(LC_ALL="C", TZ="UTC", GIT_CONFIG_GLOBAL="/dev/null",
               GIT_CONFIG_NOSYSTEM="1", GIT_ATTR_NOSYSTEM="1",
               GIT_TERMINAL_PROMPT="0", GIT_CONFIG_COUNT=str(len(CONFIG)))
    for n, (key, value) in enumerate(CONFIG.items()):
        env[f"GIT_CONFIG_KEY_{n}"] = key
        env[f"GIT_CONFIG_VALUE_{n}"] = value
    return env


def decode(data):
    return data.decode("utf-8", "surrogateescape")


def encode(text):
    return text.encode("utf-8", "surrogateescape")


def run(argv, **kwargs):
    """subprocess.run(), shown with V=1, and with a word on a missing program."""
    if VERBOSE:
        print("    +", shlex.join(map(str, argv)), file=sys.stderr)
    try:
        return subprocess.run([str(a) for a in argv], check=False, **kwargs)
    except FileNotFoundError as err:
        raise Failure(f"{err.filename} is not to be found; "
                      "lab/deps.sh installs what is missing") from err


class Git:
    """A git repository, called: repo("rev-parse", "HEAD") gives its output.

    `index` names an index file of our own, so that patches are applied and
    merged among the objects alone, away from anybody's checked-out files.
    """

    def __init__(self, *where):
        self.where = where

    def run(self, *args, stdin="", index=None, env=None):
        full = environment()
        if index:
            full["GIT_INDEX_FILE"] = str(index)
        full.update(env or {})
        data = stdin if isinstance(stdin, bytes) else encode(stdin)
        done = run(["git", *self.where, *args], input=data, env=full,
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.returncode, decode(done.stdout), decode(done.stderr)

    def __call__(self, *args, **kwargs):
        status, out, err = self.run(*args, **kwargs)
        if status:
            raise GitError(["git", *self.where, *args], err or out)
        return out.rstrip("\n")

    def watch(self, step, text, *args):
        """Run a command that reports percents, as a live counter of `step`."""
        argv = ["git", *self.where, *args]
        if VERBOSE:
            print("    +", shlex.join(argv), file=sys.stderr)
        with subprocess.Popen(argv, env={**environment(), "GIT_PROGRESS_DELAY": "0"},
                              stderr=subprocess.PIPE) as child:
            said, part = "", b""
            while byte := child.stderr.read(1):
                part += byte
                if byte in b"\r\n":
                    if percent := re.search(rb" (\d+%)", part):
                        step.live(f"{text} {decode(percent[1])}")
                    else:
                        said += decode(part)
                    part = b""
        if child.returncode:
            raise GitError(argv, said + decode(part))

    def ok(self, *args, **kwargs):
        return self.run(*args, **kwargs)[0] == 0


class Step:
    """A line of progress: a live counter on a terminal, then what was done."""

    def __init__(self, text):
        self.text = text
        self.start = self.shown = time.monotonic()

    def live(self, text):
        now = time.monotonic()
        if now - self.shown > 0.2 and sys.stderr.isatty():
            self.shown = now
            print(f"\r  {'TREE':<9} {text:<46} {now - self.start:4.0f} s",
                  end="", file=sys.stderr, flush=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
        if not kind:
            print(f"  {'TREE':<9} {self.text:<46} {time.monotonic() - self.start:4.0f} s",
                  file=sys.stderr)


def notice(text):
    print(f"tree: {text}", file=sys.stderr)


@contextlib.contextmanager
def lock(path):
    """One run at a time; a second one says that it waits, and then goes on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            notice(f"another run (pid {file.read().strip() or '?'}) is at work; "
                   f"waiting for it to end ({path})")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextlib.contextmanager
def uninterrupted():
    """Keep Ctrl-C away, from git too, while files and branches move together."""
    held = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def beside(path):
    """Make a folder beside `path`; it gets its name only when it is whole."""
    part = path.with_name(path.name + ".part")
    if part.exists():
        shutil.rmtree(part)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        part.rename(path)
    finally:
        if part.exists():
            shutil.rmtree(part, ignore_errors=True)


def write(path, data):
    """Replace a file as a whole, and leave it alone if it is that already."""
    data = data if isinstance(data, bytes) else encode(data)
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.rename(path)


def room(*needs):
    """Say before starting that a disk is too small; needs: (path, MB, what)."""
    disks = {}
    for path, size, what in needs:
        while not path.exists():
            path = path.parent
        disks.setdefault(path.stat().st_dev, []).append((path, size, what))
    for items in disks.values():
        path, free = items[0][0], shutil.disk_usage(items[0][0]).free >> 20
        total = sum(size for _, size, _ in items)
        if free < total:
            raise Failure(f"too little disk at {path}: {free} MB free, {total} MB needed ("
                          + ", ".join(f"{what} {size}" for _, size, what in items)
                          + "); make room, then run the same command again")
