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
    total = 0
    for pid in pids:
        status = lab.board.text(f"cat /proc/{pid}/status")
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        anon, file = (int(fields[name].split()[0]) for name in ("RssAnon", "RssFile"))
        total += anon + file
        lab.say(f"{fields['Name'].strip()}: RssAnon {anon} KiB + RssFile {file} KiB = {anon + file} KiB, "
                f"threads {fields['Threads'].strip()}")
    lab.say(f"all processes with two guests, a VM that is away, and one attached device: {total / 1024:.1f} MiB")
    check(total <= 12 * 1024, f"expected at most 12 MiB, found {total} KiB")
