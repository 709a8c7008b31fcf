"""What a namespace's filters drop, read from the kernel's NFLOG.

Its messages: linux/netfilter/nfnetlink_log.h.
"""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from rehearsal.filters import LOG_GROUP
from rehearsal.found import PROTOCOLS
from rehearsal.namespaces import Namespace

_NETLINK_NETFILTER = 12
_LOG = 4  # NFNL_SUBSYS_ULOG; a message's type is this and, in the low byte, one of the next two.
_PACKET, _CONFIG = 0, 1
_COMMAND, _MODE, _BIND, _COPY = 1, 2, 1, 2  # NFULA_CFG_CMD, _MODE; NFULNL_CFG_CMD_BIND, COPY_PACKET
_PAYLOAD, _PREFIX = 9, 10
_HEADERS = 64  # bytes: those of IPv4 with options, and the ports
# A run's packets all at once, so that none is lost.
_BUFFER = 64 << 20
_SO_RCVBUFFORCE = 33


@dataclass(frozen=True, slots=True)
class Drop:
    """One dropped packet, and what refused it."""

    refused_by: str
    protocol: str
    source: str
    source_port: int
    target: str
    port: int
    length: int


class NFLOG:
    """A namespace's drops, as they happen."""

    def __init__(self, namespace: Namespace) -> None:
        with namespace.entered():
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self.socket.bind((0, 0))
        self._configure(_COMMAND, struct.pack("B", _BIND))
        self._configure(_MODE, struct.pack("!IBx", _HEADERS, _COPY))
        self.socket.setblocking(False)

    def _configure(self, attribute: int, value: bytes) -> None:
        attributes = struct.pack("=HH", 4 + len(value), attribute) + value
        attributes += bytes(-len(attributes) % 4)
        body = struct.pack("!BBH", socket.AF_INET, 0, LOG_GROUP) + attributes
        flags = 1 | 4  # NLM_F_REQUEST, NLM_F_ACK
        kind = _LOG << 8 | _CONFIG
        self.socket.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body)
        answer = self.socket.recv(4096)
        (error,) = struct.unpack_from("=i", answer, 16)
        if error:
            raise OSError(-error, f"NFLOG: {error}")

    def read(self) -> Iterator[Drop]:
        """What was dropped since the last call."""
        while True:
            try:
                said = self.socket.recv(1 << 16)
            except BlockingIOError:
                return
            offset = 0
            while offset < len(said):
                length, kind = struct.unpack_from("=IH", said, offset)
                if kind == _LOG << 8 | _PACKET:
                    yield from _drop(dict(_attributes(said[offset + 20 : offset + length])))
                offset += length + -length % 4


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        yield kind, data[offset + 4 : offset + length]
        offset += length + -length % 4


def _drop(attributes: dict[int, bytes]) -> Iterator[Drop]:
    packet = attributes[_PAYLOAD]
    protocol = PROTOCOLS.get(str(packet[9]))
    # What is neither is an error told by ICMP, of something that is told itself.
    if protocol is None:
        return
    header = (packet[0] & 15) * 4
    length, source, target = struct.unpack_from("!2xH8x4s4s", packet)
    source_port, port = struct.unpack_from("!HH", packet, header)
    refused_by = attributes[_PREFIX].rstrip(b"\0").decode()
    ends = socket.inet_ntoa(source), source_port, socket.inet_ntoa(target), port
    yield Drop(refused_by, protocol, *ends, length)
