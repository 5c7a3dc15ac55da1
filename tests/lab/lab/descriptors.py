"""USB descriptors as bytes: of devices as people have them, changed at random, and what Linux makes of them.

The model here is written after drivers/usb/core/config.c, sysfs.c and devio.c of Linux 6.1 and 6.12, in their way (two
passes, everything compared with everything), and not after our reader, which it is compared with. What it leaves out: the
kernel's lists of single devices (core/quirks.c).
"""

import collections
import random

DEVICE, CONFIG, STRING, INTERFACE, ENDPOINT = 1, 2, 3, 4, 5
MAX_CONFIGURATIONS, MAX_INTERFACES, MAX_SETTINGS, MAX_ENDPOINTS = 8, 32, 128, 30

Endpoint = collections.namedtuple("Endpoint", "address attributes max_packet interval extra")
Setting = collections.namedtuple("Setting", "interface alternate classes extra endpoints")
Blob = collections.namedtuple("Blob", "name device configurations")


# Devices

def device(configurations, vendor=0x1d6b, product=0x0105, bcd=0x0200, device_class=0):
    return bytes([18, DEVICE, bcd & 255, bcd >> 8, device_class, 0, 0, 64, vendor & 255, vendor >> 8, product & 255, product >> 8,
                  0, 1, 0, 0, 0, configurations])


def configuration(*parts, value=1, interfaces=None, total=None, attributes=0x80):
    body = b"".join(parts)
    numbers = {part[2] for part in parts if len(part) >= 9 and part[1] == INTERFACE}
    total = 9 + len(body) if total is None else total
    return bytes([9, CONFIG, total & 255, total >> 8, len(numbers) if interfaces is None else interfaces, value, 0, attributes,
                  50]) + body


def interface(number=0, alternate=0, endpoints=0, classes=(255, 0, 0)):
    return bytes([9, INTERFACE, number, alternate, endpoints, *classes, 0])


def endpoint(address, attributes=2, size=512, interval=0, more=b""):
    return bytes([7 + len(more), ENDPOINT, address, attributes, size & 255, size >> 8, interval]) + more


def other(kind, *rest):
    return bytes([2 + len(rest), kind, *rest])


def association(first, count, classes=(255, 0, 0)):
    return other(11, first, count, *classes, 0)


HID = other(0x21, 0x11, 1, 0, 1, 0x22, 63, 0)


def _interface_of(number, classes, *endpoints, alternate=0, extra=b""):
    return [interface(number, alternate, len(endpoints), classes), extra, *endpoints]


def _camera():
    """Isochronous video in a row of alternate settings, as cameras have it."""
    control = other(0x24, 1, 0, 1, 13, 0, 0x80, 0xc3, 0xc9, 1, 1, 1)
    parts = [association(0, 2, (14, 3, 0)), *_interface_of(0, (14, 1, 0), endpoint(0x83, 3, 16, 6), other(0x25, 3, 16, 0),
                                                           extra=control),
             interface(1, 0, 0, (14, 2, 0)), other(0x24, 1, 1, 71, 0, 0x81, 0, 2, 1, 1, 0, 0, 0)]
    for n, size in enumerate((192, 384, 512, 640, 800, 944, 0x0b20, 0x13fc), 1):
        parts += _interface_of(1, (14, 2, 0), endpoint(0x81, 5, size, 1), alternate=n)
    return configuration(*parts)


def _headset():
    """Endpoint descriptors of 9 bytes, and class descriptors behind them."""
    def stream(number, address):
        return [interface(number, 0, 0, (1, 2, 0)),
                *_interface_of(number, (1, 2, 0), endpoint(address, 9, 200, 1, b"\0\0"), other(0x25, 1, 1, 0, 0), alternate=1,
                               extra=other(0x24, 1, 1, 1, 1, 0))]
    return configuration(interface(0, 0, 0, (1, 1, 0)), other(0x24, 1, 0, 1, 10, 0, 2, 1, 2), *stream(1, 0x01), *stream(2, 0x82),
                         *_interface_of(3, (3, 0, 0), endpoint(0x83, 3, 16, 4), extra=HID))


