# SPDX-License-Identifier: GPL-2.0-only
"""A machine of the lab: QEMU, its two consoles, and the guest behind them.

The guest's /init (lab/rootfs/) prints "@lab ready" when user space is up, and
then is a shell that reads the console without echo. A kexec ends in another
"@lab ready", so that one Guest lives through any number of kernels.
"""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time

import acpi

TOP = pathlib.Path(__file__).resolve().parent.parent

# What no kernel of the lab may ever print, and what it is called in a result.
TROUBLE = [
    ("panic", r"Kernel panic - not syncing.*"),
    ("hang", r"INFO: task \S+ blocked for more than .*"),
    ("hang", r"rcu: INFO: \w+ (?:self-)?detected .*stall.*"),
    ("hang", r"watchdog: BUG: soft lockup.*"),
    ("report", r"BUG: KASAN.*|BUG: KCSAN.*"),
    ("report", r"kmemleak: \d+ new suspected memory leaks.*"),
    ("report", r"WARNING: possible .* detected.*|WARNING: bad unlock.*"),
    ("report", r"WARNING: CPU: \d+ PID: .*|WARNING: \S+ at .*"),
    ("oops", r"Internal error: .*|Unable to handle kernel .*"),
    ("oops", r"BUG: .*|Oops: .*|general protection fault.*"),
]
SECURE_TROUBLE = re.compile(r"E/TC:.*(?:Panic (?:'.*' )?at|assertion ').*|PANIC in EL3.*|Unhandled Exception.*")
KERNEL_LINE = re.compile(r"^\[ *\d+\.\d+\]")


class Trouble(Exception):
    """The scenario is over; .outcome is a word for it: failed, hang, panic..."""

    def __init__(self, outcome, message):
        super().__init__(message)
        self.outcome = outcome


