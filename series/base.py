# SPDX-License-Identifier: GPL-2.0-only
"""The base: mainline, from Debian's package to a git commit.

Debian carries each stable release as a source package with a checked
signature, reachable wherever apt is. The tarball in it goes straight into git
packs: nothing is unpacked on the way. What comes out is kept in the cache by
the package's sha256; linux/ gets hard links of it, so that a second clone is
there in seconds and the cache may be deleted at any time.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from plumbing import (CACHE, EMAIL, NAME, ROOT, Failure, Git, GitError, Step, beside,
                      environment, indent, lock, notice, room, run, write)

FILE = ROOT / "series/base"
APT = ROOT / "lab/apt.sh"
SIZE_PACKAGE, SIZE_GIT, SIZE_FILES = 170, 380, 1700     # MB of 7.3.4
MARK = "# Debian packaging: ignore everything at the top level"


def read():
    """series/base as a dictionary."""
    lines = FILE.read_text().splitlines() if FILE.is_file() else []
    pin = dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
    for key in ("VERSION", "PACKAGE", "PACKAGE_VERSION", "SUITE", "SHA256", "DATE"):
        if not pin.get(key):
            raise Failure(f"{key} is missing in {FILE}; restore that file from git")
    return pin


def record(ids):
    """Write commit ids into series/base, in place of those that are there."""
    kept = [line for line in FILE.read_text().splitlines()
            if not re.match(r"(BASE|TOPIC|INTEGRATION)_ID", line)]
    write(FILE, "\n".join(kept + [f"{key}={value}" for key, value in ids.items()]) + "\n")


def wanted(pin):
    """What a base was made for; a tree that has this needs no other."""
    return f"{pin['PACKAGE']}={pin['PACKAGE_VERSION']} {pin['SHA256']}"


def release(version):
    return ".".join(version.split(".")[:2])


def apt(*args):
    done = run([APT, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def to_be_had(pattern):
    """[(version, suite)] of a package, the oldest first."""
    status, out, err = apt("versions", pattern)
    if status:
        raise Failure(f"the package lists cannot be read; {APT} said:\n{indent(err)}\n"
                      "  Get this machine online (or name a mirror in DEBIAN_MIRROR), "
                      "or use LINUX=PATH with a clone of mainline")
    rows = [[c.strip() for c in line.split("|")] for line in out.splitlines()]
    return [(row[0], row[1], row[2].split()[1].split("/")[0]) for row in rows
            if len(row) == 3 and row[2].endswith("Packages")]


def newest(versions):
    """The newest of Debian versions, as dpkg orders them."""
    best = None
    for item in versions:
        if best is None or run(["dpkg", "--compare-versions", item[1], "gt", best[1]]).returncode == 0:
            best = item
    return best


def download(pin):
    """Fetch the package; (path, version, sha256), of another version if need be."""
    room((CACHE, SIZE_PACKAGE + SIZE_GIT, "the package and its git objects"),
         (ROOT, SIZE_FILES, "linux/"))
    label = f"{pin['PACKAGE']}={pin['PACKAGE_VERSION']}"
    for attempt in (1, 2):
        with Step(f"base: {label}"):
            status, out, err = apt("deb", label, pin["SUITE"])
            if status:
                return other_version(pin, err)
            deb = Path(out.splitlines()[-1])
            found = sha256(deb)
        if found == pin["SHA256"]:
            return deb, pin["PACKAGE_VERSION"], found
        size = deb.stat().st_size
        shutil.rmtree(deb.parent)
        if attempt == 1:
            notice(f"{deb.name} in the cache is not what series/base names (truncated or "
                   f"damaged: {size} bytes); deleted, fetching it again")
    raise Failure(f"{deb.name} from {pin['SUITE']} has the wrong sha256\n"
                  f"    expected {pin['SHA256']}  (series/base)\n    found    {found}\n"
                  "  The file was deleted. Run again; if it stays like this, the archive or "
                  "series/base changed: find out which before you change SHA256 there")


def other_version(pin, err):
    """The pinned version cannot be had: the newest of the same release, or an error."""
    label = f"{pin['PACKAGE']}={pin['PACKAGE_VERSION']}"
    rows = to_be_had(pin["PACKAGE"])
    if any(row[1] == pin["PACKAGE_VERSION"] for row in rows):
        raise Failure(f"{label} cannot be fetched; {APT} said:\n{indent(err)}\n"
                      "  Run the same command again when that is remedied")
    best = newest([row for row in rows
                   if release(row[1]) == release(pin["VERSION"])])
    if not best:
        rest = sorted({f"    {name} {version} ({suite})" for name, version, suite
                       in to_be_had("linux-source-*")}) or ["    none"]
        raise Failure(f"no package of Linux {release(pin['VERSION'])} is to be had. "
                      "The archive's kernel sources:\n" + "\n".join(rest) +
                      "\n  Use LINUX=PATH with a clone of mainline, or move series/base to one of these")
    notice(f"NOTICE: {label} is gone from the archive; using {best[1]} from {best[2]} "
           "instead. Commit ids will not be compared with series/base.")
    with Step(f"base: {pin['PACKAGE']}={best[1]}"):
        status, out, err = apt("deb", f"{pin['PACKAGE']}={best[1]}", best[2])
        if status:
            raise Failure(f"{pin['PACKAGE']}={best[1]} cannot be fetched; {APT} said:\n"
                          f"{indent(err)}\n  Run the same command again when that is remedied")
        deb = Path(out.splitlines()[-1])
        return deb, best[1], sha256(deb)


def cached(pin):
    """The cache's bare repository with the base commit, made if it is not there."""
    with lock(CACHE / "base.lock"):
        repo = CACHE / "base" / (pin["SHA256"] + ".git")
        if not repo.is_dir():
            deb, version, digest = download(pin)
            repo = CACHE / "base" / (digest + ".git")
            if not repo.is_dir():
                with beside(repo) as part:
                    make(deb, version, digest, pin["DATE"], part)
        return repo


