"""A cluster of whole nodes, and its clients, in one event loop: time, wires, disks and chance are simulated.

Everything between is the product's own code: `serve`, `BankClient`, and all that they use. Time jumps when
every task sleeps, so a minute of the cluster's life costs what its work costs. A run is a function of its seed.
"""

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import attrs
import trio
from trio.testing import MockClock

from bankd.client.options import IN_FLIGHT_MAX
from bankd.client.retry import RetryPolicy
from bankd.config import Config
from bankd.config.settings import (
    ClusterSection,
    LimitsSection,
    ListenSection,
    NodeSection,
    RaftSection,
    StorageSection,
)
from bankd.node.node import Node
from bankd.sim.plan import DiskOdds
from bankd.types import NodeId
from bankd.wire.hello import Hello, PeerRole, decode_hello, encode_hello
from tests.whole.caller import Caller
from tests.whole.client import CLUSTER, History, RecordedClient
from tests.whole.host import Host
from tests.whole.network import LATENCY_S_MAX, Network
from tests.whole.scheduler import Process, Scheduler
from tests.whole.timers import Timers
from tests.whole.trace import Trace

NODES: Final = tuple(NodeId(f"n{number}") for number in (1, 2, 3))
SEGMENT_BYTES: Final = 64 * 1024
NEVER: Final = 1_000_000_000
HEARTBEAT_S: Final = 0.1
ELECTION_TIMEOUT_S: Final = 1.0
PATIENCE_S: Final = 10 * ELECTION_TIMEOUT_S  # V1

LIMITS: Final = LimitsSection(max_in_flight=1000, drain_timeout_s=5.0)
PATIENT: Final = RetryPolicy()  # tries until the call's time is over
AT_ONCE: Final = DiskOdds(write_ns_max=0, sync_ns_max=0)


@attrs.frozen
class Settings:
    """What a world is like. `clock_rates`: how fast the nodes' monotonic clocks run, 1.0 where none is given."""

    seed: int = 0
    nodes: int = 3
    latency_s_max: float = LATENCY_S_MAX
    disk: DiskOdds = attrs.field(factory=DiskOdds)
    limits: LimitsSection = LIMITS
    clock_rates: Mapping[NodeId, float] = attrs.field(factory=dict)
    snapshot_every: int = NEVER  # log entries


