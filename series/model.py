# SPDX-License-Identifier: GPL-2.0-only
"""What series/ holds, and the repository that it becomes commits in.

Commits depend on nothing but their input, and are made among git's objects
alone, in an index of our own: nobody's checked-out files are touched. What was
made of the same input before is taken from a memo.
"""

import email.utils
import hashlib
import json
import os
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from plumbing import EMAIL, NAME, ROOT, Failure, Git, GitError, decode, write

SERIES = ROOT / "series"
COMMON = "common"               # a topic that is always in, before the others
OWN = {"series", "lab", "build", "linux", "linux.part", "results"}
DIFF = ("diff-tree", "-p", "--no-renames", "--full-index", "--binary", "--unified=3",
        "--inter-hunk-context=0", "--diff-algorithm=myers", "--indent-heuristic",
        "--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/")
ZERO = "0" * 40


class DoesNotApply(Failure):
    """A patch that git would not take; `tip` is the last good commit."""

    def __init__(self, topic, number, tip, why):
        super().__init__(why)
        self.topic, self.number, self.tip = topic, number, tip


class Conflict(Failure):
    """Two topics that cannot be merged; `tip` is the last good commit."""

    def __init__(self, tip, why):
        super().__init__(why)
        self.tip = tip


class Stopped(Failure):
    """Assembling came to a stop on the way, with a usable tree."""


# -- what series/ holds ------------------------------------------------------

@dataclass
class Patch:
    """A commit as series/ keeps it: a mail, and the files that it adds, whole."""
    name: str
    text: bytes
    adds: dict = field(default_factory=dict)        # path: (mode, content)

    @property
    def digest(self):
        # Not the file's name: numbering and slugs do not make another commit.
        digest = hashlib.sha256(self.text)
        for path, (mode, data) in sorted(self.adds.items()):
            digest.update(f"\0{path}\0{mode}\0{len(data)}\0".encode() + data)
        return digest.hexdigest()

    @property
    def head(self):
        """All that comes before the diff."""
        return re.split(rb"^diff --git ", self.text, maxsplit=1, flags=re.M)[0]

    @property
    def has_diff(self):
        return len(self.head) < len(self.text)


def adds_of(text):
    """The paths of the `Adds:` lines, between `---` and the first diff."""
    head = re.split(rb"^diff --git ", text, maxsplit=1, flags=re.M)[0]
    below = re.split(rb"^---$", head, maxsplit=1, flags=re.M)[1:]
    return [decode(p) for p in re.findall(rb"^Adds: (.+)$", below[0], re.M)] if below else []


def read_patch(path):
    patch = Patch(path.name, path.read_bytes())
    for name in adds_of(patch.text):
        file = ROOT / name
        if not kernel_path(name):
            raise Failure(f"{path.relative_to(ROOT)}: 'Adds: {name}' is not a path that the "
                          "kernel can have here; files go to a folder of the kernel's")
        if file.is_symlink() or not file.is_file():
            raise Failure(f"{path.relative_to(ROOT)} adds {name}, and that file is not here; "
                          "restore it from git, or take the line away")
        mode = "100755" if os.access(file, os.X_OK) and file.stat().st_mode & 0o100 else "100644"
        patch.adds[name] = (mode, file.read_bytes())
    return patch


def kernel_path(name):
    parts = name.split("/")
    return len(parts) > 1 and parts[0] not in OWN and not parts[0].startswith(".") \
        and not {"", ".", ".."} & set(parts)


def topics_here():
    """Every topic of series/, in the order of integration."""
    names = sorted(d.name for d in SERIES.iterdir() if d.is_dir() and
                   (d.joinpath("cover.md").exists() or any(d.glob("*.patch"))))
    return sorted(names, key=lambda name: name != COMMON)


def read_topic(name):
    return [read_patch(p) for p in sorted((SERIES / name).glob("*.patch"))]


