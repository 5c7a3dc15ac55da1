"""Whatever Linux makes a device of is served. Devices that are made of bytes (lab/redirect.py) are plugged into the board:
what its kernel made of each is compared with what usbrouted reads, and some are imported into a guest, whose kernel must
see the same."""

import os

from lab import LabTimeout, paths
from lab.board import EVENT_SECONDS
from lab.descriptors import Linux, length, mutations, odd, recorded
from lab.redirect import Redirected
from lab.scenario import check, scenario

SEED = int(os.environ.get("USBROUTED_LAB_SEED", "8"))
ROUNDS = int(os.environ.get("USBROUTED_LAB_ROUNDS", "200"))
VENDOR = 0x1d6b
# What QEMU carries of one control transfer.
CARRIED = 4096
DESCRIBE = paths.BUILD / "tests/unit/usb-describe"
# A device's folder, once its kernel is through with it: the link to the driver is made with the device's lock held, and
# who reads bConfigurationValue waits for that lock.
FOUND = """until d=$(grep -l -s -x {product:04x} /sys/bus/usb/devices/*/idProduct | head -n1) && [ -e "${{d%/*}}/driver" ]; do sleep 0.1; done
cd "${{d%/*}}" && v=$(cat bConfigurationValue) && v=${{v:-none}}
echo configuration $v busid ${{PWD##*/}}
for i in *:*; do [ -d "$i" ] || continue
    echo interface $(cat $i/bInterfaceNumber $i/bAlternateSetting $i/bInterfaceClass $i/bInterfaceSubClass $i/bInterfaceProtocol) \\
        $(cd $i; ls -d ep_* 2>/dev/null)
done"""
READ = """
echo sysfs "$({describe} sysfs $v descriptors)"
echo usbfs "$({describe} usbfs $v /dev/bus/usb/$(printf %03d/%03d $(cat busnum devnum)))" """
# One of each kind; what Linux sees in it, and so must be seen, is the model's to say.
TELLING = ("padded", "total-too-large", "total-zero", "length-zero-in-the-middle", "interface-200", "endpoint-of-another", "configuration-0",
           "first-cut", "long-in-three-configurations")
IN_GUEST = ("padded", "total-zero", "length-zero-in-the-middle", "interface-40", "interface-200", "no-setting-0", "first-cut", "headset", "disk-uas")


class Shown:
    """A device as a kernel has it: .configuration, .busid, .interfaces {number: (alternate, classes, endpoints)}."""

    def __init__(self, lines):
        self.interfaces, self.read = {}, {}
        for line in lines:
            kind, *words = line.split(" ")
            if kind == "configuration":
                self.configuration, self.busid = words[0], words[2]
            elif kind == "interface":
                self.interfaces[int(words[0], 16)] = (int(words[1]), "/".join(words[2:5]),
                                                      frozenset(word[3:] for word in words[5:] if word))
            else:
                self.read[kind] = " ".join(words)


def settings_of(said):
    """{number: {alternate: (classes, endpoints)}} of what usb-describe says."""
    settings = {}
    texts = said.partition(" = ")[2]
    for text in texts.split("; ") if texts else ():
        head, *ends = text.split(", ")
        words = head.split()
        number, alternate = map(int, words[0].split("."))
        settings.setdefault(number, {})[alternate] = (words[1], frozenset(end.split()[0] for end in ends))
    return settings


def agree(interfaces, settings):
    """Whether a kernel's interfaces are these. Which setting is active, its driver decides."""
    return interfaces.keys() == settings.keys() and \
        all(settings[number].get(one[0]) == one[1:] for number, one in interfaces.items())


