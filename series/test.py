#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Tests of series/tree.py, in KTAP: a small fake kernel, a fake archive, no network.

    series/test.py [WORD...]      run all, or those whose name has one of the words

Each test gets a copy of a repository with three series, assembled once; the
package is a real .deb of a dozen files, served by a stand-in for lab/apt.sh.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))

import ktap  # noqa: E402
from ktap import has, run, test  # noqa: E402

TMP = Path(tempfile.mkdtemp(prefix="tee-linux-test."))

CORE = "// SPDX-License-Identifier: GPL-2.0\n" + "".join(f"int line_{n};\n" for n in range(40))
KERNEL = {
    "Makefile": "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\n", "Kbuild": "\n", ".clang-format": "x\n",
    ".gitignore": ".*\n*.o\n*.s\n\n#\n# Debian packaging: ignore everything at the top level\n#\n/*\n!/debian/\n",
    "MAINTAINERS": "List of maintainers\n===================\n\n\tM: is a mail\n\n"
                   "ALPHA\nM:\tA <a@x.org>\nF:\ta/\n\nOUT OF ORDER\nM:\tO <o@x.org>\nF:\to/\n\n"
                   "BRAVO\nM:\tB <b@x.org>\nF:\tb/\n\nZULU\nM:\tZ <z@x.org>\nF:\tz/\n\n"
                   "THE REST\nM:\tLinus <l@x.org>\nF:\t*\n",
    "drivers/tee/core.c": CORE, "drivers/tee/Makefile": "obj-y += core.o\n",
    "drivers/far.c": "int far;\n", "lib/table.s": "tracked, and ignored by the rules\n",
    "scripts/checkpatch.pl": "foreach (@ARGV) { open F, $_; while (<F>) { "
                             "if (/^\\+.*BADSTYLE/) { print \"p:1: ERROR: bad style\\n\"; $e = 1 } } }\n"
                             "exit($e || 0);\n",
    "scripts/get_maintainer.pl": "print grep(/nol$/, @ARGV) ? "
                                 "\"Ann <ann\\@x.org>\\n\" : \"list\\@x.org\\n\";\n",
}
APT = """#!/bin/sh
# a stand-in for lab/apt.sh: the archive is a folder of this test
here=$(cd "$(dirname "$0")/../.." && pwd)/archive
[ -e "$here/down" ] && { echo "cannot reach the mirror" >&2; exit 1; }
case $1 in
versions) cat "$here/versions" ;;
deb)	if [ -e "$here/slow" ]; then touch "$here/slow.seen"; sleep 5; fi
	[ -e "$here/$2.deb" ] || { echo "no $2" >&2; exit 1; }
	mkdir -p "$here/got/$2"
	file=$here/got/$2/linux-source-7.3_${2#*=}_all.deb
	[ -e "$file" ] || cp "$here/$2.deb" "$file"
	echo "$file" ;;
esac
"""
# git, slow or failing at a command that a test names; bash, which leaves the
# signals alone that its parent holds back (dash does not)
GIT = """#!/bin/bash
if [ -n "$SLOW" ]; then case " $* " in *" $SLOW "*) touch "$SEEN"; sleep 1.5 ;; esac; fi
if [ -n "$FULL" ]; then case " $* " in *" $FULL "*)
	echo "fatal: write error: No space left on device" >&2; exit 128 ;; esac; fi
exec %s "$@"
"""


