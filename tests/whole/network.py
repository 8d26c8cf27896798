"""Wires between the programs of a world: in memory, with latency, bounded, and breakable in every way that TCP is.

A wire is two `End`s; what one end sends travels along the `Path` from its host to the other's. A path is one
direction between two hosts, shared by all their wires, and what is wrong with it is set there.

What TCP does, and so do these:
- bytes come in order, whole or not at all; a path that loses everything (`blocked`) delays them until it is
  mended, and nobody is told; new connections wait likewise, until whoever dials gives up;
- what the reader has not taken counts against WINDOW_BYTES, beyond which the sender waits;
- the kernel accepts connections, and takes bytes in, for a process that stands still;
- a process that ends has its ends closed by the kernel, unless its machine lost power: then nobody is told, and
  what arrives is answered with a reset once the machine is back.
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import Final
from zlib import crc32

import trio
from trio.lowlevel import ParkingLot, checkpoint

from bankd.sim.random import Stream
from tests.whole.scheduler import Process
from tests.whole.timers import Timers
from tests.whole.trace import Trace

WINDOW_BYTES: Final = 64 * 1024
BACKLOG: Final = 128
LATENCY_S_MAX: Final = 0.002  # of a path's typical delay; single pieces take up to three times as long

_FIN: Final = "fin"
_RESET: Final = "reset"
Item = bytes | str  # on its way: a piece, or one of the two


class Path:
    """One direction from host to host."""

    def __init__(self, name: str, stream: Stream, latency_s_max: float) -> None:
        self.name = name
        self.added_s = 0.0
        self.blocked = 0  # by so many partitions: nothing passes
        self.stalled = 0  # by so many: connections are made, but no byte is delivered
        self.cut_after: int | None = None  # bytes from now on; with the next one its connection breaks
        self.flip_after: int | None = None  # bytes from now on; a bit of the next one is turned over
        self.opened = ParkingLot()
        self._stream = stream
        self._delay_us = int(stream.between(0, 1_000_000) * latency_s_max)

    @property
    def holds(self) -> bool:
        return self.blocked > 0 or self.stalled > 0

    def delay_s(self) -> float:
        """Drawn for each piece."""
        if not self._delay_us:
            return self.added_s
        return self.added_s + (self._delay_us + self._stream.below(2 * self._delay_us)) / 1e6


class End(trio.abc.Stream):
    """One end of a wire, held by one process. One task may send and one receive at a time."""

    def __init__(self, network: "Network", process: Process, path: Path) -> None:
        self.process = process
        self.path = path  # of what is sent here
        self.peer: End
        self.gone = False  # its process died and the machine with it
        self._network = network
        self._arrived = bytearray()
        self._ended = False  # the other side has finished
        self._broken = False
        self._closed = False
        self._under_way: deque[tuple[float, Item]] = deque()
        self._last_due = 0.0
        self._unread = 0  # bytes sent and not yet read by the peer
        self._reader = ParkingLot()
        self._writer = ParkingLot()
        self._sending = False

    # The program's side

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Cancellation: part of it may have been sent."""
        if self._sending:
            raise trio.BusyResourceError("two tasks send at once")
        self._sending = True
        try:
            await checkpoint()
            rest = memoryview(data)
            while self._check() and rest:
                room = WINDOW_BYTES - self._unread
                if room > 0:
                    self._unread += min(room, len(rest))
                    self._dispatch(bytes(rest[:room]))
                    rest = rest[room:]
                else:
                    await self._writer.park()
        finally:
            self._sending = False

    async def wait_send_all_might_not_block(self) -> None:
        await checkpoint()
        while self._check() and self._unread >= WINDOW_BYTES:
            await self._writer.park()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._arrived or self._ended:
            await checkpoint()
        while self._check() and not self._arrived:
            if self._ended:
                return b""
            await self._reader.park()
        size = len(self._arrived) if max_bytes is None else max_bytes
        data = bytes(self._arrived[:size])
        del self._arrived[:size]
        self.peer._credit(len(data))
        return data

    async def aclose(self) -> None:
        self.close()
        await checkpoint()

    def close(self) -> None:
        """As the kernel does it: in order when everything was read, otherwise by a reset."""
        if not self._closed:
            self._closed = True
            self._dispatch(_RESET if self._arrived else _FIN)
            self._wake()

    def break_off(self) -> None:
        """This end learns that the connection is no more."""
        self._broken = True
        self._arrived.clear()
        self._wake()

    def break_off_behind(self) -> None:
        """The connection is no more, but what has arrived can still be read."""
        self._ended = True

    def _check(self) -> bool:
        if self._closed:
            raise trio.ClosedResourceError("this end was closed")
        if self._broken:
            raise trio.BrokenResourceError("connection reset")
        return True

    def _credit(self, size: int) -> None:
        self._unread -= size
        self._writer.unpark_all()

    def _wake(self) -> None:
        self._reader.unpark_all()
        self._writer.unpark_all()

    # The wire's side

    def _dispatch(self, item: Item) -> None:
        delay_s = self.path.delay_s()
        due = max(trio.current_time() + delay_s, self._last_due)
        self._last_due = due
        self._under_way.append((due, item))
        self._network.timers.after(due - trio.current_time(), self.deliver_due)

    def deliver_due(self) -> None:
        """Deliver what has arrived by now, unless the path holds it back."""
        now = trio.current_time()
        while self._under_way and self._under_way[0][0] <= now and not self.path.holds:
            self._deliver(self._under_way.popleft()[1])

    def release(self) -> None:
        """The path is open again: what waited is sent once more."""
        if self._under_way:
            delay_s = self.path.delay_s()
            again = trio.current_time() + delay_s
            self._under_way = deque((max(due, again), item) for due, item in self._under_way)
            self._last_due = self._under_way[-1][0]
            self._network.timers.after(delay_s, self.deliver_due)

    def _deliver(self, item: Item) -> None:
        peer = self.peer
        if peer.gone:
            if self._network.is_on(peer.process.name):
                peer._dispatch(_RESET)
            return
        if isinstance(item, bytes):
            self._deliver_bytes(peer, item)
        elif item is _FIN:
            peer._ended = True
        else:
            peer.break_off()
        peer._wake()

    def _deliver_bytes(self, peer: "End", piece: bytes) -> None:
        piece, whole = self._harm(piece)
        self._network.trace.note(self.path.name, len(piece), crc32(piece))
        if peer._closed:
            peer._dispatch(_RESET)  # the kernel's answer to bytes for nobody
        else:
            peer._arrived += piece
        if not whole:
            self.break_off()
            peer.break_off_behind()

    def _harm(self, piece: bytes) -> tuple[bytes, bool]:
        """What becomes of a piece on this path, and whether the connection outlives it."""
        path, size = self.path, len(piece)
        if path.flip_after is not None:
            if path.flip_after < size:
                harmed = bytearray(piece)
                harmed[path.flip_after] ^= 0x10
                piece, path.flip_after = bytes(harmed), None
            else:
                path.flip_after -= size
        if path.cut_after is not None:
            if path.cut_after < size:
                piece, path.cut_after = piece[: path.cut_after], None
                return piece, False
            path.cut_after -= size
        return piece, True


