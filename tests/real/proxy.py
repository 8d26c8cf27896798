"""A TCP proxy between two nodes that does to their bytes what a network would.

One link per pair (dialler, listener): the dialler's configuration names the listener by the link's
address. All links of a cluster run in one thread with a trio loop of its own; tests call them from
another thread, and what was called for is in force when the call returns.

| fault | what the nodes meet |
|---|---|
| delay, throttle | bytes come later, or slowly |
| stop | one way or both: bytes wait; once the buffers on the way are full, the sender's window is closed |
| lose | half-open: whatever is sent on today's connections vanishes, and nobody is told |
| silence | the same for new connections too, until mended: a partition |
| reset | RST to both sides |
| flip | one bit of the next bytes is wrong |
| cut | the next bytes lack their last one, and the connection ends |

Rules: a node tells its clients the addresses that it dials, so clients come by here too; whoever greets as one
passes unharmed. Bytes are never reordered; a connection that lost some carries nothing ever after, also when the
link is mended; on a sound connection, when one side ends it the other hears of it.
"""

import math
import socket
import struct
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum, unique
from functools import partial
from itertools import permutations
from typing import Final

import attrs
import trio

from bankd.errors import ProtocolError
from bankd.types import NodeId
from bankd.wire.frames import FrameDecoder
from bankd.wire.hello import PeerRole, decode_hello

CHUNK_BYTES: Final = 64 * 1024
CHUNKS_MAX: Final = 64  # on their way in each direction of a connection: 4 MiB, then the sender waits
PIECE_S: Final = 0.05  # a throttled connection moves at most what takes so long at a time
DIAL_S_MAX: Final = 5.0
ABORT: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, no time, so that close sends RST


@unique
class Way(Enum):
    """A direction of a link's connections."""

    FORTH = "from dialler to listener"
    BACK = "from listener to dialler"


BOTH: Final = frozenset(Way)


@attrs.define(eq=False)
class Lane:
    """What is done to the bytes of one direction of a link."""

    delay_s: float = 0.0
    bytes_per_s: float = math.inf
    open: trio.Event = attrs.field(factory=trio.Event)
    flipping: bool = False
    cutting: bool = False

    def close(self) -> None:
        if self.open.is_set():
            self.open = trio.Event()

    def mend(self) -> None:
        self.delay_s, self.bytes_per_s, self.flipping, self.cutting = 0.0, math.inf, False, False
        self.open.set()

    async def wait_open(self) -> None:
        while not self.open.is_set():
            await self.open.wait()


def unharmed() -> dict[Way, Lane]:
    lanes = {way: Lane() for way in Way}
    for lane in lanes.values():
        lane.open.set()
    return lanes


@attrs.define(eq=False)
class Connection:
    """`lost`: nothing passes any more, and neither side is told when the other one leaves."""

    near: trio.SocketStream
    far: trio.SocketStream
    lost: bool = False


class Link:
    """The path by which one node dials another. Its public methods are for other threads than the loop's."""

    def __init__(self, run_in_loop: Callable[[Callable[[], None]], None]) -> None:
        self.address = ""  # what the dialler is told
        self.target = ""  # where the listener really is
        self._run = run_in_loop
        self._lanes = unharmed()
        self._connections: set[Connection] = set()
        self._silent = False

    @property
    def connected(self) -> bool:
        """Whether bytes can pass now on some connection."""
        return any(not connection.lost for connection in list(self._connections))

    def delay(self, delay_s: float, ways: Iterable[Way] = BOTH) -> None:
        self._change(ways, lambda lane: setattr(lane, "delay_s", delay_s))

    def throttle(self, bytes_per_s: float, ways: Iterable[Way] = BOTH) -> None:
        self._change(ways, lambda lane: setattr(lane, "bytes_per_s", bytes_per_s))

    def stop(self, ways: Iterable[Way] = BOTH) -> None:
        self._change(ways, Lane.close)

    def flip(self, ways: Iterable[Way] = BOTH) -> None:
        self._change(ways, lambda lane: setattr(lane, "flipping", True))

    def cut(self, ways: Iterable[Way] = BOTH) -> None:
        self._change(ways, lambda lane: setattr(lane, "cutting", True))

    def lose(self) -> None:
        self._run(self._lose)

    def silence(self) -> None:
        self._run(self._silence)

    def reset(self) -> None:
        self._run(self._reset)

    def mend(self) -> None:
        """Let bytes pass as they come, those that waited first."""
        self._run(self._mend)

    def _change(self, ways: Iterable[Way], change: Callable[[Lane], None]) -> None:
        def change_all() -> None:
            for way in ways:
                change(self._lanes[way])

        self._run(change_all)

    def _lose(self) -> None:
        for connection in self._connections:
            connection.lost = True

    def _silence(self) -> None:
        self._silent = True
        self._lose()

    def _reset(self) -> None:
        for connection in self._connections:
            for stream in (connection.near, connection.far):
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                stream.socket.close()

    def _mend(self) -> None:
        self._silent = False
        for lane in self._lanes.values():
            lane.mend()

    # In the loop

    async def serve(self, near: trio.SocketStream) -> None:
        """Carry one connection until either side ends it; a lost one until both have."""
        async with near:
            try:
                first, is_peer = await read_hello(near)
            except (trio.BrokenResourceError, ProtocolError):
                return
            if self._silent and is_peer:
                return await swallow(near)
            far = await dial(self.target)
            if far is None:
                return
            async with far:
                await self._carry(Connection(near, far, lost=self._silent and is_peer), first, is_peer)

    async def _carry(self, connection: Connection, first: bytes, is_peer: bool) -> None:
        lanes = self._lanes if is_peer else unharmed()
        if is_peer:
            self._connections.add(connection)
        near, far = connection.near, connection.far
        try:
            async with trio.open_nursery() as both:
                both.start_soon(_pump, connection, lanes[Way.FORTH], first, near, far, both.cancel_scope)
                both.start_soon(_pump, connection, lanes[Way.BACK], b"", far, near, both.cancel_scope)
        finally:
            self._connections.discard(connection)