class Lab:
    """A clone of the project with an archive, a home and a cache of its own."""

    def __init__(self, name, like=None):
        self.dir = TMP / name
        if like:
            run(["cp", "-a", like.dir, self.dir])
        self.root, self.home = self.dir / "root", self.dir / "home"
        self.linux, self.archive = self.root / "linux", self.dir / "archive"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.home),
                    "XDG_CACHE_HOME": str(self.dir / "cache"), "LANG": "C.UTF-8"}
        if like:
            return
        for path in (self.root / "series", self.root / "lab", self.home, self.archive,
                     self.dir / "bin"):
            path.mkdir(parents=True)
        for file in HERE.glob("*.py"):
            shutil.copy(file, self.root / "series")
        self.write("lab/apt.sh", APT, 0o755)
        git = self.dir / "bin/git"
        git.write_text(GIT % shutil.which("git"))
        git.chmod(0o755)
        self.home.joinpath(".gitconfig").write_text(
            "[user]\nname = Pat Doe\nemail = pat@example.org\n[init]\ndefaultBranch = main\n")
        self.publish("7.3.4-1")
        self.pin("7.3.4-1")

    def write(self, path, text, mode=0o644):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def read(self, path):
        return (self.root / path).read_text()

    def publish(self, version, files=None, tarball="linux-source-7.3.tar.xz", cut=None):
        """Put a package into the archive, with as many bytes of its tarball."""
        build = self.dir / "deb"
        src = build / "src/linux-source-7.3"
        for path, text in {**KERNEL, **(files or {})}.items():
            (src / path).parent.mkdir(parents=True, exist_ok=True)
            (src / path).write_text(text)
            (src / path).chmod(0o755 if path.endswith(".pl") else 0o644)
        (src / "scripts/link").symlink_to("checkpatch.pl")
        deb = build / "deb"
        (deb / "DEBIAN").mkdir(parents=True)
        (deb / "usr/src").mkdir(parents=True)
        (deb / "DEBIAN/control").write_text(
            f"Package: linux-source-7.3\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: x <x@x.org>\nDescription: x\n")
        run(["tar", "-C", build / "src", "-cJf", deb / "usr/src" / tarball, "linux-source-7.3"])
        if cut:
            os.truncate(deb / "usr/src" / tarball, cut)
        file = self.archive / f"linux-source-7.3={version}.deb"
        run(["dpkg-deb", "--root-owner-group", "-b", deb, file])
        shutil.rmtree(build)
        with open(self.archive / "versions", "a", encoding="ascii") as lines:
            lines.write(f"linux-source-7.3 | {version} | http://x y-backports/main amd64 Packages\n")
        return hashlib.sha256(file.read_bytes()).hexdigest()

    def pin(self, version, digest=None):
        file = self.archive / f"linux-source-7.3={version}.deb"
        digest = digest or hashlib.sha256(file.read_bytes()).hexdigest()
        self.write("series/base", f"VERSION={version.split('-')[0]}\nPACKAGE=linux-source-7.3\n"
                   f"PACKAGE_VERSION={version}\nSUITE=y-backports\nSHA256={digest}\n"
                   "DATE=2026-11-15T22:30:52+0000\n")

    def slow(self, **env):
        """The environment in which that other git is found."""
        return {**self.env, "PATH": f"{self.dir}/bin:{self.env['PATH']}", **env}

    def tree(self, *args, status=0, **env):
        return run([self.root / "series/tree.py", *args], self.root, {**self.env, **env}, status)

    def git(self, *args, status=0, cwd=None):
        return run(["git", *args], cwd or self.linux, self.env, status).strip()

    def commit(self, subject, files, mode=0o644):
        for path, text in files.items():
            file = self.linux / path
            if text is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(mode)
        self.git("add", "-f", "-A", *files)
        self.git("commit", "-qm", subject)

    def status(self, *args):
        return dict(line.split("=", 1) for line in self.tree("status", *args).splitlines())

    def snapshot(self):
        """What the project keeps: path -> (mode, content)."""
        return {str(p.relative_to(self.root)): (p.stat().st_mode, p.read_bytes())
                for p in sorted(self.root.rglob("*")) if p.is_file()
                and p.relative_to(self.root).parts[0] not in ("linux", "build")}

    def edit(self, path, old, new):
        text = self.read(path)
        assert old in text, f"'{old}' is not in {path}:\n{text}"
        self.write(path, text.replace(old, new))

    def parts(self):
        """What is left of something half done."""
        return [str(p) for top in (self.root, self.dir / "cache") for p in top.rglob("*.part*")
                if "worktrees" not in p.parts]

    def patch(self, topic, number):
        return next((self.root / "series" / topic).glob(f"{number:04}-*"))


def template():
    """The repository that the tests start from; making it tests export."""
    lab = Lab("template")
    lab.tree("assemble")
    lab.git("checkout", "-q", "-b", "topic/common", "base")
    lab.commit("config: Add tee.config", {"arch/arm64/configs/tee.config": "CONFIG_TEE=y\n"})
    lab.git("checkout", "-q", "-b", "topic/alpha", "base")
    lab.commit("tee: Do alpha\n\nWhy, in words with é.", {
        "drivers/tee/core.c": CORE.replace("line_3;", "alpha;"), "drivers/tee/alpha.c": "int a;\n"})
    lab.commit("tools: Add alpha.sh", {"tools/alpha.sh": "#!/bin/sh\n"}, 0o755)
    lab.commit("far: Go further", {"drivers/far.c": "int further;\n"})
    lab.git("checkout", "-q", "-b", "topic/beta", "base")
    lab.commit("tee: Do beta", {"drivers/tee/core.c": CORE.replace("line_30;", "beta;"),
                                "drivers/tee/Makefile": "obj-y += core.o # beta\n"})
    lab.git("checkout", "-q", "integration")
    for topic in ("common", "alpha", "beta"):
        lab.tree("export", "--topic", topic)
        if topic != "common":
            lab.write(f"series/{topic}/cover.md", f"tee: Series {topic}\n\nThe text of it.\n")
    lab.write("MAINTAINERS", "# SPDX-License-Identifier: GPL-2.0-only\n\nMIKE\nM:\tM <m@x.org>\n")
    lab.tree("assemble")
    lab.tree("record")
    return lab


def fresh(lab):
    """Back to the state after git clone, the cache kept."""
    shutil.rmtree(lab.linux)
    shutil.rmtree(lab.root / "build")
    return lab


# -- assembling ------------------------------------------------------------------

@test
def same_ids_in_two_folders(lab):
    other = Lab(f"{lab.dir.name}.elsewhere", like=lab)
    fresh(other)
    shutil.rmtree(other.dir / "cache")
    other.home.joinpath(".gitconfig").write_text(
        "[user]\nname = X\nemail = x@y\n[commit]\ngpgsign = true\n[diff]\nnoprefix = true\n"
        "[core]\nautocrlf = true\nabbrev = 6\n[i18n]\ncommitEncoding = latin1\n")
    other.tree("assemble", TZ="Asia/Tokyo", GIT_AUTHOR_DATE="@1 +0000", GIT_DIR="/nowhere")
    a, b = lab.status(), other.status()
    assert a["integration"] == b["integration"] and b["recorded"] == "yes", (a, b)
    has(other.tree("verify"), "in order")


