"""Hostile cases: what stands in rings, what is asked to be done with frames, and how a connection lives."""

import os
import random
import socket
import struct
import threading

from hostile_case import BROKEN, CLOSED, DOWN, GONE, KEPT, PASSES, Group, many, taken
from raw_frontend import (AVAIL, AVAILABLE, BUFFERS, FEATURES, FRAME, GET_BASE, GET_FEATURES, GPA, INDIRECT, IS_USED, LOG_ALL,
                          LOG_SHMFD, MAC, NEXT, NUM, RX, SET_KICK, SET_LOG, SET_MEM_TABLE, SET_NUM, SET_OWNER, SIZE, TX, UVA,
                          WRITE, Frontend, Gone)

rings, offloads, life, logs = (Group(name) for name in ("rings", "offloads", "life", "memory"))
BUFFER = GPA + BUFFERS
TABLE = BUFFERS + 0x20000
HEADER = 12     # bytes of virtio-net's


# What is in the rings: it costs the ring, until it is set up anew

def in_ring(f, prepare):
    f.start()
    prepare(f)
    f.alive()


def _chain(*descriptors, ring=TX):
    def prepare(f):
        f.frame()
        for index, one in enumerate(descriptors):
            f.desc(ring, index, *one)
        f.post(ring, 0)
    return prepare


def _table(table, length=None, at=TABLE, flags=INDIRECT):
    """A chain in a table, whose length may be said to be another one."""
    def prepare(f):
        f.frame()
        for index, one in enumerate(table):
            f.mem[at + index * 16:at + index * 16 + 16] = struct.pack("<QIHH", *one)
        f.desc(TX, 0, GPA + at, len(table) * 16 if length is None else length, flags, 1)
        f.post(TX, 0)
    return prepare


def pieces(*lengths, first=0, flags=0):
    """The frame in pieces, as a chain."""
    chain, at = [], BUFFER
    for number, length in enumerate(lengths, first + 1):
        last = number - first == len(lengths)
        chain.append((at, length, flags if last else flags | NEXT, 0 if last else number))
        at += length
    return chain


rings.table("broken", BROKEN, (
    ("head-256", lambda f: f.post(TX, 256)),
    ("head-65535", lambda f: f.post(TX, 65535)),
    ("index-leaps", lambda f: f.index(TX, 40000)),
    ("index-leaps-by-one-too-many", lambda f: f.index(TX, NUM + 1)),
    ("index-goes-back", lambda f: f.index(TX, 65535)),
    ("loop", _chain((BUFFER, 60, NEXT, 1), (BUFFER, 60, NEXT, 0))),
    ("self-loop", _chain((BUFFER, 60, NEXT, 0))),
    ("loop-of-all", lambda f: ([f.desc(TX, n, BUFFER, 1, NEXT, (n + 1) % NUM) for n in range(NUM)], f.post(TX, 0))),
    ("next-outside", _chain((BUFFER, 60, NEXT, 256))),
    ("next-65535", _chain((BUFFER, 60, NEXT, 65535))),
    ("wrong-direction", _chain((BUFFER, 2048, WRITE, 0))),
    ("wrong-direction-behind", _chain((BUFFER, 12, NEXT, 1), (BUFFER, 60, WRITE, 0))),
    ("address-0", _chain((0, 60, 0, 0))),
    ("address-end", _chain(((1 << 64) - 8, 60, 0, 0))),
    ("address-half-outside", _chain((GPA + SIZE - 8, 60, 0, 0))),
    ("address-before", _chain((GPA - 8, 60, 0, 0))),
    ("length-0", _chain((BUFFER, 0, 0, 0))),
    ("length-0-behind", _chain((BUFFER, 12, NEXT, 1), (BUFFER, 0, 0, 0))),
    ("length-4-gib", _chain((BUFFER, 0xffffffff, 0, 0))),
    ("table-of-nothing", _table(())),
    ("table-of-odd-length", _table(((BUFFER, 60, 0, 0),), 17)),
    ("table-of-a-byte", _table(((BUFFER, 60, 0, 0),), 1)),
    ("table-in-a-table", _table(((BUFFER, 16, INDIRECT, 0),))),
    ("table-with-a-next", _table(((BUFFER, 60, 0, 0),), flags=INDIRECT | NEXT)),
    ("table-loops", _table(((BUFFER, 60, NEXT, 0),))),
    ("table-next-outside", _table(((BUFFER, 60, NEXT, 1),))),
    ("table-longer-than-the-ring", _table(pieces(*[1] * (NUM + 1)))),
    ("table-outside", lambda f: (f.desc(TX, 0, GPA + SIZE, 16, INDIRECT), f.post(TX, 0))),
    ("table-half-outside", _table(((BUFFER, 60, NEXT, 1),), 32, at=SIZE - 16)),
    ("table-at-the-end-of-addresses", lambda f: (f.desc(TX, 0, (1 << 64) - 16, 32, INDIRECT), f.post(TX, 0))),
), in_ring)


