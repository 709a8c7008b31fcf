"""Real packets: every attempt is a connection, from a socket in its source's namespace.

Each ends with an event: it is answered, or something that drops packets tells of it. Only where
neither comes, time decides that nothing will.
"""

import resource
import select
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import cycle, islice
from typing import Final

from rehearsal.found import FIRST_CLIENT_PORT, LAST_CLIENT_PORT, TCP, Found, Host
from rehearsal.network import Network
from rehearsal.nflog import NFLOG, Drop
from rehearsal.outcome import Attempt, Cell, Flow, Outcome
from tally.aws.reachability import CLOUDFRONT

# What is under way at a time: listeners' queues hold it easily.
_AT_ONCE: Final = 400
# Seconds in which nothing at all happens, until what is under way counts as silent.
_PATIENCE: Final = 30
_LEAVE_NOTHING: Final = struct.pack("ii", 1, 0)  # SO_LINGER: reset at once, no TIME_WAIT


class Prober:
    """Listens on every port that is tried, on every host, and tries."""

    def __init__(self, network: Network) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self._network = network
        self._poll = select.epoll()
        self._logs = {it.socket.fileno(): it for it in map(NFLOG, network.namespaces)}
        self._listeners: dict[int, socket.socket] = {}
        self._listening: set[tuple[Host, str, int]] = set()
        # By the file of its socket, and which that is by its flow.
        self._under_way: dict[int, tuple[socket.socket, Attempt]] = {}
        self._files: dict[Flow, int] = {}
        # Each attempt has its own, so that what is told of a packet belongs to one attempt.
        self._client_ports = {
            it: cycle(range(FIRST_CLIENT_PORT, LAST_CLIENT_PORT + 1)) for it in network.hosts
        }
        self.drops: list[Drop] = []
        for it in self._logs:
            self._poll.register(it, select.EPOLLIN)

    def close(self) -> None:
        for log in self._logs.values():
            log.socket.close()
        for listener in self._listeners.values():
            listener.close()
        self._poll.close()

    def attempt(self, found: Found, cells: Iterable[Cell]) -> list[Attempt]:
        """Try each cell, and say what became of it; `drops` has the packets that were dropped."""
        wanted = list(cells)
        self._listen({(it.target, it.protocol, it.port) for it in wanted})
        public = {it.public: it.address for it in found.interfaces if it.public}
        self.drops = []
        waiting = iter(wanted)
        ended: list[Attempt] = []
        while True:
            for cell in islice(waiting, _AT_ONCE - len(self._under_way)):
                self._begin(found, cell)
            if not self._under_way:
                return ended
            events = self._poll.poll(_PATIENCE)
            if not events:
                ended += [self._end(it, Outcome.SILENCE) for it in list(self._under_way)]
            # Clients first: they close, and a listener has nothing to wait for.
            for file, _ in sorted(events, key=lambda it: it[0] not in self._under_way):
                if file in self._under_way:
                    ended.append(self._end(file, self._answered(file)))
                elif file in self._logs:
                    ended += self._told(self._logs[file], public)
                else:
                    _serve(self._listeners[file])

    def _listen(self, wanted: set[tuple[Host, str, int]]) -> None:
        for host, protocol, port in wanted - self._listening:
            with self._network.hosts[host].entered():
                listener = _socket(protocol)
            listener.bind((host.address, port))
            if protocol == TCP:
                listener.listen(2 * _AT_ONCE)
            self._listeners[listener.fileno()] = listener
            self._poll.register(listener, select.EPOLLIN)
        self._listening |= wanted

    def _begin(self, found: Found, cell: Cell) -> None:
        source = cell.source
        with self._network.hosts[source].entered():
            client = _socket(cell.protocol)
        port = next(self._client_ports[source])
        client.bind((source.address, port))
        flow = (cell.protocol, source.address, port, cell.target.address, cell.port)
        self._under_way[client.fileno()] = client, Attempt(cell, flow)
        self._files[flow] = client.fileno()
        if cell.protocol == TCP:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LEAVE_NOTHING)
            self._poll.register(client, select.EPOLLOUT)
        else:
            self._poll.register(client, select.EPOLLIN)
        client.connect_ex((_address(found, cell), cell.port))
        if cell.protocol != TCP:
            # A filter on its way out lets a call fail, and tells of it as of all others.
            with suppress(PermissionError):
                client.send(b"?")

    def _answered(self, file: int) -> Outcome:
        client, attempt = self._under_way[file]
        error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if attempt.cell.protocol == TCP:
            return Outcome.SILENCE if error else Outcome.PASSES
        return Outcome.PASSES if not error and client.recv(1) else Outcome.SILENCE

    def _told(self, log: NFLOG, public: dict[str, str]) -> Iterator[Attempt]:
        for drop in log.read():
            self.drops.append(drop)
            one = (public.get(drop.source, drop.source), drop.source_port)
            other = (public.get(drop.target, drop.target), drop.port)
            there, back = (drop.protocol, *one, *other), (drop.protocol, *other, *one)
            if there in self._files:
                yield self._end(self._files[there], Outcome[drop.refused_by])
            elif back in self._files:
                yield self._end(self._files[back], Outcome[f"ANSWER_{drop.refused_by}"])

    def _end(self, file: int, outcome: Outcome) -> Attempt:
        client, attempt = self._under_way.pop(file)
        del self._files[attempt.flow]
        client.close()
        return Attempt(attempt.cell, attempt.flow, outcome)


def _address(found: Found, cell: Cell) -> str:
    """What the source calls the target: from outside, by its public address if it has one."""
    by_origin = cell.source.name == CLOUDFRONT and cell.target in found.origins
    if not cell.source.outside or by_origin:
        return cell.target.address
    return cell.target.public or cell.target.address


def _socket(protocol: str) -> socket.socket:
    kind = socket.SOCK_STREAM if protocol == TCP else socket.SOCK_DGRAM
    made = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def _serve(listener: socket.socket) -> None:
    """Accept and close, or answer, all that waits."""
    with suppress(BlockingIOError):
        while True:
            if listener.type == socket.SOCK_STREAM:
                listener.accept()[0].close()
            else:
                said, client = listener.recvfrom(1)
                listener.sendto(said, client)