def _many(count, more=120, value=1):
    parts = []
    for n in range(count):
        parts += _interface_of(n, (255, n, 0), endpoint(0x80 | 1 + n % 15, 2, 512), extra=other(0xff, *range(more)))
    return configuration(*parts, value=value)


def recorded():
    """Devices as they are, each a Blob."""
    boot = _interface_of(0, (3, 1, 1), endpoint(0x81, 3, 8, 10), extra=HID)
    rows = [
        ("keyboard", [configuration(*boot)]),
        ("keyboard-and-consumer-keys", [configuration(*boot, *_interface_of(1, (3, 0, 0), endpoint(0x82, 3, 16, 4), extra=HID))]),
        ("hid-behind-its-endpoint", [configuration(interface(0, 0, 1, (3, 1, 1)), endpoint(0x81, 3, 8, 10), HID)]),
        ("disk", [configuration(*_interface_of(0, (8, 6, 80), endpoint(0x81), endpoint(0x02)))]),
        ("disk-uas", [configuration(*_interface_of(0, (8, 6, 80), endpoint(0x81), endpoint(0x02)),
                                    *_interface_of(0, (8, 6, 98), endpoint(0x01), other(0x24, 1, 0), endpoint(0x82), other(0x24, 2, 0),
                                                   endpoint(0x83), other(0x24, 3, 0), endpoint(0x04), other(0x24, 4, 0), alternate=1))]),
        ("camera", [_camera()]),
        ("headset", [_headset()]),
        ("modem", [configuration(association(0, 2, (2, 2, 1)), *_interface_of(
            0, (2, 2, 1), endpoint(0x83, 3, 8, 9),
            extra=other(0x24, 0, 16, 1) + other(0x24, 1, 0, 1) + other(0x24, 2, 2) + other(0x24, 6, 0, 1)),
            *_interface_of(1, (10, 0, 0), endpoint(0x81), endpoint(0x02)))]),
        ("network-two-configurations", [
            configuration(*_interface_of(0, (2, 2, 255), endpoint(0x81, 3, 16, 9)),
                          *_interface_of(1, (10, 0, 0), endpoint(0x82), endpoint(0x02)), value=2),
            configuration(*_interface_of(0, (2, 6, 0), endpoint(0x81, 3, 16, 9)), interface(1, 0, 0, (10, 0, 0)),
                          *_interface_of(1, (10, 0, 0), endpoint(0x82), endpoint(0x02), alternate=1), value=1)]),
        ("firmware-loader", [configuration(interface(0, 0, 0, (254, 1, 2)), other(0x21, 11, 255, 0, 0, 4, 1, 1))]),
        ("smart-card-reader", [configuration(*_interface_of(0, (11, 0, 0), endpoint(0x83, 3, 8, 8), endpoint(0x02), endpoint(0x81),
                                                            extra=other(0x21, *range(52))))]),
        ("vendor-with-gaps", [configuration(*_interface_of(3, (255, 1, 1), endpoint(0x81)), *_interface_of(7, (255, 2, 2), endpoint(0x02)))]),
        ("long", [_many(30)]),
        ("long-in-three-configurations", [_many(25, value=3), _many(25, value=2), _many(25)]),
        ("four-configurations", [configuration(*_interface_of(0, (255, n, 0), endpoint(0x80 | n)), value=n) for n in range(1, 5)]),
    ]
    return [Blob(name, device(len(configurations)), configurations) for name, configurations in rows]