# Rings that are right, if odd: the ring goes on

rings.table("taken", PASSES, (
    ("header-alone", _chain((BUFFER, HEADER, 0, 0))),
    ("header-cut", _chain((BUFFER, 5, 0, 0))),
    ("header-less-a-byte", _chain((BUFFER, HEADER - 1, 0, 0))),
    ("header-and-a-byte", _chain((BUFFER, HEADER + 1, 0, 0))),
    ("header-in-two", _chain(*pieces(5, len(FRAME) - 5))),
    ("header-in-twelve", _chain(*pieces(*[1] * HEADER, len(FRAME) - HEADER))),
    ("a-byte-each", _chain(*pieces(*[1] * len(FRAME)))),
    ("a-byte-each-in-a-table", _table(pieces(*[1] * len(FRAME)))),
    ("as-long-as-the-ring", _chain(*pieces(*[1] * NUM))),
    ("table-as-long-as-the-ring", _table(pieces(*[1] * NUM))),
    ("same-head-twice", lambda f: (_chain((BUFFER, 72, 0, 0))(f), f.post(TX, 0, 0, 0))),
    ("too-long-for-a-frame", _chain((GPA, SIZE, 0, 0))),
    # Only what is read of a table counts.
    ("table-of-4-gib", _table(((BUFFER, 60, 0, 0),), 0xfffffff0)),
), in_ring)


def _of_two_regions(gap):
    """Memory of two regions, side by side or with nothing between them."""
    def start(f):
        half = BUFFERS + 40
        f.features()
        f.memory(((GPA, half, UVA, 0), (GPA + half + gap, SIZE - half - gap, UVA + half + gap, half + gap)))
        f.ring(RX)
        f.ring(TX)
        f.stands()
    return start


def over_a_border(f, gap, prepare):
    _of_two_regions(gap)(f)
    prepare(f)
    f.alive()


rings.table("over", PASSES, (
    ("a-border", 0, _chain((BUFFER, 72, 0, 0))),
    ("a-border-with-a-table", 0, _table(((BUFFER, 72, 0, 0), (0, 0, 0, 0)), 32, at=BUFFERS + 40 - 8)),
), over_a_border)
rings.table("over", BROKEN, (
    ("a-gap", 4096, _chain((BUFFER, 72, 0, 0))),
    ("a-gap-with-a-table", 4096, lambda f: (f.desc(TX, 0, BUFFER + 40 - 8, 32, INDIRECT), f.post(TX, 0))),
), over_a_border)


# Packed rings: the same, and what is theirs alone

def in_packed_ring(f, prepare):
    f.packed = True
    f.start()
    prepare(f)
    f.alive()


def _available(*chain, ring=TX):
    """As it is, also where it has no end."""
    def prepare(f):
        f.frame()
        f.available(ring, chain)
        os.eventfd_write(f.kicks[ring], 1)
    return prepare


def _entries(*table, at=TABLE):
    def prepare(f):
        for index, one in enumerate(table):
            f.mem[at + index * 16:at + index * 16 + 16] = struct.pack("<QIHH", *one)
    return prepare


def _packed_table(table, length=None, at=TABLE, flags=INDIRECT):
    def prepare(f):
        _entries(*table, at=at)(f)
        _available((GPA + at, len(table) * 16 if length is None else length, flags, 0))(f)
    return prepare


def _packed_pieces(count, length=1):
    """The frame's first bytes, and its last one again and again."""
    return [(BUFFER + min(number, len(FRAME) - 1), length, 0 if number == count - 1 else NEXT, number) for number in range(count)]