@test
def round_trip_changes_nothing(lab):
    before = lab.snapshot()
    fresh(lab)
    lab.tree("assemble")
    has(lab.tree("export"), "nothing changed")
    has(lab.tree("verify"), "5 commits in 3 topics")
    assert lab.snapshot() == before
    for topic, count in ("common", 1), ("alpha", 3), ("beta", 1):
        assert lab.git("rev-list", "--count", f"base..topic/{topic}") == str(count)
    assert (lab.linux / "tools/alpha.sh").stat().st_mode & 0o111
    assert "Adds: tools/alpha.sh" in lab.patch("alpha", 2).read_text()
    assert "diff --git" not in lab.patch("alpha", 2).read_text()
    log = lab.git("log", "--first-parent", "--format=%s", "integration").split("\n")
    assert log == ["MAINTAINERS: Add the entries of tee-linux", "Merge topic 'beta'",
                   "Merge topic 'alpha'", "Merge topic 'common'", "Linux 7.3.4"], log
    has((lab.linux / "MAINTAINERS").read_text(), "F:\tb/\n\nMIKE\nM:\tM <m@x.org>\n\nZULU")


@test
def base_is_workable(lab):
    assert lab.git("ls-files", "-i", "-c", "--exclude-standard") == ""
    has((lab.linux / ".gitignore").read_text(), "!.clang-format", "!table.s", "*.o")
    assert "/*" not in (lab.linux / ".gitignore").read_text()
    assert lab.git("remote") == "" and os.readlink(lab.linux / "scripts/link") == "checkpatch.pl"
    assert not (lab.linux / ".git/objects/info/alternates").exists()
    shutil.rmtree(lab.dir / "cache")
    lab.git("fsck", "--full")
    lab.tree("assemble")
    assert not (lab.dir / "cache").exists()


@test
def again_is_nothing_and_quick(lab):
    file = lab.linux / "drivers/tee/core.c"
    before = file.stat().st_mtime_ns
    start = time.monotonic()
    has(lab.tree("assemble"), "as before")
    took = time.monotonic() - start
    assert file.stat().st_mtime_ns == before and took < 5, took


@test
def a_change_touches_what_it_changes(lab):
    files = [lab.linux / f for f in ("drivers/tee/core.c", "drivers/tee/Makefile", "drivers/far.c")]
    before = [f.stat().st_mtime_ns for f in files]
    beta = lab.git("rev-parse", "topic/beta")
    lab.edit(str(lab.patch("alpha", 3).relative_to(lab.root)), "+int further;", "+int furthest;")
    has(lab.tree("assemble"), "4 made anew", "not those of series/base")   # commit, 2 merges, MAINTAINERS
    after = [f.stat().st_mtime_ns for f in files]
    assert after[:2] == before[:2] and after[2] != before[2]
    assert lab.git("rev-parse", "topic/beta") == beta and lab.git("status", "--porcelain") == ""
    assert lab.status()["recorded"] == "no"
    has(lab.tree("verify", status=1), "INTEGRATION_ID is")


@test
def some_topics(lab):
    lab.tree("assemble", "--topics", "beta")
    assert lab.status()["topics"] == "common,beta" and lab.status()["recorded"] == "not compared"
    assert not (lab.linux / "drivers/tee/alpha.c").exists()
    has(lab.tree("export"), "nothing changed")
    lab.tree("assemble")
    assert lab.status()["recorded"] == "yes"
    has(lab.tree("assemble", "--topics", "alpha,gamma", status=2), "'gamma'", "alpha beta")


@test
def a_topic_that_is_gone(lab):
    shutil.rmtree(lab.root / "series/beta")
    lab.tree("assemble")
    assert "topic/beta" not in lab.git("branch")
    assert "beta" not in (lab.linux / "drivers/tee/core.c").read_text()


@test
def a_newer_base(lab):
    lab.publish("7.3.5-1", {"drivers/far.c": "int far;\n\n\n\n\nint new;\n",
                            "Makefile": KERNEL["Makefile"].replace("4", "5")})
    lab.pin("7.3.5-1")
    has(lab.tree("verify", status=1), "run make tree")
    lab.patch("alpha", 3).unlink()
    lab.tree("assemble")
    assert lab.status()["version"] == "7.3.5"
    has((lab.linux / "drivers/far.c").read_text(), "new")


# -- what must be refused ------------------------------------------------------------

@test
def uncommitted_work_is_kept(lab):
    file = lab.linux / "drivers/far.c"
    file.write_text("my work\n")
    assert "uncommitted" not in lab.tree("assemble")
    lab.edit(str(lab.patch("beta", 1).relative_to(lab.root)), "+int beta;", "+int better;")
    before = lab.git("rev-parse", "integration", "topic/beta")
    has(lab.tree("assemble", status=1), "uncommitted changes", "drivers/far.c", "make export", "stash")
    has(lab.tree("export", status=1), "uncommitted changes", "drivers/far.c")
    assert file.read_text() == "my work\n" and before == lab.git("rev-parse", "integration", "topic/beta")
    lab.git("stash", "-q")
    lab.tree("assemble")
    has((lab.linux / "drivers/tee/core.c").read_text(), "better")


@test
def an_untracked_file_in_the_way(lab):
    lab.write("drivers/new.c", "theirs\n")
    name = lab.patch("beta", 1)
    name.write_text(name.read_text().replace("---\n", "---\nAdds: drivers/new.c\n", 1))
    (lab.linux / "drivers/new.c").write_text("mine\n")
    before = lab.git("rev-parse", "integration")
    has(lab.tree("assemble", status=1), "drivers/new.c")
    assert (lab.linux / "drivers/new.c").read_text() == "mine\n"
    assert lab.git("rev-parse", "integration") == before