def odd():
    """Devices with one thing wrong each, as they are met."""
    one = _interface_of(0, (255, 0, 0), endpoint(0x81, 3, 8, 10))
    two = _interface_of(1, (255, 1, 0), endpoint(0x02))
    first_cut = configuration(*one, total=100)
    rows = [
        ("padded", [configuration(*one, b"\0", total=26)]),
        ("total-too-large", [configuration(*one, total=400)]),
        ("total-too-small", [configuration(*one, *two, total=26)]),
        ("total-in-the-middle", [configuration(*one, *two, total=30)]),
        ("total-zero", [configuration(*one, total=0)]),
        ("total-nine", [configuration(*one, total=9)]),
        ("cut", [configuration(*one, *two)[:-3]]),
        ("length-zero-in-the-middle", [configuration(*one, bytes([0, 4]), *two)]),
        ("length-one-in-the-middle", [configuration(*one, bytes([1, 4]), *two)]),
        ("length-beyond-the-end", [configuration(*one, bytes([200, 0xff]), *two)]),
        ("short-interface", [configuration(*one, bytes([4, INTERFACE, 9, 0]), *two)]),
        ("long-interface", [configuration(bytes([11]) + interface(0, 0, 1)[1:] + b"\0\0", endpoint(0x81, 3, 8, 10))]),
        ("short-endpoint", [configuration(interface(0, 0, 2), bytes([5, ENDPOINT, 0x81, 2, 0]), endpoint(0x02))]),
        ("long-endpoint", [configuration(interface(0, 0, 2), endpoint(0x81, more=bytes(9)), endpoint(0x02))]),
        ("endpoint-zero", [configuration(interface(0, 0, 3), endpoint(0x80), endpoint(0x00), endpoint(0x02))]),
        ("endpoint-twice", [configuration(interface(0, 0, 3), endpoint(0x81), endpoint(0x81, 3), endpoint(0x02))]),
        ("endpoint-of-another", [configuration(*one, *_interface_of(1, (255, 1, 0), endpoint(0x81), endpoint(0x02)))]),
        ("more-endpoints", [configuration(interface(0, 0, 1), endpoint(0x81), endpoint(0x02))]),
        ("fewer-endpoints", [configuration(interface(0, 0, 3), endpoint(0x81), endpoint(0x02))]),
        ("packet-size-zero", [configuration(interface(0, 0, 1), endpoint(0x81, 3, 0, 10))]),
        ("packet-size-huge", [configuration(interface(0, 0, 1), endpoint(0x81, 2, 0xffff))]),
        ("interface-twice", [configuration(*one, *_interface_of(0, (255, 9, 9), endpoint(0x02)))]),
        ("interface-200", [configuration(*one, *_interface_of(200, (255, 1, 0), endpoint(0x02)))]),
        ("interface-40", [configuration(*_interface_of(40, (255, 1, 0), endpoint(0x81), endpoint(0x02)))]),
        ("garbage-before", [configuration(other(0xff, 1, 2, 3), other(STRING, 65, 0), *one)]),
        ("announces-none", [configuration(*one, interfaces=0)]),
        ("announces-nine", [configuration(*one, interfaces=9)]),
        ("announces-200", [configuration(*one, interfaces=200)]),
        ("no-interfaces", [configuration()]),
        ("no-setting-0", [configuration(*_interface_of(0, (255, 0, 0), endpoint(0x81), alternate=1),
                                        *_interface_of(0, (255, 0, 0), endpoint(0x82), alternate=2))]),
        ("configuration-inside", [configuration(*one, configuration(), *two)]),
        ("device-inside", [configuration(*one, device(1), *two)]),
        ("configuration-0", [configuration(*one, value=0)]),
        ("long-configuration-descriptor", [bytes([11, CONFIG, 27, 0, 1, 1, 0, 0x80, 50, 1, 2]) + b"".join(one)]),
        ("first-cut", [first_cut, configuration(*two, value=2)]),
        ("first-odd", [configuration(*one, bytes([0, 0]), *two), configuration(*two, value=2)]),
        ("same-values", [configuration(*one), configuration(*two)]),
        ("forty-interfaces", [_many(40, more=2)]),
        ("two-hundred-settings", [configuration(*(interface(0, n) for n in range(200)))]),
        ("forty-endpoints", [configuration(interface(0, 0, 40), *(endpoint(0x81 + n % 15) for n in range(15)),
                                           *(endpoint(1 + n % 15) for n in range(25)))]),
    ]
    blobs = [Blob(name, device(len(configurations)), configurations) for name, configurations in rows]
    one = configuration(*one)
    blobs.append(Blob("nine-configurations", device(9), [one] * 9))
    blobs.append(Blob("device-length-17", bytes([17]) + device(1)[1:], [one]))
    return blobs


