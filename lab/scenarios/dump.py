# SPDX-License-Identifier: GPL-2.0-only
"""After a panic the crash kernel writes a dump that can be read, and nobody else writes into it"""
import re

MATRIX = {"abi": ["smc", "ffa"], "how": ["load", "file"], "threads": ["free", "suspended"]}
LIMIT = 120
APPEND = "crashkernel=640M"
MARK = "the words that the dump must hold"


def scenario(guest, abi, how, threads):
    marked = crash(guest, abi, how, threads)
    unchanged(guest, marked)
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
    unchanged(guest, marked)


def crash(guest, abi, how, threads):
    """Panic with tee-supplicant running, and OP-TEE's threads free or suspended. The
    pages that OP-TEE had, by the letter that is in each of their bytes."""
    guest.run(f"echo '{MARK}' > /dev/kmsg")
    # The clock starts at 0; makedumpfile takes a crash in that second for invalid.
    guest.run("date -s @2000000000")
    guest.run("/lab/supplicant start")
    marked = {"C": mark(guest, "/lab/client mark > /tmp/mark; until grep -q client /tmp/mark; do "
                               "usleep 100000; done; cat /tmp/mark", 16)}
    if abi == "ffa":    # and the firmware is the lab's
        marked["R"] = mark(guest, "/lab/held mark", 1)
    if threads == "suspended":
        # More calls than OP-TEE has threads wait for a supplicant that is stopped.
        guest.run("kill -STOP $(cat /run/tee-supplicant.pid); /lab/client load 4; sleep 1")
    # Whatever it has to say of what it holds, or that it knows nothing of that.
    guest.run("(/lab/held 2>&1; echo answered) > /tmp/answer & sleep 1")
    answered = "answered" in guest.run("cat /tmp/answer")
    guest.must(answered == (threads == "free"),
               f"OP-TEE {'answers' if answered else 'does not answer'}: its threads are not {threads}")
    guest.crash(how)
    return marked


def mark(guest, command, at_least):
    pages = re.findall("@lab memory (0x[0-9a-f]+)", guest.run(command))
    guest.must(len(pages) >= at_least, f"`{command}` marked {len(pages)} pages, not {at_least}")
    return pages


def unchanged(guest, marked):
    """What OP-TEE could write to when the kernel crashed is what it was then."""
    for letter, pages in marked.items():
        other = int(guest.run(f"/lab/vmcore {' '.join(pages)} > /tmp/marked && "
                              f"tr -d {letter} < /tmp/marked | wc -c"))
        guest.must(other == 0, f"{other} bytes marked {letter} are another in the crash kernel: "
                   "the secure world has written to the crashed kernel's memory")
