"""Hostile cases: messages, descriptors, memory tables and rings' places, before a frame is looked at."""

import os
import select
import socket
import struct
import time

from hostile_case import CLOSED, DOWN, HURRY, KEPT, PASSES, Group, many
from raw_frontend import (ADD_REGION, GET_BASE, GET_FEATURES, GPA, MEM_SLOTS, NUM, REMOVE_REGION, REPLY_ACK, RX, SET_ADDR,
                          SET_BASE, SET_CALL, SET_ENABLE, SET_ERR, SET_FEATURES, SET_KICK, SET_MEM_TABLE, SET_NUM, SET_OWNER,
                          SET_PROTOCOL, SIZE, TX, UVA, WANTS_REPLY)

PAYLOAD_MAX = 8 + 8 * 32    # a table of memory
REQUESTS = 48               # more than there are

headers, fds, memory, vrings = (Group(name) for name in ("headers", "descriptors", "memory", "vrings"))


# Headers, and how messages come

headers.table("header", CLOSED, (
    ("of-noise", os.urandom(4096)),
    ("of-zeros", bytes(12)),
    ("version-2", struct.pack("<III", GET_FEATURES, 2, 0)),
    ("version-3", struct.pack("<III", GET_FEATURES, 3, 0)),
    ("reply-bit", struct.pack("<III", GET_FEATURES, 5, 0)),
    ("4-gib", struct.pack("<III", SET_MEM_TABLE, 1, 0xffffffff)),
    ("a-byte-too-much", struct.pack("<III", SET_MEM_TABLE, 1, PAYLOAD_MAX + 1) + bytes(PAYLOAD_MAX + 1)),
    ("unknown-request", struct.pack("<III", 77, 1, 0)),
    ("unknown-request-wants-a-reply", struct.pack("<III", 77, WANTS_REPLY, 0)),
    ("huge-request", struct.pack("<III", 0xffffffff, 1, 0)),
    ("request-not-agreed-on", struct.pack("<III", GET_FEATURES + 39, 1, 0)),
    ("too-short", struct.pack("<III", SET_FEATURES, 1, 4) + bytes(4)),
    ("too-long", struct.pack("<III", SET_OWNER, 1, 8) + bytes(8)),
    ("features-not-offered", struct.pack("<IIIQ", SET_FEATURES, 1, 8, 1 << 63)),
    ("protocol-not-offered", struct.pack("<IIIQ", SET_PROTOCOL, 1, 8, 1 << 63)),
), lambda f, data: f.raw(data))


@headers.case(KEPT)
def byte_by_byte(f):
    for byte in struct.pack("<III", GET_FEATURES, 1, 0):
        f.raw(bytes([byte]))
        time.sleep(0.01)
    f.receive(20)


@headers.case(KEPT)
def many_in_one(f):
    f.raw(struct.pack("<III", GET_FEATURES, 1, 0) * 100)
    f.receive(20 * 100)


@headers.case(KEPT)
def cut_at_the_header(f):
    f.raw(struct.pack("<III", GET_FEATURES, 1, 0) + struct.pack("<III", SET_FEATURES, 1, 8))
    f.receive(20)
    f.raw(bytes(8) + struct.pack("<III", GET_FEATURES, 1, 0)[:5])
    f.raw(struct.pack("<III", GET_FEATURES, 1, 0)[5:])
    f.receive(20)


headers.table("half", CLOSED, (
    ("a-header", struct.pack("<III", GET_FEATURES, 1, 0)[:7]),
    ("a-payload", struct.pack("<III", SET_FEATURES, 1, 8) + b"abc"),
    ("a-table", struct.pack("<III", SET_MEM_TABLE, 1, PAYLOAD_MAX) + bytes(PAYLOAD_MAX - 1)),
), lambda f, data: (f.raw(data), f.sock.shutdown(socket.SHUT_WR)))


def refused(f, request, payload=b"", descriptors=()):
    """With REPLY_ACK a request that is refused is answered so, and the connection goes on."""
    f.send(request, payload, descriptors, WANTS_REPLY)
    _, _, size = struct.unpack("<III", f.receive(12))
    return f.receive(size)


@headers.case(KEPT)
def every_request_of_every_length(f):
    f.protocol(REPLY_ACK)
    for request in range(REQUESTS):
        for length in range(0, PAYLOAD_MAX + 1, HURRY):
            refused(f, request, b"\xff" * length)


@headers.case(CLOSED)
def replies_left_unread(f):
    for _ in range(1 << 20):
        f.send(GET_FEATURES)


# Descriptors (of files)

def file(path):
    return lambda f: f.keep(os.open(path, os.O_RDONLY))


