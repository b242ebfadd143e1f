#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run scenarios of lab/scenarios/ and print KTAP.

A scenario is a Python file: its docstring says in one line what it shows, and

    MATRIX  dict of lists: abi (smc, ffa, x86_64), cpus, and anything else that
            scenario() takes; one test for each combination
    LIMIT   seconds after which the machine counts as hung
    MEMORY  of the machine; APPEND to its command line; VARIANT of the kernel
            (see lab/kernel.sh; the modules of modules and debug-modules are
            /boot/*.ko in the guest); SUITE (check, soak for the long
            ones, measure, or without: see lab/without.py); TOPIC that it needs,
            if not just a kernel, a dict if that depends on the ABI;
            COMPARE = False if it says nothing on another tree, and does not run
            there, BESIDE the VARIANT of the kernel that does, if another one;
            AT_MOST, a dict: how many times another tree's median of a figure
            this tree's may be, and how much more; SELFTEST, one of the kernel's, is
            /boot/selftest in the guest; TPM = True for an arm64 machine that
            has one, in the secure world; ACPI = True for one that boots through
            ACPI, and whose TPM is behind FF-A; CRB, a dict, has that TPM do other
            than right (see lab/acpi.py), ASLR the address where OP-TEE is to run
            there, instead of a random one; PKVM = True for a kernel that protects
            its guests; ROOTFS, what else is in the guest (see lab/rootfs.sh);
            FIRMWARE, another one of lab/firmware.sh than the ABI's;
            BOOT = False where the scenario starts the machine itself; all
            optional, and each may be a function of the parameters
    sensible(...)  which combinations to leave out; optional
    scenario(guest, ...)
            what to do, with a booted lab.guest.Guest; raises Trouble

Each test leaves build/results/TREE/TEST.json, and its consoles' logs beside.
"""
import argparse
import collections
import concurrent.futures
import dataclasses
import fnmatch
import functools
import importlib.util
import inspect
import itertools
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time
import traceback

from guest import TOP, Guest, Trouble

DEFAULTS = {"LIMIT": 60, "MEMORY": "2G", "APPEND": "", "VARIANT": "plain", "SUITE": "check",
            "TOPIC": "", "DEVICES": [], "MACHINE": "virt,secure=on,gic-version=3,its=off",
            "CPU": "cortex-a57", "BOOT": True, "COMPARE": True, "BESIDE": "", "AT_MOST": {},
            "SELFTEST": "", "TPM": False, "ACPI": False, "CRB": {}, "ASLR": 0, "PKVM": False,
            "ROOTFS": [], "FIRMWARE": ""}


# QEMU goes on watching pages that a kernel before had its code in: what is written
# there then costs a search through all that was translated of the page, and the third
# kexec takes five times as long as the first. It forgets them when its buffer for
# translated code is full, so that is small: MiB, by measurement.
# One thread a CPU is its default, but where instructions are counted.
TCG = ["-accel", "tcg,tb-size=32"]


@dataclasses.dataclass
class Setup:
    """What one machine is made of."""
    arch: str
    abi: str
    cpus: int
    memory: str
    append: str
    limit: float
    images: dict
    rootfs: list
    firmware: pathlib.Path
    machine: str
    cpu: str
    devices: list
    tpm: bool
    acpi: bool
    crb: dict
    aslr: int
    accel: list
    topics: list


@dataclasses.dataclass
class Test:
    """One scenario with one combination of its parameters."""
    name: str
    module: object
    params: dict
    debug: bool = False

    def get(self, attr):
        value = getattr(self.module, attr, DEFAULTS[attr])
        return value(**self.params) if callable(value) else value

    @property
    def variant(self):
        return "debug" if self.debug else self.get("VARIANT")

    @property
    def checks_itself(self):
        return self.variant.startswith("debug")

    @property
    def firmware(self):
        return self.get("FIRMWARE") or self.params["abi"]

    @property
    def rootfs(self):
        # xtest reads the statistics of an OP-TEE of its own version only.
        return ["ffa" if self.firmware == "smc-lab" else self.params["abi"], *self.get("ROOTFS")]

    @property
    def limit(self):
        """The debug kernel is slower; its figures are not compared."""
        return self.get("LIMIT") * (4 if self.checks_itself else 1)

    @property
    def topic(self):
        topic = self.get("TOPIC")
        return topic.get(self.params["abi"]) if isinstance(topic, dict) else topic

    @property
    def arch(self):
        return "x86_64" if self.params["abi"] == "x86_64" else "arm64"


def load():
    """Every test there is, in a stable order."""
    tests = []
    sys.path.append(str(TOP / "lab/scenarios"))     # one may build on another
    for path in sorted((TOP / "lab/scenarios").glob("*.py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for values in itertools.product(*module.MATRIX.values()):
            params = dict(zip(module.MATRIX, values))
            if not getattr(module, "sensible", lambda **_: True)(**params):
                continue
            words = [f"{v}cpu" if k == "cpus" else str(v) for k, v in params.items()]
            tests.append(Test("-".join([path.stem] + words), module, params))
    return tests


@functools.cache
def accelerator(kernel):
    """QEMU's options for x86_64: KVM where this kernel starts on it, else TCG.

    That /dev/kvm is there says little: nested in another machine it may be
    unable to set a register, or to run the kernel's first instructions.
    """
    # QEMU may be unable to set IA32_ARCH_CAPABILITIES in a nested machine.
    kvm = ["-accel", "kvm", "-cpu", "host,arch-capabilities=off"]
    probe = ["timeout", "5", "qemu-system-x86_64", *kvm, "-M", "q35", "-m", "1G", "-display", "none",
             "-nodefaults", "-serial", "stdio", "-kernel", str(kernel), "-append",
             "console=ttyS0 panic=-1", "-no-reboot"]
    output = subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout
    return kvm if b"Linux version" in output else [*TCG, "-cpu", "max"]


def image(src, arch, variant):
    out = src / (".build-" + arch + ("" if variant == "plain" else "-" + variant))
    return out / ("arch/x86/boot/bzImage" if arch == "x86_64" else "arch/arm64/boot/Image")


def setup(test, src, args):
    """The machine for a test on a kernel tree."""
    params = test.params
    images = {"kernel": image(src, test.arch, src != args.src and test.get("BESIDE") or test.variant)}
    if test.variant in ("modules", "debug-modules"):
        images.update((ko.name, ko) for ko in images["kernel"].parents[3].rglob("*.ko"))
    if test.get("SELFTEST"):
        # The fork's, on whatever kernel: the base has none.
        selftest = test.get("SELFTEST")
        if selftest.endswith(".sh"):
            images["selftest"] = args.src / "tools/testing/selftests" / selftest
            images["ktap_helpers.sh"] = args.src / "tools/testing/selftests/kselftest/ktap_helpers.sh"
        else:
            images["selftest"] = image(args.src, test.arch, test.variant).parents[3] / "kselftest" / selftest
    for name, tree in (other.split("=", 1) for other in args.other):
        images[name] = image(pathlib.Path(tree), test.arch, test.variant)
    rootfs = [TOP / f"build/rootfs/{name}.cpio" for name in test.rootfs]
    firmware = TOP / f"build/firmware/{test.firmware}/qemu_fw.bios"
    for part in [*images.values(), *rootfs] + ([firmware] if test.arch == "arm64" else []):
        if not part.exists():
            sys.exit(f"lab/run.py: {part} is not there. make boot, or make check, builds it.")
    if test.get("TPM") and not shutil.which("swtpm"):
        sys.exit(f"lab/run.py: there is no swtpm, the TPM of {test.name}. make boot, or make check, "
                 "installs it.")
    machine, cpu, append = test.get("MACHINE"), test.get("CPU"), test.get("APPEND")
    if test.get("PKVM"):
        machine, cpu, append = f"{machine},virtualization=on", "cortex-a72", f"kvm-arm.mode=protected {append}"
    if test.arch == "x86_64" and test.checks_itself:
        # identify_cpu() clears X86_FEATURE_LA57 for a moment. KASAN takes the shadow of four
        # levels of page tables for its own then, and an interrupt's spinlock for wild.
        append += " no5lvl"
    if test.arch == "x86_64" and args.topics == "none":
        # make bisect boots commits without common, whose patch keeps the clocksource watchdog
        # from hanging some boots.
        append += " tsc=reliable"
    return Setup(arch=test.arch, abi=params["abi"], cpus=params.get("cpus", 1),
                 memory=test.get("MEMORY"), append=append, limit=test.limit, images=images,
                 rootfs=rootfs, firmware=firmware, machine=machine, cpu=cpu,
                 devices=test.get("DEVICES"), tpm=test.get("TPM"), acpi=test.get("ACPI"),
                 crb=test.get("CRB"), aslr=test.get("ASLR"),
                 accel=accelerator(images["kernel"]) if test.arch == "x86_64" else TCG,
                 topics=args.topics.split(","))


def perform(test, tree, src, args):
    """Run one test; returns its result, which is on disk by then."""
    folder = TOP / "build/results" / tree
    start = time.monotonic()
    with Guest(setup(test, src, args), folder / test.name) as guest:
        result = {"test": test.name, "title": test.module.__doc__.splitlines()[0],
                  "tree": tree, **test.params, "outcome": "pass", "message": "", "tail": []}
        try:
            if test.get("BOOT"):
                guest.figure("boot", guest.boot(), "s")
            wanted = inspect.signature(test.module.scenario).parameters
            test.module.scenario(guest, **{k: v for k, v in test.params.items() if k in wanted})
            if test.checks_itself and test.get("BOOT"):
                guest.leaks()
        except Trouble as trouble:
            result.update(outcome=trouble.outcome, message=str(trouble), tail=guest.tail())
        except Exception:       # a mistake in the scenario is a failure of this test alone
            result.update(outcome="error", message=traceback.format_exc(), tail=guest.tail())
        result.update(seconds=round(time.monotonic() - start, 1), figures=guest.figures,
                      facts=guest.facts, logs=str((folder / test.name).relative_to(TOP)))
    keep(result)
    return result


def keep(result):
    folder = TOP / "build/results" / result["tree"]
    part = folder / f"{result['test']}.json.part"
    part.write_text(json.dumps(result, indent=1) + "\n")
    part.rename(folder / f"{result['test']}.json")


def judge(result, other, at_most):
    """A figure that is too far above another tree's makes a failure of a success."""
    for name, (times, more) in at_most.items():
        if "pass" != result["outcome"] or "pass" != other["outcome"]:
            print(f"# {name}: not compared, as {result['test']} does not pass on both")
            continue
        ours, theirs = (statistics.median(r["figures"][name]["values"]) for r in (result, other))
        if ours > times * theirs + more:
            result.update(outcome="failed", message=f"{name}: the median is {ours:g}, {other['tree']}'s {theirs:g}: "
                          f"at most {times} times that and {more} more are allowed")
            keep(result)


def shell(test, args):
    """Hand the machine's console to the person at the terminal."""
    guest = Guest(setup(test, args.src, args), TOP / "build/shell")
    command = guest.command("lab.shell", "mon:stdio")
    print("  The guest's console; Ctrl-A X ends it. The secure world's: build/shell/secure.log",
          file=sys.stderr)
    try:
        return subprocess.run(command, check=False).returncode
    finally:
        guest.__exit__()


def select(args, topics):
    tests = [t for t in load() if t.get("SUITE") in args.suite.split(",")
             and (not t.topic or t.topic in topics)]
    if args.abis:
        tests = [t for t in tests if t.params["abi"] in args.abis.split(",")]
    if args.arch:
        tests = [t for t in tests if t.arch == args.arch]
    if args.variant == "debug":
        for test in tests:
            test.debug = test.get("VARIANT") == "plain"     # the others are their subject
    if args.compared:
        tests = [t for t in tests if t.get("COMPARE")]
    if args.only:
        tests = [t for t in tests if fnmatch.fnmatch(t.name, args.only) or args.only in t.name]
    return tests


def apart(tests):
    """The first test of each scenario, then the second of each, and so on.

    What is next to each other runs at once, and tests of a kind want the same of the
    machine: two xtests at once took longer than one after the other, by a tenth."""
    turn = collections.Counter()

    def nth(test):
        turn[test.module] += 1
        return turn[test.module]

    return sorted(tests, key=nth)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", default="fork", help="what the results are called")
    parser.add_argument("--src", required=True, type=pathlib.Path, help="its kernel tree, built")
    parser.add_argument("--other", action="append", default=[], metavar="NAME=SRC",
                        help="another built tree, whose kernel the guest has as /boot/NAME")
    parser.add_argument("--suite", default="check")
    parser.add_argument("--topics", default="optee-kexec,ffa-ima,confidential-devices")
    parser.add_argument("--abis", help="only these, with a comma between them")
    parser.add_argument("--arch")
    parser.add_argument("--variant", choices=["plain", "debug"], default="plain",
                        help="debug: every test on the debug kernel")
    parser.add_argument("--only", help="a test's name, a part of it, or a pattern with *")
    parser.add_argument("--compared", action="store_true", help="not those that say nothing on another tree")
    parser.add_argument("--figures", action="store_true", help="print what was measured")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="name the tests, run nothing")
    parser.add_argument("--forget", action="store_true",
                        help="run nothing, remove what is in the results of any other test")
    parser.add_argument("--needs", action="store_true",
                        help="name the kernels, firmware and root file systems that the tests need")
    parser.add_argument("--shell", action="store_true",
                        help="the console of the first test's machine, for a person")
    parser.add_argument("--beside", metavar="NAME=SRC",
                        help="run each test on this built tree too, at the same time; "
                        "what fails there is a finding, not a failure")
    args = parser.parse_args()

    tests = select(args, args.topics.split(","))
    if not tests and args.compared and args.needs:
        return 0
    if not tests:
        everything = sorted({t.name.split("-")[0] for t in load()})
        sys.exit(f"lab/run.py: no test is called {args.only or ''!r} for ABI {args.abis or 'any'}, "
                 f"ARCH {args.arch or 'any'}. There are: {', '.join(everything)} "
                 "(make list names every test).")
    if args.list:
        for test in tests:
            print(f"{test.name:44} {test.module.__doc__.splitlines()[0]}")
        return 0
    if args.forget:
        forget(TOP / "build/results" / args.tree, {test.name for test in tests})
        return 0
    if args.needs:
        print("\n".join(sorted({f"kernel {t.arch} {variant}" for t in tests
                                for variant in (t.variant, t.get("BESIDE")) if variant}
                               | {f"firmware {t.firmware}" for t in tests if t.arch == "arm64"}
                               | {f"rootfs {name}" for t in tests for name in t.rootfs})))
        return 0

    if args.shell:
        return shell(tests[0], args)

    if not args.beside:
        tests = apart(tests)
    trees = {args.tree: args.src}
    if args.beside:
        name, src = args.beside.split("=", 1)
        trees = {name: pathlib.Path(src), **trees}
    runs = [[(test, name, src) for name, src in trees.items() if name == args.tree or test.get("COMPARE")]
            for test in tests]
    for name in trees:
        (TOP / "build/results" / name).mkdir(parents=True, exist_ok=True)
    for test, _, src in sum(runs, []):
        setup(test, src, args)      # before the threads: it may probe for KVM, or stop here
    total = len(sum(runs, []))
    if not args.beside:
        runs = [sum(runs, [])]

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print("KTAP version 1")
    print(f"1..{total}", flush=True)
    number = passed = failed = 0
    pool = concurrent.futures.ThreadPoolExecutor(len(trees) if args.beside else args.jobs)
    try:
        for batch in runs:
            jobs = [pool.submit(perform, *run, args) for run in batch]
            ended = concurrent.futures.as_completed(jobs)
            if args.beside:
                ended = jobs
            if len(batch) == 2 and args.beside:
                judge(jobs[1].result(), jobs[0].result(), batch[0][0].get("AT_MOST"))
            for job in ended:
                result = job.result()
                ok = result["outcome"] == "pass"
                finding = not ok and result["tree"] != args.tree
                passed += ok and result["tree"] == args.tree
                number, failed = number + 1, failed + (not ok and not finding)
                show(result, number, finding, args)
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        Guest.stop_all()
        sys.exit("lab/run.py: interrupted. The results of the tests that ended are in build/results; "
                 "the same command runs all of them again.")
    finally:
        pool.shutdown()
    print(f"# {args.tree}: pass:{passed} fail:{failed}")
    return 1 if failed else 0


def forget(folder, names):
    """Tests that are gone, or were renamed, are none of the table."""
    for result in folder.glob("*.json"):
        if result.stem not in names:
            shutil.rmtree(result.with_suffix(""), ignore_errors=True)
            result.unlink()


def show(result, number, finding, args):
    """One test's lines of KTAP."""
    name = result["test"] if not args.beside else f"{result['test']} on {result['tree']}"
    ok = result["outcome"] == "pass"
    lines = [f"{result['outcome']}: {result['message']}"]
    for what, figure in result["figures"].items() if args.figures else []:
        print(f"# {what}: {', '.join(map(str, figure['values']))} {figure['unit']}")
    if not ok and not finding:
        lines += [*result["tail"], f"logs: {result['logs']}", f"repeat: make check ONLY={result['test']}"]
    for line in "\n".join([] if ok else lines).splitlines():
        print(f"# {line}")
    print(f"{'ok' if ok or finding else 'not ok'} {number} {name} # "
          f"{'XFAIL ' if finding else ''}{result['seconds']} s", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    sys.exit(main())
