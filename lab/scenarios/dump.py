# SPDX-License-Identifier: GPL-2.0-only
"""After a panic the crash kernel writes a dump that can be read, and nobody else writes into it"""
MATRIX = {"abi": ["smc", "ffa"], "how": ["load", "file"], "threads": ["free", "suspended"]}
LIMIT = 120
APPEND = "crashkernel=640M"
MARK = "the words that the dump must hold"


def scenario(guest, how, threads):
    crash(guest, how, threads)
    guest.run("makedumpfile -l -d 31 /proc/vmcore /tmp/dump", limit=90)
    guest.figure("dump", int(guest.run("stat -c %s /tmp/dump")) / 1e6, "MB")
    # Opened again, by its own means: the old kernel's log is in it.
    guest.run("makedumpfile --dump-dmesg /tmp/dump /tmp/dmesg")
    log = guest.run("grep -h -e 'words that' -e 'sysrq triggered crash' /tmp/dmesg", raw=True)
    guest.must(MARK in log and "sysrq triggered crash" in log,
               f"the dump's log lacks the old kernel's last words: {log}")
    # The same again: the secure world has not changed what is dumped meanwhile.
    guest.run("sum=$(md5sum < /tmp/dump); rm /tmp/dump; "
              "makedumpfile -l -d 31 /proc/vmcore /tmp/dump", limit=90)
    again = guest.run('[ "$sum" = "$(md5sum < /tmp/dump)" ] || echo another', check=False)
    guest.must(not again, "a second dump of the same crash is another one: "
               "something writes into the crashed kernel's memory")


def crash(guest, how, threads):
    """Panic with tee-supplicant running, and OP-TEE's threads free or suspended."""
    guest.run(f"echo '{MARK}' > /dev/kmsg")
    # The clock starts at 0; makedumpfile takes a crash in that second for invalid.
    guest.run("date -s @2000000000")
    guest.run("/lab/supplicant start")
    if threads == "suspended":
        # More calls than OP-TEE has threads wait for a supplicant that is stopped.
        guest.run("kill -STOP $(cat /run/tee-supplicant.pid); /lab/client load 4; sleep 1")
    # Whatever it has to say of what it holds, or that it knows nothing of that.
    guest.run("(/lab/held 2>&1; echo answered) > /tmp/answer & sleep 1")
    answered = "answered" in guest.run("cat /tmp/answer")
    guest.must(answered == (threads == "free"),
               f"OP-TEE {'answers' if answered else 'does not answer'}: its threads are not {threads}")
    guest.crash(how)
