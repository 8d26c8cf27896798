"""A few real replicas under a test's hand, with the judges looking on.

Nothing moves by itself: messages wait in `messages`, writes and what concerns snapshots at their node until they are
moved. Logs are lists here; snapshots are files, kept by a real keeper on a simulated disk. Between a replica
and everybody else a test may put a `spoil`: what the replica says then is not what the judges and the others are shown.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from bankd.keeper.keeper import Keeper
from bankd.keeper.restoring import Restored, restore_newest
from bankd.keeper.work import run_now
from bankd.ledger.commands import Command, CreateAccount, SubmitTransfers
from bankd.ledger.queries import GetBalance, GetTransfer, Query
from bankd.ledger.state import Ledger
from bankd.raft.core import Raft, RaftOptions
from bankd.raft.messages import Configuration, Entry, EntryType, HardState
from bankd.raft.ready import Persist
from bankd.replica.core import Applied, EntryCodec, Replica, SnapshotPolicy
from bankd.replica.effects import Effects
from bankd.replica.events import (
    TICKED,
    Call,
    Calls,
    Event,
    PeerMessage,
    Persisted,
    ReadCall,
    Received,
    ReplyTo,
    WriteCall,
)
from bankd.sim.disk import SimDisk
from bankd.sim.found import Found
from bankd.sim.judges import Judges, Violation
from bankd.sim.plan import Balance, Move, Open, OutcomeOf, Plan, ProductOptions, ReadKind, Request
from bankd.sim.random import Stream
from bankd.sim.trace import Trace
from bankd.storage.recovery import Recovered
from bankd.storage.snapshot_store import SnapshotStore
from bankd.types import (
    LINEARIZABLE,
    AccountId,
    AtLeast,
    Bounded,
    ClusterId,
    LogIndex,
    NodeId,
    ReadMode,
    Stale,
    Term,
    TxId,
)
from bankd.wire import client_codec
from bankd.wire.entries import decode_batch, encode_batch_head, encode_configuration, wrap_command
from bankd.wire.methods import Method

N1, N2, N3 = NAMES = (NodeId("n1"), NodeId("n2"), NodeId("n3"))
A, B = AccountId("a"), AccountId("b")
ELECTION_TICKS = 10
TICK_NS = 50_000_000
MS = 1_000_000
SECOND = 1_000 * MS
EVENTS_MAX = 10_000
CLUSTER = ClusterId(1)
SNAPSHOTS = Path("/snap")

Spoil = Callable[[NodeId, Effects], Effects]
Find = Callable[[NodeId, Found], Found]


def plan_of(names: Sequence[NodeId] = NAMES, *, snapshot_every: int = 100_000) -> Plan:
    product = ProductOptions(snapshot_every=snapshot_every)
    return Plan(seed=1, nodes=tuple(names), clients=2, safety_ns=SECOND, product=product)


@contextmanager
def violated(invariant: str, words: str) -> Iterator[None]:
    """The judges find this violated, and say it with these words among others."""
    with pytest.raises(Violation) as caught:
        yield
    assert caught.value.invariant == invariant, caught.value
    assert words in caught.value.text, caught.value


@contextmanager
def unblamed() -> Iterator[None]:
    """The judges find nothing wrong with this."""
    try:
        yield
    except Violation as violation:
        pytest.fail(f"blamed for what is right: {violation}")


@attrs.define(eq=False)
class Node:
    """A machine and, while it runs, its process. The log's part of the disk is `hard_state`, `entries`, `base_index`."""

    disk: SimDisk
    hard_state: HardState = attrs.field(factory=HardState)
    entries: list[Entry] = attrs.field(factory=list)
    base_index: LogIndex = LogIndex(0)
    writes: deque[Persist] = attrs.field(factory=deque)
    posted: deque[Event] = attrs.field(factory=deque)  # by the keeper
    running: bool = False
    replica: Replica = attrs.field(init=False)
    keeper: Keeper = attrs.field(init=False)

    @property
    def last_index(self) -> LogIndex:
        return LogIndex(self.base_index + len(self.entries))

    def open_keeper(self) -> tuple[SnapshotStore, Restored | None]:
        store = SnapshotStore.open(self.disk, SNAPSHOTS, CLUSTER)
        self.writes.clear()
        self.posted.clear()
        self.keeper = Keeper(
            store, CLUSTER, self.prune, lambda: None, self.posted.append, lambda what, index, words: None
        )
        return store, restore_newest(store)

    def lead_on_from(self, restored: Restored) -> None:
        """Begin the log anew where it does not reach the state that was restored."""
        index = restored.snapshot.index
        if self.last_index < index or (
            index > self.base_index and self.entries[index - self.base_index - 1].term != restored.snapshot.term
        ):
            self.entries, self.base_index = [], index
            self.hard_state = max(self.hard_state, HardState(restored.snapshot.term), key=lambda state: state.term)

    def prune(self, covered_index: LogIndex) -> int:
        gone = max(covered_index - self.base_index, 0)
        del self.entries[:gone]
        self.base_index = LogIndex(self.base_index + gone)
        return gone

    def work(self) -> bool:
        """Do all that waits for the keeper."""
        worked = False
        for lane in self.keeper.lanes:
            while (work := lane.next_work()) is not None:
                run_now(work)
                worked = True
        return worked

    def complete_write(self) -> Persist:
        persist = self.writes.popleft()
        if persist.base is not None:
            self.entries, self.base_index = [], persist.base.index
        if persist.entries:
            self.entries[persist.entries[0].index - self.base_index - 1 :] = persist.entries
        self.hard_state = persist.hard_state or self.hard_state
        return persist