@test
def unexported_commits_are_kept(lab):
    lab.git("checkout", "-q", "topic/alpha")
    lab.commit("far: Mine", {"drivers/far.c": "mine\n"})
    mine = lab.git("rev-parse", "HEAD")
    lab.tree("assemble")                    # nothing to do: nothing to say
    assert lab.status()["unexported"] == "topic/alpha"
    lab.edit(str(lab.patch("alpha", 1).relative_to(lab.root)), "+int alpha;", "+int alpha2;")
    has(lab.tree("assemble", status=1), "not exported", "far: Mine", "git -C")
    has(lab.tree("export", status=1), "both series/alpha and branch topic/alpha")
    assert lab.git("rev-parse", "topic/alpha") == mine


@test
def a_branch_checked_out_elsewhere(lab):
    lab.git("worktree", "add", "-q", lab.dir / "side", "topic/alpha")
    lab.edit(str(lab.patch("alpha", 1).relative_to(lab.root)), "+int alpha;", "+int alpha2;")
    has(lab.tree("assemble", status=1), "topic/alpha", str(lab.dir / "side"))
    assert lab.git("status", "--porcelain", cwd=lab.dir / "side") == ""


@test
def a_folder_that_is_not_ours(lab):
    fresh(lab)
    lab.write("linux/notes", "mine\n")
    has(lab.tree("assemble", status=1), "no tree of ours", "move it away")
    assert lab.read("linux/notes") == "mine\n"


# -- patches that do not apply ---------------------------------------------------------

@test
def a_patch_that_does_not_apply(lab):
    lab.publish("7.3.5-1", {"drivers/tee/core.c": CORE.replace("line_6;", "line_six;")})
    lab.pin("7.3.5-1")
    old = lab.git("rev-parse", "integration")
    said = lab.tree("assemble", status=1)
    has(said, "series/alpha/0001-tee-Do-alpha.patch", " am -3 ", "make export",
        "file drivers/tee/core.c, hunk @@ -2,7 +2,7 @@")
    assert lab.git("rev-parse", "topic/alpha") == lab.git("rev-parse", "base")
    assert lab.git("rev-parse", "integration") == old and lab.git("status", "--porcelain") == ""
    has(lab.tree("assemble", status=1), "0001-tee-Do-alpha.patch")        # and again the same
    # by hand, as it said
    lab.git("checkout", "-q", "topic/alpha")
    lab.git("am", "-q", "-3", lab.root / "build/failed/0001-tee-Do-alpha.patch")
    has(lab.tree("export"), "series/alpha: 3 commits")
    has(lab.patch("alpha", 1).read_text(), " int line_six;", "Adds: drivers/tee/alpha.c")
    lab.git("checkout", "-q", "integration")
    has((lab.linux / "drivers/tee/core.c").read_text(), "line_six", "alpha", "beta")
    lab.tree("record")
    has(lab.tree("verify", status=1), "series/beta/0001-tee-Do-beta.patch: export would write it")
    has(lab.tree("export"), "series/beta: 1 commits")   # the base moved: so do its index lines
    has(lab.tree("verify"), "5 commits")


@test
def a_later_patch_that_does_not_apply(lab):
    lab.edit(str(lab.patch("alpha", 3).relative_to(lab.root)), "-int far;", "-int fur;")
    fresh(lab)
    said = lab.tree("assemble", status=1)
    has(said, "series/alpha/0003-far-Go-further.patch", "drivers/far.c")
    assert lab.git("branch", "--show-current") == "topic/alpha"
    assert lab.git("log", "--format=%s", "-1") == "tools: Add alpha.sh"
    assert lab.git("status", "--porcelain") == "" and not lab.parts()
    lab.commit("far: Go further", {"drivers/far.c": "int further;\n"})
    lab.tree("export")
    assert len(list((lab.root / "series/alpha").glob("*.patch"))) == 3
    has(lab.git("log", "--format=%s", "integration"), "Merge topic 'beta'")


@test
def topics_that_conflict(lab):
    lab.edit(str(lab.patch("beta", 1).relative_to(lab.root)), "+int beta;", "+int beta;")
    text = lab.patch("alpha", 1).read_text()
    lab.git("checkout", "-q", "topic/beta")
    lab.commit("tee: Rival", {"drivers/tee/core.c": CORE.replace("line_30;", "beta;")
                              .replace("line_3;", "rival;")})
    said = lab.tree("export", status=1)
    has(said, "topic 'beta' conflicts with topic 'alpha'", "drivers/tee/core.c", "To go on")
    assert lab.git("log", "-1", "--format=%s", "integration") == "Merge topic 'alpha'"
    assert lab.git("status", "--porcelain") == "" and lab.patch("alpha", 1).read_text() == text
    has(lab.patch("beta", 2).read_text(), "rival")      # exported all the same
    lab.git("reset", "-q", "--hard", "HEAD^")
    lab.tree("export")
    assert lab.status()["recorded"] == "yes"