class Listener(trio.abc.Listener[trio.abc.Stream]):
    """Accepts what `Network.connect` hands in."""

    def __init__(self, network: "Network", process: Process, address: str) -> None:
        self.process = process
        self._network = network
        self._address = address
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](BACKLOG)

    def hand_in(self, end: End) -> None:
        self._send.send_nowait(end)

    async def accept(self) -> trio.abc.Stream:
        try:
            return await self._receive.receive()
        except trio.ClosedResourceError:
            raise trio.ClosedResourceError("the listener is closed") from None

    async def aclose(self) -> None:
        self._network.forget(self._address, self)
        self._receive.close()
        await checkpoint()


class Network:
    """Hosts by name, their addresses, and the wires between them."""

    def __init__(self, timers: Timers, trace: Trace, seed: int, latency_s_max: float) -> None:
        self.timers = timers
        self.trace = trace
        self.listeners: dict[str, Listener] = {}
        self.dials: Counter[str] = Counter()  # by path
        self._seed = seed
        self._latency_s_max = latency_s_max
        self._paths: dict[tuple[str, str], Path] = {}
        self._ends: dict[End, None] = {}
        self._refusing: set[str] = set()
        self._walls: set[frozenset[str]] = set()  # pairs of hosts
        self._off: set[str] = set()

    def path(self, sender: str, receiver: str) -> Path:
        """The direction from one host to another."""
        if (sender, receiver) not in self._paths:
            name = f"{sender}>{receiver}"
            stream = Stream(self._seed, f"path {name}")
            self._paths[sender, receiver] = Path(name, stream, self._latency_s_max)
        return self._paths[sender, receiver]

    def is_on(self, host: str) -> bool:
        return host not in self._off

    def dials_by(self, host: str) -> int:
        """How often it has dialled anybody."""
        return sum(count for path, count in self.dials.items() if path.startswith(f"{host}>"))

    async def listen(self, address: str, *, process: Process) -> list[trio.abc.Listener[trio.abc.Stream]]:
        await checkpoint()
        self.listeners[address] = Listener(self, process, address)
        return [self.listeners[address]]

    async def connect(self, address: str, *, process: Process) -> End:
        """Dial. A host that is off, and one that cannot be reached, never answers.

        Raises:
          ConnectionRefusedError: nobody listens there.
        """
        there, back = self.path(process.name, host_of(address)), self.path(host_of(address), process.name)
        self.dials[there.name] += 1
        await _travel(there)
        if host_of(address) in self._off:
            await trio.sleep_forever()
        await _travel(back)
        listener = self.listeners.get(address)
        if listener is None or self._is_refused(process.name, host_of(address)):
            raise ConnectionRefusedError(f"nobody listens on {address}")
        ours, theirs = End(self, process, there), End(self, listener.process, back)
        ours.peer, theirs.peer = theirs, ours
        try:
            listener.hand_in(theirs)
        except trio.WouldBlock:
            raise ConnectionRefusedError(f"too many connections wait at {address}") from None
        self._ends |= {ours: None, theirs: None}
        return ours

    def forget(self, address: str, listener: Listener) -> None:
        """A listener was closed."""
        if self.listeners.get(address) is listener:
            del self.listeners[address]

    def wall_off(self, one: str, other: str) -> None:
        """For good, each finds nobody who listens at the other: what a firewall says."""
        self._walls.add(frozenset({one, other}))

    # Faults

    def reset(self, *hosts: str) -> None:
        """Break every wire between two hosts, or of one host."""
        for end in self._ends_where(lambda end: set(hosts) <= {end.process.name, end.peer.process.name}):
            end.break_off()

    def cut(self, host: str) -> None:
        """Break every wire of a host, and refuse new ones until it is mended."""
        self._refusing.add(host)
        self.reset(host)

    def mend(self, host: str) -> None:
        self._refusing.discard(host)

    def release(self, *paths: Path) -> None:
        """What these paths held back goes on its way."""
        for path in paths:
            if not path.blocked:
                path.opened.unpark_all()
        for end in self._ends_where(lambda end: end.path in paths):
            end.release()

    # Processes

    def process_died(self, process: Process) -> None:
        """The kernel closes what the process held."""
        self._close_listeners(process)
        for end in self._ends_where(lambda end: end.process is process):
            end.close()

    def power_lost(self, process: Process) -> None:
        """The machine is off: nobody is told."""
        self._off.add(process.name)
        self._close_listeners(process)
        for end in self._ends_where(lambda end: end.process is process):
            end.gone = True

    def power_back(self, host: str) -> None:
        self._off.discard(host)

    def _is_refused(self, one: str, other: str) -> bool:
        return bool({one, other} & self._refusing) or {one, other} in self._walls

    def _close_listeners(self, process: Process) -> None:
        self.listeners = {address: one for address, one in self.listeners.items() if one.process is not process}

    def _ends_where(self, holds: Callable[[End], bool]) -> list[End]:
        self._ends = {end: None for end in self._ends if not (end._closed and end.peer._closed)}
        return [end for end in self._ends if holds(end)]


def host_of(address: str) -> str:
    return address.partition(":")[0]


async def _travel(path: Path) -> None:
    """Get a first packet through, however long that takes."""
    while path.blocked:
        await path.opened.park()
    await trio.sleep(path.delay_s())
