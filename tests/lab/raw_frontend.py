"""A raw front-end of vhost-user: it connects to a VM's socket as QEMU does, with memory and rings made by hand, and with
the standard library alone. Frontend does what it is told, right or wrong. Card is a driver that behaves."""

import array
import mmap
import os
import select
import socket
import struct

GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE, SET_LOG = 1, 2, 3, 5, 6
SET_NUM, SET_ADDR, SET_BASE, GET_BASE, SET_KICK, SET_CALL, SET_ERR = 8, 9, 10, 11, 12, 13, 14
GET_PROTOCOL, SET_PROTOCOL, SET_ENABLE, ADD_REGION, REMOVE_REGION = 15, 16, 18, 37, 38
WANTS_REPLY = 9         # a header's flags: version 1, NEED_REPLY
LOG_SHMFD, REPLY_ACK, MEM_SLOTS = 1 << 1, 1 << 3, 1 << 15
LOG_ALL = 1 << 26
FEATURES = 1 << 32 | 1 << 30 | 1 << 28 | 1 << 15
RING_PACKED = 1 << 34
SIZE = 1 << 20
GPA, UVA = 0x40000000, 0x7f1200000000
RX, TX = 0, 1
NUM = 256
AVAIL, USED, BUFFERS = 0x4000, 0x6000, 0x40000
NEXT, WRITE, INDIRECT = 1, 2, 4
AVAILABLE, IS_USED = 1 << 7, 1 << 15    # a packed ring's
WRAP = 1 << 15                          # of a position in it
MAC = bytes.fromhex("52540077000d")
FRAME = bytes(12) + b"\xff" * 6 + MAC + b"\x08\x06" + bytes(46)


class Gone(Exception):
    """The daemon closed the connection."""


class Frontend:
    """With packed rings, what desc() says stands in a table of the driver's, and post() puts the chain into the ring."""

    num = NUM       # entries of a ring
    packed = False

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        # Those who came before may fill the listener's queue: it is waited for, which a socket with a time limit does not do.
        self.sock.connect(path)
        self.sock.settimeout(30)
        self.memfd = os.memfd_create("hostile")
        os.ftruncate(self.memfd, SIZE)
        self.mem = mmap.mmap(self.memfd, SIZE)
        self.fds = []
        self.kicks, self.calls = {}, {}
        self.avail = {RX: 0, TX: 0}
        # Packed: tables; descriptors made available and given back; those of each buffer under way; buffers given back.
        self.table = {RX: {}, TX: {}}
        self.descs, self.back, self.chains, self.done = {RX: 0, TX: 0}, {RX: 0, TX: 0}, {RX: [], TX: []}, {RX: 0, TX: 0}

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

    def ask(self, request, payload=b"", fds=()):
        self.send(request, payload, fds)
        _, _, size = struct.unpack("<III", self.receive(12))
        return self.receive(size)

    def alive(self):
        """Whether the connection is served; all that was sent before has been."""
        return len(self.ask(GET_FEATURES)) == 8

    # Set up as a guest does it

    def features(self, features=FEATURES):
        self.ask(GET_FEATURES)
        self.send(SET_OWNER)
        self.send(SET_FEATURES, struct.pack("<Q", features | (RING_PACKED if self.packed else 0)))

    def protocol(self, features):
        self.send(SET_PROTOCOL, struct.pack("<Q", features))

    def memory(self, regions=((GPA, SIZE, UVA, 0),), fds=None, count=None):
        body = struct.pack("<II", len(regions) if count is None else count, 0)
        for region in regions:
            body += struct.pack("<QQQQ", *region)
        self.send(SET_MEM_TABLE, body, [self.memfd] * len(regions) if fds is None else fds)

    def event(self):
        read, write = os.pipe()
        self.fds += [read, write]
        return read, write

    def ring(self, index, num=None, base=None, desc=None, avail=None, used=None, kick=True, enable=True):
        at = UVA + index * 0x10000
        if base is None:
            base = WRAP << 16 | WRAP if self.packed else 0
        self.send(SET_NUM, struct.pack("<II", index, self.num if num is None else num))
        self.send(SET_BASE, struct.pack("<II", index, base))
        self.send(SET_ADDR, struct.pack("<IIQQQQ", index, 0, at if desc is None else desc,
                                        at + USED if used is None else used,
                                        at + AVAIL if avail is None else avail, 0))
        if kick:
            # An eventfd; Python 3.11 has them.
            call, kick = os.eventfd(0, os.EFD_NONBLOCK), os.eventfd(0, os.EFD_NONBLOCK)
            self.fds += [call, kick]
            self.kicks[index], self.calls[index] = kick, call
            self.send(SET_CALL, struct.pack("<Q", index), [call])
            self.send(SET_KICK, struct.pack("<Q", index), [kick])
        if enable:
            self.send(SET_ENABLE, struct.pack("<II", index, 1))

    def start(self):
        self.features()
        self.memory()
        self.ring(RX)
        self.ring(TX)
        self.stands()

    def stands(self):
        """All of that has been taken up."""
        self.alive()

    # The driver's part

    def desc(self, ring, index, address, length, flags=0, following=0):
        if self.packed:
            self.table[ring][index] = address, length, flags, following
            return
        at = ring * 0x10000 + index * 16
        self.mem[at:at + 16] = struct.pack("<QIHH", address, length, flags, following)

    def post(self, ring, *heads):
        if self.packed:
            for head in heads:
                self.available(ring, self.chain(ring, head))
            os.eventfd_write(self.kicks[ring], 1)
            return
        at = ring * 0x10000 + AVAIL
        for head in heads:
            slot = at + 4 + 2 * (self.avail[ring] % self.num)
            self.mem[slot:slot + 2] = struct.pack("<H", head)
            self.avail[ring] = self.avail[ring] + 1 & 0xffff
        self.index(ring, self.avail[ring])

    def show(self, ring, value):
        """The available ring's index, without a kick."""
        at = ring * 0x10000 + AVAIL
        self.mem[at + 2:at + 4] = struct.pack("<H", value)

    def index(self, ring, value):
        self.show(ring, value)
        os.eventfd_write(self.kicks[ring], 1)

    def chain(self, ring, head):
        """As it stands in the table, (address, length, flags, id) each."""
        chain, index = [], head
        while len(chain) < self.num:
            address, length, flags, following = self.table[ring][index]
            chain.append((address, length, flags, head))
            if not flags & NEXT:
                break
            index = following
        return chain

    def available(self, ring, chain):
        """A chain for a packed ring, its first descriptor last; without a kick."""
        for number in reversed(range(len(chain))):
            address, length, flags, name = chain[number]
            lap, place = divmod(self.descs[ring] + number, self.num)
            at = ring * 0x10000 + place * 16
            flags |= IS_USED if lap & 1 else AVAILABLE
            self.mem[at:at + 14] = struct.pack("<QIH", address, length, name)
            self.mem[at + 14:at + 16] = struct.pack("<H", flags)
        self.descs[ring] += len(chain)
        self.chains[ring].append(len(chain))
        self.avail[ring] = self.avail[ring] + 1 & 0xffff

    def used_packed(self, ring):
        while self.chains[ring]:
            lap, place = divmod(self.back[ring], self.num)
            at = ring * 0x10000 + place * 16 + 14
            flags, = struct.unpack("<H", self.mem[at:at + 2])
            if flags & (AVAILABLE | IS_USED) != (0 if lap & 1 else AVAILABLE | IS_USED):
                break
            self.back[ring] += self.chains[ring].pop(0)
            self.done[ring] = self.done[ring] + 1 & 0xffff
        return self.done[ring]

    def begin_anew(self, ring):
        """What was posted is taken back: the ring's index goes on behind it, a packed ring is one of zeros again."""
        if not self.packed:
            self.avail[ring] = self.used(ring)
            self.show(ring, self.avail[ring])
            return
        self.mem[ring * 0x10000:ring * 0x10000 + self.num * 16] = bytes(self.num * 16)
        self.descs[ring] = self.back[ring] = self.avail[ring] = self.done[ring] = 0
        self.chains[ring] = []

    def used(self, ring):
        if self.packed:
            return self.used_packed(ring)
        at = ring * 0x10000 + USED
        return struct.unpack("<H", self.mem[at + 2:at + 4])[0]

    def frame(self, slot=0):
        at = BUFFERS + slot * 4096
        self.mem[at:at + len(FRAME)] = FRAME
        return GPA + at, len(FRAME)

    def punch(self, at, length):
        """Pages of the memory are gone, and come back as zeros."""
        self.mem.madvise(mmap.MADV_REMOVE, at, length)

    def keep(self, fd):
        """Until the end."""
        self.fds.append(fd)
        return fd

    def close(self):
        self.sock.close()
        self.mem.close()
        for fd in [self.memfd, *self.fds]:
            try:
                os.close(fd)
            except OSError:
                pass