class Bench:
    def __init__(self, lab):
        self.lab = lab
        self.made = Redirected(lab.board)
        self.product = 0x1000
        self.wrong = []
        self.count = self.unconfigured = self.interfaces = 0

    def on(self, machine, more=""):
        result = machine.run(FOUND.format(product=self.product) + more, timeout=2 * EVENT_SECONDS)
        check(result.rc == 0, f"on {machine.name}: {result.err.decode()}")
        return Shown(result.out.decode().splitlines())

    def gone(self, machine):
        machine.wait(f"! grep -q -s -x {self.product:04x} /sys/bus/usb/devices/*/idProduct", what="the device gone")

    def blame(self, blob, why):
        """Said at once, and the others are tried all the same."""
        self.lab.say(f"{blob.name}: {why}")
        self.wrong.append(blob.name)

    def tried(self, blob, guest=None):
        """Plugged in, compared, and pulled out again."""
        self.product += 1
        self.count += 1
        head = bytearray(blob.device)
        head[8:12] = VENDOR.to_bytes(2, "little") + self.product.to_bytes(2, "little")
        self.made.plug(blob._replace(device=bytes(head)))
        try:
            there = self.on(self.lab.board, READ.format(describe=DESCRIBE))
        except LabTimeout:
            self.blame(blob, "the board's kernel makes no device of it, which by the model it should")
            self.made.unplug()
            return
        self.unconfigured += there.configuration == "none"
        self.interfaces += len(there.interfaces)
        self.compare(blob, there)
        if guest:
            self.imported(blob, guest, there)
        self.made.unplug()
        self.gone(self.lab.board)

    def compare(self, blob, there):
        linux = Linux(blob)
        for form, said in there.read.items():
            if not agree(there.interfaces, settings_of(said)) and \
                    not (len(linux.configurations) > 1 and linux.sysfs != linux.usbfs):
                self.blame(blob, f"the board's kernel has {there.interfaces}, from {form} is read {said}")
        try:
            device = self.lab.daemon.wait_device(f"{VENDOR:04x}:{self.product:04x}", state="present")
        except LabTimeout as error:
            self.blame(blob, f"usbrouted does not list it: {error}")
            return
        check(device["busid"] == there.busid, f"{blob.name}: {device['busid']} is listed, {there.busid} is there")

    def imported(self, blob, guest, there):
        name = f"{VENDOR:04x}:{self.product:04x}"
        self.lab.importing(guest, self.lab.route(name, guest))
        inside = self.on(guest)
        if inside.configuration != there.configuration or not agree(inside.interfaces, settings_of(there.read["usbfs"])):
            self.blame(blob, f"the board has {there.configuration} {there.interfaces}, {guest.name} has {inside.configuration} "
                             f"{inside.interfaces}")
        self.lab.daemon.ctl_ok(f"detach {name}")
        self.gone(guest)

    def end(self, what):
        self.lab.say(f"{what}: {self.count} devices with {self.interfaces} interfaces, {self.unconfigured} of them without a "
                     f"configuration; {len(self.wrong)} differ")
        check(not self.wrong, f"they differ: {self.wrong}")


@scenario("descriptors-as-linux-takes-them")
def telling(lab):
    bench = Bench(lab)
    for blob in recorded() + odd():
        if blob.name in TELLING:
            bench.tried(blob, lab.vm1 if blob.name in ("padded", "total-zero", "interface-200") else None)
    bench.end("odd descriptors")


@scenario("descriptors-all", quick=False, seconds=3600)
def everything(lab):
    """Real ones, odd ones, and ROUNDS changed at random from SEED; what by the model Linux refuses, and what
    QEMU does not carry, is left out."""
    bench = Bench(lab)
    blobs = recorded() + odd() + list(mutations(ROUNDS, SEED))
    taken = [blob for blob in blobs if not Linux(blob).refused and max(map(length, blob.configurations)) <= CARRIED]
    for blob in taken:
        bench.tried(blob, lab.vm1 if blob.name in IN_GUEST else None)
    bench.end(f"seed {SEED}, {len(blobs) - len(taken)} left out")


@scenario("descriptors-that-linux-refuses", quick=False)
def refused(lab):
    """The model is right about them: the board's kernel gives up, and nothing is listed."""
    made = Redirected(lab.board)
    blobs = [blob for blob in mutations(2000, SEED) if Linux(blob).refused][:3]
    check(blobs, "none of 2000 is refused")
    for blob in blobs:
        mark = lab.mark()
        made.plug(blob)
        lab.board.wait(f"dmesg | sed -n '/{mark}/,$p' | grep -q 'unable to enumerate USB device'", 2 * EVENT_SECONDS,
                       f"the kernel giving up on {blob.name}")
        listed = lab.daemon.json("list")["devices"]
        check(not [one for one in listed if one["id"] == "1d6b:0105"], f"{blob.name} is listed: {listed}")
        made.unplug()