class Guest:
    """One QEMU machine. Use as a context manager: it never outlives the test."""

    KEXEC = {"load": "-c", "file": "-s"}
    machines, stopped = set(), False    # of all guests: see stop_all()

    def __init__(self, setup, logs):
        self.setup = setup
        self.logs = pathlib.Path(logs)
        self.logs.mkdir(parents=True, exist_ok=True)
        for log in self.secure_log, self.logs / "console.log":
            log.unlink(missing_ok=True)     # an earlier run's
        shutil.rmtree(self.logs / "tpm", ignore_errors=True)
        shutil.rmtree(self.logs / "acpi", ignore_errors=True)
        self.figures, self.facts = {}, {}
        self.deadline = time.monotonic() + setup.limit
        self.qemu = self.tpm = None
        self.text = ""          # all that the normal world's console showed
        self._pos = 0
        self._scanned = 0
        self._secure_scanned = 0
        self._tolerated = []
        self._count = 0
        self._news = threading.Condition()

    # The machine.

    @classmethod
    def stop_all(cls):
        """Switch off every machine: whoever waits for one hears that it is off."""
        cls.stopped = True
        for machine in list(cls.machines):
            machine.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.qemu:
            self.qemu.kill()
            self.qemu.wait()
            self._reader.join()
            self.machines.discard(self.qemu)
        self._end_tpm()
        self._drop_initrd()

    @property
    def secure_log(self):
        return self.logs / "secure.log"

    def _initrd(self):
        """The root file system's archives, and behind them one with the kernels.

        The kernel takes archives that follow one another; with retain_initrd
        it keeps the whole for the next kernel, in /sys/firmware/initrd.
        """
        path = self.logs / "initrd"
        extra = self.logs / "extra"
        (extra / "boot").mkdir(parents=True, exist_ok=True)
        for name, image in self.setup.images.items():
            link = extra / "boot" / name
            link.unlink(missing_ok=True)
            os.link(image, link)
        with open(path, "wb") as out:
            for archive in self.setup.rootfs:
                rootfs = archive.read_bytes()
                out.write(rootfs + bytes(-len(rootfs) % 4))
            subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=extra, stdout=out,
                           input="boot\n" + "".join(f"boot/{n}\n" for n in self.setup.images),
                           text=True, check=True)
        for name in self.setup.images:
            (extra / "boot" / name).unlink()
        return path

    def _drop_initrd(self):
        (self.logs / "initrd").unlink(missing_ok=True)

    def _start_tpm(self):
        """A TPM for the machine that is about to start; its end of the connection.
        What a TPM keeps without power is kept from one boot to the next."""
        self._end_tpm()
        state = self.logs / "tpm"
        state.mkdir(exist_ok=True)
        ours, theirs = socket.socketpair()
        with theirs:
            self.tpm = subprocess.Popen(
                ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--terminate",
                 "--ctrl", f"type=unixio,clientfd={theirs.fileno()}"],
                stdin=subprocess.DEVNULL, stdout=open(self.logs / "tpm.log", "ab"),
                stderr=subprocess.STDOUT, pass_fds=[theirs.fileno()], start_new_session=True)
        return ours

    def _end_tpm(self):
        """It ends when the machine does, which is off by now."""
        if not self.tpm:
            return
        try:
            self.tpm.wait(2)
        except subprocess.TimeoutExpired:
            self.tpm.kill()
            self.tpm.wait()
        self.tpm = None

    def command(self, append, console):
        """QEMU's command line. console is the -serial of the normal world."""
        s = self.setup
        initrd = self._initrd()
        args = "retain_initrd lab.abi={} {} {}".format(s.abi, s.append, append)
        common = ["-m", s.memory, "-smp", str(s.cpus), "-display", "none", "-nodefaults",
                  "-serial", console, "-monitor", "none", *s.devices]
        if s.arch == "x86_64":
            return ["qemu-system-x86_64", "-M", "q35", *s.accel, *common,
                    "-kernel", str(s.images["kernel"]), "-initrd", str(initrd),
                    "-append", "console=ttyS0 " + args]
        size = initrd.stat().st_size
        if s.acpi:
            self.must(0x48000000 + size <= acpi.CRB[0], f"the initrd's {size} bytes end where the TPM's are")
            args = f"acpi=force efi=noruntime {args}"
        return ["qemu-system-aarch64", "-M", s.machine, "-cpu", s.cpu, *s.accel, *common,
                "-serial", f"file:{self.secure_log}", "-bios", str(s.firmware),
                "-kernel", str(s.images["kernel"]),
                "-device", f"loader,file={s.images['kernel']},addr=0x60000000,force-raw=on",
                "-device", f"loader,file={initrd},addr=0x48000000,force-raw=on",
                "-append", f"console=ttyAMA0 initrd=0x48000000,{size} {args}"]

    def boot(self, append=""):
        """Start the machine, also again after it was switched off; returns the
        seconds until user space is up."""
        self._secure_scanned = 0
        command = self.command(append, "stdio")
        if self.setup.acpi:
            command += self._hand_over(command)
        start = time.monotonic()
        self.qemu = self._qemu(command)
        self.machines.add(self.qemu)
        if self.stopped:
            self.qemu.kill()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.ready()
        return time.monotonic() - start

    def _qemu(self, command):
        """QEMU, and what is behind its TPM."""
        fds = []
        if self.setup.tpm:
            connection = self._start_tpm()
            fds = [connection.fileno()]
            command = [*command, "-chardev", f"socket,id=swtpm,fd={fds[0]}",
                       "-tpmdev", "emulator,id=tpm,chardev=swtpm",
                       "-device", "tpm-tis-device,tpmdev=tpm"]
        (self.logs / "qemu.cmd").write_text(" ".join(map(str, command)) + "\n")
        with open(self.logs / "qemu.err", "wb") as errors:
            qemu = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                    pass_fds=fds, start_new_session=True)   # Ctrl-C is the runner's
        if fds:
            connection.close()
        return qemu

    def _hand_over(self, command):
        """QEMU's options for a kernel that boots through ACPI."""
        folder = self.logs / "acpi"
        folder.mkdir(exist_ok=True)

        def dump(dtb):
            machine = command.index("-M") + 1
            qemu = self._qemu(command[:machine] + [f"{command[machine]},dumpdtb={dtb}"] + command[machine + 1:])
            qemu.communicate()
            if not dtb.exists():
                raise Trouble("died", "QEMU wrote no device tree: "
                              + (self.logs / "qemu.err").read_text(errors="replace")[-200:])
        try:
            return acpi.hand_over(self.setup, folder, dump)
        except acpi.Bad as why:
            raise Trouble("error", str(why)) from None

    def ready(self):
        """Wait until user space of this, or of the next, kernel is up."""
        return self.expect(r"@lab ready .*\n")

    # The normal world's console.

    def _read(self):
        with open(self.logs / "console.log", "ab", buffering=0) as log:
            while chunk := os.read(self.qemu.stdout.fileno(), 65536):
                log.write(chunk)
                with self._news:
                    self.text += chunk.decode(errors="replace").replace("\r", "")
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _check(self):
        """Raise on the first whole line that no scenario tolerates."""
        end = self.text.rfind("\n") + 1
        for line in self.text[self._scanned:end].splitlines():
            if "@lab" in line and not KERNEL_LINE.match(line):
                continue
            for outcome, pattern in TROUBLE:
                found = re.search(pattern, line)
                if found and not any(re.search(t, line) for t in self._tolerated):
                    self._scanned = end
                    self._news.wait(2)      # the rest of the report, for the log
                    raise Trouble(outcome, found[0])
        self._scanned = end
        try:
            with open(self.secure_log, errors="replace") as log:
                log.seek(self._secure_scanned)
                secure = log.read()
        except FileNotFoundError:
            return
        self._secure_scanned += len(secure.encode(errors="replace"))
        found = SECURE_TROUBLE.search(secure)
        if found and not any(re.search(t, found[0]) for t in self._tolerated):
            raise Trouble("secure-world panic", found[0])

    def expect(self, pattern, limit=None):
        """Wait until the console shows pattern; returns the match."""
        deadline = self.deadline
        if limit:
            deadline = min(deadline, time.monotonic() + limit)
        pattern = re.compile(pattern)
        with self._news:
            while True:
                self._check()
                found = pattern.search(self.text, self._pos)
                if found:
                    self._pos = found.end()
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Trouble("hang", f"waited in vain for {pattern.pattern!r}")
                if self.qemu.poll() is not None and not self._reader.is_alive():
                    raise Trouble("died", f"the machine is off; waited for {pattern.pattern!r}: "
                                  + (self.logs / "qemu.err").read_text(errors="replace")[-200:])
                self._news.wait(min(left, 0.5))

    def send(self, line):
        self.qemu.stdin.write(line.encode() + b"\n")
        self.qemu.stdin.flush()

    def run(self, command, limit=60, check=True, raw=False):
        """Run a shell command; its output, without the kernel's messages if not raw."""
        self._count += 1
        start = self._pos
        self.send(f"{{ {command}\n}} 2>&1; echo \"@lab rc=$? id={self._count}\"")
        done = self.expect(rf"@lab rc=(\d+) id={self._count}\n", limit)
        output = self.text[start:done.start()]
        if not raw:
            output = "\n".join(x for x in output.splitlines() if not KERNEL_LINE.match(x))
        output = output.strip()
        if check and done[1] != "0":
            raise Trouble("failed", f"`{command}` ended with {done[1]}: {output[-300:]}")
        return output

    def dmesg(self):
        """The kernel's log. Not read from the console, where it may be cut."""
        return self.run("dmesg", limit=120, raw=True)

    def tolerate(self, pattern):
        """From now on this is no trouble: the scenario is about it."""
        self._tolerated.append(pattern)

    # What scenarios do with a machine.

    def _load(self, what, how, image, append):
        """kexec_load or kexec_file_load. The initrd is not where it was."""
        line = "$(sed 's/ \\(initrd\\|crashkernel\\)=[^ ]*//g' /proc/cmdline)"
        # -i: without a digest of it all, which takes purgatory 12 s under TCG.
        self.run(f"kexec -i {self.KEXEC[how]} {what} /boot/{image} --initrd=/sys/firmware/initrd "
                 f"--command-line=\"{line} {append}\"")

    def kexec(self, how="load", image="kernel", append="", first=":", command="kexec -e -x"):
        """Load the next kernel, do what comes first, and start it; returns the
        round trip's seconds."""
        self._load("-l", how, image, append)
        return self.reboot(first, command)

    def crash(self, how="load", append=""):
        """Load a crash kernel, panic, and come back in the crash kernel."""
        self._load("-p", how, "kernel", f"lab.kdump maxcpus=1 reset_devices {append}")
        self.tolerate(r"Kernel panic - not syncing: sysrq triggered crash")
        # Once the port is idle, which its driver sees to 500 ms after this line: a CPU
        # that wants it when another one panics waits with interrupts off, and for ever
        # (__uart_port_nbcon_acquire()), and can't be stopped. Mainline's, and not ours.
        self.send("sleep 1; echo c > /proc/sysrq-trigger")
        self.expect(r"@lab kdump .*\n")

    def _leave(self, first, command):
        self.send(f"{first}; echo \"@lab leaves up=$(cut -d ' ' -f 1 /proc/uptime)\" "
                  f'"clock=$([ ! -x /lab/clock ] || /lab/clock)"; {command}')

    def shutdown(self, start=None):
        """The seconds from the last command to go down, or from the first line of the
        kernel's log that shows start, to the kernel's last words."""
        left = re.findall(r"@lab leaves up=(\S+)", self.text)[-1]
        if start:
            since = self.text.rindex("@lab leaves")
            left = re.search(rf"\[ *(\d+\.\d+)\] {start}", self.text[since:])[1]
        words = re.findall(r"\[ *(\d+\.\d+)\] (?:kexec_core: Starting new kernel|"
                           r"reboot: (?:Power down|Restarting system))", self.text)
        return float(words[-1]) - float(left)

    def pace(self):
        """By how much limits in seconds have to be longer: others may have the CPUs
        that this machine is emulated on. 1, or what its kernel took to user space by
        what it takes on a slow machine with another one beside it."""
        return max(1, float(re.findall(r"\[ *(\d+\.\d+)\] Run /init", self.text)[-1]) / 1.6)

    def off(self, first=":", command="poweroff -f"):
        """Power off; returns the seconds until the machine is off."""
        start = time.monotonic()
        self._leave(first, command)
        with self._news:
            while self.qemu.poll() is None:
                self._check()
                if time.monotonic() > self.deadline:
                    raise Trouble("hang", f"`{command}` did not switch the machine off")
                self._news.wait(0.1)
        return time.monotonic() - start

    def reboot(self, first=":", command="reboot -f"):
        """Reboot, through the firmware; returns the round trip's seconds."""
        start = time.monotonic()
        self._leave(first, command)
        self.ready()
        return time.monotonic() - start

    def tee_heap(self):
        """Bytes of OP-TEE's heap that its own statistics call allocated."""
        stats = self.run("xtest --stats --alloc")
        found = re.search(r"Pool: +Heap.*?Bytes allocated: +(\d+)", stats, re.S)
        self.must(found, f"xtest's statistics do not show the heap: {stats[:300]}")
        return int(found[1])

    def leaks(self):
        """Trouble if kmemleak has something to say, or cannot say it; for a kernel
        that has it, and a machine that may be off by now."""
        if self.qemu.poll() is not None:
            return
        # What is younger than 5 s is not reported, nor what one scan alone has seen.
        self.run("mount -t debugfs none /sys/kernel/debug 2> /dev/null; sleep 6")
        leaks = "/sys/kernel/debug/kmemleak"
        found = self.run(f"echo scan > {leaks} && echo scan > {leaks} && cat {leaks}", limit=600)
        if "unreferenced object" in found:
            raise Trouble("report", f"kmemleak: {found[:2000]}")

    def must(self, condition, message):
        if not condition:
            raise Trouble("failed", message)

    def figure(self, name, value, unit):
        """A measured number, kept in the results."""
        self.figures.setdefault(name, {"unit": unit, "values": []})["values"].append(round(value, 3))

    def tail(self, lines=12):
        """The last lines of both consoles."""
        found = []
        for name in ("console.log", "secure.log"):
            path = self.logs / name
            if path.exists():
                text = path.read_text(errors="replace").replace("\r", "").splitlines()
                found += [f"-- {name}"] + text[-lines:]
        return found
