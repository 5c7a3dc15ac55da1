"""The private wire: guests reach each other, and none can pose as another or as the daemon."""

from lab.daemon import ADDRESS, PORT
from lab.scenario import check, scenario

BYTES = 4 << 20
MSS = 1448


def _send(lab, source, target):
    """A few MB from one guest to the other by TCP: the same bytes, and in fewer frames than segments."""
    source.run(f"dd if=/dev/urandom of=/tmp/sent bs=65536 count={BYTES >> 16} 2>/dev/null", check=True)
    wanted = source.text("sha256sum /tmp/sent").split()[0]
    frames = "cat /sys/class/net/eth0/statistics/rx_packets"
    before = int(target.text(frames))
    # By programs that write large pieces: then the card's segmentation is at work.
    source.run("httpd -p 5000 -h /tmp", check=True)
    target.run(f"wget -q -O /tmp/got http://{source.address}:5000/sent", timeout=180, check=True)
    source.run("killall httpd")
    have = target.text("stat -c %s /tmp/got; sha256sum /tmp/got").split()
    check(have[0] == str(BYTES), f"{source.name} to {target.name}: {have[0]} bytes came, not {BYTES}")
    check(have[1] == wanted, f"{source.name} to {target.name}: other bytes came than were sent")
    came = int(target.text(frames)) - before
    lab.say(f"{source.name} to {target.name}: {BYTES} bytes in {came} frames "
            f"({BYTES // MSS} segments of {MSS} bytes)")
    check(came < BYTES // MSS, f"{came} frames for {BYTES // MSS} segments: they do not cross whole")
    target.run("rm -f /tmp/got")
    source.run("rm -f /tmp/sent")


@scenario("guests-reach-each-other")
def guests_reach_each_other(lab):
    for source, target in ((lab.vm1, lab.vm2), (lab.vm2, lab.vm1)):
        check(source.ping(target.address, 3) == 3, f"{source.name} gets no answers from {target.address}")
        _send(lab, source, target)


@scenario("guests-reach-each-other-over-a-restart")
def guests_reach_each_other_over_a_restart(lab):
    """The next daemon joins cards that may have been up before it came."""
    for end in (lab.daemon.stop, lab.daemon.kill):
        end()
        lab.daemon.start()
        for guest in (lab.vm1, lab.vm2):
            guest.wait_ping(ADDRESS)
        for source, target in ((lab.vm1, lab.vm2), (lab.vm2, lab.vm1)):
            source.wait_ping(target.address)
            check(source.ping(target.address, 3) == 3, f"{source.name} gets no answers after {end.__name__}")


def _neighbour(guest):
    """The MAC that the guest has for the daemon."""
    guest.run(f"ping -c 1 {ADDRESS}")
    return guest.text(f"ip neigh show {ADDRESS} dev eth0").split("lladdr ")[-1].split()[0]


@scenario("arp-spoof-refused")
def arp_spoof_refused(lab):
    mac = _neighbour(lab.vm1)
    check(mac == _neighbour(lab.vm2), "the daemon has another MAC for vm2 than for vm1")
    check(mac not in (lab.vm1.mac, lab.vm2.mac), f"the daemon's MAC is {mac}")
    watch = lab.spawn(lab.vm1, "framewatch eth0", stdin=None)
    check(watch.line() == "ready", "framewatch does not start in vm1")
    sent = lab.vm2.text(f"spoof eth0 {lab.vm2.address} {lab.vm1.mac} {lab.vm1.address}").splitlines()
    check(len(sent) == 24 and all(line.startswith("sent ") for line in sent), f"vm2 sent {sent}")
    # The last one is allowed: where it has come, all before it would have.
    came = [watch.line()]
    while came[-1] not in ("frame honest", None):
        came.append(watch.line())
    check(came == ["frame honest"], f"vm1 was reached by {came}")
    have = lab.vm1.text(f"ip neigh show {ADDRESS} dev eth0")
    check(mac in have, f"vm1's neighbour entry of the daemon was {mac}, and is {have}")
    check(_neighbour(lab.vm1) == mac and lab.vm1.ping(ADDRESS, 3) == 3, "vm1 has lost the daemon")
    check(not lab.vm1.text("ip -6 route show | grep default || true"), "vm1 took vm2 for a router")
    # Nor may it take the address and answer when asked: vm1 forgets, and asks everybody.
    lab.vm2.run(f"ip addr add {ADDRESS}/32 dev eth0", check=True)
    try:
        lab.vm1.run("ip neigh flush dev eth0")
        check(_neighbour(lab.vm1) == mac, "vm2 answered for the daemon")
        lab.importing(lab.vm1, f"sh -c 'usbip list -r {ADDRESS}; nc -w 5 {ADDRESS} {PORT} </dev/null'")
    finally:
        lab.vm2.run(f"ip addr del {ADDRESS}/32 dev eth0")
