"""A small world for whole nodes in one trio loop: memory streams, a log written in the loop, a mock clock.

Everything but the wires and the log's thread is the product's own. Run a scenario with `run_world`:
time jumps when every task sleeps, so a minute of the cluster's life costs milliseconds.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import attrs
import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, MockClock, memory_stream_pair

from bankd.config import Config
from bankd.config.settings import (
    ClusterSection,
    LimitsSection,
    ListenSection,
    NodeSection,
    RaftSection,
    StorageSection,
)
from bankd.node.disk import Committer, OnDurable, OnFailed
from bankd.node.environment import Environment
from bankd.node.node import Node
from bankd.node.serve import serve
from bankd.raft.ready import Persist
from bankd.storage.disk import OsDisk
from bankd.storage.wal import Wal
from bankd.types import NodeId
from bankd.wire.frames import FRAME_BYTES_MAX, Frame, FrameDecoder, FrameKind, encode_frame
from bankd.wire.hello import Hello, PeerRole, decode_hello, encode_hello

NODES = tuple(NodeId(name) for name in ("n1", "n2", "n3"))
CLUSTER = "test"
SEGMENT_BYTES = 64 * 1024
ELECTION_TIMEOUT_S = 1.0


class Listener(trio.abc.Listener[trio.abc.Stream]):
    """Accepts what `Network.connect` sends it."""

    def __init__(self, network: "Network", address: str) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](100)
        self._network = network
        self._address = address

    def hand_in(self, stream: trio.abc.Stream) -> None:
        self._send.send_nowait(stream)

    async def accept(self) -> trio.abc.Stream:
        try:
            return await self._receive.receive()
        except trio.ClosedResourceError:
            raise trio.ClosedResourceError("the listener is closed") from None

    async def aclose(self) -> None:
        self._network.listeners.pop(self._address, None)
        self._receive.close()
        await trio.lowlevel.checkpoint()


class Network:
    """Addresses and who listens there. `cut` breaks every connection to an address and refuses new ones."""

    def __init__(self) -> None:
        self.listeners: dict[str, Listener] = {}
        self._streams: dict[str, list[trio.StapledStream[MemorySendStream, MemoryReceiveStream]]] = {}
        self._unreachable: set[str] = set()

    async def listen(self, address: str) -> list[trio.abc.Listener[trio.abc.Stream]]:
        await trio.lowlevel.checkpoint()
        self.listeners[address] = Listener(self, address)
        return [self.listeners[address]]

    async def connect(self, address: str, *, dialler: str = "") -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if address not in self.listeners or {address, dialler} & self._unreachable:
            raise ConnectionRefusedError(f"nobody listens on {address}")
        ours, theirs = memory_stream_pair()
        for end in (address, dialler):
            self._streams.setdefault(end, []).extend([ours, theirs])
        self.listeners[address].hand_in(theirs)
        return ours

    def cut(self, address: str) -> None:
        """Isolate an address, both ways: its connections end, and new ones are refused."""
        self._unreachable.add(address)
        for stream in self._streams.pop(address, []):
            stream.receive_stream.put_eof()
            stream.send_stream.send_all_hook = broken

    def mend(self, address: str) -> None:
        self._unreachable.discard(address)


async def broken() -> None:
    raise trio.BrokenResourceError("the cable was cut")


class LoopCommitter:
    """Writes the real log, in the loop and at once. `held` keeps completions back; `fail_with` breaks it."""

    def __init__(self, wal: Wal, on_durable: OnDurable, on_failed: OnFailed) -> None:
        self._wal = wal
        self._on_durable = on_durable
        self._on_failed = on_failed
        self._last_seq = 0
        self.held = False
        self.fail_with: Exception | None = None

    def release(self) -> None:
        """Let what was held back be known as durable, and hold nothing any more."""
        self.held = False
        self._on_durable(self._last_seq, 0.0)

    def commit_now(self, persist: Persist) -> float | None:
        return None  # so that what may be held back, or fail, goes one way

    def submit(self, persist: Persist) -> None:
        if self.fail_with is not None:
            self._on_failed(self.fail_with)
            return
        if persist.entries or persist.hard_state is not None:
            self._wal.write([(persist.hard_state, persist.entries)])
            self._wal.sync()
        self._last_seq = persist.write_seq
        if not self.held:
            self._on_durable(persist.write_seq, 0.0)

    def close(self) -> None:
        self._wal.close()


class FixedRandom:
    """Draws that differ between nodes, and between draws, without chance."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def below(self, bound: int) -> int:
        self._state = (self._state * 1103515245 + 12345) % 2**31
        return self._state // 7 % bound

    def u64(self) -> int:
        return self.below(2**31) << 32 | self.below(2**31)


@attrs.define
class Host:
    """One node's place in the world, whether it runs or not."""

    config: Config
    node: Node | None = None
    committer: LoopCommitter | None = None
    scope: trio.CancelScope | None = None
    shutdown: trio.Event = attrs.field(factory=trio.Event)
    stopped: trio.Event = attrs.field(factory=trio.Event)
    failure: Exception | None = None
    may_fail: bool = False
    close_fails_with: Exception | None = None


