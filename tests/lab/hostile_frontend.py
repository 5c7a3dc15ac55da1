#!/usr/bin/python3
"""A hostile virtual machine, on the board: speaks vhost-user to a guest's socket, with hand-made memory and rings.

    hostile_frontend.py SOCKET          all cases; `case NAME closed|kept` each, then `done`
    hostile_frontend.py SOCKET CASE…    these; with --stay, a connection stays until somebody ends the program

Every case is a connection of its own, and says what the daemon did to it: closed, or kept (what was sent cost a
frame or a ring, or the card is just not used). The caller compares. Runs with the standard library alone.
"""

import array
import mmap
import os
import signal
import socket
import struct
import sys
import time

GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 1, 2, 3, 5
SET_NUM, SET_ADDR, SET_BASE, GET_BASE, SET_KICK, SET_CALL = 8, 9, 10, 11, 12, 13
GET_PROTOCOL, SET_ENABLE = 15, 18
FEATURES = 1 << 32 | 1 << 30 | 1 << 28 | 1 << 15
SIZE = 1 << 20
GPA, UVA = 0x40000000, 0x7f1200000000
RX, TX = 0, 1
NUM = 256
AVAIL, USED, BUFFERS = 0x4000, 0x6000, 0x40000
NEXT, WRITE, INDIRECT = 1, 2, 4
FRAME = bytes(12) + b"\xff" * 6 + bytes.fromhex("52540077000d") + b"\x08\x06" + bytes(46)


class Gone(Exception):
    """The daemon closed the connection."""