def _everywhere(ring, address, length, flags):
    """All places say that they are available, whoever has them: of this lap or the next one, by turns."""
    def prepare(f):
        f.frame()
        for turn in range(many(50)):
            mark = IS_USED if turn & 1 else AVAILABLE
            f.mem[ring * 0x10000:ring * 0x10000 + NUM * 16] = struct.pack("<QIHH", address, length, 0, flags | mark) * NUM
            os.eventfd_write(f.kicks[ring], 1)
            if ring == RX:
                _asks(f)
            f.alive()
    return prepare


rings.table("packed-broken", BROKEN, (
    ("without-an-end", _available(*[(BUFFER, 1, NEXT, 0)] * NUM)),
    ("wrong-direction", _available((BUFFER, 2048, WRITE, 0))),
    ("wrong-direction-behind", _available((BUFFER, 12, NEXT, 0), (BUFFER, 60, WRITE, 0))),
    ("address-0", _available((0, 60, 0, 0))),
    ("address-end", _available(((1 << 64) - 8, 60, 0, 0))),
    ("address-half-outside", _available((GPA + SIZE - 8, 60, 0, 0))),
    ("address-before", _available((GPA - 8, 60, 0, 0))),
    ("length-0", _available((BUFFER, 0, 0, 0))),
    ("length-0-behind", _available((BUFFER, 12, NEXT, 0), (BUFFER, 0, 0, 0))),
    ("length-4-gib", _available((BUFFER, 0xffffffff, 0, 0))),
    ("table-of-nothing", _packed_table(())),
    ("table-of-odd-length", _packed_table(((BUFFER, 60, 0, 0),), 17)),
    ("table-of-4-gib", _packed_table(((BUFFER, 60, 0, 0),), 0xfffffff0)),
    ("table-with-a-next", _packed_table(((BUFFER, 60, 0, 0),), flags=INDIRECT | NEXT)),
    ("table-behind-a-piece", _available((BUFFER, 12, NEXT, 0), (GPA + TABLE, 16, INDIRECT, 0))),
    ("table-longer-than-the-ring", _packed_table(((BUFFER, 1, 0, 0),) * (NUM + 1))),
    ("table-outside", _available((GPA + SIZE, 16, INDIRECT, 0))),
    ("table-half-outside", _packed_table(((BUFFER, 60, 0, 0),), 32, at=SIZE - 16)),
    ("table-at-the-end-of-addresses", _available(((1 << 64) - 16, 32, INDIRECT, 0))),
), in_packed_ring)


rings.table("packed-taken", PASSES, (
    ("frame", _available((BUFFER, 72, 0, 0))),
    ("header-alone", _available((BUFFER, HEADER, 0, 0))),
    ("a-byte-each", _available(*_packed_pieces(len(FRAME)))),
    ("as-long-as-the-ring", _available(*_packed_pieces(NUM))),
    ("table-as-long-as-the-ring", _packed_table([(BUFFER, 1, 0, 0)] * NUM)),
    ("table-whose-flags-say-nothing", _packed_table(((BUFFER, 60, 0xffff, 0xfffd),))),
    ("an-id-that-no-driver-has", _available((BUFFER, 72, 0, 65535))),
    ("other-flags", _available((BUFFER, 72, 0x7f78, 0))),
), in_packed_ring)

rings.table("packed-everywhere", KEPT, (
    ("to-send", _everywhere(TX, BUFFER, 72, 0)),
    ("to-receive", _everywhere(RX, BUFFER + 4096, 64, WRITE)),
), in_packed_ring)


@rings.case(KEPT)
def packed_words_of_any_kind(f):
    """What the driver wants to be told may be anything."""
    f.packed = True
    f.start()
    noise = random.Random(1)
    for number in range(many(300)):
        for ring in RX, TX:
            at = ring * 0x10000 + AVAIL
            f.mem[at:at + 4] = noise.randbytes(4)
        f.desc(TX, 0, *f.frame())
        f.post(TX, *[0] * (number % 7 + 1))
        taken(f)