def choose(wanted):
    """--topics a,b as a list in the order of integration; None is all of them."""
    here = topics_here()
    if wanted is None:
        return here
    names = set(filter(None, re.split(r"[\s,]+", wanted)))
    for name in sorted(names - set(here)):
        usage(f"unknown topic '{name}'; series/ has: {' '.join(here) or 'none'}")
    return [name for name in here if name in names or name == COMMON]


def check_owners(series):
    """Each added file is owned by exactly one commit."""
    owner = {}
    for name, patches in series.items():
        for patch in patches:
            for path in patch.adds:
                if path in owner:
                    raise Failure(f"{path} is added twice: by {owner[path]} and by "
                                  f"series/{name}/{patch.name}; take it out of one of them")
                owner[path] = f"series/{name}/{patch.name}"
    return owner


def usage(text):
    print(f"tree: {text}", file=sys.stderr)
    sys.exit(2)


def strip_space(text):
    """What git makes of a commit message: `git stripspace`."""
    text = "\n".join(line.rstrip(" \t\r") for line in text.split("\n")).strip("\n")
    return re.sub(r"\n{3,}", "\n\n", text) + "\n"


def parse_mail(patch):
    """(message, author as git's environment) of a patch, as git am reads it."""
    with tempfile.TemporaryDirectory() as tmp:
        out = Git()("mailinfo", "--encoding=UTF-8", f"{tmp}/msg", f"{tmp}/patch",
                    stdin=patch.text)
        body = decode(Path(tmp, "msg").read_bytes())
    info = dict(line.split(": ", 1) for line in out.splitlines() if ": " in line)
    for key, header in ("Author", "From"), ("Email", "From"), ("Date", "Date"), \
            ("Subject", "Subject"):
        if not info.get(key):
            raise Failure(f"{patch.name}: no '{header}:' header; "
                          "write the patch with make export, or git format-patch")
    if not email.utils.parsedate_tz(info["Date"]):
        raise Failure(f"{patch.name}: 'Date: {info['Date']}' is no date; see git format-patch")
    who = {"GIT_AUTHOR_NAME": info["Author"], "GIT_AUTHOR_EMAIL": info["Email"],
           "GIT_AUTHOR_DATE": info["Date"], **committer(info["Date"])}
    return strip_space(info["Subject"] + "\n\n" + body), who


def committer(date):
    return {"GIT_COMMITTER_NAME": NAME, "GIT_COMMITTER_EMAIL": EMAIL, "GIT_COMMITTER_DATE": date}


# -- a repository that series/ is assembled in --------------------------------

