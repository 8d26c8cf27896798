"""Carry out a plan: the whole cluster, its clients and its faults on one queue of events.

    safety      until `plan.safety_ns`: faults, and calls of clients
    progress    all is mended but for `plan.stays_down`; clients finish the calls that are under way, and two
                more clients make a write and a read: the write must be acknowledged within ten election
                timeouts of this, the read answered by the end (V1)
    rest        until every node that runs has applied what is committed, and for a few heartbeats more

Whatever a product's assertion or a stray exception says is a violation like any other, and called CRASH. The same
plan gives the same run, event by event, in every process: nothing here iterates over a set, or asks for an
address or a hash.

Limits: a run that is not judged (`judges=None`) ends without a violation, unless it crashes.
"""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final

import attrs

from bankd.config import Config
from bankd.config.settings import ClusterSection, LimitsSection, NodeSection, RaftSection, StorageSection
from bankd.history.records import Record
from bankd.sim.clients import Client
from bankd.sim.faults import Faults
from bankd.sim.judges import Judges, Violation
from bankd.sim.judges.rejoining import HEARTBEATS_PER_CHUNK
from bankd.sim.network import Network
from bankd.sim.node import Node
from bankd.sim.plan import Balance, NodeTraits, Open, Operation, Plan, ReadKind, Request
from bankd.sim.queue import Queue
from bankd.sim.random import Stream
from bankd.sim.records import Recorder
from bankd.sim.surroundings import Surroundings
from bankd.sim.trace import Trace
from bankd.types import AccountId, NodeId, TxId

REST_ELECTION_TIMEOUTS_MAX: Final = 20  # from the healing to the last call's end and the last node's catching up
REST_NS_MIN: Final = 5_000_000_000  # for a client that loses a few answers where election timeouts are short
REST_HEARTBEATS: Final = 5
PATIENCE_NS_MIN: Final = 300_000_000  # for one answer to a probe: six messages, a sync or two, and the turns between
CLUSTER: Final = "simulated"
PORT: Final = 7401
PROBE: Final = AccountId("probe")


@attrs.frozen
class Outcome:
    """What became of a run. `digest` is that of its trace: equal plans give equal digests, in every process."""

    violation: Violation | None
    simulated_ns: int
    events: int
    acknowledged: int  # calls answered with a result, refusals not counted
    elections: int  # leaders that took office
    digest: int  # 0 without a trace
    history: Sequence[Record]
    operations: int  # in the history, as the witness counts them; 0 when it was not judged
    unjudged: int  # of them


def run(plan: Plan, *, judges: Judges | None = None, trace: Trace | None = None) -> Outcome:
    """Carry out a plan. Raises nothing: what goes wrong is in the outcome."""
    world = World(plan, judges, trace)
    violation = None
    try:
        world.run()
    except Violation as broken:
        violation = broken
    except Exception as error:  # of the product, or of ours: either is a finding
        text = f"{type(error).__name__}: {error} ({' < '.join(_places(error.__traceback__))})"
        violation = Violation("CRASH", text, world.around.queue.now_ns)
    around = world.around
    return Outcome(
        violation,
        simulated_ns=around.queue.now_ns,
        events=around.queue.events,
        acknowledged=around.acknowledged,
        elections=around.elections,
        digest=trace.digest if trace is not None else 0,
        history=world.recorder.history,
        operations=judges.report.operations if judges is not None else 0,
        unjudged=judges.report.unjudged if judges is not None else 0,
    )


