"""USB descriptors in the shapes that devices have them, written by hand after what is known of such devices: a kind of device,
or a kind of mistake, each. For tests/unit/test-usb-descriptor-model.py."""

from .descriptors import (CONFIG, HID, INTERFACE, Blob, association, configuration, device, endpoint, interface, other)

VIDEO, AUDIO, VENDOR = (14, 2, 0), (1, 2, 0), (255, 255, 255)
COMPANION = other(0x30, 3, 0, 0, 0)                 # SuperSpeed, of an endpoint
ISOCHRONOUS_COMPANION = other(0x31, 0, 0, 0, 16, 0, 0, 0)  # SuperSpeedPlus


def _of(number, classes, *endpoints, alternate=0, extra=b"", announced=None):
    count = len([e for e in endpoints if e[1] == 5])
    return b"".join([interface(number, alternate, count if announced is None else announced, classes), extra, *endpoints])


def _kinds():
    keyboard = _of(0, (3, 1, 1), endpoint(0x81, 3, 8, 10), extra=HID)
    serial = _of(0, VENDOR, endpoint(0x81, 2, 64), endpoint(0x02, 2, 64))
    stream = [_of(1, VIDEO, endpoint(0x82, 5, 0x1400, 1), COMPANION, alternate=n) for n in range(1, 12)]
    audio_out = [_of(1, AUDIO, endpoint(0x01, 13, 288, 4, b"\0\x83"), other(0x25, 1, 1, 0, 0), endpoint(0x83, 17, 3, 1, b"\2\0"),
                     alternate=n, extra=other(0x24, 1, 1, 1, 1, 0) + other(0x24, 2, 1, 2, 2, 16, 1, 0x80, 0xbb, 0)) for n in (1, 2)]
    yield "webcam with alternates, companions and its microphone", [configuration(
        association(0, 2, (14, 3, 0)), _of(0, (14, 1, 0), endpoint(0x81, 3, 16, 8), COMPANION, other(0x25, 3, 64, 0),
                                           extra=other(0x24, 1, 0, 1, 78, 0, 0, 0x6c, 0xdc, 2, 1, 1) + other(0x24, 2, *range(16))),
        _of(1, VIDEO, extra=other(0x24, 1, 2, 79, 2, 0x82, *range(8)) + other(0x24, 6, *range(30))), *stream,
        association(2, 2, (1, 2, 0)), _of(2, (1, 1, 0), extra=other(0x24, 1, 0, 1, 38, 0, 1, 3)), _of(3, AUDIO),
        _of(3, AUDIO, endpoint(0x84, 5, 68, 4, b"\0\0"), other(0x25, 1, 1, 0, 0), alternate=1, extra=other(0x24, 1, 3, 1, 1, 0)))]
    yield "webcam whose video is bulk", [configuration(
        association(0, 2, (14, 3, 0)), _of(0, (14, 1, 0)), _of(1, VIDEO, endpoint(0x81, 2, 512), extra=other(0x24, 1, 1)))]
    yield "sound card with endpoints of 9 bytes and explicit feedback", [configuration(
        _of(0, (1, 1, 0), extra=other(0x24, 1, 0, 1, 40, 0, 1, 1)), _of(1, AUDIO), *audio_out)]
    yield "sound card of class 2", [configuration(
        association(0, 2, (1, 0, 32)), _of(0, (1, 1, 32), endpoint(0x83, 3, 6, 8), extra=other(0x24, 1, 0, 2, 8, 64, 0, 0)),
        _of(1, (1, 2, 32)), _of(1, (1, 2, 32), endpoint(0x01, 5, 776, 1), other(0x25, 1, 0, 0, 0, 0, 0), endpoint(0x81, 17, 4, 4),
                                alternate=1))]
    yield "MIDI keyboard", [configuration(_of(0, (1, 1, 0), extra=other(0x24, 1, 0, 1, 9, 0, 1, 1)), _of(
        1, (1, 3, 0), endpoint(0x01, 2, 64, 0, b"\0\0"), other(0x25, 1, 1, 1), endpoint(0x81, 2, 64, 0, b"\0\0"), other(0x25, 1, 1, 3),
        extra=other(0x24, 1, 0, 1, 65, 0)))]
    yield "printer with three settings", [configuration(
        _of(0, (7, 1, 2), endpoint(0x01, 2), endpoint(0x82, 2)), _of(0, (7, 1, 1), endpoint(0x01, 2), alternate=1),
        _of(0, (7, 1, 4), endpoint(0x01, 2), endpoint(0x82, 2), alternate=2))]
    yield "printer, scanner and card reader", [configuration(
        _of(0, (255, 204, 0), endpoint(0x85, 2), endpoint(0x06, 2), endpoint(0x87, 3, 16, 8)),
        _of(1, (7, 1, 2), endpoint(0x01, 2), endpoint(0x82, 2)), _of(2, (8, 6, 80), endpoint(0x88, 2), endpoint(0x09, 2)))]
    yield "phone with MTP and ADB", [configuration(
        _of(0, (255, 255, 0), endpoint(0x81, 2), endpoint(0x01, 2), endpoint(0x82, 3, 28, 6)),
        _of(1, (255, 66, 1), endpoint(0x02, 2), endpoint(0x83, 2)))]
    yield "phone with tethering, MTP and ADB", [configuration(
        association(0, 2, (224, 1, 3)), _of(0, (224, 1, 3), endpoint(0x82, 3, 8, 9), extra=other(0x24, 0, 16, 1) + other(0x24, 1, 0, 1) +
                                            other(0x24, 2, 0) + other(0x24, 6, 0, 1)),
        _of(1, (10, 0, 0), endpoint(0x81, 2), endpoint(0x01, 2)),
        _of(2, (6, 1, 1), endpoint(0x83, 2), endpoint(0x02, 2), endpoint(0x84, 3, 28, 6)),
        _of(3, (255, 66, 1), endpoint(0x03, 2), endpoint(0x85, 2)))]
    yield "phone with four configurations", [
        configuration(_of(0, (6, 1, 1), endpoint(0x81, 2), endpoint(0x02, 2), endpoint(0x83, 3, 64, 10)), value=1),
        configuration(_of(0, (1, 1, 0)), _of(1, AUDIO), _of(1, AUDIO, endpoint(0x81, 5, 192, 4), alternate=1),
                      _of(2, (3, 0, 0), endpoint(0x83, 3, 64, 1), extra=HID), value=2),
        configuration(_of(0, (6, 1, 1), endpoint(0x81, 2), endpoint(0x02, 2), endpoint(0x83, 3, 64, 10)),
                      _of(1, (255, 254, 2), endpoint(0x04, 2), endpoint(0x85, 2)), value=3),
        configuration(_of(0, (6, 1, 1), endpoint(0x81, 2), endpoint(0x02, 2), endpoint(0x83, 3, 64, 10)),
                      _of(1, (255, 254, 2), endpoint(0x04, 2), endpoint(0x85, 2)), _of(2, (255, 253, 1)),
                      _of(2, (255, 253, 1), endpoint(0x86, 2), endpoint(0x05, 2), alternate=1), value=4)]
    yield "serial adapter", [configuration(serial)]
    yield "serial adapter of two ports", [configuration(serial, _of(1, VENDOR, endpoint(0x83, 2, 64), endpoint(0x04, 2, 64)))]
    yield "modem with gaps in its numbers", [configuration(
        _of(0, VENDOR, endpoint(0x81, 2), endpoint(0x01, 2)), _of(2, VENDOR, endpoint(0x83, 3, 10, 9), endpoint(0x82, 2), endpoint(0x02, 2)),
        _of(3, VENDOR, endpoint(0x85, 3, 10, 9), endpoint(0x84, 2), endpoint(0x03, 2)),
        _of(8, VENDOR, endpoint(0x89, 3, 8, 9), endpoint(0x88, 2), endpoint(0x05, 2)))]
    yield "hub", [configuration(_of(0, (9, 0, 1), endpoint(0x81, 3, 1, 12)), _of(0, (9, 0, 2), endpoint(0x81, 3, 1, 12), alternate=1))]
    yield "SuperSpeed hub", [configuration(_of(0, (9, 0, 0), endpoint(0x81, 19, 2, 8), other(0x30, 0, 0, 2, 0)))]
    yield "disk with streams, SuperSpeed", [configuration(
        _of(0, (8, 6, 80), endpoint(0x81, 2, 1024), other(0x30, 15, 0, 0, 0), endpoint(0x02, 2, 1024), other(0x30, 15, 0, 0, 0)),
        _of(0, (8, 6, 98), endpoint(0x81, 2, 1024), other(0x30, 15, 5, 0, 0), other(0x24, 3, 0), endpoint(0x02, 2, 1024),
            other(0x30, 15, 5, 0, 0), other(0x24, 4, 0), endpoint(0x83, 2, 1024), other(0x30, 15, 5, 0, 0), other(0x24, 2, 0),
            endpoint(0x04, 2, 1024), other(0x30, 0, 0, 0, 0), other(0x24, 1, 0), alternate=1))]
    yield "companion missing", [configuration(_of(0, VENDOR, endpoint(0x81, 2, 1024), endpoint(0x02, 2, 1024), COMPANION))]
    yield "companion twice, and one that is short", [configuration(
        _of(0, VENDOR, endpoint(0x81, 2, 1024), COMPANION, COMPANION, endpoint(0x82, 5, 1024, 1), other(0x30, 3), ISOCHRONOUS_COMPANION))]
    yield "companion before its endpoint", [configuration(_of(0, VENDOR, endpoint(0x81, 2, 1024), extra=COMPANION))]
    yield "keyboard, mouse and receiver", [configuration(
        keyboard, _of(1, (3, 1, 2), endpoint(0x82, 3, 8, 2), extra=HID), _of(2, (3, 0, 0), endpoint(0x83, 3, 32, 2), extra=HID))]
    yield "vendor's, without endpoints", [configuration(_of(0, VENDOR), _of(1, (254, 1, 1), extra=other(0x21, 13, 0, 1, 0, 8, 0x10, 1)))]
    yield "game pad with four sticks", [configuration(
        *(_of(n, (255, 93, 129), endpoint(0x81 + n, 3, 32, 4), endpoint(1 + n, 3, 32, 8), extra=other(0x21, *range(19))) for n in range(4)))]
    yield "network adapter of two models", [
        configuration(_of(0, (255, 255, 0), endpoint(0x81, 2), endpoint(0x02, 2), endpoint(0x83, 3, 2, 8)), value=1),
        configuration(association(0, 2, (2, 13, 0)), _of(0, (2, 13, 0), endpoint(0x83, 3, 16, 8), extra=other(0x24, 0x1a, *range(4))),
                      _of(1, (10, 0, 1)), _of(1, (10, 0, 1), endpoint(0x81, 2), endpoint(0x02, 2), alternate=1), value=2)]
    yield "Bluetooth adapter", [configuration(
        _of(0, (224, 1, 1), endpoint(0x81, 3, 16, 1), endpoint(0x82, 2, 64), endpoint(0x02, 2, 64)),
        *(_of(1, (224, 1, 1), endpoint(0x83, 1, size, 1), endpoint(0x03, 1, size, 1), alternate=n)
          for n, size in enumerate((0, 9, 17, 25, 33, 49, 63))))]
    yield "security key", [configuration(_of(0, (3, 1, 1), endpoint(0x81, 3, 8, 10), extra=HID),
                                         _of(1, (3, 0, 0), endpoint(0x04, 3, 64, 2), endpoint(0x84, 3, 64, 2), extra=HID),
                                         _of(2, (11, 0, 0), endpoint(0x02, 2, 64), endpoint(0x82, 2, 64), endpoint(0x83, 3, 8, 32),
                                             extra=other(0x21, *range(52))))]