class Tree:
    """linux/, or somebody's clone of mainline: its objects, branches, files."""

    def __init__(self, common, src, pin, foreign=False):
        self.common, self.src, self.pin, self.foreign = common, src, pin, foreign
        self.git = Git(f"--git-dir={common}")
        self.work = Git("-C", str(src))
        self.state = common / "tee-linux"
        self.state.mkdir(exist_ok=True)
        self.base = self.git.run("rev-parse", "-q", "--verify",
                                 "refs/assembled/base^{commit}")[1].strip()
        self.index, self.index_at = self.state / f"index.{os.getpid()}", None
        self.load()

    # The memo: the key of an input -> the commit that it became.

    def load(self):
        try:
            memo = json.loads((self.state / "memo.json").read_text())
            commits = memo["commits"]
            known = self.git("cat-file", "--batch-check=%(objecttype)",
                             stdin="".join(f"{c}\n" for c in commits.values())).split("\n")
            self.known = {k: c for (k, c), t in zip(commits.items(), known) if t == "commit"}
            self.topics, self.partial, self.wanted = memo["topics"], memo["partial"], memo["wanted"]
        except (OSError, ValueError, KeyError):
            self.known, self.topics, self.partial, self.wanted = {}, None, {}, None
        self.used = {}

    def save(self):
        write(self.state / "memo.json", json.dumps(
            {"commits": self.used, "topics": self.topics, "partial": self.partial,
             "wanted": self.wanted}, indent=0) + "\n")

    def close(self):
        for name in (self.index, Path(f"{self.index}.lock")):
            name.unlink(missing_ok=True)

    def once(self, make, *key):
        """make(), or what it made of the same key before."""
        key = hashlib.sha256("\0".join(key).encode()).hexdigest()
        if key not in self.known:
            self.known[key] = make()
        self.used[key] = self.known[key]
        return self.known[key]

    # Branches and files

    def refs(self):
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)",
                         "refs/heads/base", "refs/heads/topic/", "refs/heads/integration",
                         "refs/assembled/").splitlines()
        return dict(line[5:].split() for line in lines)     # without "refs/"

    def pinned(self):
        """Whether this stands on the very base that series/base names."""
        message = self.git("log", "-1", "--format=%B", self.base)
        return f"\nsha256 {self.pin['SHA256']}" in message

    def head(self):
        """(branch or '', commit) of the checked-out files."""
        branch = self.work.run("symbolic-ref", "-q", "--short", "HEAD")[1].strip()
        return branch, self.work.run("rev-parse", "-q", "--verify", "HEAD^{commit}")[1].strip()

    def dirty(self):
        return self.work("status", "--porcelain", "--untracked-files=no").splitlines()

    def log(self, what, form):
        return self.git("log", "--reverse", "--topo-order", f"--format={form}", what).splitlines()

    # Commits out of patches

    def stage(self, commit):
        """Let our index hold this commit's tree."""
        if self.index_at != commit:
            self.git("read-tree", commit, index=self.index)
        self.index_at = None        # until the next commit is made of it

    def commit_patch(self, parent, patch):
        return self.once(lambda: self._commit_patch(parent, patch), "patch", parent, patch.digest)

    def _commit_patch(self, parent, patch):
        message, who = parse_mail(patch)
        self.stage(parent)
        if patch.has_diff:
            status, _, err = self.git.run("apply", "--cached", "--whitespace=nowarn",
                                          stdin=patch.text, index=self.index)
            if status:
                raise Failure(explain(err, decode(patch.text)))
        rows = ""
        for path, (mode, data) in patch.adds.items():
            blob = self.git("hash-object", "-w", "--stdin", stdin=data)
            rows += f"{mode} {blob}\t{path}\n"
        status, _, err = self.git.run("update-index", "--add", "--index-info",
                                      stdin=rows, index=self.index)
        if status:
            raise Failure(f"    {err.strip()}")
        tree = self.git("write-tree", index=self.index)
        added, changed = self.changes(parent, tree)
        if set(added) != set(patch.adds):
            odd = sorted(set(added) ^ set(patch.adds))
            raise Failure("\n".join(
                f"    {path}: " + ("the diff makes this file; it wants an 'Adds:' line instead"
                                   if path in added else "added, but the base has it already")
                for path in odd))
        if not added and not changed:
            raise Failure("    it changes nothing: neither a diff nor an 'Adds:' line")
        commit = self.git("commit-tree", tree, "-p", parent, stdin=message, env=who)
        self.index_at = commit
        return commit

    def changes(self, old, new):
        """(added, otherwise changed) paths from one tree to another."""
        rows = self.git("diff-tree", "-r", "-z", "--no-renames", "--name-status",
                        old, new).split("\0")
        pairs = list(zip(rows[0::2], rows[1::2]))
        return [p for s, p in pairs if s == "A"], [p for s, p in pairs if s != "A"]

    def topic(self, name, patches):
        """The tip of a topic's commits, on base."""
        tip = self.base
        for number, patch in enumerate(patches):
            try:
                tip = self.commit_patch(tip, patch)
            except GitError:
                raise
            except Failure as err:
                raise DoesNotApply(name, number, tip, str(err)) from err
        return tip

    def merge(self, into, names, tips):
        """Merge a topic, the last of names, into an integration of the others."""
        name, tip = names[-1], tips[-1]

        def make():
            status, out, err = self.git.run("merge-tree", "--write-tree", "--name-only",
                                            "--no-messages", into, tip)
            if status == 1:
                files = [f for f in out.split("\n")[1:] if f]
                rivals = [n for n, t in zip(names[:-1], tips) if
                          set(files) & set(sum(self.changes(self.base, t), []))]
                raise Conflict(into, "\n".join(
                    [f"topic '{name}' conflicts with topic '{' and '.join(rivals) or '?'}' in:",
                     *(f"    {file}" for file in files)]))
            if status:
                raise GitError(["git", "merge-tree", into, tip], err)
            return self.commit_on(out.split("\n")[0], f"Merge topic '{name}'\n", into, tip)
        return self.once(make, "merge", into, tip, name)

    def commit_on(self, tree, message, *parents):
        """A commit of the fork's own, as old as the newest of its parents."""
        date = max(self.git("log", "--no-walk=unsorted", "--format=%ct", *parents).split(), key=int)
        who = {"GIT_AUTHOR_NAME": NAME, "GIT_AUTHOR_EMAIL": EMAIL,
               "GIT_AUTHOR_DATE": f"@{date} +0000", **committer(f"@{date} +0000")}
        flags = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *flags, stdin=message, env=who)

    def maintainers(self, tip):
        """Put the fork's entries into the tree's MAINTAINERS, by the alphabet."""
        file = ROOT / "MAINTAINERS"
        entries = maintainer_entries(file.read_text()) if file.is_file() else []
        if not entries:
            return tip

        def make():
            self.stage(tip)
            text = merge_maintainers(self.git("cat-file", "blob", f"{tip}:MAINTAINERS"), entries)
            blob = self.git("hash-object", "-w", "--stdin", stdin=text)
            self.git("update-index", "--cacheinfo", f"100644,{blob},MAINTAINERS", index=self.index)
            tree = self.git("write-tree", index=self.index)
            return self.commit_on(tree, "MAINTAINERS: Add the entries of tee-linux\n", tip)
        return self.once(make, "maintainers by title", tip, *entries)

    def planned(self, patches):
        """The tip that these patches make, if they were assembled; else None."""
        tip = self.base
        for patch in patches:
            key = hashlib.sha256("\0".join(("patch", tip, patch.digest)).encode()).hexdigest()
            if key not in self.known:
                return None
            tip = self.used[key] = self.known[key]
        return tip