async def read_hello(near: trio.SocketStream) -> tuple[bytes, bool]:
    """What was received up to the end of the first frame, and whether it is a node that speaks.

    Raises:
      ProtocolError, trio.BrokenResourceError: no Hello came.
    """
    decoder, received = FrameDecoder(), b""
    while data := await near.receive_some(CHUNK_BYTES):
        received += data
        if frames := decoder.feed(data):
            return received, decode_hello(frames[0]).role is PeerRole.PEER
    raise trio.BrokenResourceError("closed before its Hello")


async def dial(address: str) -> trio.SocketStream | None:
    """None when nobody is there."""
    host, _, port = address.rpartition(":")
    try:
        with trio.fail_after(DIAL_S_MAX):
            return await trio.open_tcp_stream(host, int(port))
    except (OSError, trio.TooSlowError):
        return None


async def _pump(
    connection: Connection,
    lane: Lane,
    first: bytes,
    source: trio.SocketStream,
    sink: trio.SocketStream,
    both: trio.CancelScope,
) -> None:
    chunks_in, chunks_out = trio.open_memory_channel[tuple[float, bytes]](CHUNKS_MAX)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send_on, connection, lane, chunks_out, sink)
            async with chunks_in:
                data: bytes | bytearray = first or await source.receive_some(CHUNK_BYTES)
                while data:
                    await chunks_in.send((trio.current_time() + lane.delay_s, bytes(data)))
                    data = await source.receive_some(CHUNK_BYTES)
    except* (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # an end like any other
    if not connection.lost:
        both.cancel()


async def _send_on(
    connection: Connection, lane: Lane, chunks: trio.MemoryReceiveChannel[tuple[float, bytes]], sink: trio.SocketStream
) -> None:
    async for due_s, data in chunks:
        await trio.sleep_until(due_s)
        await lane.wait_open()
        if lane.flipping:
            lane.flipping, data = False, flipped(data)
        ending, lane.cutting = lane.cutting, False
        await _send_paced(connection, lane, data[:-1] if ending else data, sink)
        if ending:
            raise trio.BrokenResourceError("cut")


async def _send_paced(connection: Connection, lane: Lane, data: bytes, sink: trio.SocketStream) -> None:
    while data and not connection.lost:
        paced = math.isfinite(lane.bytes_per_s)
        size = max(1, int(lane.bytes_per_s * PIECE_S)) if paced else len(data)
        piece, data = data[:size], data[size:]
        await sink.send_all(piece)
        if paced:
            await trio.sleep(len(piece) / lane.bytes_per_s)


async def swallow(stream: trio.SocketStream) -> None:
    try:
        while await stream.receive_some(CHUNK_BYTES):
            pass
    except trio.BrokenResourceError:
        pass


def flipped(data: bytes) -> bytes:
    """The same with one bit wrong, in the middle."""
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    return bytes(changed)


class Proxies:
    """A link for every ordered pair of nodes."""

    def __init__(self, nodes: Collection[NodeId]) -> None:
        self.links = {pair: Link(self._run) for pair in permutations(nodes, 2)}
        self._token: trio.lowlevel.TrioToken | None = None
        self._everything = trio.CancelScope()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Listen on every link's address in a thread, to the end of the block."""
        ready = threading.Event()
        thread = threading.Thread(target=trio.run, args=(self._main, ready), name="proxies", daemon=True)
        thread.start()
        ready.wait()
        try:
            yield
        finally:
            self._run(self._everything.cancel)
            thread.join()

    def between(self, some: Collection[NodeId], others: Collection[NodeId]) -> list[Link]:
        """The links, both ways, that join two groups."""
        return [
            link for (a, b), link in self.links.items() if (a in some and b in others) or (a in others and b in some)
        ]

    def mend(self) -> None:
        for link in self.links.values():
            link.mend()

    def _run(self, call: Callable[[], None]) -> None:
        trio.from_thread.run_sync(call, trio_token=self._token)

    async def _main(self, ready: threading.Event) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._everything:
            async with trio.open_nursery() as nursery:
                for link in self.links.values():
                    listeners = await nursery.start(partial(trio.serve_tcp, link.serve, 0, host="127.0.0.1"))
                    link.address = f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
                ready.set()