def mutations(count, seed):
    """Blobs with some bytes changed, cut, doubled or put in, the same ones for the same seed."""
    generator = random.Random(seed)
    sources = recorded() + odd()
    for n in range(count):
        blob = generator.choice(sources)
        configurations = list(blob.configurations)
        steps = []
        for _ in range(generator.randint(1, 4)):
            at = generator.randrange(len(configurations))
            configurations[at], step = _mutated(generator, configurations[at])
            steps.append(f"{at}:{step}")
        yield Blob(f"{blob.name}#{n} {' '.join(steps)}", blob.device, configurations)


def _mutated(generator, raw):
    """One change behind the first two bytes, which Linux insists on."""
    if len(raw) <= 9:
        return raw + bytes([generator.randrange(256)]), "grown"
    at = generator.randrange(2, len(raw))
    kind = generator.randrange(6)
    if kind == 0:
        return raw[:at] + bytes([generator.randrange(256)]) + raw[at + 1:], f"byte {at}"
    if kind == 1:       # a length or a type, where they stand
        places = list(_descriptors(raw))[1:]
        if places:
            at = generator.choice(places) + generator.randrange(2)
            value = generator.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0x21, 0x24, 0x30, 255))
            return raw[:at] + bytes([value]) + raw[at + 1:], f"head {at}"
        return raw, "nothing"
    if kind == 2:
        return raw[:max(at, 9)], f"cut {at}"
    if kind == 3:
        places = list(_descriptors(raw)) + [len(raw)]
        first = generator.choice(places[:-1])
        last = generator.choice([place for place in places if place > first])
        put = generator.choice([place for place in places if place >= 9] or [len(raw)])
        return raw[:put] + raw[first:last] + raw[put:], f"doubled {first}-{last} at {put}"
    if kind == 4:
        return raw[:at] + bytes(generator.randrange(256) for _ in range(generator.randint(1, 5))) + raw[at:], f"put in at {at}"
    total = generator.choice((0, 1, 4, 8, 9, 10, len(raw) - 1, len(raw), len(raw) + 1, generator.randrange(65536)))
    return raw[:2] + bytes([total & 255, total >> 8 & 255]) + raw[4:], f"total {total}"


def _descriptors(raw):
    at = 0
    while at + 2 <= len(raw) and raw[at] >= 2:
        yield at
        at += raw[at]


def length(raw):
    """How many bytes a host asks for."""
    return _u16(raw, 2)


# Linux

def _u16(raw, at):
    return raw[at] | raw[at + 1] << 8


def _skip(raw, at, *kinds):
    """find_next_descriptor()"""
    while at < len(raw) and raw[at + 1] not in kinds:
        at += raw[at]
    return at


def _collides(config, inum, alternate, address, attributes):
    """config_endpoint_is_duplicate()"""
    for number, settings in config:
        for setting in settings:
            if number == inum and setting["alternate"] != alternate:
                continue
            for e in setting["endpoints"]:
                if e.address == address:
                    return True
                if not (e.attributes & 3 and attributes & 3) and e.address & 15 == address & 15:
                    return True
    return False