class World:
    def __init__(self, directory: Path, nursery: trio.Nursery, limits: LimitsSection) -> None:
        self.network = Network()
        self.free_bytes: int | Exception = 2**40
        self.open_files_max = 10_000
        self._nursery = nursery
        self._next_call_id = 0
        self.hosts = {node_id: Host(config_of(node_id, directory, limits)) for node_id in NODES}

    async def start(self, *node_ids: str) -> None:
        for node_id in node_ids or NODES:
            host = self.hosts[NodeId(node_id)]
            host.shutdown, host.stopped, host.failure = trio.Event(), trio.Event(), None
            host.node = await self._nursery.start(self._run, host)

    async def crash(self, node_id: NodeId) -> None:
        """End a node without notice."""
        host = self.hosts[node_id]
        assert host.scope is not None
        host.scope.cancel()
        await host.stopped.wait()

    async def _run(self, host: Host, *, task_status: trio.TaskStatus[Node]) -> None:
        environment = Environment(
            listen=self.network.listen,
            connect=partial(self.network.connect, dialler=address_of(host.config.node.id)),
            commit=partial(self._committer, host),
            close=partial(self._close, host),
            wall_ns=lambda: 1_700_000_000_000_000_000 + int(trio.current_time() * 1e9),
            random=FixedRandom(NODES.index(host.config.node.id) + 1),
            free_bytes=self._free_bytes,
            disk=OsDisk(),
            new_u64=FixedRandom(NODES.index(host.config.node.id) + 1).u64,
            open_files_max=lambda: self.open_files_max,
        )
        try:
            with trio.CancelScope() as host.scope:
                await serve(host.config, environment, host.shutdown, task_status=task_status)
        except Exception as error:
            host.failure = error
            if not host.may_fail:
                raise
        finally:
            host.node = None
            host.stopped.set()

    async def _close(self, host: Host, committer: Committer) -> None:
        if host.close_fails_with is not None:
            raise host.close_fails_with
        committer.close()

    async def _free_bytes(self, _path: str) -> int:
        if isinstance(self.free_bytes, Exception):
            raise self.free_bytes
        return self.free_bytes

    def _committer(self, host: Host, wal: Wal, on_durable: OnDurable, on_failed: OnFailed) -> Committer:
        host.committer = LoopCommitter(wal, on_durable, on_failed)
        return host.committer

    def node(self, node_id: NodeId) -> Node:
        node = self.hosts[node_id].node
        assert node is not None, f"{node_id} does not run"
        return node

    def leaders(self) -> list[NodeId]:
        return [node_id for node_id, host in self.hosts.items() if host.node is not None and host.node.replica.leads]

    async def wait_leader(self, *, other_than: NodeId | None = None) -> NodeId:
        """Wait until a node leads and serves."""
        with trio.fail_after(10 * ELECTION_TIMEOUT_S):
            while True:
                for node_id in self.leaders():
                    if node_id != other_than and self.node(node_id).replica.raft.can_serve:
                        return node_id
                await self.pause()

    async def pause(self) -> None:
        """Let a moment of the world's time pass."""
        await trio.sleep(0.01)

    def followers(self) -> list[NodeId]:
        return [node_id for node_id in NODES if node_id not in self.leaders()]

    async def dial(self, node_id: NodeId, hello: Hello | None = None) -> "Caller":
        """Connect and greet as a client."""
        caller = Caller(await self.network.connect(address_of(node_id)))
        await caller.stream.send_all(encode_hello(hello or Hello(role=PeerRole.CLIENT, cluster=CLUSTER)))
        caller.hello = decode_hello(await caller.receive())
        return caller


class Caller:
    """A client that speaks raw frames, to see exactly what a node answers."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.hello: Hello | None = None
        self._decoder = FrameDecoder(FRAME_BYTES_MAX)
        self._frames: list[Frame] = []
        self._last_call_id = 0

    async def send(self, method: int, body: bytes, *, flags: int = 0, deadline_ms: int = 0) -> int:
        self._last_call_id += 1
        frame = encode_frame(FrameKind.REQUEST, method, self._last_call_id, body, flags=flags, deadline_ms=deadline_ms)
        await self.stream.send_all(frame)
        return self._last_call_id

    async def receive(self) -> Frame:
        """The next frame; EndOfStream as trio.EndOfChannel when the node closed the connection."""
        while not self._frames:
            data = await self.stream.receive_some(65536)
            if not data:
                raise trio.EndOfChannel
            self._frames = self._decoder.feed(bytes(data))
        return self._frames.pop(0)

    async def call(self, method: int, body: bytes, *, flags: int = 0, deadline_ms: int = 0) -> Frame:
        call_id = await self.send(method, body, flags=flags, deadline_ms=deadline_ms)
        frame = await self.receive()
        assert frame.call_id == call_id
        return frame


def address_of(node_id: NodeId) -> str:
    return f"{node_id}:1"


def config_of(node_id: NodeId, directory: Path, limits: LimitsSection) -> Config:
    bootstrap: Mapping[NodeId, str] = {name: address_of(name) for name in NODES}
    return Config(
        node=NodeSection(id=node_id, data_dir=str(directory / node_id)),
        cluster=ClusterSection(name=CLUSTER, bootstrap=bootstrap),
        listen=ListenSection(address=address_of(node_id), advertise=address_of(node_id)),
        raft=RaftSection(heartbeat_s=0.1, election_timeout_s=ELECTION_TIMEOUT_S),
        storage=StorageSection(segment_size_bytes=SEGMENT_BYTES, min_free_bytes=2**20),
        limits=limits,
    )


Scenario = Callable[[World], Awaitable[None]]


def run_world(directory: Path, scenario: Scenario, *, max_in_flight: int = 1000, drain_timeout_s: float = 5.0) -> None:
    """Run a scenario in a fresh world; every node still running at its end is crashed."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            limits = LimitsSection(max_in_flight=max_in_flight, drain_timeout_s=drain_timeout_s)
            world = World(directory, nursery, limits)
            await scenario(world)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