@rings.case(PASSES)
def packed_positions_of_any_kind(f):
    """A front-end may be wrong about where a ring stands."""
    f.packed = True
    f.features()
    f.memory()
    for base in (0, 0xffffffff, 0x7fff7fff, NUM | NUM << 16, 0x80048004, 5):
        for ring in RX, TX:
            f.ask(GET_BASE, struct.pack("<II", ring, 0))
            f.ring(ring, base=base)
        f.stands()
        f.desc(TX, 0, *f.frame())
        f.post(TX, 0, 0, 0)
        taken(f)


@rings.case(KEPT)
def packed_rewritten_while_it_is_read(f):
    """Address and length of a descriptor are right in one moment, and not in the next: the ring breaks, and nothing else."""
    f.packed = True
    f.start()
    f.frame()
    over = threading.Event()
    right, wrong = struct.pack("<QI", BUFFER, 72), struct.pack("<QI", GPA + SIZE - 8, 0xfffff)

    def rewrite():
        while not over.is_set():
            for place in range(0, NUM * 16, 16):
                f.mem[0x10000 + place:0x10000 + place + 12] = wrong
                f.mem[0x10000 + place:0x10000 + place + 12] = right

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        for _ in range(many(200)):
            for _ in range(10):
                f.available(TX, [(BUFFER, 72, 0, 0)])
            os.eventfd_write(f.kicks[TX], 1)
            f.alive()
    finally:
        over.set()
        thread.join()


# What the guest posts to receive into; an answer of the daemon finds it