def make(deb, version, digest, date, path):
    """Turn a package into a bare repository whose branch `base` has one commit."""
    name = deb.name.split("_")[0]
    repo = Git(f"--git-dir={path}")
    Git()("init", "-q", "--bare", str(path))
    with Step("base: unpacking") as step:
        files = import_blobs(deb, path, step)
        step.text = f"base: unpacked {len(files)} files"
    with Step("base: commit"):
        index = path / "index"
        repo("update-index", "--index-info", index=index,
             stdin="".join(f"{mode} {blob}\t{file}\n" for file, (mode, blob) in files.items()))
        restore_gitignore(repo, index)
        tree = repo("write-tree", index=index)
        index.unlink()
        makefile = repo("cat-file", "blob", f"{tree}:Makefile")
        who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
               for key, value in (("NAME", NAME), ("EMAIL", EMAIL), ("DATE", date))}
        commit = repo("commit-tree", tree, env=who, stdin=(
            f"Linux {kernel_version(makefile)}\n\nDebian package {name}\nversion {version}\n"
            f"sha256 {digest}\n"))
        repo("update-ref", "refs/heads/base", commit)
        repo("symbolic-ref", "HEAD", "refs/heads/base")


def kernel_version(makefile):
    """'7.3.4' of a kernel's Makefile, '' if it is not one."""
    parts = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL) *= *(\d+)$", makefile, re.M))
    if len(parts) < 3:
        return ""
    return f"{parts['VERSION']}.{parts['PATCHLEVEL']}.{parts['SUBLEVEL']}"