def parsed(raw):
    """usb_parse_configuration(): None where Linux refuses it, else the bytes it uses and the interfaces' settings."""
    if len(raw) < 9 or raw[1] != CONFIG or raw[0] < 9 or raw[0] > len(raw):
        return None
    at, counts = raw[0], {}
    while len(raw) - at >= 2 and 2 <= raw[at] <= len(raw) - at:
        if raw[at + 1] == INTERFACE and raw[at] >= 9:
            number = raw[at + 2]
            if number in counts or len(counts) < MAX_INTERFACES:
                counts[number] = min(counts.get(number, 0) + 1, 255)
        at += raw[at]
    used, raw = at, raw[:at]
    config = [(number, []) for number in counts]
    order = []
    at = _skip(raw, raw[0], INTERFACE)
    while at < len(raw):
        at = _interface(raw, at, config, counts, order)
    return used, [Setting(s["interface"], s["alternate"], s["classes"], s["extra"], s["endpoints"]) for s in order]


def _interface(raw, at, config, counts, order):
    """usb_parse_interface(): where the next one begins."""
    begin = at
    at += raw[at]
    if raw[begin] < 9:
        return _skip(raw, at, INTERFACE)
    number, alternate, announced = raw[begin + 2:begin + 5]
    settings = next((settings for n, settings in config if n == number), None)
    if settings is None or len(settings) >= min(counts[number], MAX_SETTINGS) or \
            any(s["alternate"] == alternate for s in settings):
        return _skip(raw, at, INTERFACE)
    extra = _skip(raw, at, ENDPOINT, INTERFACE) - at
    setting = {"interface": number, "alternate": alternate, "classes": tuple(raw[begin + 5:begin + 8]), "extra": extra,
               "endpoints": []}
    settings.append(setting)
    order.append(setting)
    at += extra
    while at < len(raw) and raw[at + 1] != INTERFACE:
        begin = at
        at += raw[at]
        following = _skip(raw, at, ENDPOINT, INTERFACE)
        if raw[begin] >= 7:
            address, attributes, size, interval = raw[begin + 2], raw[begin + 3], _u16(raw, begin + 4), raw[begin + 6]
            if 0 < address & 0x7f < 16 and len(setting["endpoints"]) < min(announced, MAX_ENDPOINTS) and \
                    not _collides(config, number, alternate, address, attributes):
                setting["endpoints"].append(Endpoint(address, attributes, size, interval, following - at))
        at = following
    return at


class Linux:
    """What Linux has of a device: .refused, or .sysfs and .usbfs (holes as zeros), .configurations [(value, settings)]."""

    def __init__(self, blob):
        # Those that a device answers with a stall are chopped off.
        count = min(blob.device[17], MAX_CONFIGURATIONS, len(blob.configurations))
        self.configurations, self.refused, self.hidden = [], count < 1, False
        self.sysfs = self.usbfs = b""
        for raw in blob.configurations[:count]:
            if len(raw) < 4:
                self.refused = True
                return
            raw = raw[:max(_u16(raw, 2), 9)]
            got = parsed(raw)
            if got is None:
                self.refused = True
                return
            used, settings = got
            self.configurations.append((raw[5], settings))
            self.hidden = self.hidden or _u16(raw, 2) < 9
            self.sysfs += raw[:used]
            self.usbfs += raw[:min(used, _u16(raw, 2))].ljust(_u16(raw, 2), b"\0")
        head = blob.device[:17] + bytes([count])
        self.sysfs, self.usbfs = head + self.sysfs, head + self.usbfs

    def said(self, value):
        """A configuration as programs that describe one tell it (tests/unit/usb-describe.c)."""
        for number, settings in self.configurations:
            if number == value:
                return described(number, settings)
        return f"none of {len(self.configurations)}"


def described(value, settings):
    texts = []
    for s in settings:
        text = f"{s.interface}.{s.alternate} {s.classes[0]:02x}/{s.classes[1]:02x}/{s.classes[2]:02x} extra {s.extra}"
        for e in s.endpoints:
            text += f", {e.address:02x} {e.attributes} {e.max_packet} {e.interval} extra {e.extra}"
        texts.append(text)
    return f"{value} =" + (" " + "; ".join(texts) if texts else "")
