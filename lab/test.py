#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Tests of the laboratory's scripts: bad input, missing parts, interruptions.

    lab/test.py [WORD...]      run all, or those whose name has one of the words

Each test has a copy of the scripts, a cache of its own, and stand-ins on PATH
for the programs that would take long, need the network, or boot a machine.
"""
import ast
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

import acpi
from ktap import has, main, run, test

TOP = pathlib.Path(__file__).resolve().parent.parent
TMP = pathlib.Path(tempfile.mkdtemp(prefix="tee-linux-lab."))

# Stand-ins for the firmware's build: they make what the real ones would.
FIRMWARE = {
    "dpkg-source": 'for last; do :; done; mkdir -p "$last/core"\n',
    "dpkg-deb": 'for last; do :; done; mkdir -p "$last"\n',
    "patch": ":\n",
    "aarch64-linux-gnu-gcc": ":\n", "gcc": ":\n", "dtc": ":\n",
    "make": 'echo "made $*" >> "$HERE/made"\n'
            '[ -z "${ARCH+set}${MAKEFLAGS:-}" ] || { echo "ARCH or MAKEFLAGS got here"; exit 2; }\n'
            '[ ! -e "$HERE/slow" ] || { touch "$HERE/slow.seen"; sleep 30; }\n'
            '[ ! -e "$HERE/full" ] || { echo "ld: No space left on device"; exit 2; }\n'
            'sleep 0.3\n'
            'while [ $# -gt 0 ]; do [ "$1" = -C ] && dir=$2; shift; done\n'
            'mkdir -p "$dir/build/qemu/release" "$dir/out/core"\n'
            'echo firmware > "$dir/build/qemu/release/qemu_fw.bios"\n',
}
APT = '#!/bin/sh\nmkdir -p "$HERE/files"; touch "$HERE/files/x"; echo "$HERE/files/x"\n'

# A machine: says what the test put into its script, and waits.
QEMU = """#!/bin/sh
cat "$HERE/console"
[ ! -e "$HERE/secure" ] || for a; do case $a in file:*) cat "$HERE/secure" > "${a#file:}" ;; esac; done
[ -e "$HERE/ends" ] || exec sleep 60
"""
# A TPM: ends when the connection does, like the real one with --terminate.
SWTPM = """#!/usr/bin/python3
import os, pathlib, re, socket, sys
here = pathlib.Path(os.environ["HERE"])
(here / "swtpm.pid").write_text(str(os.getpid()))
with open(here / "swtpm.args", "a") as args:
    print(*sys.argv[1:], file=args)
connection = socket.socket(fileno=int(re.search(r"clientfd=([0-9]+)", " ".join(sys.argv))[1]))
while connection.recv(1):
    pass
