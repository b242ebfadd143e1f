# SPDX-License-Identifier: GPL-2.0-only
"""A topic as the mails that b4 would send, signed off by whoever sends it.

All of it happens in a clone that lives as long as this runs: b4 rewrites
branches and configuration, and neither linux/ nor somebody's own clone is the
place for that.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from model import SERIES, read_topic, strip_space
from plumbing import EMAIL, ROOT, Failure, Git, Step, indent, run

MAINTAINER = ("--nogit", "--nogit-fallback", "--nogit-chief-penguins", "--norolestats")


def send_topic(tree, topic, out):
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Failure(f"{out} is not empty; name another OUT=, or remove it")
    if dirty := tree.dirty():
        raise Failure(f"uncommitted changes in {tree.src}:\n" + indent("\n".join(dirty[:10])) +
                      "\n  Commit or stash them, make export, then send")
    tips = {tree.refs().get(f"{kind}/topic/{topic}") for kind in ("heads", "assembled")}
    if tips != {tree.planned(read_topic(topic))}:
        raise Failure(f"branch topic/{topic} is not what series/{topic} holds; "
                      "run make export (if you committed there) or make tree, then send")
    name, email = identity()
    cover = SERIES / topic / "cover.md"
    text = cover.read_text() if cover.is_file() else ""
    if not re.match(r"[^\n]+\n\n\S", text) or "EDITME" in text:
        raise Failure(f"{cover} is no cover letter yet: a subject, an empty line, the text")
    if not shutil.which("b4"):
        raise Failure("b4 is not installed; apt-get install b4, then run again")
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="send.") as tmp:
        clone = f"{tmp}/linux"
        Git()("clone", "-q", "--shared", "--no-checkout", str(tree.common), clone)
        git = Git("-C", clone)
        tip = sign(git, tree, tips.pop(), tree.base, name, email)
        with Step(f"checkpatch and recipients: {topic}"):
            git("format-patch", "-q", "-o", f"{tmp}/patches", f"{tree.base}..{tip}")
            patches = sorted(f"{tmp}/patches/{p}" for p in os.listdir(f"{tmp}/patches"))
            checkpatch(tree, patches)
            to = maintainers(tree, patches, "--nol")
            cc = [who for who in maintainers(tree, patches, "--nom") if who not in to]
        if not to + cc:
            raise Failure("scripts/get_maintainer.pl names nobody for these patches; "
                          "is MAINTAINERS right?")
        managed(git, tree, topic, tip, name, email, text.rstrip("\n") + "\n\n" + "".join(
            f"{kind}: {who}\n" for kind, people in (("To", to), ("Cc", cc)) for who in people)
            + f"Signed-off-by: {name} <{email}>\n")
        b4(clone, "send", "--no-sign", "-o", f"{tmp}/mails")
        mails = sorted(os.listdir(f"{tmp}/mails"))
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists():
            out.rmdir()
        shutil.move(f"{tmp}/mails", out)
    print(f"  {'SEND':<9} {len(mails)} mails in {out}, to {len(to)}, cc {len(cc)}; "
          f"read them, then: git send-email --suppress-cc=all {out}/*.eml", file=sys.stderr)


def identity():
    """Name and address of who calls, out of their own git configuration."""
    found = []
    for key in ("user.name", "user.email"):
        done = run(["git", "-C", ROOT, "config", key], stdout=subprocess.PIPE, text=True)
        found.append(done.stdout.strip())
    if not all(found) or found[1] == EMAIL:
        raise Failure("git does not know who sends this; tell it: git config --global user.name "
                      "'Your Name'; git config --global user.email you@example.org")
    return found


def sign(git, tree, tip, parent, name, email):
    """The topic's commits again on `parent`, by this person, with their sign-off."""
    for commit in git("log", "--reverse", "--format=%H", f"{tree.base}..{tip}").split():
        author, address, date, message = git(
            "log", "-1", "--format=%an%x00%ae%x00%aI%x00%B", commit).split("\0")
        if address == EMAIL:
            author, address = name, email
        message = git("interpret-trailers", "--if-exists=addIfDifferent", "--trailer",
                      f"Signed-off-by: {name} <{email}>", stdin=strip_space(message))
        parent = git("commit-tree", f"{commit}^{{tree}}", "-p", parent, stdin=message, env={
            "GIT_AUTHOR_NAME": author, "GIT_AUTHOR_EMAIL": address, "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": email})
    return parent


def managed(git, tree, topic, tip, name, email, cover):
    """Make the branch that `b4 prep` would have made, and check it out.

    b4 keeps the cover letter in an empty commit below the series. (Its other
    ways, in 0.12, put the base commit's parent into the cover's base-commit.)
    The change-id tells that v2 is v2 of this: the same whenever it is sent.
    """
    branch = f"b4/{topic}"
    date = git("log", "--reverse", "--format=%ad", "--date=format:%Y%m%d",
               f"{tree.base}..{tip}").split("\n")[0]
    track = {"series": {"revision": 1, "base-branch": "base", "prefixes": [], "change-id":
                        f"{date}-{topic}-{hashlib.sha256(topic.encode()).hexdigest()[:12]}"}}
    who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
           for key, value in (("NAME", name), ("EMAIL", email))}
    below = git("commit-tree", f"{tree.base}^{{tree}}", "-p", tree.base, env=who, stdin=(
        f"{cover}\n\n--- b4-submit-tracking ---\n"
        f"# This section is used internally by b4 prep for tracking purposes.\n"
        f"{json.dumps(track, indent=2)}\n"))
    for key, value in (("user.name", name), ("user.email", email),
                       (f"branch.{branch}.b4-prep-cover-strategy", "commit")):
        git("config", key, value)
    git("sparse-checkout", "set", "--no-cone", "/MAINTAINERS")      # b4 wants no more
    git("checkout", "-q", "-B", branch, sign(git, tree, tip, below, name, email))


def script(tree, name, *args):
    """Run one of the kernel's own scripts in the kernel's tree."""
    if not (tree.src / "scripts" / name).is_file():
        raise Failure(f"{tree.src} has no scripts/{name}; run make tree first")
    # checkpatch's helpers are Python and need Debian's modules.
    env = {**os.environ, "PATH": "/usr/bin:" + os.environ["PATH"]}
    return run(["perl", f"scripts/{name}", *args], cwd=tree.src, text=True, env=env,
               stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def checkpatch(tree, patches):
    done = script(tree, "checkpatch.pl", "--terse", "--no-summary", *patches)
    said = [os.path.basename(line) for line in (done.stdout + done.stderr).splitlines() if line]
    errors = [line for line in said if "ERROR:" in line]
    if errors or (done.returncode and not said):
        raise Failure("scripts/checkpatch.pl finds errors:\n" + indent("\n".join(errors)) +
                      "\n  Correct the commits in linux/ (git commit --fixup), make export, then send")
    for line in said:
        print(f"    checkpatch: {line}", file=sys.stderr)


def maintainers(tree, patches, flag):
    done = script(tree, "get_maintainer.pl", *MAINTAINER, flag, *patches)
    if done.returncode:
        raise Failure(f"scripts/get_maintainer.pl failed:\n{indent(done.stderr)}")
    return done.stdout.splitlines()


def b4(folder, *args):
    # with the caller's own configuration: it is that person who sends
    done = run(["b4", *args], cwd=folder, text=True, stdin=subprocess.DEVNULL,
               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise Failure(f"b4 {' '.join(args)} failed:\n{indent(done.stdout)}")