class Judged:
    """Three nodes (or `plan`'s) that have just started for the first time.

    They keep to the limits of the plan, or to those of `obeyed`: then the judges think of others.
    """

    def __init__(self, plan: Plan | None = None, *, seed: int = 1, obeyed: Plan | None = None) -> None:
        self.plan = plan or plan_of()
        self._obeyed = obeyed or self.plan
        self.judges = Judges(self.plan)
        self.trace = Trace(self.plan.nodes)
        self.now_ns = 0
        self.messages: deque[PeerMessage] = deque()
        self.spoil: Spoil = lambda node, effects: effects
        self.find: Find = lambda node, found: found
        self.results: list[object] = []
        self.idle_keepers: set[NodeId] = set()
        self._seed = seed
        self._operations = 0
        self._marks: dict[ReplyTo, tuple[int, int]] = {}
        self._starts = 0
        self.nodes = {name: Node(SimDisk(Stream(seed, f"disk {name}"))) for name in self.plan.nodes}
        for name in self.plan.nodes:
            self.start(name, HardState(Term(1)), [self._first_entry()])

    def forge(self, name: NodeId, effects: Effects) -> None:
        """Show the judges a turn that no replica would take. Its writes are under way."""
        self.judges.turned(self.now_ns, name, self.nodes[name].replica, (), effects)

    def forge_tick(self, name: NodeId) -> None:
        """A tick that the replica does not hear of."""
        self.judges.turned(self.now_ns, name, self.nodes[name].replica, (TICKED,), Effects())

    def forge_write(self, name: NodeId, persist: Persist) -> None:
        """A write that no replica would make; it is durable at once."""
        self.forge(name, Effects(persists=(persist,)))
        self.judges.durable(self.now_ns, name, persist.write_seq)

    # Processes

    def start(self, name: NodeId, hard_state: HardState, entries: Sequence[Entry], *, refilling: int = 0) -> None:
        """A process starts on a log of these entries, and on the snapshots that are there.

        `refilling`: the nonce of the start, if the node knows that it has lost something.
        """
        node = self.nodes[name]
        node.hard_state, node.entries = hard_state, list(entries)
        if entries or refilling:
            node.base_index = LogIndex(entries[0].index - 1 if entries else 0)
        store, restored = node.open_keeper()
        if restored is not None:
            node.lead_on_from(restored)
        node.replica = self._make_replica(name, node, restored, store.covered_index, refilling)
        node.running = True
        recovered = Recovered(node.hard_state, tuple(node.entries), None, node.base_index)
        snapshot = None if restored is None else restored.snapshot
        found = Found(recovered, store.snapshots, snapshot, refilling=refilling > 0)
        for witness in (self.trace, self.judges):
            witness.booted(self.now_ns, name, node.replica, self.find(name, found))

    def crash(self, name: NodeId, writes_kept: int = 0) -> None:
        """The process ends; so many of its writes under way are on the disk all the same."""
        node = self.nodes[name]
        for _ in range(min(writes_kept, len(node.writes))):
            node.complete_write()
        node.running = False
        node.disk.end_process()
        for witness in (self.trace, self.judges):
            witness.ended(self.now_ns, name, "crash")

    def restart(self, name: NodeId) -> None:
        node = self.nodes[name]
        self.start(name, node.hard_state, node.entries)

    # Moving

    def step(self, name: NodeId, *events: Event) -> Effects:
        node = self.nodes[name]
        for event in events:
            node.replica.step(event, self.now_ns)
        effects = self.spoil(name, node.replica.ready(wall_ns=self.now_ns))
        for witness in (self.trace, self.judges):
            witness.turned(self.now_ns, name, node.replica, events, effects)
        self.messages.extend(effects.send_now)
        node.writes.extend(effects.persists)
        node.keeper.carry_out(effects)
        for reply_to, result in effects.replies:
            self.results.append(result)
            client, operation = self._marks[reply_to]
            for witness in (self.trace, self.judges):
                witness.answered(self.now_ns, client, operation, result)
        return effects

    def deliver(self, message: PeerMessage) -> None:
        if self.nodes[message.to].running:
            self.step(message.to, Received(message))

    def complete(self, name: NodeId) -> None:
        """The disk finishes the oldest write."""
        node = self.nodes[name]
        persist = node.complete_write()
        for witness in (self.trace, self.judges):
            witness.durable(self.now_ns, name, persist.write_seq)
        self.messages.extend(persist.then_send)
        self.step(name, Persisted(persist.write_seq))

    def keep(self, name: NodeId) -> bool:
        """The keeper does what waits for it, and the replica hears of it. Returns whether there was anything."""
        node = self.nodes[name]
        worked = name not in self.idle_keepers and node.work()
        if node.posted:
            events = list(node.posted)
            node.posted.clear()
            self.step(name, *events)
        return worked

    def settle(self) -> None:
        """Deliver and complete until nothing moves."""
        for _ in range(EVENTS_MAX):
            writing = [name for name, node in self.nodes.items() if node.running and node.writes]
            if self.messages:
                self.deliver(self.messages.popleft())
            elif writing:
                self.complete(writing[0])
            elif not any(self.keep(name) for name, node in self.nodes.items() if node.running):
                return
        raise AssertionError("the group does not come to rest")

    def tick(self, name: NodeId, count: int = 1) -> None:
        for _ in range(count):
            self.step(name, TICKED)

    def elect(self, name: NodeId) -> None:
        """Let a node win an election and commit its first entry; everybody else has lost patience with the old one."""
        for other, node in self.nodes.items():
            if other != name and node.running:
                self.tick(other, ELECTION_TICKS)
        self.messages.clear()
        self.tick(name, 2 * ELECTION_TICKS)
        self.settle()
        assert self.nodes[name].replica.leads
        self.beat(name)

    def beat(self, leader: NodeId) -> None:
        """Heartbeats, so that everybody learns what is committed."""
        self.now_ns += TICK_NS
        self.tick(leader)
        self.settle()

    # Calls

    def call(self, name: NodeId, request: Request, *, client: int = 1) -> tuple[int, int]:
        """A client's call reaches a node. Its answer goes to the client by itself."""
        self._operations += 1
        mark = self._marks[client, self._operations] = (client, self._operations)
        for witness in (self.trace, self.judges):
            witness.called(self.now_ns, client, self._operations, request)
        self.step(name, Calls((call_of(mark, request, self.now_ns + 5 * SECOND),)))
        return mark

    def ask(self, name: NodeId, request: Request) -> object:
        """A call, and everything that follows from it."""
        self.call(name, request)
        self.settle()
        return self.results[-1]

    # Parts

    def _first_entry(self) -> Entry:
        addresses = dict.fromkeys(self.plan.nodes, "")
        body = encode_configuration(Configuration(frozenset(self.plan.nodes)), addresses)
        return Entry(LogIndex(1), Term(1), EntryType.CONFIG, body)

    def _make_replica(
        self, name: NodeId, node: Node, restored: Restored | None, covered_index: LogIndex, refilling: int
    ) -> Replica:
        self._starts += 1
        limits = self._obeyed.limits
        raft = Raft(
            node_id=name,
            configuration=Configuration(frozenset(self.plan.nodes)),
            hard_state=node.hard_state,
            entries=node.entries,
            commit_index=min(LogIndex(1), node.last_index),
            snapshot=None if restored is None else restored.snapshot,
            refilling=refilling,
            options=RaftOptions(
                heartbeat_ticks=1,
                election_ticks=ELECTION_TICKS,
                append_bytes_max=limits.append_bytes_max,
                inflight_messages_max=limits.inflight_messages_max,
                inflight_bytes_max=limits.inflight_bytes_max,
                uncommitted_bytes_max=limits.uncommitted_bytes_max,
                reads_waiting_max=limits.reads_waiting_max,
            ),
            random=Stream(self._seed, f"raft {name} {self._starts}"),
        )
        raft.compact(min(covered_index, raft.compactable_index))
        ledger, applied = Ledger(), Applied(Term(1), self._first_entry().body)
        if restored is None and not node.last_index:
            applied = Applied(Term(0), b"")
        elif restored is None:
            ledger.skip(LogIndex(1))
        else:
            ledger, applied = (
                restored.state.ledger,
                Applied(restored.snapshot.term, restored.state.header.configuration),
            )
        product = self._obeyed.product
        codec = EntryCodec(encode_batch_head, decode_batch)
        return Replica(
            raft=raft,
            ledger=ledger,
            applied=applied,
            codec=codec,
            waiting_calls_max=product.waiting_calls_max,
            entry_bytes_max=limits.entry_bytes_max,
            snapshot_policy=SnapshotPolicy(product.snapshot_every, product.snapshot_every_bytes),
            snapshot=None if restored is None else restored.snapshot,
        )