def pipe(f, how):
    read, write = f.event()
    if how == "full":
        os.set_blocking(write, False)
        try:
            while True:
                os.write(write, b"x" * 4096)
        except BlockingIOError:
            pass
    elif how == "closed":
        f.fds.remove(read)
        os.close(read)
    else:
        os.write(write, b"x" * 4096)
        return read
    return write


def epoll(f):
    with select.epoll() as one:
        return f.keep(os.dup(one.fileno()))


NO_EVENTFDS = (
    ("a-file", file("/etc/passwd")),
    ("a-device", file("/dev/zero")),
    ("a-directory", file("/proc")),
    ("memory", lambda f: f.memfd),
    ("a-pipe-full-of-bytes", lambda f: pipe(f, "bytes")),
    ("a-full-pipe", lambda f: pipe(f, "full")),
    ("a-closed-pipe", lambda f: pipe(f, "closed")),
    ("an-epoll", epoll),
    ("its-own-socket", lambda f: f.sock.fileno()),
)


def instead(request):
    return lambda f, make: (f.start(), f.send(request, struct.pack("<Q", TX), [make(f)]), f.alive())


for what, asked in (("kick-is", SET_KICK), ("call-is", SET_CALL), ("err-is", SET_ERR)):
    fds.table(what, CLOSED, NO_EVENTFDS, instead(asked))

fds.table("fds", CLOSED, (
    ("where-none-belong", SET_OWNER, b"", 1),
    ("two-of-a-kick", SET_KICK, struct.pack("<Q", TX), 2),
    ("none-of-a-kick", SET_KICK, struct.pack("<Q", TX), 0),
    ("none-of-a-call", SET_CALL, struct.pack("<Q", TX), 0),
    ("one-beside-nofd", SET_CALL, struct.pack("<Q", TX | 0x100), 1),
    ("none-of-memory", SET_MEM_TABLE, struct.pack("<IIQQQQ", 1, 0, GPA, SIZE, UVA, 0), 0),
    ("two-of-memory", SET_MEM_TABLE, struct.pack("<IIQQQQ", 1, 0, GPA, SIZE, UVA, 0), 2),
    ("thirty", SET_MEM_TABLE, struct.pack("<II", 30, 0) + bytes(32 * 8), 30),
    # As many as the kernel takes in a message (SCM_MAX_FD).
    ("as-many-as-go", SET_MEM_TABLE, struct.pack("<IIQQQQ", 1, 0, GPA, SIZE, UVA, 0), 253),
), lambda f, request, payload, count: (f.features(), f.send(request, payload, [f.memfd] * count)))


@fds.case(CLOSED)
def fds_of_each_byte(f):
    for byte in struct.pack("<III", SET_OWNER, 1, 0):
        f.raw(bytes([byte]), [f.memfd] * 8)


@fds.case(CLOSED)
def kick_without_fd(f):
    f.features()
    f.send(SET_KICK, struct.pack("<Q", TX | 0x100))


def ten_thousand(f, one):
    for number in range(many(10000)):
        one(f)
        if number % 200 == 0:
            f.alive()


@fds.case(KEPT)
def ten_thousand_kicks_and_calls(f):
    f.start()
    event = f.keep(os.eventfd(0, os.EFD_NONBLOCK))
    for request in SET_KICK, SET_CALL, SET_ERR:
        ten_thousand(f, lambda f, request=request: f.send(request, struct.pack("<Q", TX), [event]))


@fds.case(KEPT)
def ten_thousand_where_none_belong(f):
    f.protocol(REPLY_ACK)
    ten_thousand(f, lambda f: refused(f, SET_OWNER, b"", [f.memfd]))


@fds.case(KEPT)
def a_thousand_memories(f):
    f.start()
    for _ in range(many(1000)):
        f.memory()
        f.alive()


# Memory tables

def regions(count):
    size = SIZE // 64
    return tuple((GPA + n * size, size, UVA + n * size, n * size) for n in range(count))


memory.table("memory", CLOSED, (
    ("none", ()),
    ("of-nine", regions(9)),
    ("wraps", ((GPA, 1 << 63, 1 << 63, 0), (GPA, 1 << 63, (1 << 64) - 4096, 0))),
    ("wraps-in-the-guest", (((1 << 64) - 4096, SIZE, UVA, 0),)),
    ("wraps-in-the-front-end", ((GPA, SIZE, (1 << 64) - 4096, 0),)),
    ("past-its-file", ((GPA, SIZE * 2, UVA, 0),)),
    ("of-64-bits", ((0, (1 << 64) - 1, 0, 0),)),
    ("offset-wraps", ((GPA, SIZE, UVA, (1 << 64) - 4096),)),
    ("offset-past-its-file", ((GPA, SIZE, UVA, SIZE),)),
    ("overlaps", ((GPA, SIZE, UVA, 0), (GPA + 4096, SIZE, UVA + 4096, 0))),
    ("overlaps-by-a-byte", ((GPA, 4097, UVA, 0), (GPA + 4096, 4096, UVA + SIZE, 0))),
    ("empty", ((GPA, 0, UVA, 0),)),
), lambda f, table: (f.features(), f.memory(table)))