class Card(Frontend):
    """A driver that behaves: frames of 500 bytes at most, without offloads, and room for many of them."""

    num = 1024
    SLOTS = {RX: 1024, TX: 128}     # buffers of a ring
    SIZES = {RX: 512, TX: 2048}
    AT = {RX: SIZE // 2, TX: BUFFERS}

    def __init__(self, path):
        super().__init__(path)
        self.seen = 0
        self.start()
        for slot in range(self.SLOTS[RX]):
            self.desc(RX, slot, self.at(RX, slot), self.SIZES[RX], WRITE)
        self.post(RX, *range(self.SLOTS[RX]))

    def at(self, ring, slot):
        return GPA + self.AT[ring] + slot * self.SIZES[ring]

    def room(self):
        """Frames that may be sent now."""
        return self.SLOTS[TX] - (self.avail[TX] - self.used(TX) & 0xffff)

    def transmit(self, frames, header=bytes(12)):
        """No more than there is room for; the header is what is to be done with each (virtio 1.2, 5.1.6)."""
        heads = []
        for frame in frames:
            slot = (self.avail[TX] + len(heads)) % self.SLOTS[TX]
            at = self.at(TX, slot) - GPA
            self.mem[at:at + 12 + len(frame)] = header + frame
            self.desc(TX, slot, GPA + at, 12 + len(frame))
            heads.append(slot)
        self.post(TX, *heads)

    def arrived(self):
        """The frames that have come since."""
        frames, heads = [], []
        while self.seen != self.used(RX):
            at = RX * 0x10000 + USED + 4 + 8 * (self.seen % self.num)
            slot, length = struct.unpack("<II", self.mem[at:at + 8])
            at = self.at(RX, slot) - GPA
            frames.append(self.mem[at + 12:at + length])
            heads.append(slot)
            self.seen = self.seen + 1 & 0xffff
        if heads:
            self.post(RX, *heads)
        return frames

    @staticmethod
    def wait(cards, seconds):
        """Until one of the cards is interrupted for frames that have come. Return: whether one was."""
        calls = select.select([card.calls[RX] for card in cards], [], [], seconds)[0]
        for call in calls:
            os.eventfd_read(call)
        return bool(calls)