@test
def patches_in_bad_form(lab):
    (lab.root / "tools/alpha.sh").unlink()
    has(lab.tree("assemble", status=1), "0002-tools-Add-alpha.sh.patch adds tools/alpha.sh", "not here")
    lab.write("tools/alpha.sh", "#!/bin/sh\n", 0o755)
    lab.write("drivers/stray.c", "x\n")
    name = lab.patch("beta", 1)
    text = name.read_text()
    name.write_text(text.replace("\n---\n", "\nSigned-off-by: A <a@b>\n---\n", 1))
    said = lab.tree("verify", status=1)
    has(said, "drivers/stray.c: no commit adds it", "carries 'Signed-off-by", "INTEGRATION_ID")
    (lab.root / "drivers/stray.c").unlink()
    name.write_text(text.replace("\n---\n", "\n---\nAdds: tools/alpha.sh\n", 1))
    has(lab.tree("verify", status=1), "tools/alpha.sh is added twice", "0002-tools-Add-alpha.sh.patch")
    name.write_text(text.replace("\n---\n", "\n---\nAdds: ../etc/passwd\n", 1))
    has(lab.tree("assemble", status=1), "Adds: ../etc/passwd")
    name.write_text(text.replace("Subject:", "Sujet:", 1))
    has(lab.tree("assemble", status=1), "0001-tee-Do-beta.patch", "Subject")
    name.write_text(text.replace("From: tee", "Adds: drivers/far.c\nFrom: tee", 1))
    lab.tree("assemble")                                # only below '---'
    name.write_text(text.replace("\n---\n", "\n---\nAdds: drivers/far.c\n", 1))
    lab.write("drivers/far.c", "x\n")
    has(lab.tree("assemble", status=1), "drivers/far.c", "the base has it already")


# -- export ----------------------------------------------------------------------------

@test
def export_writes_and_deletes(lab):
    lab.git("checkout", "-q", "topic/alpha")
    lab.git("reset", "-q", "--hard", "HEAD~2")
    lab.commit("tools: Add gamma.sh", {"tools/deep/gamma.sh": "#!/bin/sh\n"}, 0o755)
    lab.tree("export")
    assert not (lab.root / "tools/alpha.sh").exists()
    assert os.access(lab.root / "tools/deep/gamma.sh", os.X_OK)
    assert [p.name for p in sorted((lab.root / "series/alpha").glob("*.patch"))] == \
        ["0001-tee-Do-alpha.patch", "0002-tools-Add-gamma.sh.patch"]
    assert lab.git("branch", "--show-current") == "topic/alpha"
    has(lab.git("ls-tree", "-r", "integration"), "tools/deep/gamma.sh")
    lab.tree("record")
    has(lab.tree("verify"), "4 commits")


@test
def export_from_integration(lab):
    lab.commit("fixup! tee: Do alpha", {"drivers/tee/alpha.c": "int better;\n"})
    lab.commit("tee: One more", {"drivers/tee/more.c": "int more;\n"})
    has(lab.tree("export", status=1), "belong to no topic", "tee: One more", "TOPIC=")
    lab.tree("export", "--topic", "alpha")
    assert lab.read("drivers/tee/alpha.c") == "int better;\n"
    assert [p.name[5:] for p in sorted((lab.root / "series/alpha").glob("*.patch"))] == [
        "tee-Do-alpha.patch", "tools-Add-alpha.sh.patch", "far-Go-further.patch", "tee-One-more.patch"]
    assert lab.status()["unexported"] == "" and lab.git("status", "--porcelain") == ""
    has(lab.git("log", "-1", "--format=%s", "integration"), "MAINTAINERS")
    assert (lab.linux / "drivers/tee/more.c").exists()


@test
def export_squashes_on_a_topic(lab):
    lab.git("checkout", "-q", "topic/alpha")
    lab.commit("fixup! tee: Do alpha", {"drivers/tee/core.c": CORE.replace("line_3;", "alpha9;")})
    lab.tree("export")
    has(lab.patch("alpha", 1).read_text(), "+int alpha9;")
    assert len(list((lab.root / "series/alpha").glob("*.patch"))) == 3
    lab.commit("fixup! tee: Do beta", {"drivers/tee/core.c": CORE})
    has(lab.tree("export", status=1), "names no commit of topic alpha")


@test
def export_that_cannot_be_moved(lab):
    core = (lab.linux / "drivers/tee/core.c").read_text()
    lab.commit("tee: Needs beta", {"drivers/tee/core.c": core.replace("beta;", "beta2;")})
    before = lab.snapshot()
    has(lab.tree("export", "--topic", "alpha", status=1), "cannot be moved to topic/alpha", "cherry-pick")
    assert lab.snapshot() == before and lab.status()["unexported"] == "integration"


@test
def export_refuses(lab):
    before = lab.snapshot()
    lab.git("checkout", "-q", "topic/alpha")
    lab.commit("tee: Change it again", {"drivers/tee/alpha.c": "int b;\n"})
    has(lab.tree("export", status=1), "drivers/tee/alpha.c is added by", "final form")
    lab.git("reset", "-q", "--hard", "HEAD^")
    lab.commit("tee: Cut\n\nText\n---\nmore text", {"drivers/far.c": "cut\n"})
    has(lab.tree("export", status=1), "tee: Cut", "does not come through a patch unchanged")
    lab.git("reset", "-q", "--hard", "HEAD^")
    lab.commit("lab: Into a folder of ours", {"lab/x": "x\n"})
    has(lab.tree("export", status=1), "lab/x", "only plain files")
    lab.git("reset", "-q", "--hard", "HEAD^")
    lab.git("merge", "-q", "--no-ff", "-m", "Merge", "topic/common")
    has(lab.tree("export", status=1), "topic/alpha has a merge")
    lab.git("reset", "-q", "--hard", "HEAD^")
    lab.commit("config: Twice", {"arch/arm64/configs/tee.config": "CONFIG_TEE=y\n"})
    has(lab.tree("export", status=1), "tee.config is added twice")
    lab.git("reset", "-q", "--hard", "HEAD^")
    has(lab.tree("export", "--topic", "nope", status=2), "unknown topic 'nope'", "alpha")
    assert lab.snapshot() == before


@test
def export_before_anything(lab):
    fresh(lab)
    for command in ("export", "verify", "record"):
        has(lab.tree(command, status=1), "no linux/ yet", "make tree")
    assert lab.status()["assembled"] == "no"