memory.table("memory-is", CLOSED, (
    ("a-directory", file("/proc")),
    ("a-file-on-a-disk", file("/etc/passwd")),
    ("an-eventfd", lambda f: f.keep(os.eventfd(0))),
    ("a-socket", lambda f: f.sock.fileno()),
    ("read-only", lambda f: f.keep(os.open(f"/proc/self/fd/{f.memfd}", os.O_RDONLY))),
), lambda f, make: (f.features(), f.memory(fds=[make(f)])))


@memory.case(KEPT)
def memory_of_eight(f):
    f.features()
    f.memory(regions(8))


@memory.case(CLOSED)
def memory_count_4_gib(f):
    f.features()
    f.memory(count=0xffffffff)


@memory.case(CLOSED)
def memory_of_terabytes(f):
    """Of a file with nothing in it, more than the machine could have."""
    os.ftruncate(f.memfd, 1 << 46)
    f.features()
    f.memory(((GPA, 1 << 46, UVA, 0),))


def region(gpa=GPA, size=SIZE, uva=UVA, offset=0):
    return struct.pack("<QQQQQ", 0, gpa, size, uva, offset)


memory.table("region", CLOSED, (
    ("added-unasked", 0, ADD_REGION, region(GPA + SIZE, 4096, UVA + SIZE), 1),
    ("added-without-fd", MEM_SLOTS, ADD_REGION, region(GPA + SIZE, 4096, UVA + SIZE), 0),
    ("added-over-another", MEM_SLOTS, ADD_REGION, region(GPA + 4096, 4096, UVA + SIZE), 1),
    ("added-past-its-file", MEM_SLOTS, ADD_REGION, region(GPA + SIZE, 8192, UVA + SIZE, SIZE - 4096), 1),
    ("removed-that-is-not-there", MEM_SLOTS, REMOVE_REGION, region(GPA + 4096), 0),
    ("removed-of-another-size", MEM_SLOTS, REMOVE_REGION, region(GPA, 4096), 0),
), lambda f, agreed, request, payload, count: (f.start(), f.protocol(agreed), f.send(request, payload, [f.memfd] * count)))


@memory.case(CLOSED)
def regions_without_an_end(f):
    f.start()
    f.protocol(MEM_SLOTS)
    for number in range(1, 1000):
        f.send(ADD_REGION, region(GPA + number * SIZE, 4096, UVA + number * SIZE), [f.memfd])
        f.alive()


@memory.case(PASSES)
def region_comes_and_goes(f):
    f.start()
    f.protocol(MEM_SLOTS)
    for _ in range(100):
        f.send(ADD_REGION, region(GPA + SIZE, 4096, UVA + SIZE), [f.memfd])
        f.send(REMOVE_REGION, region(GPA + SIZE, 4096, UVA + SIZE))
        f.desc(TX, 0, *f.frame())
        f.post(TX, 0)
    f.alive()


@memory.case(DOWN)
def region_removed_under_the_rings(f):
    f.start()
    f.protocol(MEM_SLOTS)
    f.send(REMOVE_REGION, region())


@memory.case(DOWN)
def memory_replaced_by_less(f):
    f.start()
    f.memory(((GPA, 4096, UVA, 0),))


@memory.case(DOWN)
def memory_cut_off_while_running(f):
    f.start()
    os.ftruncate(f.memfd, 0)
    os.eventfd_write(f.kicks[TX], 1)
    f.alive()


@memory.case(DOWN)
def memory_cut_off_at_the_frame(f):
    """The rings are there; what the descriptor says is not."""
    f.start()
    f.desc(TX, 0, *f.frame(100))
    f.post(RX, *range(100))
    os.ftruncate(f.memfd, 0x20000)
    f.post(TX, 0)
    f.alive()


@memory.case(PASSES)
def memory_punched_while_running(f):
    """Pages that were there come back as zeros, which is no fault."""
    f.start()
    for _ in range(20):
        f.desc(TX, 0, *f.frame(100))
        f.punch(0x40000 + 100 * 4096, 4096)
        f.post(TX, 0)
    f.alive()