def _mistakes():
    one = _of(0, VENDOR, endpoint(0x81, 3, 8, 10))
    two = _of(1, (3, 1, 1), endpoint(0x82, 3, 8, 10), extra=HID)
    good = configuration(one, two, value=2)
    yield "same interface twice, another class", [configuration(one, _of(0, (3, 1, 1), endpoint(0x82, 3, 8, 10), extra=HID))]
    yield "same setting three times among others", [configuration(
        *(_of(0, (255, n, 0), endpoint(0x81 + n, 2), alternate=n % 2) for n in range(6)))]
    yield "settings out of order, interfaces mixed", [configuration(
        _of(1, VENDOR, endpoint(0x83, 2), alternate=2), _of(0, VENDOR, endpoint(0x81, 2), alternate=1), _of(1, VENDOR),
        _of(0, VENDOR), _of(1, VENDOR, endpoint(0x83, 2), endpoint(0x84, 2), alternate=1))]
    yield "announces no interface", [configuration(one, two, interfaces=0)]
    yield "announces 255 interfaces", [configuration(one, two, interfaces=255)]
    yield "numbers 255, 64, 63, 31, 32", [configuration(*(_of(n, VENDOR, endpoint(0x81 + i, 2)) for i, n in enumerate((255, 64, 63, 31, 32))))]
    yield "33 interfaces, the last one a keyboard", [configuration(*(_of(n, VENDOR) for n in range(32)),
                                                                   _of(32, (3, 1, 1), endpoint(0x81, 3, 8, 10), extra=HID))]
    yield "129 settings and one more interface", [configuration(*(_of(0, VENDOR, alternate=n) for n in range(129)), two)]
    yield "31 endpoints, and all addresses", [configuration(
        _of(0, VENDOR, *(endpoint(a, 2, 64) for a in [*range(0x81, 0x90), *range(1, 16)]), announced=31), two)]
    yield "endpoints announced 0, and there are two", [configuration(_of(0, VENDOR, endpoint(0x81, 2), endpoint(0x02, 2), announced=0), two)]
    yield "endpoint before all interfaces", [configuration(endpoint(0x81, 3, 8, 10), HID, one)]
    yield "endpoints with odd addresses", [configuration(
        _of(0, VENDOR, endpoint(0x91, 2), endpoint(0x70, 2), endpoint(0xff, 2), endpoint(0x01, 2), announced=4), two)]
    yield "control endpoint, and its number again", [configuration(_of(0, VENDOR, endpoint(0x05, 0, 8), endpoint(0x85, 2), endpoint(0x84, 2)),
                                                                   _of(1, VENDOR, endpoint(0x85, 3, 8, 9)))]
    yield "endpoint of 6 bytes", [configuration(_of(0, VENDOR, other(5, 0x81, 3, 8, 0), endpoint(0x02, 2)), two)]
    yield "interface of 8 bytes", [configuration(one, bytes([8, INTERFACE, 1, 0, 1, 3, 1, 1]), HID, endpoint(0x82, 3, 8, 10))]
    for total in (0, 1, 2, 3, 4, 5, 8, 9, 10, 18, 65535):
        yield f"says {total} bytes", [configuration(one, two, total=total)]
    for total in (0, 4, 5, 6, 7, 8, 9, 200, 65535):
        yield f"first says {total} bytes, second active", [configuration(one, total=total), good]
        yield f"second says {total} bytes", [configuration(one), configuration(two, total=total, value=2)]
        yield f"middle one of three says {total} bytes", [configuration(one), configuration(two, total=total, value=3), good]
    yield "first cut in its middle, second active", [configuration(one, two)[:30], good]
    yield "second begins with another type's descriptors", [configuration(one), configuration(other(CONFIG, 9), two, value=2)]
    yield "both have one value", [configuration(one), configuration(two)]
    yield "values 0 and 255", [configuration(one, value=255), configuration(two, value=0)]
    yield "no configuration at all", []


def shapes():
    """Each a Blob; where a device announces another number of configurations than it has, its name says so."""
    rows = [*_kinds(), *_mistakes()]
    blobs = [Blob(name, device(len(configurations)), configurations) for name, configurations in rows]
    one = configuration(_of(0, (3, 1, 1), endpoint(0x81, 3, 8, 10), extra=HID))
    for announced in (0, 1, 8, 9, 255):
        blobs.append(Blob(f"{announced} configurations announced", device(announced),
                          [one[:5] + bytes([n]) + one[6:] for n in range(1, max(announced, 1) + 1)]))
    blobs.append(Blob("fewer configurations than announced", device(3), [one]))
    return blobs