@test
def export_of_an_older_tree(lab):
    """Patches pulled since the tree was assembled are not reverted."""
    lab.edit(str(lab.patch("beta", 1).relative_to(lab.root)), "+int beta;", "+int better;")
    before = lab.snapshot()
    has(lab.tree("export"), "series/beta is not what was assembled", "left alone")
    assert lab.snapshot() == before


# -- LINUX=PATH --------------------------------------------------------------------------

def clone(lab, version="7.3.4", tag=None):
    path = lab.dir / "clone"
    path.mkdir()
    files = dict(KERNEL)
    numbers = version.split(".")
    files["Makefile"] = "VERSION = %s\nPATCHLEVEL = %s\nSUBLEVEL = %s\n" % tuple(numbers)
    files[".gitignore"] = "*.o\n"
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    lab.git("init", "-q", cwd=path)
    lab.git("add", "-A", cwd=path)
    lab.git("commit", "-qm", "Linux", cwd=path)
    if tag:
        lab.git("tag", tag, cwd=path)
    return path


@test
def somebodys_clone(lab):
    path = clone(lab, tag="v7.3")
    (path / "drivers/far.c").write_text("work of somebody\n")
    lab.git("commit", "-qam", "Mine", cwd=path)
    (path / "drivers/far.c").write_text("uncommitted\n")
    head = lab.git("rev-parse", "HEAD", cwd=path)
    lab.tree("assemble", "--linux", str(path))
    state = lab.status("--linux", str(path))
    assert state["recorded"] == "not compared" and state["dirty"] == "no", state
    src = Path(state["src"])
    assert src.parent == lab.root / "build" and (src / "drivers/tee/alpha.c").exists()
    assert lab.git("rev-parse", "v7.3", cwd=path) == lab.git("merge-base", "topic/alpha", "HEAD", cwd=path)
    assert lab.git("branch", "--show-current", cwd=path) == "main"
    assert lab.git("rev-parse", "HEAD", cwd=path) == head
    assert (path / "drivers/far.c").read_text() == "uncommitted\n"
    has(lab.tree("export", "--linux", str(path)), "nothing changed")
    has(lab.tree("assemble", "--linux", str(path)), "as before")
    shutil.rmtree(lab.root / "build")           # make clean, then again
    lab.tree("assemble", "--linux", str(path))
    assert (src / "drivers/tee/alpha.c").exists()
    lab.git("checkout", "-q", "-f", "topic/beta", cwd=path)
    lab.edit(str(lab.patch("beta", 1).relative_to(lab.root)), "+int beta;", "+int better;")
    has(lab.tree("assemble", "--linux", str(path), status=1), "topic/beta", "checked out in")


@test
def a_clone_with_branches_of_its_own(lab):
    path = clone(lab)
    lab.git("branch", "integration", cwd=path)
    has(lab.tree("assemble", "--linux", str(path), status=1), "branch integration", "rename it")
    assert "topic/" not in lab.git("branch", cwd=path)


@test
def bad_clones(lab):
    has(lab.tree("assemble", "--linux", "/nowhere", status=1), "no such folder")
    empty = lab.dir / "empty"
    empty.mkdir()
    has(lab.tree("assemble", "--linux", str(empty), status=1), "not a git repository")
    lab.git("init", "-q", cwd=empty)
    has(lab.tree("assemble", "--linux", str(empty), status=1), "no commit yet")
    lab.git("commit", "-q", "--allow-empty", "-m", "x", cwd=empty)
    has(lab.tree("assemble", "--linux", str(empty), status=1), "not a kernel tree")
    path = clone(lab, "6.12.1")
    has(lab.tree("assemble", "--linux", str(path), status=1), "6.12.1", "stand on 7.3")
    assert lab.git("for-each-ref", "refs/assembled", cwd=path) == ""
    has(lab.tree("status", "--linux", str(path), status=1), "6.12.1")


# -- the package ------------------------------------------------------------------------

def without_cache(lab):
    fresh(lab)
    shutil.rmtree(lab.dir / "cache")
    shutil.rmtree(lab.archive / "got", ignore_errors=True)
    return lab


@test
def no_registry(lab):
    without_cache(lab).write("../archive/down", "")
    has(lab.tree("assemble", status=1), "package lists cannot be read", "LINUX=PATH")
    assert not lab.linux.exists() and not lab.parts()


@test
def another_version(lab):
    without_cache(lab)
    lab.publish("7.3.9-1")
    lab.publish("7.3.10-1")
    (lab.archive / "linux-source-7.3=7.3.4-1.deb").unlink()
    versions = lab.archive / "versions"
    versions.write_text("".join(line for line in versions.open() if "7.3.4" not in line))
    has(lab.tree("assemble"), "NOTICE", "7.3.4-1 is gone", "7.3.10-1", "not be compared")
    state = lab.status()
    assert state["recorded"] == "not compared" and state["package"].endswith("7.3.10-1"), state
    has(lab.tree("assemble"), "as before")
    versions.write_text("linux-source-7.2 | 7.2.1-1 | http://x sid/main amd64 Packages\n")
    without_cache(lab)
    has(lab.tree("assemble", status=1), "no package of Linux 7.3", "linux-source-7.2 7.2.1-1 (sid)")


@test
def wrong_sha256(lab):
    without_cache(lab)
    lab.pin("7.3.4-1", "0" * 64)
    said = lab.tree("assemble", status=1)
    has(said, "wrong sha256", "expected 0000", "found ", "deleted")
    assert not list(lab.archive.glob("got/*/*")) and not lab.linux.exists()