@memory.case(PASSES)
def memory_replaced_while_running(f):
    f.start()
    for _ in range(20):
        f.memory()
        f.desc(TX, 0, *f.frame())
        f.post(TX, 0)
    f.alive()


# Rings' places

def state(index, number):
    return struct.pack("<II", index, number)


vrings.table("ring", CLOSED, (
    ("number-2", dict(index=2)),
    ("number-4-gib", dict(index=0xffffffff)),
    ("size-0", dict(num=0)),
    ("size-3", dict(num=3)),
    ("size-65535", dict(num=65535)),
    ("size-65536", dict(num=65536)),
    ("size-4-gib", dict(num=0x80000000)),
    ("base-65536", dict(base=65536)),
    ("misaligned", dict(desc=UVA + 1)),
    ("available-misaligned", dict(avail=UVA + 1)),
    ("used-misaligned", dict(used=UVA + 2)),
), lambda f, how: (f.features(), f.memory(), f.ring(**{"index": TX, **how})))

vrings.table("place", KEPT, (
    ("descriptors-outside", dict(desc=UVA + SIZE)),
    ("descriptors-half-outside", dict(desc=UVA + SIZE - 16)),
    ("available-outside", dict(avail=UVA + SIZE - 4)),
    ("used-outside", dict(used=UVA - 4096)),
    ("at-the-end-of-addresses", dict(desc=(1 << 64) - 16, avail=(1 << 64) - 16, used=(1 << 64) - 16)),
    ("all-the-same", dict(desc=UVA, avail=UVA, used=UVA)),
), lambda f, how: (f.features(), f.memory(), f.ring(RX), f.ring(TX, **how), f.alive()))

vrings.table("number", CLOSED, (
    ("of-num", SET_NUM), ("of-base", SET_BASE), ("of-get-base", GET_BASE), ("of-enable", SET_ENABLE),
), lambda f, request: (f.start(), f.send(request, state(2, 1)), f.alive()))

vrings.table("running-ring", CLOSED, (
    ("changes-its-size", SET_NUM, state(TX, NUM // 2)),
    ("changes-its-position", SET_BASE, state(TX, 7)),
    ("is-enabled-by-2", SET_ENABLE, state(TX, 2)),
    ("has-bits-beside-its-number", SET_CALL, struct.pack("<Q", TX | 1 << 32)),
), lambda f, request, payload: (f.start(), f.send(request, payload), f.alive()))

vrings.table("running-ring-moves", DOWN, (
    ("outside", dict(desc=UVA + SIZE)),
    ("half-outside", dict(desc=UVA + SIZE - 16)),
), lambda f, how: (f.start(), f.ring(TX, kick=False, **how), f.alive()))


def over_a_border(f):
    """Two regions side by side in the guest and in the front-end: a ring across is none, as they need not be so here."""
    f.features()
    half = 0x10000 + 8 * 16
    f.memory(((GPA, half, UVA, 0), (GPA + half, SIZE - half, UVA + half, half)))
    f.ring(RX)
    f.ring(TX)


vrings.cases.append(("place-over-a-border", KEPT, over_a_border))


@vrings.case(PASSES)
def enabled_before_its_address(f):
    f.features()
    f.send(SET_ENABLE, state(TX, 1))
    f.memory()
    f.ring(RX)
    f.ring(TX, enable=False)
    f.desc(TX, 0, *f.frame())
    f.post(TX, 0)


@vrings.case(PASSES)
def kicked_before_it_is_enabled(f):
    f.features()
    f.memory()
    f.ring(RX)
    f.ring(TX, enable=False)
    f.desc(TX, 0, *f.frame())
    f.post(TX, 0)
    f.alive()
    f.send(SET_ENABLE, state(TX, 1))


@vrings.case(PASSES)
def rings_before_the_memory(f):
    f.features()
    f.ring(RX)
    f.ring(TX)
    f.memory()
    f.desc(TX, 0, *f.frame())
    f.post(TX, 0)


@vrings.case(PASSES)
def call_taken_away(f):
    f.start()
    f.send(SET_CALL, struct.pack("<Q", TX | 0x100))
    f.desc(TX, 0, *f.frame())
    f.post(TX, 0)


@vrings.case(PASSES)
def address_set_again_while_running(f):
    f.start()
    at = UVA + TX * 0x10000
    for _ in range(100):
        f.desc(TX, 0, *f.frame())
        f.post(TX, 0)
        f.send(SET_ADDR, struct.pack("<IIQQQQ", TX, 0, at, at + 0x6000, at + 0x4000, 0))
