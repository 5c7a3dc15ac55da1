"""A USB device that is made of bytes: what QEMU's usb-redir is told over its socket (the usbredir protocol, version 0.7).
Owns that socket and the thread that answers.

    made = Redirected(board)
    made.plug(blob)         # lab/descriptors.py; the kernel is given its bytes as they are, by real control transfers
    made.unplug()

It answers GET_DESCRIPTOR for device and configurations, takes every setting, and stalls everything else.
"""

import struct
import threading

NAME = "made"
SPEEDS = {"low": 0, "full": 1, "high": 2, "super": 3}
(HELLO, DEVICE_CONNECT, DEVICE_DISCONNECT, RESET, INTERFACE_INFO, EP_INFO, SET_CONFIGURATION, GET_CONFIGURATION,
 CONFIGURATION_STATUS, SET_ALT_SETTING, GET_ALT_SETTING, ALT_SETTING_STATUS) = range(12)
CONTROL_PACKET, BULK_PACKET = 100, 101
# What QEMU asks for on a SuperSpeed port: versions of devices, packet sizes, ids of 64 bits and long bulk transfers.
CAPABILITIES = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6
SUCCESS, STALL = 0, 4
FIRST_HEADER, HEADER = struct.Struct("<III"), struct.Struct("<IIQ")
CONTROL = struct.Struct("<BBBBHHH")
NO_ENDPOINT = 255


class Redirected:
    def __init__(self, board):
        board.plug(NAME)
        self._stream = board.far_end(NAME)
        self._lock = threading.Lock()
        self._blob = None
        self._configuration = 0
        self._alternates = {}
        hello = b"usbrouted lab".ljust(64, b"\0") + struct.pack("<I", CAPABILITIES)
        self._stream.sendall(FIRST_HEADER.pack(HELLO, len(hello), 0) + hello)
        self._read(FIRST_HEADER.unpack(self._read(FIRST_HEADER.size))[1])       # QEMU's own
        threading.Thread(target=self._serve, name="usb-redir", daemon=True).start()

    def plug(self, blob, speed="high"):
        self._blob, self._configuration, self._alternates = blob, 0, {}
        device = blob.device
        # QEMU wants to know of the endpoints: those that it must carry transfers for. There are none.
        self._send(EP_INFO, 0, bytes([NO_ENDPOINT]) * 32 + bytes(32) + bytes(32) + bytes(64))
        self._send(INTERFACE_INFO, 0, struct.pack("<I", 0) + bytes(4 * 32))
        self._send(DEVICE_CONNECT, 0, struct.pack("<BBBBHHH", SPEEDS[speed], *device[4:7], *struct.unpack("<HHH", device[8:14])))

    def unplug(self):
        self._send(DEVICE_DISCONNECT, 0, b"")

    def _send(self, kind, number, body):
        with self._lock:
            self._stream.sendall(HEADER.pack(kind, len(body), number) + body)

    def _read(self, size):
        data = b""
        while len(data) < size:
            more = self._stream.recv(size - len(data))
            if not more:
                raise OSError("closed")
            data += more
        return data

    def _serve(self):
        try:
            while True:
                kind, size, number = HEADER.unpack(self._read(HEADER.size))
                self._answer(kind, number, self._read(size))
        except (OSError, ValueError):
            pass        # unplugged, and the socket closed

    def _answer(self, kind, number, body):
        if kind == CONTROL_PACKET:
            self._control(number, *CONTROL.unpack(body[:CONTROL.size]))
        elif kind == BULK_PACKET:
            self._send(BULK_PACKET, number, bytes([body[0], STALL]) + bytes(8))
        elif kind in (SET_CONFIGURATION, GET_CONFIGURATION):
            if kind == SET_CONFIGURATION:
                self._configuration, self._alternates = body[0], {}
            self._send(CONFIGURATION_STATUS, number, bytes([SUCCESS, self._configuration]))
        elif kind in (SET_ALT_SETTING, GET_ALT_SETTING):
            if kind == SET_ALT_SETTING:
                self._alternates[body[0]] = body[1]
            self._send(ALT_SETTING_STATUS, number, bytes([SUCCESS, body[0], self._alternates.get(body[0], 0)]))

    def _control(self, number, where, request, kind, _, value, index, length):
        data, status = b"", SUCCESS
        if kind == 0x80 and request == 6:
            data = self._descriptor(value >> 8, value & 255)
            status = SUCCESS if data else STALL
        elif kind & 0x80 and request == 0 and not kind & 0x60:      # GET_STATUS
            data = bytes(2)
        elif kind & 0xe0:
            status = STALL
        data = data[:length]
        self._send(CONTROL_PACKET, number, CONTROL.pack(where, request, kind, status, value, index, len(data) if kind & 0x80 else 0) +
                   data)

    def _descriptor(self, kind, number):
        if kind == 1:
            return self._blob.device
        if kind == 2 and number < len(self._blob.configurations):
            return self._blob.configurations[number]
        return b""
