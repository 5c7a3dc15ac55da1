"""Numbers for a person to judge; of them only memory has a bound."""

from lab.daemon import ADDRESS
from lab.scenario import check, scenario

IDLE_SECONDS = 20


def _frames(guest):
    return sum(map(int, guest.text("cat /sys/class/net/eth0/statistics/[rt]x_packets").split()))


def _switches(lab, pids):
    """Voluntary context switches by thread."""
    counts = {}
    for pid in pids:
        text = lab.board.text(f"cd /proc/{pid}/task && for t in *; do echo $t $(cat $t/comm) "
                              "$(sed -n 's/^voluntary_ctxt_switches:\\s*//p' $t/status); done")
        for line in text.splitlines():
            number, *name, count = line.split()
            counts[f"{' '.join(name)} {number}"] = int(count)
    return counts


@scenario("measured")
def measured(lab):
    pids = lab.daemon.processes()
    check(len(pids) >= 2, f"the daemon has the processes {pids}")
    lab.vm1.wait_ping(ADDRESS)
    frames = _frames(lab.vm1), _frames(lab.vm2)
    before = _switches(lab, pids)
    lab.board.run(f"sleep {IDLE_SECONDS}")
    after = _switches(lab, pids)
    frames = _frames(lab.vm1) - frames[0], _frames(lab.vm2) - frames[1]
    check(before, "no threads found")
    lab.say(f"idle for {IDLE_SECONDS} s with two guests and no device: frames of vm1 {frames[0]}, of vm2 {frames[1]}")
    for thread, count in sorted(after.items()):
        lab.say(f"    {thread}: {count - before.get(thread, 0)} voluntary context switches")

    lab.keyboard_in(lab.vm1)
    total = _memory(lab)
    lab.say(f"all processes with two guests, a VM that is away, and one attached device: {total / 1024:.1f} MiB")
    check(total <= 12 * 1024, f"expected at most 12 MiB, found {total} KiB")


def _memory(lab):
    """KiB of all processes; says each one's part, and that of each kind of memory."""
    sums = {"RssAnon": 0, "RssFile": 0, "RssShmem": 0, "Threads": 0}
    descriptors = 0
    for pid in lab.daemon.processes():
        status = lab.board.text(f"cat /proc/{pid}/status")
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        of = {name: int(fields[name].split()[0]) for name in sums}
        open_here = int(lab.board.text(f"ls /proc/{pid}/fd | wc -l"))
        descriptors += open_here
        for name, n in of.items():
            sums[name] += n
        words = lab.board.text(f"tr '\\0' ' ' </proc/{pid}/cmdline").split()
        lab.say(f"{' '.join([fields['Name'].strip(), *words[1:2]])}: RssAnon {of['RssAnon']} KiB + RssFile {of['RssFile']} KiB = "
                f"{of['RssAnon'] + of['RssFile']} KiB (of guests' memory {of['RssShmem']} KiB), threads {of['Threads']}, "
                f"descriptors {open_here}")
    lab.say(f"together: RssAnon {sums['RssAnon']} KiB, RssFile {sums['RssFile']} KiB, threads {sums['Threads']}, descriptors "
            f"{descriptors}")
    return sums["RssAnon"] + sums["RssFile"]


@scenario("measured-five-devices", quick=False)
def measured_five_devices(lab):
    """Memory, threads and descriptors while two guests use five devices."""
    for name in ("mouse", "tablet", "serial", "disk"):
        lab.board.plug(name)
    lab.keyboard_in(lab.vm1)
    for name, guest in (("mouse", lab.vm1), ("serial", lab.vm1), ("tablet", lab.vm2), ("disk", lab.vm2)):
        lab.daemon.wait_device(name, state="present")
        lab.importing(guest, lab.route(name, guest))
        lab.daemon.wait_device(name, state="attached", actual=guest.name)
    # Each kind of memory was used once: a disk's buffers, too.
    lab.vm2.wait("[ -b /dev/sda ]", what="the disk")
    lab.vm2.run("dd if=/dev/sda of=/dev/null bs=64k count=128", check=True)
    total = _memory(lab)
    lab.say(f"all processes with two guests, a VM that is away, and five attached devices: {total / 1024:.1f} MiB")
    check(total <= 12 * 1024, f"expected at most 12 MiB, found {total} KiB")