def solicitation():
    """For the daemon's IPv6 address, from an address of the link."""
    source, target = bytes.fromhex("fe80") + bytes(13) + b"\x0d", bytes.fromhex("fe80") + bytes(13) + b"\x01"
    to = bytes.fromhex("ff02") + bytes(9) + b"\x01\xff" + target[13:]
    icmp = struct.pack(">BBHI", 135, 0, 0, 0) + target + b"\1\1" + MAC
    words = source + to + struct.pack(">II", len(icmp), 58) + icmp
    total = sum(struct.unpack(f">{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    icmp = icmp[:2] + struct.pack(">H", ~total & 0xffff) + icmp[4:]
    return (b"\x33\x33\xff" + target[13:] + MAC + b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, len(icmp), 58, 255) + source + to
            + icmp)


def _asks(f, count=1):
    frame = bytes(HEADER) + solicitation()
    f.mem[BUFFERS:BUFFERS + len(frame)] = frame
    f.desc(TX, 200, BUFFER, len(frame))
    f.post(TX, *[200] * count)


def receives(f, heads, *descriptor):
    f.start()
    f.desc(RX, 0, *descriptor)
    f.post(RX, *[0] * heads)
    _asks(f)
    f.alive()


def packed_receives(f, *how):
    f.packed = True
    receives(f, *how)


rings.table("receive-buffers", BROKEN, (
    ("read-only", 1, BUFFER + 4096, 2048, 0),
    ("4-gib", 1, BUFFER, 0xffffffff, WRITE),
    ("of-nothing", 1, BUFFER, 0, WRITE),
    ("outside", 1, GPA + SIZE, 2048, WRITE),
    ("that-loop", 1, BUFFER, 1, WRITE | NEXT, 0),
), receives)
rings.table("packed-receive-buffers", BROKEN, (
    ("read-only", 1, BUFFER + 4096, 2048, 0),
    ("4-gib", 1, BUFFER, 0xffffffff, WRITE),
    ("of-nothing", 1, BUFFER, 0, WRITE),
    ("outside", 1, GPA + SIZE, 2048, WRITE),
), packed_receives)
rings.table("receive-buffers", PASSES, (
    ("of-one-byte", NUM - 1, BUFFER + 4096, 1, WRITE),
    ("too-few", 1, BUFFER + 4096, 20, WRITE),
    # The answer is written over the frames, over the rings, and is theirs to lose.
    ("over-the-frames", 1, BUFFER, 2048, WRITE),
), receives)


# A log of what is written into the guest

LOG_SIZE = 0x10000      # reaches as far as the memory


def with_a_log(f, size=LOG_SIZE, offset=0, file=LOG_SIZE, make=None):
    log = f.keep(make() if make else os.memfd_create("log"))
    if not make:
        os.ftruncate(log, file)
    f.features(FEATURES | LOG_ALL)
    f.protocol(LOG_SHMFD)
    f.memory()
    f.ask(SET_LOG, struct.pack("<QQ", size, offset), [log])
    f.ring(RX)
    f.ring(TX)
    f.stands()
    return log


def asks_with_a_buffer(f):
    f.desc(RX, 0, BUFFER + 4096, 2048, WRITE)
    f.post(RX, 0)
    _asks(f)


logs.table("log", CLOSED, (
    ("of-nothing", dict(size=0)),
    ("past-its-file", dict(size=LOG_SIZE + 1)),
    ("of-64-bits", dict(size=(1 << 64) - 1)),
    ("offset-past-its-file", dict(offset=LOG_SIZE)),
    ("offset-wraps", dict(offset=(1 << 64) - 4096)),
    ("of-terabytes", dict(size=1 << 46, file=1 << 46)),
    ("is-an-eventfd", dict(make=lambda: os.eventfd(0))),
    ("is-a-device", dict(make=lambda: os.open("/dev/zero", os.O_RDWR))),
), lambda f, how: with_a_log(f, **how))
logs.table("log", PASSES, (
    ("shorter-than-the-memory", dict(size=16)),
    ("less-by-a-byte", dict(size=0x8000 + 4)),
), lambda f, how: (with_a_log(f, **how), asks_with_a_buffer(f)))


@logs.case(CLOSED)
def log_without_a_descriptor(f):
    f.features(FEATURES | LOG_ALL)
    f.protocol(LOG_SHMFD)
    f.ask(SET_LOG, struct.pack("<QQ", LOG_SIZE, 0))


@logs.case(DOWN)
def log_cut_off_while_running(f):
    log = with_a_log(f)
    os.ftruncate(log, 0)
    asks_with_a_buffer(f)


@rings.case(BROKEN)
def receive_index_leaps(f):
    f.start()
    f.index(RX, 40000)
    _asks(f)


# Frames that are none, or want something odd, in rings that are right: the frame is lost, the ring goes on

def header(flags=0, gso=0, length=0, size=0, start=0, offset=0, buffers=0):
    return struct.pack("<BBHHHHH", flags, gso, length, size, start, offset, buffers)


def udp(source=MAC, payload=bytes(64)):
    """Over IPv6 to all, from an address of the link."""
    ip = struct.pack(">IHBB", 6 << 28, 8 + len(payload), 17, 64) + bytes.fromhex("fe80") + bytes(13) + b"\x0d"
    return (b"\xff" * 6 + source + b"\x86\xdd" + ip + bytes.fromhex("fe80") + bytes(13) + b"\x0c" +
            struct.pack(">HHHH", 7, 7, 8 + len(payload), 0) + payload)


def _frame(data):
    def prepare(f):
        f.mem[BUFFERS:BUFFERS + len(data)] = data
        f.desc(TX, 0, BUFFER, len(data))
        f.post(TX, 0)
    return prepare


def each(f, headers):
    for one in headers:
        _frame(one + udp())(f)
        taken(f)


IP6, UDP6 = 14, 54
KINDS = range(200)
offloads.table("frame", PASSES, (
    ("of-nothing", _frame(bytes(HEADER))),
    ("of-noise", _frame(bytes(HEADER) + os.urandom(1500))),
    ("noise-with-a-header", _frame(os.urandom(1512))),
    ("segments-of-0", _frame(header(1, 1, 54, 0, 34, 16) + FRAME[HEADER:])),
    ("segments-not-agreed-on", _frame(header(1, 1, 54, 1460, 34, 16) + FRAME[HEADER:])),
    ("segments-without-a-checksum", _frame(header(0, 4, 54, 1460) + udp())),
    ("segments-of-an-unknown-kind", _frame(header(1, 77, 54, 1460, 34, 16) + FRAME[HEADER:])),
    ("segments-of-every-kind", lambda f: each(f, [header(1, kind, 62, 1, UDP6, 6) for kind in KINDS])),
    ("header-longer-than-the-frame", _frame(header(length=65535) + udp())),
    ("buffers-65535", _frame(header(buffers=65535) + udp())),
    ("flags-of-every-kind", lambda f: each(f, [header(flags) for flags in KINDS])),
    ("checksum-outside", _frame(header(1, start=65000, offset=65000) + udp())),
    ("checksum-wraps", _frame(header(1, start=65535, offset=2) + udp())),
    ("checksum-half-outside", _frame(header(1, start=UDP6, offset=8 + 64 - 1) + udp())),
    ("checksum-into-the-mac", _frame(header(1, start=0, offset=6) + udp())),
    ("checksum-into-the-address", _frame(header(1, start=IP6, offset=8) + udp())),
    ("checksum-not-agreed-on", _frame(header(1, start=UDP6, offset=6) + udp())),
), in_ring)

def with_offloads(f, *headers):
    offered = struct.unpack("<Q", f.ask(GET_FEATURES))[0]
    f.features(offered & (FEATURES | 0x3fff | 7 << 54))
    f.memory()
    f.ring(RX)
    f.ring(TX)
    f.stands()
    each(f, headers)


offloads.table("agreed", PASSES, (
    ("checksum-outside", header(1, start=65000, offset=65000)),
    ("checksum-wraps", header(1, start=65535, offset=65535)),
    ("checksum-half-outside", header(1, start=UDP6, offset=8 + 64 - 1)),
    ("checksum-into-the-mac", header(1, start=0, offset=6)),
    ("checksum-into-the-address", header(1, start=IP6, offset=8)),
    ("checksum-into-the-port", header(1, start=UDP6, offset=0)),
    ("segments-of-0", header(1, 4, UDP6 + 8, 0, UDP6, 6)),
    ("segments-of-no-tcp", header(1, 4, UDP6 + 8, 100, UDP6, 6)),
    ("segments-of-another-ip", header(1, 1, UDP6 + 8, 100, UDP6, 6)),
    ("segments-of-every-kind", *[header(1, kind, UDP6 + 8, 100, UDP6, 6) for kind in KINDS]),
    ("datagrams-of-0", header(1, 5, UDP6 + 8, 0, UDP6, 6)),
    ("datagrams-of-1", header(1, 5, UDP6 + 8, 1, UDP6, 6)),
    ("datagrams-without-a-checksum", header(0, 5, UDP6 + 8, 10)),
    ("datagrams-with-a-checksum-of-tcp", header(1, 5, UDP6 + 8, 10, UDP6, 16)),
    ("datagrams-of-an-inner-header", header(1, 5, UDP6 + 8, 10, UDP6 + 8, 6)),
    ("datagrams-with-ecn", header(1, 0x85, UDP6 + 8, 10, UDP6, 6)),
    ("anything", *[random.Random(number).randbytes(HEADER) for number in KINDS]),
), with_offloads)


@offloads.case(PASSES)
def rewritten_while_it_is_read(f):
    """The sender's address is another card's in one moment, and its own in the next; whoever gets it asks which it was."""
    f.start()
    own, others = bytes(HEADER) + udp(), bytes(HEADER) + udp(source=bytes.fromhex("52540077000b"))
    f.mem[BUFFERS:BUFFERS + len(own)] = own
    f.desc(TX, 0, BUFFER, len(own))
    over = threading.Event()

    def rewrite():
        while not over.is_set():
            f.mem[BUFFERS:BUFFERS + len(own)] = others
            f.mem[BUFFERS:BUFFERS + len(own)] = own

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        for _ in range(many(400)):
            f.post(TX, *[0] * 10)
            taken(f)
    finally:
        over.set()
        thread.join()


# How a connection lives

def _steps(count):
    def leave(f):
        steps = [f.features, f.memory, lambda: f.ring(RX), lambda: f.ring(TX, kick=False, enable=False),
                 lambda: f.ring(TX), lambda: (f.desc(TX, 0, *f.frame()), f.post(TX, 0)),
                 lambda: f.send(GET_BASE, struct.pack("<II", TX, 0))]
        for step in steps[:count]:
            step()
    return leave


for _count in range(8):
    life.cases.append((f"leaves-after-step-{_count}", GONE, _steps(_count)))


@life.case(GONE)
def comes_a_thousand_times(f):
    path = f.sock.getpeername()
    f.sock.close()
    for number in range(many(1000)):
        one = Frontend(path)
        try:
            one.start() if number % 10 == 0 else one.alive()
        finally:
            one.close()


@life.case(PASSES)
def stopped_while_busy(f):
    """GET_VRING_BASE amid frames, and on from there, again and again."""
    f.start()
    f.desc(TX, 0, *f.frame())
    for _ in range(many(200)):
        f.post(TX, *[0] * 40)
        base = struct.unpack("<II", f.ask(GET_BASE, struct.pack("<II", TX, 0)))[1]
        kick = f.keep(os.eventfd(1, os.EFD_NONBLOCK))
        f.kicks[TX] = kick
        if (f.avail[TX] - base & 0xffff) > 40:
            raise AssertionError(f"the ring was stopped at {base}, and {f.avail[TX]} were posted")
        f.send(SET_KICK, struct.pack("<Q", TX), [kick])
        taken(f)


def _frames(f, count=20):
    f.desc(TX, 0, *f.frame())
    for _ in range(count):
        f.post(TX, 0)
        taken(f)


@life.case(KEPT)
def second_front_end(f):
    """Who connects while another one is served is answered, and has no part in what that one has. A third is closed."""
    f.start()
    path = f.sock.getpeername()
    second, third = Frontend(path), None
    try:
        second.start()
        second.desc(TX, 0, *second.frame())
        second.post(TX, 0)
        second.alive()
        _frames(f)
        third = Frontend(path)
        if third.sock.recv(1):
            raise AssertionError("a third front-end was answered")
        second.alive()
        _frames(f)
        if second.used(TX):
            raise AssertionError("the second front-end's ring runs beside the first's")
    finally:
        second.close()
        if third:
            third.close()


@life.case(KEPT)
def second_front_end_talks_without_end(f):
    """And reads no answer."""
    f.start()
    second = Frontend(f.sock.getpeername())
    second.sock.settimeout(0.05)
    try:
        for _ in range(many(40)):
            second.raw(struct.pack("<III", GET_FEATURES, 1, 0) * 500)
            _frames(f, 1)
    except Gone:
        pass
    finally:
        _frames(f)
        second.close()


@life.case(KEPT)
def second_front_end_is_refused(f):
    """What the second one does wrong ends its own connection."""
    f.start()
    path = f.sock.getpeername()
    for wrong in ((SET_NUM, struct.pack("<II", 7, 7)), (77, b""), (SET_MEM_TABLE, b"\xff" * 8)):
        second = Frontend(path)
        try:
            second.start()
            second.send(*wrong)
            second.alive()
            raise AssertionError(f"the second front-end may send {wrong}")
        except Gone:
            pass
        finally:
            second.close()
        _frames(f)


@life.case(KEPT)
def a_hundred_front_ends(f):
    f.start()
    others = []
    try:
        for _ in range(100):
            one = socket.socket(socket.AF_UNIX)
            one.setblocking(False)
            others.append(one)
            one.connect(f.sock.getpeername())
    except BlockingIOError:
        pass
    finally:
        f.desc(TX, 0, *f.frame())
        f.post(TX, 0)
        taken(f)
        for one in others:
            one.close()


@life.case(PASSES)
def drains_nothing(f):
    """Others send to it all the time: it posts four buffers, and never again."""
    f.start()
    f.desc(RX, 0, BUFFER + 8192, 2048, WRITE)
    f.post(RX, 0, 0, 0, 0)
    for _ in range(50):
        f.desc(TX, 0, *f.frame())
        f.post(TX, 0)
        f.alive()


@life.case(GONE)
def messages_in_masses(f):
    """They are served as fast as they come, or too many at once end the connection: that hangs on who is faster."""
    try:
        for _ in range(many(1000)):
            f.raw(struct.pack("<III", SET_OWNER, 1, 0) * 1000)
        f.alive()
    except Gone:
        pass


@life.case(PASSES)
def kicks_without_an_end(f):
    f.start()
    for _ in range(many(20000)):
        os.eventfd_write(f.kicks[TX], 1)
        os.eventfd_write(f.kicks[RX], 1)


@life.case(PASSES)
def frames_without_an_end(f):
    """To nobody, as others need not have room for so many."""
    f.start()
    data = bytes(HEADER) + bytes.fromhex("525400770099") + udp()[6:]
    f.mem[BUFFERS:BUFFERS + len(data)] = data
    f.desc(TX, 0, BUFFER, len(data))
    for _ in range(many(300)):
        f.post(TX, *[0] * NUM)
        taken(f)