class World:
    """`hosts` by node id. It may be made before the run in which it lives."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.trace = Trace()
        self.timers = Timers()
        self.network = Network(self.timers, self.trace, settings.seed, settings.latency_s_max)
        self.history = History()
        self.node_ids = tuple(NodeId(f"n{number}") for number in range(1, settings.nodes + 1))
        self.hosts = {
            node_id: Host(config_of(node_id, settings), self.network, settings.seed, settings.disk)
            for node_id in self.node_ids
        }
        self.lost: set[NodeId] = set()  # nodes that nothing brings back: the rest must do without
        self.clients: list[RecordedClient] = []
        self._outsider = Process("outside")
        self._nursery: trio.Nursery | None = None

    # Nodes

    async def start(self, *node_ids: str) -> None:
        """Start these nodes, or all of them; return when they serve or have ended."""
        for node_id in node_ids or self.node_ids:
            assert self._nursery is not None, "a node starts in a run"
            await self.hosts[NodeId(node_id)].start(self._nursery)

    async def crash(self, node_id: NodeId) -> None:
        """End a node without notice."""
        await self.hosts[node_id].kill()

    def node(self, node_id: NodeId) -> Node:
        node = self.hosts[node_id].node
        assert node is not None, f"{node_id} does not run"
        return node

    def running(self) -> list[Node]:
        return [host.node for host in self.hosts.values() if host.node is not None]

    def leaders(self) -> list[NodeId]:
        return [node.identity.node_id for node in self.running() if node.replica.leads]

    def followers(self) -> list[NodeId]:
        return [node_id for node_id in self.node_ids if node_id not in self.leaders()]

    async def wait_leader(self, *, other_than: NodeId | None = None) -> NodeId:
        """Wait until a node leads and serves."""
        with trio.fail_after(PATIENCE_S):
            while True:
                for node_id in self.leaders():
                    if node_id != other_than and self.node(node_id).replica.raft.can_serve:
                        return node_id
                await self.pause()

    async def wait_until(self, holds: Callable[[], bool], *, within_s: float = PATIENCE_S) -> None:
        """Wait for something that nobody tells."""
        with trio.fail_after(within_s):
            while not holds():
                await self.pause()

    async def pause(self) -> None:
        """Let a moment of the world's time pass."""
        await trio.sleep(0.01)

    # Clients

    async def dial(self, node_id: NodeId, hello: Hello | None = None) -> Caller:
        """Connect and greet as a client that speaks raw frames."""
        caller = await self.connect(node_id)
        await caller.stream.send_all(encode_hello(hello or Hello(role=PeerRole.CLIENT, cluster=CLUSTER)))
        caller.hello = decode_hello(await caller.receive())
        return caller

    async def connect(self, node_id: NodeId) -> Caller:
        """Connect and say nothing."""
        return Caller(await self.network.connect(address_of(node_id), process=self._outsider))

    def make_client(
        self, *endpoints: NodeId, retry: RetryPolicy = PATIENT, max_in_flight: int = IN_FLIGHT_MAX
    ) -> RecordedClient:
        """A client of the product that knows these nodes, or all; its calls make history. To be opened by the caller."""
        addresses = [address_of(node_id) for node_id in endpoints or self.node_ids]
        number = len(self.clients) + 1
        client = RecordedClient(
            number, self.network, self.history, self.settings.seed, addresses,
            retry=retry, max_in_flight=max_in_flight,
        )  # fmt: skip
        self.clients.append(client)
        return client

    @asynccontextmanager
    async def client(self, *endpoints: NodeId) -> AsyncIterator[RecordedClient]:
        """The same, open."""
        client = self.make_client(*endpoints)
        async with client.bank:
            yield client

    @asynccontextmanager
    async def clients_open(self) -> AsyncIterator[None]:
        """All that were made so far."""
        async with AsyncExitStack() as opened:
            for client in self.clients:
                await opened.enter_async_context(client.bank)
            yield

    # The run

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Let things happen; whatever still runs at the end is ended with it."""
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self.timers.run)
            try:
                async with self.clients_open():
                    yield
            finally:
                for host in self.hosts.values():
                    host.clear_away()
                self._nursery.cancel_scope.cancel()


def address_of(node_id: NodeId) -> str:
    return f"{node_id}:1"


def config_of(node_id: NodeId, settings: Settings) -> Config:
    """A clock that runs fast by a tenth ticks every 45 ms, and so counts shorter heartbeats and timeouts."""
    names = [NodeId(f"n{number}") for number in range(1, settings.nodes + 1)]
    rate = settings.clock_rates.get(node_id, 1.0)
    return Config(
        node=NodeSection(id=node_id, data_dir=f"/{node_id}"),
        cluster=ClusterSection(name=CLUSTER, bootstrap={name: address_of(name) for name in names}),
        listen=ListenSection(address=address_of(node_id), advertise=address_of(node_id)),
        raft=RaftSection(heartbeat_s=HEARTBEAT_S / rate, election_timeout_s=ELECTION_TIMEOUT_S / rate),
        storage=StorageSection(
            segment_size_bytes=SEGMENT_BYTES, snapshot_every=settings.snapshot_every, min_free_bytes=2**20
        ),
        limits=settings.limits,
    )


Scenario = Callable[[World], Awaitable[None]]


def run(world: World, scenario: Scenario) -> None:
    """Run a scenario in a world that has not been used."""

    async def main() -> None:
        async with world.open():
            await scenario(world)

    try:
        with Scheduler(world.settings.seed).installed():
            trio.run(main, clock=MockClock(autojump_threshold=0))
    except BaseExceptionGroup as group:
        raise _only(group) from None
    finally:
        gc.unfreeze()  # what a node freezes for good would here outlive its world


def run_world(scenario: Scenario, *, max_in_flight: int = 1000, drain_timeout_s: float = 5.0) -> None:
    """Run a scenario in a world of three nodes where nothing but waiting takes time."""
    limits = LimitsSection(max_in_flight=max_in_flight, drain_timeout_s=drain_timeout_s)
    run(World(Settings(latency_s_max=0.0, disk=AT_ONCE, limits=limits)), scenario)


def _only(error: BaseException) -> BaseException:
    """The one exception in nested groups of one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