@test
def truncated_download(lab):
    without_cache(lab)
    got = lab.archive / "got/linux-source-7.3=7.3.4-1"
    got.mkdir(parents=True)
    (got / "linux-source-7.3_7.3.4-1_all.deb").write_bytes(b"half of it")
    has(lab.tree("assemble"), "truncated or damaged", "fetching it again")
    assert lab.status()["recorded"] == "yes"


@test
def a_package_that_cannot_be_unpacked(lab):
    without_cache(lab)
    for version, what, words in (("7.3.5-1", {"cut": 200}, ["xz: ", "cannot be unpacked"]),
                                 ("7.3.6-1", {"tarball": "linux.tar.xz"},
                                  ["Not found in archive", "series/base names the wrong package"])):
        lab.publish(version, **what)
        lab.pin(version)
        has(lab.tree("assemble", status=1), *words)
        assert not lab.parts() and not lab.linux.exists()


@test
def too_little_disk(lab):
    without_cache(lab)
    script = ("import sys; sys.dont_write_bytecode = True; sys.path.insert(0, 'series')\n"
              "import plumbing, tree\n"
              "from collections import namedtuple\n"
              "plumbing.shutil.disk_usage = lambda path: namedtuple('U', 'free')(1500 << 20)\n"
              "tree.main(['assemble'])\n")
    said = run([sys.executable, "-c", script], lab.root, lab.env, 1)
    has(said, "too little disk", "1500 MB free", "2250 MB needed", "linux/ 1700")
    assert not lab.linux.exists() and not (lab.archive / "got").exists()


@test
def a_full_disk(lab):
    for command in ("read-tree", "commit-tree", "update-index"):
        without_cache(lab)
        has(lab.tree("assemble", status=1, **lab.slow(FULL=command)), "No space left", "make room")
        assert not lab.parts() and not lab.linux.exists()
        lab.tree("assemble")
        assert lab.status()["recorded"] == "yes"


# -- interrupts, and two at once -----------------------------------------------------------