def funded() -> Judged:
    """n1 leads; entry 3 opened account a with 100, entry 4 account b."""
    group = Judged()
    group.elect(N1)
    group.ask(N1, opening(A, 100))
    group.ask(N1, opening(B))
    group.beat(N1)
    return group


def opening(account: AccountId, balance: int = 0) -> Open:
    return Open(account, balance, None)


def move(tx_id: str, amount: int, source: AccountId = A, target: AccountId = B) -> Move:
    return Move((TxId(tx_id),), (source,), (target,), (amount,))


def balance(account: AccountId, kind: ReadKind = ReadKind.LINEARIZABLE) -> Balance:
    return Balance(account, kind)


def call_of(mark: tuple[int, int], request: Request, deadline_ns: int) -> Call:
    match request:
        case Open(account=account, balance=amount, request_id=request_id):
            return _write(mark, CreateAccount(account, amount, request_id), deadline_ns)
        case Move():
            columns = (request.tx_ids, request.sources, request.targets, request.amounts)
            return _write(mark, SubmitTransfers(*map(list, columns)), deadline_ns)  # type: ignore[arg-type]
        case Balance(account=account, kind=kind):
            return _read(mark, GetBalance(account), kind, deadline_ns)
        case OutcomeOf(tx_id=tx_id, kind=kind):
            return _read(mark, GetTransfer(tx_id), kind, deadline_ns)


def _write(mark: tuple[int, int], command: Command, deadline_ns: int) -> WriteCall:
    return WriteCall(mark, command, raw_of(command), deadline_ns)


def raw_of(command: Command) -> bytes:
    if isinstance(command, CreateAccount):
        body = client_codec.encode_create_account(command.account, command.initial_balance, command.request_id)
        return wrap_command(Method.CREATE_ACCOUNT, body)
    assert isinstance(command, SubmitTransfers)
    columns = (command.tx_ids, command.sources, command.targets, command.amounts)
    return wrap_command(Method.SUBMIT_TRANSFERS, client_codec.encode_submit_transfers(*columns))


MODES: dict[ReadKind, ReadMode] = {
    ReadKind.LINEARIZABLE: LINEARIZABLE,
    ReadKind.STALE: Stale(),
    ReadKind.BOUNDED: Bounded(1_000),
    ReadKind.AT_LEAST: AtLeast(LogIndex(3)),
}


def _read(mark: tuple[int, int], query: Query, kind: ReadKind, deadline_ns: int) -> ReadCall:
    return ReadCall(mark, query, MODES[kind], deadline_ns)
