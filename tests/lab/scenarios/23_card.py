"""What QEMU and a guest's own driver make of the card when they are told to use it in other ways than they do by themselves."""

from lab.daemon import ADDRESS
from lab.guest import Guest
from lab.scenario import check, scenario
from lab.watched import Watched

RING_PACKED = 34
BYTES = 4 << 20
SAVED = "/run/lab/vm1.packed"
CARD = "virtio-net-pci"


class _Cards:
    """Both guests, started anew with cards of these properties; as ever afterwards."""

    def __init__(self, lab, *properties):
        self.lab = lab
        self.properties = properties

    def _start(self, properties):
        lab = self.lab
        for guest in lab.vm1, lab.vm2:
            guest.stop()
        for name, words in zip(("vm1", "vm2"), properties):
            Guest(lab.board, name, extra=[word for one in words for word in ("-global", f"{CARD}.{one}")])
        lab.guests_up()

    def __enter__(self):
        self._start(self.properties)

    def __exit__(self, *_):
        self._start(((), ()))


def _is_packed(guest):
    """The features that its driver and the card have agreed on, a digit each, the first one first."""
    agreed = guest.text("cat /sys/class/net/eth0/device/features").strip()
    check(agreed[RING_PACKED] == "1", f"{guest.name}'s card has no packed rings: {agreed}")


def _sends(lab, source, target):
    source.run(f"dd if=/dev/urandom of=/tmp/sent bs=65536 count={BYTES >> 16} 2>/dev/null; httpd -p 5000 -h /tmp", check=True)
    wanted = source.text("sha256sum /tmp/sent").split()[0]
    have = target.text(f"wget -q -O - http://{source.address}:5000/sent | sha256sum", timeout=300).split()[0]
    source.run("killall httpd; rm -f /tmp/sent")
    check(have == wanted, f"{source.name} to {target.name}: other bytes came than were sent")
    lab.say(f"{source.name} to {target.name}: {BYTES} bytes")


@scenario("card-packed", quick=False, seconds=1800)
def packed(lab):
    """Packed rings, with all that goes with them in vm1, and nothing in vm2: frames, the keyboard and a disk that is read, while
    vm1 is saved and restored, and while its process is killed. QEMU has then no word of where the rings stand."""
    plain = ("packed=on", "event_idx=off", "indirect_desc=off", "mrg_rxbuf=off")
    with _Cards(lab, ("packed=on",), plain):
        for guest in lab.vm1, lab.vm2:
            _is_packed(guest)
            guest.wait_ping(ADDRESS)
        for source, target in ((lab.vm1, lab.vm2), (lab.vm2, lab.vm1)):
            check(source.ping(target.address, 3) == 3, f"{source.name} gets no answers from {target.address}")
            _sends(lab, source, target)
        events = lab.keyboard_in(lab.vm1)
        lab.key(events)
        events.close()
        watched = Watched(lab, lab.vm1, disk=True)
        watched.reads()
        watched.pauses()
        lab.vm1.migrate(f"exec:cat > {SAVED}")
        lab.vm1.stop()
        lab.vm1.start(incoming=f"exec:cat {SAVED}")
        lab.vm1.wait_up()
        lab.say(f"saved and restored; without its card for {watched.away()} ms")
        watched.saw_nothing()
        lab.board.run(f"rm {SAVED}")
        _process_killed(lab)


def _process_killed(lab):
    events = lab.events(lab.vm1)
    for key in "ab":
        process = lab.board.text("pgrep -x vm:vm1")
        lab.board.run(f"kill -9 {process}", check=True)
        lab.board.wait(f"[ $(pgrep -x vm:vm1 || echo {process}) != {process} ]", what="another process for vm1")
        lab.vm1.wait_carrier()
        lab.vm1.wait_ping(ADDRESS)
        _sends(lab, lab.vm2, lab.vm1)
        events.wait(["device", "*", "remove"])
        lab.vm1.wait("[ ! -e /sys/block/sda ]", what="the disk gone from vm1")
        lab.vm1.wait(f"usbip attach -r {ADDRESS} -b keyboard", what="the keyboard imported again")
        events.wait_keyboard()
        lab.key(events, key)