def explain(err, text):
    """git apply's complaint as lines of file and hunk."""
    said = []
    for line in err.splitlines():
        line = line.removeprefix("error: ")
        if place := re.fullmatch(r"patch failed: (.*):(\d+)", line):
            file, number = place.groups()
            part = text.split(f"diff --git a/{file} ", 1)[-1]
            hunk = re.search(rf"^@@ -{number}[, ].*$", part, re.M)
            said.append(f"    file {file}, hunk {hunk[0] if hunk else 'at line ' + number}")
        elif not line.endswith("patch does not apply"):
            said.append(f"    {line}")
    return "\n".join(said)


def maintainer_entries(text):
    """[entry] of a MAINTAINERS file; comments and blank lines are none."""
    text = re.sub(r"^#.*\n", "", text, flags=re.M)
    return [e.strip("\n") for e in re.split(r"\n{2,}", text.strip("\n")) if e.strip()]


def merge_maintainers(text, entries):
    """Each entry goes behind the one that precedes it by the alphabet, as not all of
    mainline's are in order; those stay where they are."""
    parts = re.split(r"\n{2,}", text.strip("\n"))
    first = next((n for n, p in enumerate(parts) if re.search(r"^[MLSF]:\t", p, re.M)
                  and "\n" in p and not p.startswith(("\t", " "))), len(parts))
    for entry in entries:
        titles = {part.split("\n")[0]: n for n, part in enumerate(parts) if n >= first}
        before = [t for t in titles if t <= entry.split("\n")[0] and t != "THE REST"]
        at = titles[max(before)] + 1 if before else first
        parts.insert(at, entry)
    return "\n\n".join(parts) + "\n"