(here / "swtpm.ended").touch()
"""
READY = "@lab ready kernel=7.3.4 up=0.5\n"
SCENARIO = '"""A title"""\nMATRIX = {"abi": ["ffa"]}\nLIMIT = %s\n\n\ndef scenario(guest):\n    %s\n'


class Copy:
    """The project's scripts in a folder of their own, with stand-ins."""

    def __init__(self, name):
        self.dir = TMP / name
        shutil.copytree(TOP / "lab", self.dir / "lab", ignore=shutil.ignore_patterns("__pycache__"))
        for folder in ("series", "kernel", "arch"):
            shutil.copytree(TOP / folder, self.dir / folder,
                            ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("Makefile", "Kconfig"):
            shutil.copy(TOP / file, self.dir)
        (self.dir / "bin").mkdir()
        self.env = {"PATH": f"{self.dir}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                    "HOME": str(self.dir), "XDG_CACHE_HOME": str(self.dir / "cache"),
                    "HERE": str(self.dir)}

    def write(self, path, text, mode=0o644):
        file = self.dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def tool(self, name, text):
        self.write(f"bin/{name}", "#!/bin/sh\n" + text, 0o755)

    def run(self, *argv, status=0, **env):
        return run(argv, cwd=self.dir, env={**self.env, **env}, status=status)

    def start(self, *argv):
        """In the background, and as a group, as a terminal would have it."""
        return subprocess.Popen(argv, cwd=self.dir, env=self.env, text=True, start_new_session=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def wait_for(self, path):
        for _ in range(200):
            if (self.dir / path).exists():
                return
            time.sleep(0.05)
        raise AssertionError(f"{path} did not appear")

    def cached(self, part):
        """What is in a part of the cache, but for locks."""
        folder = self.dir / "cache/tee-linux" / part
        return sorted(p.name for p in folder.glob("*") if p.name != "lock") if folder.exists() else []

    def firmware(self):
        for name, text in FIRMWARE.items():
            self.tool(name, text)
        self.write("lab/apt.sh", APT, 0o755)

    def machine(self, console, scenario="guest.run('true', limit=2)", limit=20, secure=None):
        """One scenario, and the machine that it runs on."""
        shutil.rmtree(self.dir / "lab/scenarios")
        self.write("lab/scenarios/one.py", SCENARIO % (limit, scenario))
        self.write("bin/qemu-system-aarch64", QEMU, 0o755)
        self.write("console", console)
        if secure:
            self.write("secure", secure)
        for file in ("src/.build-arm64/arch/arm64/boot/Image", "build/rootfs/ffa.cpio",
                     "build/firmware/ffa/qemu_fw.bios"):
            self.write(file, "x")

    def result(self):
        return json.loads((self.dir / "build/results/fork/one-ffa.json").read_text())


# What a person types.

@test
def make_alone_prints_the_targets(lab):
    out = lab.run("make")
    has(out, "make boot", "make check", "make compare", "make send", "make distclean",
        "ARCH=arm64|x86_64", "LINUX=PATH", "FRAGMENTS=", "ONLY=PATTERN", "V=1")


@test
def scripts_say_how_they_are_called(lab):
    for name in "apt", "check", "firmware", "kernel", "rootfs", "style":
        has(lab.run(f"lab/{name}.sh", status=2), f"lab/{name}.sh ")


@test
def unknown_arch(lab):
    has(lab.run("make", "boot", "ARCH=mips", status=2), "no such ARCH: mips (arm64 or x86_64)")


@test
def unknown_abi(lab):
    has(lab.run("make", "check", "ABI=hvc", status=2), "no such ABI: hvc (ffa or smc)")
    has(lab.run("make", "boot", "ARCH=x86_64", "ABI=ffa", status=2), "no secure world")


@test
def unknown_only(lab):
    """Said before anything is fetched or built."""
    out = lab.run("make", "check", "ONLY=nonsense", status=2)
    has(out, "no test is called 'nonsense'", "kexec", "make list")
    assert not (lab.dir / "linux").exists() and not (lab.dir / "cache").exists()


@test
def unknown_topic(lab):
    has(lab.run("make", "tree", "TOPICS=nonsense", status=2), "nonsense", "optee-kexec")
    has(lab.run("make", "send", "TOPIC=nonsense", "OUT=x", status=2), "nonsense", "optee-kexec")


@test
def unknown_fragment(lab):
    has(lab.run("lab/kernel.sh", str(lab.dir), "arm64", "plain", "no.config", status=1),
        "no such fragment: no.config", "FRAGMENTS")
    has(lab.run("lab/kernel.sh", str(lab.dir), "mips", "plain", status=1), "no such ARCH: mips")


@test
def a_kernel_that_the_order_is_not_for(lab):
    lab.write("src/init/main.c", "another kernel's\n")
    has(lab.run("lab/kernel.sh", "src", "arm64", "order", status=1),
        "lab/kernel/order.patch is not for init/main.c of src/arm64-order: adapt it")
    assert not list((lab.dir / "src").rglob("main.c.*")) and not (lab.dir / "src/.order/init/main.c").exists()
    assert (lab.dir / "src/init/main.c").read_text() == "another kernel's\n"


@test
def a_symbol_that_does_not_survive(lab):
    lab.write("src/Kconfig", "config ALPHA\nconfig BETA\nconfig GAMMA\n")
    lab.write("src/.config", "CONFIG_ALPHA=y\nCONFIG_GAMMA=m\n")
    lab.write("f.config", "CONFIG_ALPHA=y\nCONFIG_BETA=y\nCONFIG_GAMMA=y\nCONFIG_DELTA=y\n"
                          "CONFIG_CONFIDENTIAL_DEVICES=y\n")
    out = lab.run("lab/kernel/survived.py", "src", "src/.config", "f.config", status=1)
    has(out, "f.config: CONFIG_BETA=y was dropped", "CONFIG_GAMMA=y became m",
        "CONFIG_DELTA=y is in no Kconfig", "CONFIG_CONFIDENTIAL_DEVICES is not in this tree")
    assert "ALPHA" not in out
    lab.write("f.config", "CONFIG_ALPHA=y\n# CONFIG_BETA is not set\n")
    assert lab.run("lab/kernel/survived.py", "src", "src/.config", "f.config") == ""
    # On the base CONFIG_TCG_ARM_CRB_FFA can be no more than TCG_CRB, a module in modules.config.
    lab.write("src/.config", "CONFIG_ALPHA=m\nCONFIG_GAMMA=m\n")
    lab.write("f.config", "CONFIG_ALPHA=m\nCONFIG_GAMMA=y\n")
    assert lab.run("lab/kernel/survived.py", "src", "src/.config", "f.config") == ""


@test
def linux_is_for_every_step(lab):
    """The tree that is built is that of the clone, as is the one that is assembled."""
    lab.tool("dpkg-query", 'echo "install ok installed"\n')
    lab.write("series/tree.py", '#!/bin/sh\necho "$@" >> "$HERE/args"\necho "src=$HERE/built"\n', 0o755)
    lab.write("lab/kernel.sh", '#!/bin/sh\necho "kernel $1" >> "$HERE/args"\n', 0o755)
    for target in ("tree", "kernel", "export", "verify", "record"):
        lab.run("make", target, "LINUX=/clone")
    lab.run("make", "send", "TOPIC=x", "OUT=y", "LINUX=/clone")
    for line in (lab.dir / "args").read_text().splitlines():
        has(line, f"kernel {lab.dir}/built" if line.startswith("kernel") else "--linux /clone")


# The machine that it runs on.

@test
def too_little_disk(lab):
    out = lab.run("lab/deps.sh", "1000000", status=1)
    has(out, "GB are free", "needs 1000000 GB", "Make room")
    assert not (lab.dir / "build").exists()


@test
def packages_that_cannot_be_installed(lab):
    lab.tool("dpkg-query", "exit 1\n")
    lab.tool("apt-get", 'echo "E: Could not resolve deb.example"; exit 100\n')
    lab.tool("sudo", 'exec "$@"\n')
    has(lab.run("lab/deps.sh", status=1), "Could not resolve", "could not install", "b4",
        "online?", "build/deps.log")


@test
def no_root_and_no_sudo(lab):
    lab.tool("dpkg-query", "exit 1\n")
    lab.tool("id", "echo 1000\n")
    if shutil.which("sudo", path="/usr/sbin:/usr/bin:/sbin:/bin"):
        lab.tool("command", "exit 1\n")
        lab.env["PATH"] = f"{lab.dir}/bin"
        for name in ("df", "awk", "grep", "date", "paste", "dirname", "sh", "cat"):
            (lab.dir / "bin" / name).symlink_to(shutil.which(name))
    has(lab.run("lab/deps.sh", status=1), "run as root, or with sudo", "apt-get install")


@test
def no_root_is_needed_once_packages_are_there(lab):
    lab.tool("dpkg-query", 'echo "install ok installed"\n')
    lab.tool("id", "echo 1000\n")
    assert lab.run("lab/deps.sh") == ""


# The archive.

@test
def no_registry(lab):
    out = lab.run("lab/apt.sh", "deb", "optee-os:arm64=1", "trixie", status=1,
                  DEBIAN_MIRROR="http://127.0.0.1:9/debian")
    has(out, "cannot read the package lists from http://127.0.0.1:9/debian", "online?",
        "DEBIAN_MIRROR=")
    assert not list((lab.dir / "cache/tee-linux/apt/files").glob("*"))
    out = lab.run("lab/rootfs.sh", "ffa", status=1, DEBIAN_MIRROR="http://127.0.0.1:9/debian")
    has(out, "cannot read the package lists")
    assert not (lab.dir / "build/rootfs/ffa.cpio").exists() and not lab.cached("rootfs")


@test
def a_mirror_that_is_out_of_date(lab):
    lab.tool("apt-get", 'echo "E: Release file for x is expired (invalid since 14d)."; exit 100\n')
    has(lab.run("lab/apt.sh", "update", status=1), "out of date", "clock", "DEBIAN_MIRROR=")


@test
def a_truncated_download(lab):
    """apt finds out; nothing of it appears under the name of a whole file."""
    lab.tool("apt-get", 'case "$*" in *update*) exit 0 ;; esac\n'
                        'echo half > optee-os_1_arm64.deb; echo "E: File has unexpected size"; exit 100\n')
    has(lab.run("lab/apt.sh", "deb", "optee-os:arm64=1", "trixie", status=1),
        "unexpected size", "cannot fetch optee-os:arm64=1", "To be had:")
    assert not list((lab.dir / "cache/tee-linux/apt/files").glob("*"))
    lab.tool("apt-get", 'case "$*" in *update*) exit 0 ;; esac\necho whole > optee-os_1_arm64.deb\n')
    path = lab.run("lab/apt.sh", "deb", "optee-os:arm64=1", "trixie").strip()
    assert pathlib.Path(path).read_text() == "whole\n"


# Firmware: the longest of what the lab builds.

@test
def firmware_is_built_once(lab):
    lab.firmware()
    lab.run("lab/firmware.sh", "ffa", ARCH="", MAKEFLAGS="")
    made = (lab.dir / "made").read_text()
    assert made.count("made") == 2, made        # OP-TEE, and TF-A
    assert (lab.dir / "build/firmware/ffa/qemu_fw.bios").read_text() == "firmware\n"
    shutil.rmtree(lab.dir / "build")
    assert lab.run("lab/firmware.sh", "ffa") == ""
    assert (lab.dir / "build/firmware/ffa/qemu_fw.bios").exists()
    assert (lab.dir / "made").read_text() == made
    has(lab.run("lab/firmware.sh", "hvc", status=2), "lab/firmware.sh smc", "lab/firmware.sh ffa")


@test
def ctrl_c_in_the_firmware_and_again(lab):
    lab.firmware()
    lab.write("slow", "")
    job = lab.start("lab/firmware.sh", "ffa")
    lab.wait_for("slow.seen")
    os.killpg(job.pid, signal.SIGINT)
    job.communicate(timeout=20)
    assert job.returncode != 0 and not lab.cached("firmware")
    assert not (lab.dir / "build/firmware/ffa/qemu_fw.bios").exists()
    assert not list((lab.dir / "cache/tee-linux/firmware").glob(".work*"))
    (lab.dir / "slow").unlink()
    lab.run("lab/firmware.sh", "ffa")
    assert (lab.dir / "build/firmware/ffa/qemu_fw.bios").exists()


@test
def the_firmware_is_built_while_the_tree_is_assembled(lab):
    lab.tool("dpkg-query", 'echo "install ok installed"\n')
    lab.write("lab/firmware.sh", '#!/bin/sh\necho "no OP-TEE"; echo $$ > "$HERE/firmware.new"\n'
              'mv "$HERE/firmware.new" "$HERE/firmware"\n[ ! -e "$HERE/slow" ] || sleep 60\nexit 1\n', 0o755)
    # Ends well also where Ctrl-C comes meanwhile, as any program may: nothing goes on after it.
    lab.write("series/tree.py", '#!/bin/sh\ntrap : INT\n[ "$1" = assemble ] || exit 0\n'
              'for i in $(seq 100); do [ ! -e "$HERE/firmware" ] || break; sleep 0.1; done\n'
              '[ -e "$HERE/firmware" ] || { echo "no firmware yet"; exit 1; }\n'
              '[ ! -e "$HERE/slow" ] || sleep 2\necho assembled\n', 0o755)
    lab.write("lab/kernel.sh", '#!/bin/sh\ntouch "$HERE/built"\n', 0o755)
    out = lab.run("make", "boot", status=2)
    has(out, "assembled", "no OP-TEE")
    assert not (lab.dir / "built").exists()
    (lab.dir / "firmware").unlink()
    lab.write("slow", "")
    job = lab.start("make", "boot")
    lab.wait_for("firmware")
    os.killpg(job.pid, signal.SIGINT)
    job.communicate(timeout=20)
    assert job.returncode != 0 and not (lab.dir / "built").exists()
    pid = (lab.dir / "firmware").read_text().strip()
    for _ in range(40):     # a zombie is gone as well, once somebody looks
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return
        if stat.rsplit(")")[-1].split()[0] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("the firmware is built on after Ctrl-C")


@test
def a_full_disk_in_the_firmware(lab):
    lab.firmware()
    lab.write("full", "")
    out = lab.run("lab/firmware.sh", "smc", status=1)
    has(out, "No space left on device", "building TF-A", "build.log", "Nothing half-made was kept")
    assert not lab.cached("firmware")
    lab.tool("df", 'echo x; echo "/dev/x 1 1 1000 1 /"\n')
    has(lab.run("lab/firmware.sh", "smc", status=1), "0 MB are free", "Make room")


@test
def two_runs_at_once(lab):
    lab.firmware()
    jobs = [lab.start("lab/firmware.sh", "ffa") for _ in range(3)]
    for job in jobs:
        out, _ = job.communicate(timeout=60)
        assert job.returncode == 0, out
    assert (lab.dir / "made").read_text().count("made") == 2


# The runner: what it makes of a machine's console.

TROUBLE = {
    "panic": "Kernel panic - not syncing: Attempted to kill init!",
    "oops": "Unable to handle kernel NULL pointer dereference at virtual address 0",
    "oops x86": "BUG: unable to handle page fault for address: ffff",
    "hang": "INFO: task kexec:88 blocked for more than 30 seconds.",
    "hang rcu": "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    "hang lockup": "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [init:1]",
    "report kasan": "BUG: KASAN: slab-use-after-free in tee_shm_put+0x10/0x20",
    "report lockdep": "WARNING: possible circular locking dependency detected",
    "report kmemleak": "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    "report warn": "WARNING: CPU: 0 PID: 1 at drivers/tee/tee_core.c:1 f+0x1/0x2",
    "report warn 7": "WARNING: drivers/tee/tee_core.c:1 at f+0x1/0x2, CPU#0: init/1",
}


def trouble(kind, line):
    def function(lab):
        lab.machine(f"[    0.1] Booting Linux\n[    0.2] {line}\n" + READY)
        out = lab.run("lab/run.py", "--src", "src", status=1)
        has(out, "not ok 1 one-ffa", line, "repeat: make check ONLY=one-ffa", "-- console.log",
            "pass:0 fail:1")
        result = lab.result()
        assert result["outcome"] == kind.split()[0], result
    function.__name__ = "the_runner_sees_" + kind.replace(" ", "_")
    return test(function)


for _kind, _line in TROUBLE.items():
    trouble(_kind, _line)


@test
def the_runner_sees_a_secure_world_panic(lab):
    for word in "", "'unhandled pageable abort' ":
        lab.machine(READY, secure=f"E/TC:0 0 Panic {word}at core/kernel.c:12 <f>\n")
        has(lab.run("lab/run.py", "--src", "src", status=1), "secure-world panic", "-- secure.log")


@test
def the_runner_sees_a_hang(lab):
    lab.machine("[    0.1] Booting Linux\n", limit=2)
    has(lab.run("lab/run.py", "--src", "src", status=1), "hang: waited in vain for")
    assert lab.result()["outcome"] == "hang"


@test
def the_runner_sees_a_machine_that_ends(lab):
    lab.machine("[    0.1] Booting Linux\n")
    lab.write("ends", "")
    has(lab.run("lab/run.py", "--src", "src", status=1), "died: the machine is off")


@test
def the_runner_sees_a_command_that_fails(lab):
    lab.machine(READY + "no such device\n@lab rc=3 id=1\n")
    has(lab.run("lab/run.py", "--src", "src", status=1), "`true` ended with 3: no such device")


@test
def the_runner_passes_what_is_in_order(lab):
    lab.machine(READY + "fine\n@lab rc=0 id=1\n")
    has(lab.run("lab/run.py", "--src", "src"), "ok 1 one-ffa", "pass:1 fail:0")
    assert lab.result()["outcome"] == "pass" and "boot" in lab.result()["figures"]
    # What keeps the third kexec as fast as the first: see lab/run.py.
    has((lab.dir / "build/results/fork/one-ffa/qemu.cmd").read_text(), "-accel tcg,tb-size=")


@test
def the_runner_keeps_tests_of_a_kind_apart(lab):
    lab.machine(READY + "fine\n@lab rc=0 id=1\n")
    one = (lab.dir / "lab/scenarios/one.py").read_text()
    for name in "one", "two":
        (lab.dir / f"lab/scenarios/{name}.py").write_text(one + "MATRIX['cpus'] = [1, 2]\n")
    out = lab.run("lab/run.py", "--src", "src", "--jobs", "1")
    has(out, "ok 1 one-ffa-1cpu", "ok 2 two-ffa-1cpu", "ok 3 one-ffa-2cpu", "ok 4 two-ffa-2cpu", "pass:4")


@test
def the_runner_asks_a_scenario_that_has_functions(lab):
    lab.machine(READY + "fine\n@lab rc=0 id=1\n")
    with open(lab.dir / "lab/scenarios/one.py", "a", encoding="ascii") as scenario:
        scenario.write("def APPEND(abi): return 'asked.for=' + abi\n\n\ndef PKVM(abi): return abi == 'ffa'\n")
    lab.run("lab/run.py", "--src", "src")
    has((lab.dir / "build/results/fork/one-ffa/qemu.cmd").read_text(), "asked.for=ffa", "virtualization=on",
        "kvm-arm.mode=protected", "cortex-a72")


@test
def the_runner_compares_figures(lab):
    lab.machine(READY, "guest.figure('size', 11 if 'fork' in str(guest.logs) else 10, 's')")
    shutil.copytree(lab.dir / "src", lab.dir / "other")
    run_one = ("lab/run.py", "--src", "src", "--beside", "base=other")
    has(lab.run(*run_one), "ok 1 one-ffa on base", "ok 2 one-ffa on fork")
    with open(lab.dir / "lab/scenarios/one.py", "a", encoding="ascii") as scenario:
        scenario.write("AT_MOST = {'size': (1.05, 0.4)}\n")
    has(lab.run(*run_one, status=1), "size: the median is 11, base's 10: at most 1.05 times that and 0.4 more")
    assert lab.result()["outcome"] == "failed"
    lab.machine(READY, "guest.figure('size', 1, 's'); guest.must('fork' in str(guest.logs), 'not here')")
    with open(lab.dir / "lab/scenarios/one.py", "a", encoding="ascii") as scenario:
        scenario.write("AT_MOST = {'size': (1.05, 0.4)}\n")
    has(lab.run(*run_one), "# size: not compared, as one-ffa does not pass on both", "pass:1 fail:0")


@test
def the_runner_does_not_compare_what_says_nothing_on_another_tree(lab):
    lab.machine(READY, "guest.figure('size', 1, 's')")
    shutil.copytree(lab.dir / "src", lab.dir / "other")
    with open(lab.dir / "lab/scenarios/one.py", "a", encoding="ascii") as scenario:
        scenario.write("COMPARE = False\n")
    run_one = ("lab/run.py", "--src", "src", "--beside", "base=other")
    has(lab.run(*run_one), "1..1", "ok 1 one-ffa on fork", "pass:1 fail:0")
    assert not lab.run("lab/run.py", "--src", "src", "--needs", "--compared")
    has(lab.run(*run_one, "--compared", status=1), "no test")


def sizes(lab, base, off, on, status=0, config=""):
    """lab/size.py on programs in the place of vmlinux."""
    for name, source in {"base": base, "off": off, "on": on}.items():
        lab.write(f"{name}.c", source)
        lab.write(f"results/size/x86_64/{name}.config", f"CONFIG_A=y\n{config if name == 'off' else ''}")
        run(["gcc", "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-e,f", "-o",
             str(lab.dir / "results/size/x86_64" / name), str(lab.dir / f"{name}.c")])
    lab.write("src/scripts/bloat-o-meter", '#!/bin/sh\necho "up/down: 20/-10 (${GROWTH:-10})"\n', 0o755)
    return lab.run("lab/size.py", "results", "src", "x86_64", status=status, GROWTH=str(len(on)))


@test
def the_size_of_a_kernel_is_compared(lab):
    same = "int f(void) { return 1; }\n"
    has(sizes(lab, same, same, same + "int g = 1;\n"), "ok 1 size-off-x86_64", "# data: +4 bytes",
        "ok 2 size-on-x86_64")
    result = json.loads((lab.dir / "results/fork/size-off-x86_64.json").read_text())
    assert result["outcome"] == "pass" and result["figures"]["text"]["values"] == [0]
    has(sizes(lab, same, same + "int g;\n", same, status=1), "not ok 1", "'g'", "ok 2")
    has(sizes(lab, same, same.replace("1", "2"), same), "# bytes of another value in .text: +1 of ", ", in f\n")
    data = same + "const int g[2] = { 1 };\n"
    has(sizes(lab, data, data.replace("{ 1", "{ 2"), data, status=1), "not ok 1", "no line number is in .rodata")
    line = same + "int __initcall__kmod_a__12_%d_a_init6, n_%d asm(\"n.%d\") = 1;\n"
    has(sizes(lab, line % (34, 5, 6), line % (35, 6, 7), same), "# symbols that differ: +0", "ok 1")
    has(sizes(lab, same, same, same + 9000 * " ", status=1), "ok 1", "not ok 2", "at most 8192 are allowed")
    has(sizes(lab, same, same, same, status=1, config="CONFIG_B=y\n"), "not ok 1", "not ok 2",
        "the configurations differ")


@test
def what_a_mapping_takes_is_compared(lab):
    lab.write("bin/qemu-system-aarch64", '#!/bin/sh\nfor image; do :; done\ncat "$image"\n', 0o755)

    def count(on, off="count_dma: 30000123 ns for 100000 times\n", **expected):
        lab.write("results/size/arm64/off.image", off)
        lab.write("results/size/arm64/on.image", on)
        return lab.run("lab/count.py", "results", "arm64", **expected)

    has(count("count_dma: 30200000 ns for 100000 times\n"), "# option off: 300.0 instructions",
        "# difference: 2.0 instructions", "ok 1 count-arm64")
    result = json.loads((lab.dir / "results/fork/count-arm64.json").read_text())
    assert result["outcome"] == "pass" and result["figures"]["option on"]["values"] == [302.0]
    has(count("count_dma: 30300000 ns for 100000 times\n", status=1), "+3.00 instructions, at most +2", "not ok 1")
    has(count("Kernel panic - not syncing\n", status=1), "on.image counted nothing", "not ok 1")


@test
def a_scenario_that_raises_is_a_failure(lab):
    """A mistake in a scenario must not pass for a result, nor stop the others."""
    lab.machine(READY, scenario="raise ValueError('mistake')")
    out = lab.run("lab/run.py", "--src", "src", status=1)
    has(out, "not ok 1 one-ffa", "mistake")


@test
def ctrl_c_leaves_no_machine(lab):
    lab.machine("[    0.1] Booting Linux\n", limit=60)
    lab.write("bin/qemu-system-aarch64", '#!/bin/sh\necho $$ > "$HERE/pid"\nexec sleep 60\n', 0o755)
    job = lab.start("lab/run.py", "--src", "src")
    lab.wait_for("pid")
    time.sleep(0.2)
    job.send_signal(signal.SIGINT)
    job.communicate(timeout=20)
    assert job.returncode != 0
    pid = int((lab.dir / "pid").read_text())
    assert not pathlib.Path(f"/proc/{pid}").exists(), f"the machine {pid} goes on"
    assert not (lab.dir / "build/results/fork/one-ffa/initrd").exists()


def with_tpm(lab, *machine, **more):
    lab.machine(*machine, **more)
    with open(lab.dir / "lab/scenarios/one.py", "a", encoding="ascii") as scenario:
        scenario.write("TPM = True\n")
    lab.write("bin/swtpm", SWTPM, 0o755)


@test
def a_machine_with_a_tpm(lab):
    """It gets one each time that it is switched on, with the state of before, and none is left."""
    with_tpm(lab, READY, "guest.qemu.kill(); guest.qemu.wait(); guest.boot()")
    lab.write("build/results/fork/one-ffa/tpm/old", "of an earlier run")
    has(lab.run("lab/run.py", "--src", "src"), "ok 1 one-ffa")
    logs = lab.dir / "build/results/fork/one-ffa"
    args = (lab.dir / "swtpm.args").read_text().splitlines()
    assert len(args) == 2 and not (logs / "tpm/old").exists(), args
    for line in args:
        has(line, "--tpm2", f"--tpmstate dir={logs / 'tpm'}", "--terminate")
    has((logs / "qemu.cmd").read_text(), "tpm-tis-device", "socket,id=swtpm,fd=")
    assert (lab.dir / "swtpm.ended").exists()
    pid = int((lab.dir / "swtpm.pid").read_text())
    assert not pathlib.Path(f"/proc/{pid}").exists(), f"the TPM {pid} goes on"


@test
def ctrl_c_leaves_no_tpm(lab):
    with_tpm(lab, "[    0.1] Booting Linux\n", limit=60)
    lab.write("bin/swtpm", SWTPM.replace("connection.recv(1)", "True"), 0o755)     # it hangs
    job = lab.start("lab/run.py", "--src", "src")
    lab.wait_for("swtpm.args")
    time.sleep(0.2)
    job.send_signal(signal.SIGINT)
    job.communicate(timeout=20)
    assert job.returncode != 0
    pid = int((lab.dir / "swtpm.pid").read_text())
    assert not pathlib.Path(f"/proc/{pid}").exists(), f"the TPM {pid} goes on"


@test
def a_tpm_that_is_not_installed(lab):
    with_tpm(lab, READY)
    (lab.dir / "bin/swtpm").unlink()
    has(lab.run("lab/run.py", "--src", "src", status=1, PATH=f"{lab.dir}/bin"),
        "there is no swtpm, the TPM of one-ffa", "make boot")


# The hand-over to a kernel that boots through ACPI.

def split(size="2G", cpus=4, tpm=True):
    """The tables that the kernel would find, by signature, from the system table on."""
    blob, chosen = acpi.tables(acpi.ram_size(size), cpus, acpi.table("DSDT", 2, b""), tpm)

    def at(address, length=None):
        start = address - acpi.TABLES[0]
        assert 0 <= start < len(blob), hex(address)
        return blob[start:start + (length or len(blob))]

    def word(data, offset, form):
        return struct.unpack_from("<" + form, data, offset)[0]

    def whole(address):
        found = at(address)
        found = found[:word(found, 4, "I")]
        assert sum(found) % 256 == 0, found[:4]
        return found
    system = at(chosen["system-table"][1], 120)
    assert system[:8] == b"IBI SYST" and word(system, 12, "I") == 120
    crc, zeroed = word(system, 16, "I"), system[:16] + bytes(4) + system[20:]
    assert zlib.crc32(zeroed) == crc and word(system, 104, "Q") == 1
    rsdp = at(word(at(word(system, 112, "Q")), 16, "Q"), 36)
    assert rsdp[:8] == b"RSD PTR " and sum(rsdp) % 256 == sum(rsdp[:20]) % 256 == 0
    xsdt = whole(word(rsdp, 24, "Q"))
    found = {t[:4].decode(): t for t in map(whole, struct.unpack(f"<{(len(xsdt) - 36) // 8}Q", xsdt[36:]))}
    found["DSDT"] = whole(word(found["FACP"], 140, "Q"))
    memory = at(chosen["mmap-start"][1], chosen["mmap-size"][1])
    return found, list(struct.iter_unpack("<IIQQQQ", memory))


@test
def acpi_tables_add_up(_):
    for cpus in 1, 2, 4:
        found, _ = split(cpus=cpus)
        assert {name: len(table) for name, table in found.items()} == {
            "FACP": 276, "APIC": 44 + 24 + 80 * cpus + 16, "GTDT": 96, "MCFG": 60, "TPM2": 76, "DSDT": 36}
    assert found["TPM2"][48:52] == b"\x0f\0\0\0", "CRB over FF-A is start method 15"
    assert "TPM2" not in split(tpm=False)[0]


@test
def acpi_tables_are_what_iasl_reads(lab):
    for name, table in split()[0].items():
        (lab.dir / f"{name}.dat").write_bytes(table)
        lab.run("iasl", "-d", f"{name}.dat")
        text = (lab.dir / f"{name}.dsl").read_text(encoding="latin-1")
        assert "rror" not in text and "nvalid" not in text, text
    has((lab.dir / "APIC.dsl").read_text(encoding="latin-1"), "ARM MPIDR : 0000000000000003")


@test
def memory_that_efi_tells_of(_):
    """All of the RAM, once, and not for use where somebody else is."""
    memory = split("2G")[1]
    assert memory[0][2] == acpi.RAM
    for before, after in zip(memory, memory[1:]):
        assert before[2] + (before[4] << 12) == after[2], (before, after)
    assert memory[-1][2] + (memory[-1][4] << 12) == acpi.RAM + (2 << 30)
    kinds = {start: (kind, pages << 12) for kind, _, start, _, pages, _ in memory}
    assert kinds[acpi.CRB[0]] == (0, acpi.CRB[1]) and kinds[acpi.TABLES[0]] == (9, acpi.TABLES[1])


@test
def a_crb_as_a_firmware_leaves_it(_):
    data = acpi.crb({"busy": 3, "flags": 2, "ffa": 0x10001})
    assert len(data) == acpi.CRB[1]
    for locality in range(5):
        page = data[locality << 12:][:0x1000]
        address, size = struct.unpack_from("<QI", page, 0x5c)
        assert address == acpi.CRB[0] + (locality << 12) + 0x80 and size == 0xf80
        assert struct.unpack_from("<I", page, 0x58)[0] == size
        assert struct.unpack_from("<Q", page, 0x68)[0] == address and not any(page[0x80:])
    assert struct.unpack_from("<8I", data, 0xf000) == (acpi.MAGIC, 0, 3, 0, 0, 2, 0x10001, 0)
    assert not any(acpi.crb({"absent": True})[0xf000:])


@test
def machines_that_acpi_cannot_tell_of(lab):
    def bad(text, function, *args):
        try:
            function(*args)
        except acpi.Bad as why:
            has(str(why), text)
        else:
            raise AssertionError(f"{function.__name__}{args} is taken")
    bad("0 CPUs", acpi.madt, 0)
    bad("9 CPUs", acpi.madt, 9)
    bad("no size of RAM", acpi.ram_size, "2 gigabytes")
    bad("1024M at least", acpi.ram_size, "512M")
    bad("no switch bussy; there are: absent, version, busy", acpi.crb, {"bussy": 1})
    # The machine is not started, and the message is the test's.
    acpi_machine(lab, "CRB = {'bussy': 1}\n")
    has(lab.run("lab/run.py", "--src", "src", status=1), "not ok 1", "no switch bussy")
    acpi_machine(lab)
    lab.write("lab/acpi/dsdt.asl", "nonsense")
    has(lab.run("lab/run.py", "--src", "src", status=1), "not ok 1", "iasl does not take lab/acpi/dsdt.asl")
    lab.tool("cpio", ":\n")
    (lab.dir / "bin/python3").symlink_to("/usr/bin/python3")
    has(lab.run("/usr/bin/python3", "lab/run.py", "--src", "src", status=1, PATH=f"{lab.dir}/bin"),
        "there is no iasl", "acpica-tools")


def acpi_machine(lab, *attributes):
    shutil.rmtree(lab.dir / "lab/scenarios", ignore_errors=True)
    (lab.dir / "lab/scenarios").mkdir()
    with_tpm(lab, READY + "fine\n@lab rc=0 id=1\n")
    with open(lab.dir / "lab/scenarios/one.py", "a", encoding="ascii") as scenario:
        scenario.write("ACPI = True\n" + "".join(attributes))
    lab.write("bin/qemu-system-aarch64", QEMU.replace("\n", """
for a; do case $a in *dumpdtb=*)
	echo '/dts-v1/; / { chosen { }; };' | dtc -q -O dtb -o "${a##*dumpdtb=}"
	exit ;;
esac; done
""", 1), 0o755)


@test
def results_of_tests_that_are_gone(lab):
    lab.machine("", scenario="pass")
    lab.write("lab/scenarios/long.py", (lab.dir / "lab/scenarios/one.py").read_text() + "SUITE = 'soak'\n")
    results = lab.dir / "build/results"
    for name in "one-ffa", "long-ffa", "renamed-ffa":
        lab.write(f"build/results/fork/{name}.json", "{}")
        lab.write(f"build/results/fork/{name}/console.log", "text")
    lab.write("build/results/base/renamed-ffa.json", "{}")
    lab.write("build/results/check.seconds", "1")
    forget = "lab/run.py", "--src", "src", "--suite", "soak,measure", "--forget"
    lab.run(*forget)
    assert sorted(p.name for p in (results / "fork").iterdir()) == ["long-ffa", "long-ffa.json"]
    assert (results / "base/renamed-ffa.json").exists() and (results / "check.seconds").exists()
    lab.run(*forget, "--tree", "no-results-yet")


@test
def a_machine_with_acpi(lab):
    acpi_machine(lab)
    has(lab.run("lab/run.py", "--src", "src"), "ok 1 one-ffa")
    logs = lab.dir / "build/results/fork/one-ffa"
    has((logs / "qemu.cmd").read_text(), "acpi=force efi=noruntime", f"-dtb {logs}/acpi/acpi.dtb",
        f"file={logs}/acpi/acpi.bin,addr=0x4f000000", f"file={logs}/acpi/crb.bin,addr=0x4e000000",
        "tpm-tis-device")
    names = ["system-table", "mmap-start", "mmap-size", "mmap-desc-size", "mmap-desc-ver", "secure-boot"]
    chosen = lab.run("fdtget", "-t", "x", str(logs / "acpi/acpi.dtb"),
                     *sum((["/chosen", f"linux,uefi-{name}"] for name in names), []))
    assert re.fullmatch(r"0 4f0\w+\n0 4f0\w+\n118\n28\n1\n0\n", chosen), chosen
    assert (logs / "acpi/acpi.bin").stat().st_size < acpi.TABLES[1]
    lab.run("fdtget", str(logs / "acpi/acpi.dtb"), "/secure-chosen", "kaslr-seed", status=1)
    has((logs / "acpi/dsdt.aml").read_bytes().decode("latin-1"), "MSFT0101", "ARMH0011")


@test
def a_place_for_the_secure_world(lab):
    acpi_machine(lab, "ASLR = 0x7f9f3000\n")
    lab.run("lab/run.py", "--src", "src")
    seed = lab.run("fdtget", "-t", "x", str(lab.dir / "build/results/fork/one-ffa/acpi/acpi.dtb"),
                   "/secure-chosen", "kaslr-seed")
    assert seed == "308f71 718f3000\n", seed


@test
def a_firmware_of_its_own(lab):
    lab.machine(READY + "fine\n@lab rc=0 id=1\n")
    assert lab.run("lab/run.py", "--src", "src", "--needs") == \
        "firmware ffa\nkernel arm64 plain\nrootfs ffa\n"
    with open(lab.dir / "lab/scenarios/one.py", "a", encoding="ascii") as scenario:
        scenario.write("FIRMWARE = 'other'\n")
    has(lab.run("lab/run.py", "--src", "src", "--needs"), "firmware other\n", "rootfs ffa\n")
    has(lab.run("lab/run.py", "--src", "src", status=1), "build/firmware/other/qemu_fw.bios is not there")
    lab.write("build/firmware/other/qemu_fw.bios", "x")
    lab.run("lab/run.py", "--src", "src")
    has((lab.dir / "build/results/fork/one-ffa/qemu.cmd").read_text(), "-bios",
        "build/firmware/other/qemu_fw.bios")
    # What reads OP-TEE's statistics goes with its version, whatever way it is called.
    lab.write("lab/scenarios/one.py", '"""A title"""\nMATRIX = {"abi": ["smc"]}\nFIRMWARE = "smc-lab"\n')
    assert lab.run("lab/run.py", "--src", "src", "--needs") == \
        "firmware smc-lab\nkernel arm64 plain\nrootfs ffa\n"


@test
def a_part_that_is_missing(lab):
    lab.machine(READY)
    (lab.dir / "build/rootfs/ffa.cpio").unlink()
    has(lab.run("lab/run.py", "--src", "src", status=1), "build/rootfs/ffa.cpio", "make boot")


# A fix that is taken out.

def without(lab, patch, status=0, only=()):
    """lab/without.py on a tree of one file, and the patch's header."""
    for name in "kernel", "firmware", "rootfs":
        lab.write(f"lab/{name}.sh", "#!/bin/sh\n", 0o755)
    shutil.rmtree(lab.dir / "lab/without")
    lab.write("lab/without/fix.patch", patch + "\n\ndiff --git a/file b/file\n--- a/file\n+++ b/file\n"
              "@@ -1 +1 @@\n-fixed\n+broken\n")
    shutil.rmtree(lab.dir / "tree", ignore_errors=True)
    shutil.copytree(lab.dir / "src", lab.dir / "tree")
    lab.write("tree/file", "fixed\n" if "Applies: no" not in patch else "gone\n")
    git = ("git", "-C", "tree", "-c", "user.name=x", "-c", "user.email=x")
    for command in ("init", "-q"), ("add", "file"), ("commit", "-qm", "x"):
        lab.run(*git, *command)
    out = lab.run("lab/without.py", "src", "tree", *only, status=status)
    assert lab.run(*git, "status", "--porcelain", "--untracked-files=no") == ""
    return out


@test
def a_fix_that_is_missed(lab):
    lab.machine(READY + "no such device\n@lab rc=3 id=1\n")
    out = without(lab, "Red: one-ffa ended with 3: no such")
    has(out, "1..1", "ok 1 - fix: one-ffa is red (failed: `true` ended with 3", "pass:1 fail:0")
    out = without(lab, "Red: one-ffa panic", status=1)
    has(out, "not ok 1", "another reason than /panic/", "ended with 3: no such device", "logs: ")
    has(without(lab, "Green: one-ffa", status=1), "not ok 1", "it must pass", "ended with 3")
    has(without(lab, "Red: none-ffa x", status=1), "not ok 1", "none-ffa")
    has(without(lab, "Applies: no\nRed: one-ffa x", status=1), "not ok 1", "does not apply any more",
        "git apply --reject", "delete the patch")


@test
def fixes_are_missed_by_tests_that_there_are(lab):
    named = lab.run("lab/without.py", "--list")
    there = lab.run("lab/run.py", "--src", ".", "--suite", "check,soak,without", "--list")
    for name in re.findall(r"(?:red|green): ([^,\s]+)", named):
        has(there, f"{name} ")
    assert len(named.splitlines()) == len(list((TOP / "lab/without").glob("*.patch")))


# What a fix's absence makes mainline, or a tool, say.
THEIRS = ["Failed to open TEE context", "INFO: task", "NULL pointer", "WARNING: drivers/base/core.c",
          "WARNING: kernel/dma/direct.c", "at device_links_driver_bound", "at dma_direct_map_phys",
          "blocked for more than"]


def may_be_said():
    """All that a test could end with: scenarios' words, NUL for what is put into them, and sources."""
    for path in [*TOP.glob("lab/scenarios/*.py"), TOP / "lab/guest.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    for top in ("drivers", "kernel", "lab/rootfs", "security", "series", "tools"):
        for path in (path for path in (TOP / top).rglob("*") if path.is_file()):
            yield path.read_text()
    yield from THEIRS


@test
def what_a_missing_fix_has_a_test_say(_):
    """Whoever words a scenario anew has to word its patches anew; that would be seen hours later."""
    said = "\n".join(may_be_said())
    for patch in (TOP / "lab/without").glob("*.patch"):
        for regex in re.findall(r"^Red: \S+ (.*)$", patch.read_text().partition("\ndiff ")[0], re.M):
            for words in re.split(r"\.\*?|\||\\\S\+?|\[.*?\]|'", regex):
                wanted = " ".join(f"(?:{re.escape(word)}|\\S*\0)" if re.search(r"[\d/]", word) else re.escape(word)
                                  for word in words.split())
                assert re.search(wanted, said), f"{patch.name}: nothing says {words!r} any more"


@test
def a_fix_that_nobody_misses(lab):
    lab.machine(READY + "fine\n@lab rc=0 id=1\n")
    has(without(lab, "Red: one-ffa x", status=1), "not ok 1", "nobody would notice")
    has(without(lab, "Green: one-ffa"), "ok 1 - fix: one-ffa is green")
    has(without(lab, "What it takes out", status=1), "Red: TEST REGEX")
    has(without(lab, "Red: one-ffa x", status=1, only=["nofix"]), "no patch is called nofix", "are: fix")


# The table.

@test
def the_table(lab):
    def result(tree, name, outcome, **figures):
        lab.write(f"build/results/{tree}/{name}.json", json.dumps(
            {"test": name, "title": "T", "outcome": outcome, "figures":
             {k: {"unit": "s", "values": v} for k, v in figures.items()}}))
    readme = "head\n<!-- compare: begin -->\nold\n<!-- compare: end -->\ntail\n"
    lab.write("R.md", readme)
    has(lab.run("lab/table.py", "build/results", "--readme", "R.md", status=1),
        "does not hold the results of both trees", "make compare")
    assert (lab.dir / "R.md").read_text() == readme
    result("base", "kexec", "hang")
    result("fork", "kexec", "pass", kexec=[3.0, 1.0, 2.0])
    result("fork", "alone", "pass")
    lab.run("lab/table.py", "build/results", "--readme", "R.md")
    text = (lab.dir / "R.md").read_text()
    has(text, "head\n", "| T (`kexec`) | **hangs** | works, kexec 2.00 s |", "\ntail\n")
    assert "old" not in text and "alone" not in text
    # Tests of one kind that ended alike are one row, the others are named.
    for number, (base, fork) in enumerate([("pass", 3.0), ("pass", 1.0), ("panic", 2.0)]):
        result("base", f"off-smc-{number}cpu", base)
        result("fork", f"off-smc-{number}cpu", "pass", off=[fork], **{"only 1": [4.0]} if number == 1 else {})
        result("base", f"off-ffa-{number}cpu", "hang")
        result("fork", f"off-ffa-{number}cpu", "pass", off=[2.0, 2.0])
    has(lab.run("lab/table.py", "build/results"), "| T (`off-smc-2cpu`) | **panics** | works, off 2.00 s |",
        "| T (`off-smc-1cpu`) | works | works, off 1.00 s, only 1 4.00 s |")
    lab.run("lab/table.py", "build/results", "--readme", "R.md")
    text = (lab.dir / "R.md").read_text()
    has(text, "| T (`off-ffa-*`, 3 tests) | **hangs** | works, off 2.00 s |",
        "| T (`off-smc-{0cpu,1cpu}`) | works | works, off 1.00 to 3.00 s, only 1 4.00 s |",
        "| T (`off-smc-2cpu`) | **panics** | works, off 2.00 s |")
    lab.write("R.md", "no markers\n")
    has(lab.run("lab/table.py", "build/results", "--readme", "R.md", status=1), "markers")


@test
def the_picture(lab):
    has(lab.run("lab/picture.py", "build/results", status=1), "no results of heap200", "make soak")
    for tree, outcome, heap in (("base", "hang", []), ("fork", "pass", [17760, 17760])):
        lab.write(f"build/results/{tree}/heap200-ffa-4cpu.json", json.dumps(
            {"tree": tree, "abi": "ffa", "cpus": 4, "outcome": outcome, "facts": {"heap": heap}}))
    lab.run("lab/picture.py", "build/results")
    svg = (lab.dir / "build/results/heap.svg").read_text()
    has(svg, "mainline, FF-A, 4 CPUs: hang at kexec 1", "fork, FF-A, 4 CPUs", "kexecs")
    assert (lab.dir / "build/results/heap.png").read_bytes().startswith(b"\x89PNG")


def perform(function):
    lab = Copy(function.__name__)
    try:
        return function(lab)
    finally:
        shutil.rmtree(lab.dir, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.exit(main(perform))
    finally:
        shutil.rmtree(TMP, ignore_errors=True)