class Frontend:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(path)
        self.memfd = os.memfd_create("hostile")
        os.ftruncate(self.memfd, SIZE)
        self.mem = mmap.mmap(self.memfd, SIZE)
        self.fds = []
        self.kicks = {}
        self.avail = {RX: 0, TX: 0}

    def raw(self, data, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.sock.sendmsg([data], ancillary)
        except OSError as error:
            raise Gone() from error

    def send(self, request, payload=b"", fds=(), flags=1, size=None):
        self.raw(struct.pack("<III", request, flags, len(payload) if size is None else size) + payload, fds)

    def receive(self, count):
        data = b""
        while len(data) < count:
            try:
                got = self.sock.recv(count - len(data))
            except ConnectionError as error:
                raise Gone() from error
            if not got:
                raise Gone()
            data += got
        return data

    def ask(self, request, payload=b""):
        self.send(request, payload)
        _, _, size = struct.unpack("<III", self.receive(12))
        return self.receive(size)

    def alive(self):
        """Whether the connection is served; all that was sent before has been."""
        return len(self.ask(GET_FEATURES)) == 8

    # Set up as a guest does it

    def features(self, features=FEATURES):
        self.ask(GET_FEATURES)
        self.send(SET_OWNER)
        self.send(SET_FEATURES, struct.pack("<Q", features))

    def memory(self, regions=((GPA, SIZE, UVA, 0),), fds=None, count=None):
        body = struct.pack("<II", len(regions) if count is None else count, 0)
        for region in regions:
            body += struct.pack("<QQQQ", *region)
        self.send(SET_MEM_TABLE, body, [self.memfd] * len(regions) if fds is None else fds)

    def event(self):
        read, write = os.pipe()
        self.fds += [read, write]
        return read, write

    def ring(self, index, num=NUM, base=0, desc=None, avail=None, used=None, kick=True, enable=True):
        at = UVA + index * 0x10000
        self.send(SET_NUM, struct.pack("<II", index, num))
        self.send(SET_BASE, struct.pack("<II", index, base))
        self.send(SET_ADDR, struct.pack("<IIQQQQ", index, 0, at if desc is None else desc,
                                        at + USED if used is None else used,
                                        at + AVAIL if avail is None else avail, 0))
        if kick:
            # An eventfd; Python 3.11 has them.
            call, kick = os.eventfd(0, os.EFD_NONBLOCK), os.eventfd(0, os.EFD_NONBLOCK)
            self.fds += [call, kick]
            self.kicks[index] = kick
            self.send(SET_CALL, struct.pack("<Q", index), [call])
            self.send(SET_KICK, struct.pack("<Q", index), [kick])
        if enable:
            self.send(SET_ENABLE, struct.pack("<II", index, 1))

    def start(self):
        self.features()
        self.memory()
        self.ring(RX)
        self.ring(TX)
        self.alive()

    # The driver's part

    def desc(self, ring, index, address, length, flags=0, following=0):
        at = ring * 0x10000 + index * 16
        self.mem[at:at + 16] = struct.pack("<QIHH", address, length, flags, following)

    def post(self, ring, *heads):
        at = ring * 0x10000 + AVAIL
        for head in heads:
            slot = at + 4 + 2 * (self.avail[ring] % NUM)
            self.mem[slot:slot + 2] = struct.pack("<H", head)
            self.avail[ring] = self.avail[ring] + 1 & 0xffff
        self.index(ring, self.avail[ring])

    def index(self, ring, value):
        at = ring * 0x10000 + AVAIL
        self.mem[at + 2:at + 4] = struct.pack("<H", value)
        os.eventfd_write(self.kicks[ring], 1)

    def used(self, ring):
        at = ring * 0x10000 + USED
        return struct.unpack("<H", self.mem[at + 2:at + 4])[0]

    def frame(self, slot=0):
        at = BUFFERS + slot * 4096
        self.mem[at:at + len(FRAME)] = FRAME
        return GPA + at, len(FRAME)

    def close(self):
        self.sock.close()
        self.mem.close()
        for fd in [self.memfd, *self.fds]:
            try:
                os.close(fd)
            except OSError:
                pass


CASES = []


def case(does):
    CASES.append((does.__name__.replace("_", "-"), does))
    return does


def cases(prefix, table, does):
    """A case each for the rows of a table: name and arguments."""
    for name, *arguments in table:
        CASES.append((f"{prefix}-{name}", lambda f, arguments=arguments: does(f, *arguments)))


# Headers and messages

cases("header", (
    ("of-noise", os.urandom(4096)),
    ("of-zeros", bytes(12)),
    ("version-2", struct.pack("<III", GET_FEATURES, 2, 0)),
    ("reply-bit", struct.pack("<III", GET_FEATURES, 5, 0)),
    ("4-gib", struct.pack("<III", SET_MEM_TABLE, 1, 0xffffffff)),
    ("unknown-request", struct.pack("<III", 77, 1, 0)),
    ("huge-request", struct.pack("<III", 0xffffffff, 1, 0)),
    ("too-short", struct.pack("<III", SET_FEATURES, 1, 4) + bytes(4)),
    ("too-long", struct.pack("<III", SET_OWNER, 1, 8) + bytes(8)),
), lambda f, data: f.raw(data))


@case
def byte_by_byte(f):
    for byte in struct.pack("<III", GET_FEATURES, 1, 0):
        f.raw(bytes([byte]))
        time.sleep(0.01)
    f.receive(20)


@case
def half_a_header(f):
    f.raw(struct.pack("<III", GET_FEATURES, 1, 0)[:7])
    f.sock.shutdown(socket.SHUT_WR)


@case
def half_a_payload(f):
    f.raw(struct.pack("<III", SET_FEATURES, 1, 8) + b"abc")
    f.sock.shutdown(socket.SHUT_WR)


# Descriptors (of files)

@case
def fds_where_none_belong(f):
    f.send(SET_OWNER, fds=[f.memfd])


@case
def fds_thirty(f):
    f.send(SET_MEM_TABLE, struct.pack("<II", 30, 0) + bytes(32 * 8), [f.memfd] * 30)


@case
def fds_of_each_byte(f):
    for byte in struct.pack("<III", SET_OWNER, 1, 0):
        f.raw(bytes([byte]), [f.memfd] * 8)


@case
def kick_without_fd(f):
    f.features()
    f.send(SET_KICK, struct.pack("<Q", 0))


@case
def kick_is_a_file(f):
    f.start()
    with open("/etc/passwd", "rb") as file:
        f.send(SET_KICK, struct.pack("<Q", TX), [file.fileno()])
    f.alive()


@case
def kick_is_a_pipe_full_of_bytes(f):
    f.start()
    read, write = f.event()
    os.write(write, b"x" * 4096)
    f.send(SET_KICK, struct.pack("<Q", TX), [read])
    f.alive()


@case
def call_is_a_full_pipe(f):
    f.start()
    read, write = f.event()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        pass
    f.send(SET_CALL, struct.pack("<Q", TX), [write])
    f.desc(TX, 0, *f.frame())
    f.post(TX, 0)
    f.alive()


# Memory tables

cases("memory", (
    ("none", ()),
    ("wraps", ((GPA, 1 << 63, 1 << 63, 0), (GPA, 1 << 63, (1 << 64) - 4096, 0))),
    ("past-its-file", ((GPA, SIZE * 2, UVA, 0),)),
    ("offset-wraps", ((GPA, SIZE, UVA, (1 << 64) - 4096),)),
    ("offset-past-its-file", ((GPA, SIZE, UVA, SIZE),)),
    ("overlaps", ((GPA, SIZE, UVA, 0), (GPA + 4096, SIZE, UVA + 4096, 0))),
    ("empty", ((GPA, 0, UVA, 0),)),
), lambda f, regions: (f.features(), f.memory(regions)))


@case
def memory_count_4_gib(f):
    f.features()
    f.memory(count=0xffffffff)


@case
def memory_without_fd(f):
    f.features()
    f.memory(fds=[])


@case
def memory_is_a_directory(f):
    fd = os.open("/proc", os.O_RDONLY)
    f.fds.append(fd)
    f.features()
    f.memory(fds=[fd])


@case
def memory_is_a_socket(f):
    f.features()
    f.memory(fds=[f.sock.fileno()])


# Rings' places

cases("ring", (
    ("number-2", dict(index=2)),
    ("number-4-gib", dict(index=0xffffffff)),
    ("size-0", dict(num=0)),
    ("size-3", dict(num=3)),
    ("size-65536", dict(num=65536)),
    ("base-65536", dict(base=65536)),
    ("misaligned", dict(desc=UVA + 1)),
), lambda f, how: (f.features(), f.memory(), f.ring(**{"index": TX, **how})))

cases("place", (
    ("descriptors-outside", dict(desc=UVA + SIZE)),
    ("descriptors-half-outside", dict(desc=UVA + SIZE - 16)),
    ("available-outside", dict(avail=UVA + SIZE - 4)),
    ("used-outside", dict(used=UVA - 4096)),
    ("at-the-end-of-addresses", dict(desc=(1 << 64) - 16, avail=(1 << 64) - 16, used=(1 << 64) - 16)),
    ("all-the-same", dict(desc=UVA, avail=UVA, used=UVA)),
), lambda f, how: (f.features(), f.memory(), f.ring(RX), f.ring(TX, **how), f.alive()))


# What is in the rings: it costs the ring, until it is set up anew

def in_ring(f, prepare):
    f.start()
    prepare(f)
    f.alive()


def _loop(f):
    address, length = f.frame()
    f.desc(TX, 0, address, length, NEXT, 1)
    f.desc(TX, 1, address, length, NEXT, 0)
    f.post(TX, 0)


def _chain(*descriptors, ring=TX):
    def prepare(f):
        for index, one in enumerate(descriptors):
            f.desc(ring, index, *one)
        f.post(ring, 0)
    return prepare


def _head(number):
    return lambda f: f.post(TX, number)


def _indirect(table, length):
    def prepare(f):
        for index, one in enumerate(table):
            at = BUFFERS + 0x20000 + index * 16
            f.mem[at:at + 16] = struct.pack("<QIHH", *one)
        f.desc(TX, 0, GPA + BUFFERS + 0x20000, length, INDIRECT)
        f.post(TX, 0)
    return prepare


BUFFER = GPA + BUFFERS
cases("broken", (
    ("head-256", _head(256)),
    ("head-65535", _head(65535)),
    ("index-leaps", lambda f: f.index(TX, 40000)),
    ("index-goes-back", lambda f: f.index(TX, 65535)),
    ("loop", _loop),
    ("self-loop", _chain((BUFFER, 60, NEXT, 0))),
    ("next-outside", _chain((BUFFER, 60, NEXT, 256))),
    ("wrong-direction", _chain((BUFFER, 2048, WRITE, 0))),
    ("address-0", _chain((0, 60, 0, 0))),
    ("address-end", _chain(((1 << 64) - 8, 60, 0, 0))),
    ("address-half-outside", _chain((GPA + SIZE - 8, 60, 0, 0))),
    ("length-4-gib", _chain((BUFFER, 0xffffffff, 0, 0))),
    ("indirect-of-nothing", _indirect((), 0)),
    ("indirect-odd-length", _indirect(((BUFFER, 60, 0, 0),), 17)),
    ("indirect-in-indirect", _indirect(((BUFFER, 16, INDIRECT, 0),), 16)),
    ("indirect-loop", _indirect(((BUFFER, 60, NEXT, 0),), 16)),
    ("indirect-outside", lambda f: (f.desc(TX, 0, GPA + SIZE, 16, INDIRECT), f.post(TX, 0))),
), in_ring)


# Frames that are none, in rings that are right: the frame is lost, the ring goes on

def _frame(data):
    def prepare(f):
        f.mem[BUFFERS:BUFFERS + len(data)] = data
        f.desc(TX, 0, BUFFER, len(data))
        f.post(TX, 0)
    return prepare


cases("frame", (
    ("of-nothing", _chain((BUFFER, 12, 0, 0))),
    ("header-cut", _chain((BUFFER, 5, 0, 0))),
    ("of-noise", _frame(bytes(12) + os.urandom(1500))),
    ("noise-with-header", _frame(os.urandom(1512))),
    ("segments-of-0", _frame(struct.pack("<BBHHHH", 1, 1, 54, 0, 34, 16) + b"\0\0" + FRAME[12:])),
    ("checksum-outside", _frame(struct.pack("<BBHHHH", 1, 0, 0, 0, 65000, 65000) + b"\0\0" + FRAME[12:])),
    # Only what is read of a table counts.
    ("in-a-table-of-4-gib", _indirect(((BUFFER, 60, 0, 0),), 0xfffffff0)),
), in_ring)


@case
def receive_buffers_are_read_only(f):
    f.start()
    f.desc(RX, 0, BUFFER, 2048)
    f.post(RX, *[0] * 64)
    f.desc(TX, 1, *f.frame(1))
    f.post(TX, 1)
    f.alive()


@case
def receive_buffers_4_gib(f):
    f.start()
    f.desc(RX, 0, BUFFER, 0xffffffff, WRITE)
    f.post(RX, *[0] * 64)
    f.alive()


@case
def receive_buffers_of_one_byte(f):
    f.start()
    f.desc(RX, 0, BUFFER, 1, WRITE)
    f.post(RX, *[0] * 255)
    f.alive()


@case
def memory_cut_off_while_running(f):
    f.start()
    os.ftruncate(f.memfd, 0)
    os.eventfd_write(f.kicks[TX], 1)
    f.alive()


@case
def memory_replaced_while_running(f):
    f.start()
    for _ in range(20):
        f.memory()
        f.desc(TX, 0, *f.frame())
        f.post(TX, 0)
    f.alive()


# Gone at each step

def _steps(count):
    def leave(f):
        steps = [f.features, f.memory, lambda: f.ring(RX), lambda: f.ring(TX, kick=False, enable=False),
                 lambda: f.ring(TX), lambda: (f.desc(TX, 0, *f.frame()), f.post(TX, 0)),
                 lambda: f.send(GET_BASE, struct.pack("<II", TX, 0))]
        for step in steps[:count]:
            step()
    return leave


for _count in range(8):
    CASES.append((f"leaves-after-step-{_count}", _steps(_count)))


def one(path, name, does, stay):
    try:
        f = Frontend(path)
    except OSError as error:
        print(f"case {name} no-connection {error}", flush=True)
        return
    what = "kept"
    try:
        does(f)
        if not name.startswith("leaves-"):
            f.alive()
    except (Gone, BrokenPipeError):
        what = "closed"
    except socket.timeout:
        what = "silent"
    if stay:
        signal.pause()
    f.close()
    print(f"case {name} {what}", flush=True)


def main():
    wanted = sys.argv[2:]
    stay = "--stay" in wanted
    for name, does in CASES:
        if not wanted or name in wanted:
            one(sys.argv[1], name, does, stay)
    print("done", flush=True)


if __name__ == "__main__":
    main()