class World:
    def __init__(self, plan: Plan, judges: Judges | None, trace: Trace | None) -> None:
        queue = Queue()
        self.around = Surroundings(queue, Network(plan.nodes, plan.network, plan.seed, queue))
        self.around.watchers = tuple(watcher for watcher in (trace, judges) if watcher is not None)
        self.recorder = Recorder()
        self._plan = plan
        self._judges = judges
        traits = plan.traits or (NodeTraits(),) * len(plan.nodes)
        self._nodes = {
            name: Node(_config(plan, name), plan.limits, node_traits, plan.disk, plan.seed, self.around)
            for name, node_traits in zip(plan.nodes, traits, strict=True)
        }
        self._clients = [
            self._make_client(number, [operation for operation in plan.operations if operation.client == number])
            for number in range(plan.clients)
        ]

    def run(self) -> None:
        """Raises Violation, and whatever the product raises."""
        plan, queue = self._plan, self.around.queue
        Faults(plan, self._nodes, self.around).schedule()
        for node in self._nodes.values():
            node.start()
        for client in self._clients:
            client.begin()
        queue.run_until(plan.safety_ns)
        self._heal()
        self._finish()

    def _heal(self) -> None:
        plan, around = self._plan, self.around
        around.network.calm()
        for name, node in self._nodes.items():
            if name not in plan.stays_down:
                node.mend()
        for watcher in around.watchers:
            watcher.healed(around.queue.now_ns)
        for client in self._clients:
            client.finish()
        probes: tuple[Request, ...] = (Open(PROBE, 1, TxId(PROBE)), Balance(PROBE, ReadKind.LINEARIZABLE))
        for number, probe in enumerate(probes, plan.clients):
            patience_ns = max(PATIENCE_NS_MIN, plan.product.election_timeout_ns)
            client = self._make_client(number, [Operation(around.queue.now_ns, number, probe)], patience_ns)
            self._clients.append(client)
            client.begin()

    def _finish(self) -> None:
        """Wait for what is under way, and rest."""
        product, queue = self._plan.product, self.around.queue
        queue.run_until(queue.now_ns + REST_HEARTBEATS * product.heartbeat_ns)
        latest_ns = queue.now_ns + max(REST_ELECTION_TIMEOUTS_MAX * product.election_timeout_ns, REST_NS_MIN)
        latest_ns += self._chunks_max() * HEARTBEATS_PER_CHUNK * product.heartbeat_ns
        self._settle(latest_ns)
        queue.run_until(queue.now_ns + REST_HEARTBEATS * product.heartbeat_ns)
        self._settle(latest_ns)  # a try that was given up may have arrived meanwhile, and been proposed
        if self._judges is not None:
            self._judges.finish(queue.now_ns, self.recorder.history)

    def _chunks_max(self) -> int:
        """How many messages the largest snapshot may take that a follower is still being sent."""
        processes = [node.process for node in self._nodes.values() if node.process is not None]
        newest = [process.replica.snapshots.newest for process in processes]
        size_bytes = max((snapshot.size_bytes for snapshot in newest if snapshot is not None), default=0)
        return -(-size_bytes // self._plan.limits.snapshot_chunk_bytes)

    def _settle(self, latest_ns: int) -> None:
        queue = self.around.queue
        while queue.now_ns < latest_ns and not self._is_at_rest():
            queue.run_until(queue.now_ns + self._plan.product.heartbeat_ns)

    def _is_at_rest(self) -> bool:
        replicas = [node.process.replica for node in self._nodes.values() if node.process is not None]
        commit_index = max((replica.raft.commit_index for replica in replicas), default=0)
        return all(client.idle for client in self._clients) and all(
            replica.ledger.applied_index == commit_index and not replica.raft.is_refilling for replica in replicas
        )

    def _make_client(self, number: int, operations: Sequence[Operation], patience_ns: int | None = None) -> Client:
        return Client(
            number,
            operations,
            nodes=self._plan.nodes,
            odds=self._plan.network,
            stream=Stream(self._plan.seed, f"client {number}"),
            world=self.around,
            recorder=self.recorder,
            ask=lambda node, ask: self._nodes[node].ask(ask),
            patience_ns=patience_ns,
        )


def _config(plan: Plan, name: NodeId) -> Config:
    product = plan.product
    return Config(
        node=NodeSection(id=name, data_dir=f"/{name}"),
        cluster=ClusterSection(name=CLUSTER, bootstrap={node: f"{node}:{PORT}" for node in plan.nodes}),
        raft=RaftSection(product.heartbeat_ns / 1e9, product.election_timeout_ns / 1e9),
        storage=StorageSection(
            segment_size_bytes=product.segment_bytes,
            snapshot_every=product.snapshot_every,
            snapshot_every_size_bytes=product.snapshot_every_bytes,
        ),
        limits=LimitsSection(max_in_flight=product.waiting_calls_max),
    )


def _places(traceback: TracebackType | None) -> Iterator[str]:
    """Where an exception came from, innermost first, in words that hold no path of a machine."""
    inner = [] if traceback is None else [*_places(traceback.tb_next)]
    yield from inner
    if traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "?")
        yield f"{module}.{traceback.tb_frame.f_code.co_qualname}:{traceback.tb_lineno}"
