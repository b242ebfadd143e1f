# SPDX-License-Identifier: GPL-2.0-only
"""From commits in the tree back to series/, and to the files at their paths.

Every commit is assembled again from the patch just written, among git's
objects, before anything in the repository changes: what does not come out
identical is refused.
"""

import re
import sys

from model import (COMMON, DIFF, SERIES, ZERO, Patch, check_owners, committer, kernel_path,
                   parse_mail, read_topic, strip_space, topics_here, usage)
from plumbing import ROOT, Failure, encode, indent, notice, uninterrupted, write


def export_from(tree, only):
    """Write changed topics back into series/; their names."""
    refs = tree.refs()
    if dirty := tree.dirty():
        raise Failure(f"uncommitted changes in {tree.src} would not be exported:\n"
                      + indent("\n".join(dirty[:10])) + f"\n  Commit them (git -C {tree.src} commit, "
                      f"or commit --fixup) or put them away (git -C {tree.src} stash), then run again")
    loose = loose_commits(tree, refs, only)
    branches = [ref.removeprefix("heads/topic/") for ref in refs if ref.startswith("heads/topic/")]
    if only and only not in branches:
        usage(f"unknown topic '{only}': no branch topic/{only} in {tree.src}; "
              f"there is: {' '.join(branches) or 'none'}")
    done = {}
    for name in [only] if only else branches:
        now, was = refs[f"heads/topic/{name}"], refs.get(f"assembled/topic/{name}")
        if not was and not only:
            notice(f"branch topic/{name} is in no series yet; make export TOPIC={name} adds it")
            continue
        here = read_topic(name) if (SERIES / name).is_dir() else []
        kept = [p for p in here if p.digest in tree.partial.get(name, [])]
        assembled = tree.planned([p for p in here if p not in kept]) == (was or tree.base)
        if now == was and not loose and (kept or not assembled):
            if not assembled:
                notice(f"series/{name} is not what was assembled, and topic/{name} has nothing "
                       "new; left alone (make tree assembles it)")
            continue
        commits = autosquash(tree, name, commits_of(tree, name, now) + loose)
        patches = patches_of(tree, name, commits)
        subjects = {parse_mail(p)[0].split("\n")[0] for p in patches}
        patches += [p for p in kept if parse_mail(p)[0].split("\n")[0] not in subjects]
        same = [(p.name, p.digest) for p in here] == [(p.name, p.digest) for p in patches]
        if not assembled and not same:      # the same: an export that was cut off
            raise Failure(f"both series/{name} and branch topic/{name} changed since the tree was "
                          f"assembled; put the change of series/{name} away (git stash), "
                          "run again, and join the two with git there")
        if now != was or loose or not same:
            done[name] = (here, patches)
    check_owners({**{n: read_topic(n) for n in topics_here() if n not in done},
                  **{n: patches for n, (_, patches) in done.items()}})
    with uninterrupted():
        for name, (here, patches) in done.items():
            write_topic(name, here, patches)
            tree.git("update-ref", f"refs/assembled/topic/{name}", refs[f"heads/topic/{name}"])
            print(f"  {'EXPORT':<9} series/{name}: {len(patches)} commits", file=sys.stderr)
        if loose:
            tree.git("update-ref", "refs/assembled/integration", refs["heads/integration"])
    if not done:
        print(f"  {'EXPORT':<9} nothing changed", file=sys.stderr)
    return list(done)


def loose_commits(tree, refs, only):
    """Commits made on integration itself: they go to the topic that is named."""
    now, was = refs.get("heads/integration"), refs.get("assembled/integration")
    if not now or not was or now == was:
        return []
    if not tree.git.ok("merge-base", "--is-ancestor", was, now):
        raise Failure("integration was rewritten: its commits cannot be told apart from what was "
                      f"merged. Put them on a topic's branch (git -C {tree.src} cherry-pick), then: "
                      f"git -C {tree.src} branch -f integration refs/assembled/integration")
    commits = tree.log(f"{was}..{now}", "%H")
    if not only:
        raise Failure("commits on integration belong to no topic:\n"
                      + indent("\n".join(tree.log(f"{was}..{now}", "%h %s"))) +
                      "\n  make export TOPIC=NAME moves them to that topic "
                      "(fixup! commits into the commit that they name)")
    if any(" " in parents for parents in tree.log(f"{was}..{now}", "%P")):
        raise Failure("there is a merge on integration after those of the topics; "
                      "a series is made of plain commits: rebase it")
    return commits


def commits_of(tree, name, tip):
    rows = [row.split() for row in tree.log(f"{tree.base}..{tip}", "%H %P")]
    if not tree.git.ok("merge-base", "--is-ancestor", tree.base, tip):
        raise Failure(f"topic/{name} does not stand on base; "
                      f"git -C {tree.src} rebase --onto base OLD-BASE topic/{name}")
    if any(len(row) != 2 for row in rows):
        raise Failure(f"topic/{name} has a merge; a series is made of plain commits on base: "
                      f"git -C {tree.src} rebase base topic/{name}")
    return [row[0] for row in rows]


def autosquash(tree, name, commits):
    """One line of commits on base, each fixup! folded into what it names."""
    groups, tip = [], tree.base
    for commit in commits:
        subject = tree.git("log", "-1", "--format=%s", commit)
        mark = re.match(r"((?:fixup|squash|amend)! )+", subject)
        if not mark:
            groups.append((subject, commit, []))
            continue
        aim = subject[mark.end():]
        fits = [g for g in groups if g[0].startswith(aim) or g[1].startswith(aim)]
        if not fits:
            raise Failure(f"'{subject}' names no commit of topic {name}; "
                          "give TOPIC= the topic that has it, or reword it")
        fits[0][2].append((mark[1], commit))
    result = []
    for _, commit, fixups in groups:
        if not fixups and tree.git("rev-parse", f"{commit}^") == tip:
            tip = commit
        else:
            tip = squash(tree, name, tip, commit, fixups)
        result.append(tip)
    return result


