"""A few real replicas under a test's hand, with the judges looking on.

Nothing moves by itself: messages wait in `messages` and writes at their node until they are moved. Between a replica
and everybody else a test may put a `spoil`: what the replica says then is not what the judges and the others are shown.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import attrs
import pytest

from bankd.ledger.commands import Command, CreateAccount, SubmitTransfers
from bankd.ledger.queries import GetBalance, GetTransfer, Query
from bankd.ledger.state import Ledger
from bankd.raft.core import Raft, RaftOptions
from bankd.raft.messages import Configuration, Entry, EntryType, HardState
from bankd.raft.ready import Persist
from bankd.replica.core import Applied, EntryCodec, Replica
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
from bankd.sim.judges import Judges, Violation
from bankd.sim.judges.books import overlay
from bankd.sim.plan import Balance, Move, Open, OutcomeOf, Plan, ReadKind, Request
from bankd.sim.random import Stream
from bankd.sim.trace import Trace
from bankd.storage.recovery import Recovered
from bankd.types import LINEARIZABLE, AccountId, AtLeast, Bounded, LogIndex, NodeId, ReadMode, Stale, Term, TxId
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

Spoil = Callable[[NodeId, Effects], Effects]


def plan_of(names: Sequence[NodeId] = NAMES) -> Plan:
    return Plan(seed=1, nodes=tuple(names), clients=2, safety_ns=SECOND)


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
    replica: Replica
    hard_state: HardState
    entries: list[Entry]  # on the disk
    writes: deque[Persist] = attrs.field(factory=deque)
    running: bool = True

    @property
    def recovered(self) -> Recovered:
        return Recovered(self.hard_state, tuple(self.entries))

    def complete_write(self) -> Persist:
        persist = self.writes.popleft()
        overlay(self.entries, persist.entries)
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
        self.results: list[object] = []
        self._seed = seed
        self._operations = 0
        self._marks: dict[ReplyTo, tuple[int, int]] = {}
        self._starts = 0
        self.nodes: dict[NodeId, Node] = {}
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

    def start(self, name: NodeId, hard_state: HardState, entries: Sequence[Entry]) -> None:
        replica = self._make_replica(name, hard_state, entries)
        node = self.nodes[name] = Node(replica, hard_state, list(entries))
        for witness in (self.trace, self.judges):
            witness.booted(self.now_ns, name, replica, node.recovered)

    def crash(self, name: NodeId, writes_kept: int = 0) -> None:
        """The process ends; so many of its writes under way are on the disk all the same."""
        node = self.nodes[name]
        for _ in range(min(writes_kept, len(node.writes))):
            node.complete_write()
        node.running = False
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

    def settle(self) -> None:
        """Deliver and complete until nothing moves."""
        for _ in range(EVENTS_MAX):
            writing = [name for name, node in self.nodes.items() if node.running and node.writes]
            if self.messages:
                self.deliver(self.messages.popleft())
            elif writing:
                self.complete(writing[0])
            else:
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

    def _make_replica(self, name: NodeId, hard_state: HardState, entries: Sequence[Entry]) -> Replica:
        self._starts += 1
        limits = self._obeyed.limits
        raft = Raft(
            node_id=name,
            configuration=Configuration(frozenset(self.plan.nodes)),
            hard_state=hard_state,
            entries=entries,
            commit_index=LogIndex(1),
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
        ledger = Ledger()
        ledger.skip(LogIndex(1))
        codec = EntryCodec(encode_batch_head, decode_batch)
        return Replica(
            raft=raft,
            ledger=ledger,
            applied=Applied(Term(1), self._first_entry().body),
            codec=codec,
            waiting_calls_max=self._obeyed.product.waiting_calls_max,
            entry_bytes_max=limits.entry_bytes_max,
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
