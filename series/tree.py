#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Turn series/ into a kernel tree, and work in that tree back into series/.

    base --- commits of each topic, a branch topic/TOPIC each, directly on base
         \\-- integration: base, a merge of each topic, the fork's MAINTAINERS

Commits are made among git's objects alone, in an index of our own; then the
branches move in one transaction and the checked-out files change once, those
that differ only, so that incremental builds stay incremental. Commits depend
on nothing but their input: what was made from the same input before is taken
from a memo, and an assembly without a change is a look-up.

refs/assembled/* say what assembling made. A branch that differs from its twin
there holds somebody's work: it is exported or left alone, never overwritten.
"""

import argparse
import hashlib
import os
import re
import signal
import sys
from pathlib import Path

sys.dont_write_bytecode = True          # no stray __pycache__ in series/

import base as mainline                                                     # noqa: E402
from export import export_from, patch_of                                    # noqa: E402
from model import (COMMON, DIFF, OWN, SERIES, ZERO, Conflict, DoesNotApply, Stopped,    # noqa: E402
                   Tree, check_owners, choose, parse_mail, read_topic, topics_here, usage)
from plumbing import (EMAIL, NAME, ROOT, Failure, Git, Step, beside, decode,            # noqa: E402
                      encode, indent, lock, notice, room, uninterrupted, write)


# -- where to assemble ---------------------------------------------------------

def open_tree(args, make=False):
    """The Tree to work on; with `make`, linux/ is brought to series/base's base."""
    pin = mainline.read()
    if args.linux:
        return open_clone(Path(args.linux), pin, make)
    src = ROOT / "linux"
    if not (src / ".git").is_dir():
        if src.exists() and (not src.is_dir() or any(src.iterdir())):
            raise Failure(f"{src} is no tree of ours (no .git in it); move it away")
        raise Failure("there is no linux/ yet; run make tree first")
    tree = Tree(src / ".git", src, pin)
    if make and tree.wanted != mainline.wanted(pin):
        repo = mainline.cached(pin)
        tree.git("fetch", "-q", "--no-tags", str(repo), "refs/heads/base")
        tree.base = tree.git("rev-parse", "FETCH_HEAD")     # move() makes it the branch
        tree.wanted = mainline.wanted(pin)
    return tree


def open_clone(path, pin, make):
    """Somebody's own clone: its v7.3 below, a work tree of our own beside."""
    where = f"LINUX={path}"
    if not path.is_dir():
        raise Failure(f"{where}: no such folder; name a clone of mainline {pin['VERSION']}")
    git = Git("-C", str(path))
    status, out, err = git.run("rev-parse", "--path-format=absolute", "--git-common-dir")
    if status:
        raise Failure(f"{where} is not a git repository ({err.strip()}); name a clone of mainline")
    common = Path(out.strip()).resolve()
    src = ROOT / "build" / ("linux-" + hashlib.sha256(bytes(common)).hexdigest()[:8])
    want = mainline.release(pin["VERSION"])
    refs = [f"refs/tags/v{pin['VERSION']}", f"refs/tags/v{want}", "HEAD"]
    if git.ok("rev-parse", "-q", "--verify", "refs/assembled/base"):
        refs = ["refs/assembled/base"]
    for ref in refs:
        status, commit, _ = git.run("rev-parse", "-q", "--verify", f"{ref}^{{commit}}")
        if not status:
            break
    else:
        raise Failure(f"{where} has no commit yet; name a clone of mainline {pin['VERSION']}")
    commit = commit.strip()
    _, makefile, _ = git.run("cat-file", "blob", f"{commit}:Makefile")
    version = mainline.kernel_version(makefile)
    if not version or not git.ok("cat-file", "-e", f"{commit}:Kbuild"):
        raise Failure(f"{where} is not a kernel tree (no kernel's Makefile at {ref}); "
                      f"name a clone of mainline {pin['VERSION']}")
    if mainline.release(version) != want:
        raise Failure(f"{where} is Linux {version} at {ref}, and the series stand on {want}; "
                      f"fetch the tag v{pin['VERSION']} there, or check out a {want} release")
    if make and ref != "refs/assembled/base":
        git("update-ref", "refs/assembled/base", commit)
    elif ref != "refs/assembled/base":
        raise Failure(f"nothing is assembled in {path} yet; run make tree LINUX={path} first")
    return Tree(common, src, pin, foreign=True)


# -- assemble ----------------------------------------------------------------

def assemble(args):
    topics = choose(args.topics)
    series = {name: read_topic(name) for name in topics}
    with lock(ROOT / "build/tree.lock"):
        if args.linux or (ROOT / "linux/.git").is_dir():
            tree = open_tree(args, make=True)
            with lock(tree.state / "lock"):
                assemble_in(tree, topics, series)
        else:
            first_assembly(topics, series)


def first_assembly(topics, series):
    """linux/ appears when it is whole, or with a stop's last good commit."""
    pin = mainline.read()
    src = ROOT / "linux"
    if src.exists() and (not src.is_dir() or any(src.iterdir())):
        raise Failure(f"{src} is no tree of ours (no .git in it); move it away")
    repo = mainline.cached(pin)
    room((ROOT, mainline.SIZE_FILES, "linux/"))
    stop = None
    with beside(src) as part:
        Git()("clone", "-q", "--no-checkout", "--branch", "base", str(repo), str(part))
        git = Git("-C", str(part))
        git("remote", "remove", "origin")
        for key, value in (("user.name", NAME), ("user.email", EMAIL), ("gc.auto", "0")):
            git("config", key, value)
        git("update-ref", "refs/assembled/base", "refs/heads/base")
        tree = Tree(part / ".git", part, pin)
        tree.wanted = mainline.wanted(pin)
        try:
            assemble_in(tree, topics, series)
        except Stopped as err:
            stop = err
    if stop:
        raise stop


def build(tree, series):
    """Make every commit; (the branches' new tips, what stopped it or None)."""
    new, names, tips = {}, [], []
    try:
        for name, patches in series.items():
            new[f"topic/{name}"] = tree.topic(name, patches)
            if patches:
                names.append(name)
                tips.append(new[f"topic/{name}"])
    except DoesNotApply as err:
        new[f"topic/{err.topic}"] = err.tip
        return new, err
    try:
        tip = tree.base
        for n in range(1, len(names) + 1):
            tip = tree.merge(tip, names[:n], tips[:n])
        new["integration"] = tree.maintainers(tip)
    except Conflict as err:
        new["integration"] = err.tip
        return new, err
    return new, None


def assemble_in(tree, topics, series):
    try:
        with Step("series") as step:
            before = dict(tree.known)
            new, stop = build(tree, series)
            fresh = sum(1 for key in tree.used if key not in before)
            step.text = (f"commits: {sum(map(len, series.values()))}, topics: {len(topics)}, "
                         + (f"{fresh} made anew" if fresh else "as before"))
        tree.topics, tree.partial = topics, {}
        if stop:            # what stays as it was is still to be known
            tree.used = {**before, **tree.used}
        if isinstance(stop, DoesNotApply):
            tree.partial[stop.topic] = [p.digest for p in series[stop.topic][stop.number:]]
        move(tree, new)
        if stop:
            raise Stopped(advice(tree, stop, series))
    finally:
        tree.close()
    if recorded(tree) == "no" and tree.pin.get("INTEGRATION_ID"):
        notice("the commit ids are not those of series/base; if the series changed on "
               "purpose: series/tree.py record")
    branch, commit = tree.head()
    if branch != "integration":
        notice(f"{tree.src} is at {branch or commit[:12]}, and that is what gets built; "
               f"for the whole: git -C {tree.src} checkout integration")


def move(tree, new):
    """Let the branches be `new`, and the checked-out files follow, or nothing at all."""
    refs = tree.refs()
    todo, elsewhere = "", checked_out_elsewhere(tree)
    branch, at = tree.head()
    populate = not (tree.src.exists() if tree.foreign else (tree.common / "index").exists())
    target = None
    if not tree.foreign:
        new = {"base": tree.base, **new}
    for name, commit in new.items():
        now, was = refs.get(f"heads/{name}"), refs.get(f"assembled/{name}")
        if commit == was and now:
            continue            # nothing new; what somebody did on that branch stays
        if now not in (None, was, commit):
            unexported(tree, name, was)
        if name in elsewhere and now != commit:
            raise Failure(f"branch {name} must move, and it is checked out in {elsewhere[name]}; "
                          "check out another there, then run again")
        todo += f"update refs/heads/{name} {commit} {now or ZERO}\n"
        todo += f"update refs/assembled/{name} {commit} {was or ZERO}\n"
        if name == branch and now and now != commit:
            target = commit
    for ref, was in refs.items():
        name = ref.removeprefix("assembled/topic/")
        if name != ref and not (SERIES / name).is_dir() and branch != f"topic/{name}":
            if refs.get(f"heads/topic/{name}") == was:      # gone from series/, nothing lost
                todo += f"delete refs/heads/topic/{name}\ndelete refs/{ref}\n"
    if target and tree.git.ok("diff-tree", "--quiet", at, target):
        target = None
    if target and not populate and (dirty := tree.dirty()):
        raise Failure(f"uncommitted changes in {tree.src}, and the series changed:\n"
                      + indent("\n".join(dirty[:10])) +
                      f"\n  Commit them (git -C {tree.src} commit) and make export, or put them "
                      f"away (git -C {tree.src} stash), then run again")
    with uninterrupted():
        if target and not populate:
            tree.work("read-tree", "-m", "-u", at, target)
        tree.git("update-ref", "--stdin", stdin=todo)
        tree.save()
    if populate:
        first = "integration" if "integration" in new else list(new)[-1]    # where it stopped
        if tree.foreign:
            add_worktree(tree.git, tree.src, first)
        else:
            tree.work("symbolic-ref", "HEAD", f"refs/heads/{first}")
            populate_files(tree.work)


def unexported(tree, name, was):
    src = tree.src
    if not was:
        raise Failure(f"{tree.common} has a branch {name} that make tree did not make; rename it "
                      f"(git --git-dir={tree.common} branch -m {name} OTHER), then run again")
    raise Failure(
        f"branch {name} has commits that are not exported, and the series changed.\n"
        + indent("\n".join(tree.log(f"{was}..{name}", "%h %s")[:10])) +
        f"\n  Either keep your commits: git -C {src} branch mine {name} && git -C {src} branch -f "
        f"{name} refs/assembled/{name}\n  (if it is checked out: git -C {src} reset --keep "
        f"refs/assembled/{name}), run again, and rebase `mine` on {name};\n"
        "  or take back the change in series/ (git stash), make export, and join the two there")


def checked_out_elsewhere(tree):
    """{branch: folder} of every work tree but ours; git would let us move those."""
    found, folder = {}, ""
    for line in tree.git("worktree", "list", "--porcelain").splitlines():
        if line.startswith("worktree "):
            folder = line[9:]
        elif line.startswith("branch refs/heads/") and Path(folder).is_dir() \
                and Path(folder).resolve() != tree.src.resolve():
            found[line[18:]] = folder
    return found


def populate_files(work):
    with Step("files: checked out") as step:
        work.watch(step, "files: checking out", "read-tree", "-m", "-u", "-v", "HEAD")


def add_worktree(git, path, ref, *flags):
    """A work tree of a repository, under its name only when it is whole."""
    part = path.with_name(path.name + ".part")
    for leftover in (part, path):
        git.run("worktree", "remove", "--force", "--force", str(leftover))
    if path.exists():
        raise Failure(f"{path} is in the way (no work tree of this repository); move it away")
    room((path, mainline.SIZE_FILES, path.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        git("worktree", "add", "-q", "--no-checkout", *flags, str(part), ref)
        populate_files(Git("-C", str(part)))
        git("worktree", "move", str(part), str(path))
    finally:
        if part.exists():
            git.run("worktree", "remove", "--force", "--force", str(part))


def advice(tree, stop, series):
    """What a person reads when a patch or a merge stops the assembly."""
    src = ROOT / "linux" if not tree.foreign else tree.src
    if isinstance(stop, Conflict):
        return (f"{stop}\n  integration is at the last good commit, without that topic. To go on: "
                f"change one of the two\n  (git -C {src} checkout topic/NAME, git commit --fixup, "
                "make export) so that they leave each other's\n  lines alone, or integrate one "
                "of them only (make menuconfig)")
    patch = series[stop.topic][stop.number]
    mail = ROOT / "build/failed" / patch.name
    write(mail, whole_mail(tree, stop.tip, patch))
    return (f"series/{stop.topic}/{patch.name} does not apply:\n{stop}\n"
            f"  topic/{stop.topic} is at the last good commit, {stop.tip[:12]}. To go on, correct "
            "the patch and run again, or:\n"
            f"    git -C {src} checkout topic/{stop.topic}\n"
            f"    git -C {src} am -3 {mail}     # resolve, then: git am --continue\n"
            "    make export                   # writes it back, goes on with the next patch")


def whole_mail(tree, parent, patch):
    """A patch with its added files as diffs, so that git am alone can take it."""
    tree.index_at = None
    tree.stage(parent)
    for path, (mode, data) in patch.adds.items():
        blob = tree.git("hash-object", "-w", "--stdin", stdin=data)
        tree.git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}", index=tree.index)
    new = tree.git("write-tree", index=tree.index)
    added = tree.git.run(*DIFF, parent, new)[1]
    return patch.head.rstrip(b"\n") + b"\n\n" + encode(added) + patch.text[len(patch.head):]


def recorded(tree):
    """yes, no, or "not compared" where ids cannot be those of series/base."""
    if tree.foreign or tree.topics != topics_here() or not tree.pinned():
        return "not compared"
    pinned = {key: value for key, value in tree.pin.items() if re.search(r"_ID(_|$)", key)}
    return "yes" if assembled_ids(tree) == pinned else "no"


def ids(base, tips):
    """The lines of series/base for branches and their tips."""
    return {"BASE_ID": base,
            **{f"TOPIC_ID_{name[6:].replace('-', '_')}": tip
               for name, tip in tips.items() if name.startswith("topic/")},
            "INTEGRATION_ID": tips.get("integration")}


def assembled_ids(tree):
    refs = tree.refs()
    names = [f"topic/{name}" for name in tree.topics or []] + ["integration"]
    return ids(refs.get("assembled/base"), {name: refs.get(f"assembled/{name}") for name in names})


# -- export ------------------------------------------------------------------

def export(args):
    with lock(ROOT / "build/tree.lock"):
        tree = open_tree(args)
        with lock(tree.state / "lock"):
            try:
                done = export_from(tree, args.topic)
            finally:
                tree.close()
            if done:
                tree.load()
                topics = [n for n in topics_here() if n in done or n in (tree.topics or [])]
                assemble_in(tree, topics, {name: read_topic(name) for name in topics})


# -- verify, record, status, worktree -------------------------------------------

def verify(args):
    """Everything that holds of a series in order; each fault is a line."""
    faults = []
    with lock(ROOT / "build/tree.lock"):
        tree = open_tree(args)
        if not tree.foreign and tree.wanted != mainline.wanted(tree.pin):
            raise Failure("series/base names another base than linux/ has; run make tree first")
        series = {name: read_topic(name) for name in topics_here()}
        owner = check_owners(series)
        faults += stray_files(owner)
        for name, patches in series.items():
            faults += check_form(name, patches)
        try:
            new, stop = build(tree, series)
            if stop:
                raise Stopped(advice(tree, stop, series))
            for name, patches in series.items():
                commits = tree.log(f"{tree.base}..{new[f'topic/{name}']}", "%H")
                for number, (commit, patch) in enumerate(zip(commits, patches), 1):
                    again = patch_of(tree, commit, number)
                    if (again.name, again.text, again.adds) != (patch.name, patch.text, patch.adds):
                        faults.append(f"series/{name}/{patch.name}: export would write it otherwise "
                                      f"({difference(patch, again)})")
            if tree.pinned() and not tree.foreign:
                for key, found in ids(tree.base, new).items():
                    if tree.pin.get(key) != found:
                        faults.append(f"series/base: {key} is {tree.pin.get(key, 'not recorded')}, "
                                      f"assembled is {found} (series/tree.py record)")
        finally:
            tree.close()
    if faults:
        raise Failure(f"{len(faults)} faults:\n" + indent("\n".join(faults)))
    count = sum(map(len, series.values()))
    print(f"  {'VERIFY':<9} {count} commits in {len(series)} topics: in order", file=sys.stderr)


def stray_files(owner):
    """Files in a folder of the kernel's that no commit adds."""
    found = []
    for top in sorted(ROOT.iterdir()):
        if top.is_symlink() or not top.is_dir() or top.name in OWN or top.name.startswith("."):
            continue
        for folder, _, files in os.walk(top):
            for file in sorted(files):
                path = str(Path(folder, file).relative_to(ROOT))
                if path not in owner:
                    found.append(f"{path}: no commit adds it; name it in a patch (Adds: {path}), "
                                 "or delete it")
    return found


def check_form(name, patches):
    """What is wrong with the form of a topic's patches."""
    where, found = f"series/{name}", []
    if name != COMMON and not (SERIES / name / "cover.md").is_file():
        found.append(f"{where}/cover.md: there is none (subject, empty line, text)")
    for number, patch in enumerate(patches, 1):
        file = f"{where}/{patch.name}"
        if not patch.name.startswith(f"{number:04}-"):
            found.append(f"{file}: its number should be {number:04}")
        try:
            message, _ = parse_mail(patch)
        except Failure as err:
            found.append(f"{file}: {err}")
            continue
        if tags := re.findall(r"^(?:Signed-off-by|Change-Id):.*", message, re.M | re.I):
            found.append(f"{file}: carries '{tags[0]}'; who sends a series signs it (make send)")
        if not re.match(r"[^:\n]+: \S", message):
            found.append(f"{file}: its subject is not 'subsystem: Sentence'")
    return found


def difference(patch, again):
    """Where two Patches part, in a few words."""
    if patch.name != again.name:
        return f"named {again.name}"
    for n, (a, b) in enumerate(zip(patch.text.split(b"\n"), again.text.split(b"\n")), 1):
        if a != b:
            return f"line {n}: {decode(b)[:60]!r}"
    return "its added files" if patch.text == again.text else "its length"


def record(args):
    """Write the assembled tree's ids into series/base."""
    with lock(ROOT / "build/tree.lock"):
        tree = open_tree(args)
        series = {name: read_topic(name) for name in topics_here()}
        refs = tree.refs()
        for name, patches in series.items():
            if tree.planned(patches) != refs.get(f"assembled/topic/{name}"):
                raise Failure(f"series/{name} is not what is assembled; run make tree with all "
                              "topics, then record")
        if tree.foreign or tree.topics != list(series) or not tree.pinned():
            raise Failure("only a tree with all topics, on the package that series/base names, "
                          "can be recorded; run make tree first")
        mainline.record(assembled_ids(tree))
        print(f"  {'RECORD':<9} integration {assembled_ids(tree)['INTEGRATION_ID']}", file=sys.stderr)


def status(args):
    """key=value lines for the Makefile and the report."""
    pin = mainline.read()
    if not args.linux and not (ROOT / "linux/.git").is_dir():
        print(f"assembled=no\nversion={pin['VERSION']}\ntopics={','.join(topics_here())}")
        return
    tree = open_tree(args)
    refs = tree.refs()
    topics = tree.topics or []
    count = sum(len(tree.log(f"{tree.base}..refs/assembled/topic/{name}", "%H"))
                for name in topics if f"assembled/topic/{name}" in refs)
    there = tree.src.is_dir()
    version = mainline.kernel_version(tree.git("cat-file", "blob", f"{tree.base}:Makefile"))
    for key, value in {
            "assembled": "yes" if there and "assembled/integration" in refs else "no",
            "src": tree.src, "branch": tree.head()[0] or "detached",
            "version": version, "base": tree.base, "package": base_package(tree),
            "topics": ",".join(topics), "commits": count,
            "integration": refs.get("heads/integration", ""), "recorded": recorded(tree),
            "dirty": "yes" if there and tree.dirty() else "no",
            "unexported": ",".join(
                ref[10:] for ref, tip in refs.items() if ref.startswith("assembled/")
                and refs.get("heads/" + ref[10:], tip) != tip)}.items():
        print(f"{key}={value}")


def base_package(tree):
    """The package that the base is made of, '' for somebody's clone."""
    found = re.search(r"^Debian package (\S+)\nversion (\S+)$",
                      tree.git("log", "-1", "--format=%B", tree.base), re.M)
    return "=".join(found.groups()) if found else ""


def worktree(args):
    """A detached work tree at REF, to build something else beside linux/."""
    path = Path(args.dir).resolve()
    with lock(ROOT / "build/tree.lock"):
        tree = open_tree(args)
        ref = "refs/assembled/base" if args.ref == "base" else args.ref
        status_, commit, _ = tree.git.run("rev-parse", "-q", "--verify", f"{ref}^{{commit}}")
        if status_:
            usage(f"unknown REF '{args.ref}' in {tree.src}")
        commit, work = commit.strip(), Git("-C", str(path))
        if not (path / ".git").exists() or not work.ok("rev-parse", "HEAD"):
            add_worktree(tree.git, path, commit, "--detach")
            return
        if dirty := work("status", "--porcelain", "--untracked-files=no"):
            raise Failure(f"uncommitted changes in {path}, the work tree for {args.name}:\n"
                          + indent("\n".join(dirty.splitlines()[:10])) + "\n  It is made and moved "
                          f"by the build: keep what you need, then git -C {path} reset --hard")
        at = work("rev-parse", "HEAD")
        if at != commit:
            with Step(f"{args.name}: moved to {args.ref}"), uninterrupted():
                work("read-tree", "-m", "-u", at, commit)
                work("update-ref", "--no-deref", "HEAD", commit)


def send(args):
    from send import send_topic         # b4 and perl are asked for only here
    if args.topic_name not in topics_here():
        usage(f"unknown TOPIC '{args.topic_name}'; series/ has: {' '.join(topics_here())}")
    with lock(ROOT / "build/tree.lock"):
        tree = open_tree(args)
        send_topic(tree, args.topic_name, Path(args.out).resolve())


# -- command line --------------------------------------------------------------

def main(argv=None):
    parser = argparse.ArgumentParser(prog="series/tree.py", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for function, text in ((assemble, "make the tree"), (export, "write commits back to series/"),
                           (verify, "check series/ and the tree"),
                           (record, "write the ids into series/base"),
                           (status, "print key=value lines"),
                           (worktree, "a detached work tree at a commit"),
                           (send, "write the mails of a topic")):
        command = commands.add_parser(function.__name__, help=text, description=function.__doc__)
        command.set_defaults(function=function)
        command.add_argument("--linux", metavar="PATH", help="a clone of mainline to work in")
        if function is assemble:
            command.add_argument("--topics", metavar="A,B", help="only these (all)")
        elif function is export:
            command.add_argument("--topic", help="only this one; takes commits from integration")
        elif function is worktree:
            for name in ("name", "ref", "dir"):
                command.add_argument(name, metavar=name.upper())
        elif function is send:
            command.add_argument("topic_name", metavar="TOPIC")
            command.add_argument("--out", metavar="DIR", required=True)
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        args.function(args)
    except KeyboardInterrupt:
        print("\ntree: interrupted; nothing is lost, the same command again goes on",
              file=sys.stderr)
        sys.exit(130)
    except Failure as err:
        print(f"tree: {err}", file=sys.stderr)
        sys.exit(1)
    except OSError as err:
        print(f"tree: {err.strerror}: {err.filename}; make room or give access, "
              "then run the same command again", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