def squash(tree, name, parent, commit, fixups):
    """Cherry-pick a commit and its fixups on a parent, as one; no files are touched."""
    tree.stage(parent)
    message = tree.git("log", "-1", "--format=%B", commit)
    for kind, pick in [("", commit), *fixups]:
        diff = tree.git.run(*DIFF, f"{pick}^", pick)[1]
        if not tree.git.ok("apply", "--cached", "--3way", "--whitespace=nowarn", "--allow-empty",
                           stdin=diff, index=tree.index):
            subject = tree.git("log", "-1", "--format=%h '%s'", pick)
            raise Failure(f"{subject} cannot be moved to topic/{name} by itself. By hand:\n"
                          f"    git -C {tree.src} branch mine {pick}\n"
                          f"    git -C {tree.src} reset --keep refs/assembled/integration\n"
                          f"    git -C {tree.src} checkout topic/{name}\n"
                          f"    git -C {tree.src} cherry-pick {pick[:12]}     # resolve, --continue\n"
                          "    make export")
        body = tree.git("log", "-1", "--format=%b", pick)
        if kind == "squash! ":
            message += "\n\n" + body
        elif kind == "amend! ":
            message = body
    author = tree.git("log", "-1", "--format=%an%n%ae%n%aI", commit).split("\n")
    env = dict(zip(("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE"), author))
    return tree.git("commit-tree", tree.git("write-tree", index=tree.index), "-p", parent,
                    stdin=strip_space(message), env={**env, **committer(author[2])})


def patches_of(tree, name, commits):
    """Commits as Patches, each of which makes that very commit again."""
    patches, parent, owner = [], tree.base, {}
    for number, commit in enumerate(commits, 1):
        patch = patch_of(tree, commit, number)
        subject = tree.git("log", "-1", "--format=%h '%s'", commit)
        added, changed = tree.changes(f"{commit}^", commit)
        if again := sorted(set(changed) & set(owner)):
            raise Failure(f"{again[0]} is added by {owner[again[0]]} and changed again by {subject}; "
                          "a file is added by one commit, in its final form. Fold the change into "
                          f"it:\n    git -C {tree.src} rebase -i base topic/{name}")
        owner.update((path, subject) for path in added)
        try:
            parent = tree.commit_patch(parent, patch)
        except Failure as err:
            raise Failure(f"{subject} of topic/{name} cannot be exported:\n{err}") from err
        form = "--format=%T%n%an%n%ae%n%ad%n%B"
        if tree.git("log", "-1", form, parent) != tree.git("log", "-1", form, commit).rstrip("\n"):
            raise Failure(f"{subject} of topic/{name} does not come through a patch unchanged: its "
                          "message has a line that git am cuts at ('---', 'diff -', 'From:', a "
                          f"'[tag]' in the subject, several subject lines); reword it:\n"
                          f"    git -C {tree.src} rebase -i base topic/{name}")
        patches.append(patch)
    return patches


def patch_of(tree, commit, number):
    added, _ = tree.changes(f"{commit}^", commit)
    patch = Patch("%04d-%s.patch" % (number, tree.git("log", "-1", "--format=%f", commit)[:52]
                                     .rstrip("-.")), b"")
    for path in sorted(added):
        mode, kind, blob = tree.git("ls-tree", commit, "--", path).split()[:3]
        if kind != "blob" or mode not in ("100644", "100755") or not kernel_path(path):
            raise Failure(f"{commit[:12]} adds {path}: only plain files in a folder of the "
                          "kernel's can be kept in this repository")
        patch.adds[path] = (mode, encode(tree.git.run("cat-file", "blob", blob)[1]))
    mail = tree.git("log", "-1", "--format=email", "--encode-email-headers", commit)
    mail = f"From {ZERO} " + mail.split(" ", 2)[2].rstrip("\n")
    mail += "\n---\n" if "\n\n" in mail else "\n\n---\n"
    mail += "".join(f"Adds: {path}\n" for path in sorted(added))
    skip = [f":(exclude,literal){path}" for path in added]
    diff = tree.git.run(*DIFF, f"{commit}^", commit, "--", ".", *skip)[1]
    patch.text = encode(mail + ("\n" + diff if diff else ""))
    return patch


def write_topic(name, here, patches):
    folder = SERIES / name
    folder.mkdir(parents=True, exist_ok=True)
    for patch in patches:
        for path, (mode, data) in patch.adds.items():
            write(ROOT / path, data)
            (ROOT / path).chmod(0o755 if mode == "100755" else 0o644)
    kept = {path for patch in patches for path in patch.adds}
    for path in {path for patch in here for path in patch.adds} - kept:
        (ROOT / path).unlink(missing_ok=True)
        for parent in (ROOT / path).parents:
            if parent == ROOT or any(parent.iterdir()):
                break
            parent.rmdir()
    names = set()
    for number, patch in enumerate(patches, 1):
        names.add(f"{number:04}" + patch.name[4:])
        write(folder / (f"{number:04}" + patch.name[4:]), patch.text)
    for old in folder.glob("*.patch"):
        if old.name not in names:
            old.unlink()
    if name != COMMON and not (folder / "cover.md").exists():
        write(folder / "cover.md", f"EDITME: title of {name}\n\nEDITME: what it does and why\n")