def import_blobs(deb, path, step):
    """Stream the tarball's files into packs; {file: (mode, blob id)}.

    zlib and sha1 are what takes the time: one importer for each CPU.
    """
    workers = [subprocess.Popen(
        ["git", f"--git-dir={path}", "fast-import", "--quiet", "--depth=0", "--done",
         f"--export-marks={path}/marks.{n}"], stdin=subprocess.PIPE, env=environment(),
        bufsize=1 << 20) for n in range(min(os.cpu_count() or 1, 4))]
    # The tarball in the package. Python's own reader of xz would take twice as long.
    unpackers = [subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)]
    for command in (["tar", "-xO", "--wildcards", "*/linux-source-*.tar.xz"], ["xz", "-dcT0"]):
        before = unpackers[-1].stdout
        unpackers.append(subprocess.Popen(command, stdin=before, stdout=subprocess.PIPE))
        before.close()
    files = []
    try:
        with tarfile.open(fileobj=unpackers[-1].stdout, mode="r|") as tar:
            for member in tar:
                tar.members = []
                if member.isdir():
                    continue
                mode = "120000" if member.issym() else \
                    "100755" if member.mode & 0o100 else "100644"
                data = member.linkname.encode() if member.issym() else \
                    tar.extractfile(member).read()
                files.append((member.name.split("/", 1)[1], mode))
                pipe = workers[len(files) % len(workers)].stdin
                pipe.write(b"blob\nmark :%d\ndata %d\n" % (len(files), len(data)))
                pipe.write(data)
                pipe.write(b"\n")
                step.live(f"base: {len(files)} files")
        while unpackers[-1].stdout.read(1 << 16):
            pass
        for child in unpackers:
            if child.wait():
                raise tarfile.TarError(f"{child.args[0]} failed")
        for worker in workers:
            worker.stdin.write(b"done\n")
            worker.stdin.close()
        if any([worker.wait() for worker in workers]):
            raise GitError(["git", "fast-import"], "see above")
    except (tarfile.TarError, EOFError, OSError) as err:
        raise Failure(f"{deb} cannot be unpacked ({err}, see above); make room if the disk is "
                      "full. If it has no linux-source-*.tar.xz, series/base names the wrong "
                      "package. Else delete that file; then run again") from err
    finally:
        for child in (*unpackers, *workers):
            child.kill()
            child.wait()
    blobs = {}
    for n in range(len(workers)):
        marks = path / f"marks.{n}"
        blobs.update(line[1:].split() for line in marks.read_text().splitlines())
        marks.unlink()
    return {file: (mode, blobs[str(n)]) for n, (file, mode) in enumerate(files, 1)}


def restore_gitignore(repo, index):
    """Give the tree a .gitignore to work with.

    Debian's ends in a block that ignores every path, and lacks mainline's
    exceptions for the dot-files that are tracked: cut the one, derive the
    others from what is tracked and ignored.
    """
    text = repo("cat-file", "blob", ":.gitignore", index=index) + "\n"
    lines = text.splitlines(keepends=True)
    for n, line in enumerate(lines):
        if line.startswith(MARK):
            text = "".join(lines[:n]).rstrip("#\n ") + "\n"
            break

    def store(content):
        blob = repo("hash-object", "-w", "--stdin", stdin=content)
        repo("update-index", "--cacheinfo", f"100644,{blob},.gitignore", index=index)

    store(text)
    with tempfile.TemporaryDirectory(dir=repo.where[0].split("=", 1)[1]) as folder:
        # git reads ignore files from a work tree: give it one of nothing else
        tree = Git(*repo.where, "-C", folder, f"--work-tree={folder}")
        ignores = tree("ls-files", "-z", "--", ".gitignore", "*/.gitignore", index=index)
        tree("checkout-index", "-z", "--stdin", index=index, stdin=ignores)
        names = tree("ls-files", "-z", "-i", "-c", "--exclude-per-directory=.gitignore",
                     index=index).split("\0")
    names = sorted({name.rsplit("/", 1)[-1] for name in names if name})
    if names:
        store(text + "\n#\n# Tracked files that the rules above would ignore\n#\n"
              + "".join(f"!{name}\n" for name in names))