def interrupt(lab, number, *args, **env):
    """Ctrl-C, to the whole process group, as soon as the slow command runs."""
    seen = lab.dir / "seen"
    seen.unlink(missing_ok=True)
    child = subprocess.Popen([lab.root / "series/tree.py", *args], cwd=lab.root, text=True,
                             env=lab.slow(SEEN=str(seen), **env), start_new_session=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    marks = (seen, lab.archive / "slow.seen")
    for _ in range(1000):
        if any(m.exists() for m in marks) or child.poll() is not None:
            break
        time.sleep(0.02)
    os.killpg(child.pid, number)
    out = child.communicate()[0]
    for mark in marks:
        mark.unlink(missing_ok=True)
    return child.returncode, out


@test
def interrupted_first_assembly(lab):
    for command in ("fast-import", "write-tree", "clone", "mailinfo", "merge-tree", "read-tree"):
        without_cache(lab)
        status, out = interrupt(lab, signal.SIGINT, "assemble", SLOW=command)
        assert status == 130 and "nothing is lost" in out, (command, status, out)
        assert not lab.linux.exists() and not lab.parts(), (command, lab.parts())
        lab.tree("assemble")
        assert lab.status()["recorded"] == "yes", command


@test
def interrupted_download(lab):
    without_cache(lab).write("../archive/slow", "")
    status, out = interrupt(lab, signal.SIGTERM, "assemble")
    assert status == 130, (status, out)
    (lab.archive / "slow").unlink()
    lab.tree("assemble")
    assert lab.status()["recorded"] == "yes"


@test
def killed_outright(lab):
    without_cache(lab)
    interrupt(lab, signal.SIGKILL, "assemble", SLOW="read-tree")
    assert lab.parts()
    lab.tree("assemble")
    assert lab.status()["recorded"] == "yes" and not lab.parts()


@test
def interrupted_change(lab):
    for number, command in enumerate(("mailinfo", "merge-tree", "read-tree", "update-ref", "status")):
        lab.edit(str(lab.patch("beta", 1).relative_to(lab.root)), "+int beta", "+int beta0")
        status, out = interrupt(lab, signal.SIGINT, "assemble", SLOW=command)
        # while files and branches move together, Ctrl-C waits
        assert status == 130, (command, status, out)
        assert lab.git("status", "--porcelain") == "", command
        lab.tree("assemble")
        has((lab.linux / "drivers/tee/core.c").read_text(), "beta" + "0" * (number + 1))
        assert lab.git("status", "--porcelain") == "" and not lab.parts()


@test
def interrupted_export(lab):
    lab.git("checkout", "-q", "topic/alpha")
    lab.commit("fixup! tee: Do alpha", {"drivers/tee/alpha.c": "int again;\n"})
    for command in ("mailinfo", "update-ref"):          # before, and while, it writes
        status, out = interrupt(lab, signal.SIGINT, "export", SLOW=command)
        assert status == 130, (command, status, out)
        assert lab.git("status", "--porcelain") == ""
    lab.tree("export")
    lab.tree("assemble")
    assert lab.read("drivers/tee/alpha.c") == "int again;\n" and lab.status()["unexported"] == ""
    lab.tree("record")
    has(lab.tree("verify"), "5 commits")


@test
def two_at_once(lab):
    without_cache(lab)
    seen = lab.dir / "seen"
    first = subprocess.Popen([lab.root / "series/tree.py", "assemble"], cwd=lab.root, text=True,
                             env=lab.slow(SLOW="fast-import", SEEN=str(seen)),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not seen.exists() and first.poll() is None:
        time.sleep(0.02)
    other = Lab(f"{lab.dir.name}.neighbour", like=lab)          # a second clone, the same cache
    other.env["XDG_CACHE_HOME"] = lab.env["XDG_CACHE_HOME"]
    shutil.rmtree(other.linux, ignore_errors=True)
    third = subprocess.Popen([other.root / "series/tree.py", "assemble"], cwd=other.root, text=True,
                             env=other.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    has(lab.tree("assemble"), f"another run (pid {first.pid}) is at work", "as before")
    out = first.communicate()[0]
    assert first.returncode == 0, out
    out = third.communicate()[0]
    assert third.returncode == 0, out
    has(out, "waiting")
    assert lab.status()["recorded"] == other.status()["recorded"] == "yes"


# -- worktree, record, send -----------------------------------------------------------------

@test
def a_worktree_beside(lab):
    path = lab.root / "build/base"
    lab.tree("worktree", "base", "base", "build/base")
    assert (path / "drivers/far.c").read_text() == "int far;\n"
    kept = (path / "Makefile").stat().st_mtime_ns
    lab.tree("worktree", "base", "topic/alpha", "build/base")
    has((path / "drivers/far.c").read_text(), "further")
    assert (path / "Makefile").stat().st_mtime_ns == kept
    assert lab.git("status", "--porcelain", cwd=path) == ""
    (path / "drivers/far.c").write_text("mine\n")
    has(lab.tree("worktree", "base", "base", "build/base", status=1), "uncommitted", "drivers/far.c")
    assert (path / "drivers/far.c").read_text() == "mine\n"
    has(lab.tree("worktree", "x", "nope", "build/x", status=2), "unknown REF 'nope'")
    status, _ = interrupt(lab, signal.SIGINT, "worktree", "y", "base", "build/y", SLOW="read-tree")
    assert status == 130 and not (lab.root / "build/y").exists()
    shutil.rmtree(path)                          # make clean
    lab.tree("worktree", "base", "base", "build/base")
    lab.tree("worktree", "y", "base", "build/y")
    assert (path / "Makefile").exists() and not lab.parts()


@test
def ids_are_recorded(lab):
    ids = [line for line in lab.read("series/base").splitlines() if "_ID" in line]
    assert [line.split("=")[0] for line in ids] == \
        ["BASE_ID", "TOPIC_ID_common", "TOPIC_ID_alpha", "TOPIC_ID_beta", "INTEGRATION_ID"], ids
    before = lab.read("series/base")
    lab.tree("record")
    assert lab.read("series/base") == before
    lab.tree("assemble", "--topics", "alpha")
    has(lab.tree("record", status=1), "all topics")
    run([lab.root / "series/tree.py"], lab.root, lab.env, 2)


@test
def mails_of_a_topic(lab):
    if not shutil.which("b4"):
        return ktap.Skip("b4 is not installed")
    before = lab.git("for-each-ref") + lab.git("config", "-l", "--local")
    lab.tree("send", "alpha", "--out", "mails")
    mails = sorted((lab.root / "mails").iterdir())
    assert len(mails) == 4, mails
    has(mails[0].read_text(), "[PATCH 0/3] tee: Series alpha", "The text of it.", "Ann <ann@x.org>",
        "list@x.org", f"base-commit: {lab.git('rev-parse', 'base')}", "From: Pat Doe <pat@example.org>")
    has(mails[2].read_text(), "Signed-off-by: Pat Doe <pat@example.org>", "+#!/bin/sh", "To: Ann")
    assert "tee-linux.invalid" not in "".join(m.read_text() for m in mails)
    assert before == lab.git("for-each-ref") + lab.git("config", "-l", "--local")
    has(lab.tree("send", "alpha", "--out", "mails", status=1), "not empty")
    return None


@test
def mails_refused(lab):
    before = lab.snapshot()

    def refused(*words, topic="alpha", status=1, **env):
        has(lab.tree("send", topic, "--out", "mails", status=status, **env), *words)
        assert not (lab.root / "mails").exists()
        assert not list((lab.root / "build").glob("send.*"))
    refused("unknown TOPIC 'nope'", topic="nope", status=2)
    (lab.linux / "drivers/far.c").write_text("dirty\n")
    refused("uncommitted changes")
    lab.git("checkout", "-q", "drivers/far.c")
    (lab.home / ".gitconfig").rename(lab.home / "config")
    refused("does not know who sends", "git config --global")
    (lab.home / "config").rename(lab.home / ".gitconfig")
    cover = lab.root / "series/alpha/cover.md"
    cover.unlink()
    refused("cover.md is no cover letter")
    cover.write_text("tee: Series alpha\n\nThe text of it.\n")
    assert lab.snapshot() == before
    lab.git("checkout", "-q", "topic/alpha")
    lab.commit("far: Style", {"drivers/far.c": "BADSTYLE\n"})
    refused("is not what series/alpha holds", "make export")
    lab.tree("export")
    if not shutil.which("b4"):
        return ktap.Skip("b4 is not installed")
    refused("checkpatch.pl finds errors", "bad style")
    return None


def main():
    start = []
    try:
        return ktap.main(lambda function: run_test(function, start[0]),
                         lambda: start.append(template()))
    finally:
        shutil.rmtree(TMP, ignore_errors=True)


def run_test(function, start):
    lab = Lab(function.__name__, like=start)
    try:
        return function(lab)
    finally:
        shutil.rmtree(lab.dir, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
