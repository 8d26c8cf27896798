"""A few replicas and the wires between them, moved by hand: no clock, no disk, no chance.

`settle` delivers everything and completes every write until nothing moves. Messages to a cut node
are lost; writes of a node with a stalled disk wait. `restart` brings a node back with what it had
durable; its ledger begins anew and is told again what is committed.
"""

from collections import deque
from collections.abc import Sequence

import attrs

from bankd.ledger.commands import Command, CreateAccount, SubmitTransfers
from bankd.ledger.queries import GetBalance
from bankd.ledger.state import Ledger
from bankd.raft.core import Raft, RaftOptions
from bankd.raft.messages import Configuration, Entry, HardState
from bankd.raft.ready import Persist
from bankd.replica.comparison import DigestNotice, Diverged
from bankd.replica.core import Applied, EntryCodec, Replica, SnapshotPolicy
from bankd.replica.effects import Effects, ReplicaEvent, Result, SnapshotDue
from bankd.replica.events import TICKED, Call, Calls, PeerMessage, Persisted, ReadCall, Received, WriteCall
from bankd.replica.snapshots import NO_SNAPSHOTS
from bankd.types import LINEARIZABLE, AccountId, NodeId, ReadMode, Term, TxId
from bankd.wire import client_codec
from bankd.wire.entries import decode_batch, encode_batch_head, wrap_command
from bankd.wire.methods import Method

NAMES = tuple(NodeId(name) for name in ("n1", "n2", "n3"))
NEVER_NS = 2**62
ELECTION_TICKS = 10
ROUNDS_MAX = 1000


class NoChance:
    """Every draw is the same, so that who is ticked first campaigns first."""

    def below(self, bound: int) -> int:
        return 0


@attrs.define
class Durable:
    """What one node's disk holds."""

    hard_state: HardState = attrs.field(factory=HardState)
    entries: list[Entry] = attrs.field(factory=list)

    def take(self, persist: Persist) -> None:
        self.hard_state = persist.hard_state or self.hard_state
        if persist.entries:
            del self.entries[persist.entries[0].index - 1 :]
            self.entries += persist.entries


class Group:
    def __init__(
        self,
        names: Sequence[NodeId] = NAMES,
        *,
        waiting_calls_max: int = 100,
        snapshot_policy: SnapshotPolicy = NO_SNAPSHOTS,
    ) -> None:
        self.now_ns = 0
        self.wall_ns = 1_000
        self.cut: set[NodeId] = set()
        self.stalled: set[NodeId] = set()
        self.answers: dict[str, Result] = {}
        self.events: list[tuple[NodeId, ReplicaEvent]] = []
        self.diverged: dict[NodeId, Diverged] = {}
        self.notices: list[DigestNotice] = []  # all that were sent
        self._messages: deque[PeerMessage] = deque()
        self._writes: dict[NodeId, deque[Persist]] = {name: deque() for name in names}
        self._disks = {name: Durable() for name in names}
        self._waiting_calls_max = waiting_calls_max
        self._snapshot_policy = snapshot_policy
        self.snapshots_due: dict[NodeId, list[SnapshotDue]] = {}  # all that were handed out
        self.replicas = {name: self._make(name) for name in names}

    def _make(self, name: NodeId) -> Replica:
        raft = Raft(
            node_id=name,
            configuration=Configuration(voters=frozenset(self._disks)),
            hard_state=self._disks[name].hard_state,
            entries=tuple(self._disks[name].entries),
            options=RaftOptions(heartbeat_ticks=1, election_ticks=ELECTION_TICKS),
            random=NoChance(),
        )
        codec = EntryCodec(encode_batch_head, decode_batch)
        return Replica(
            raft=raft,
            ledger=Ledger(),
            applied=Applied(Term(0), b""),
            codec=codec,
            waiting_calls_max=self._waiting_calls_max,
            snapshot_policy=self._snapshot_policy,
        )

    def restart(self, name: NodeId) -> None:
        """End a node with the writes that are under way, and start it on what is durable."""
        self._writes[name].clear()
        self.replicas[name] = self._make(name)

    # Moving the world

    def step(self, name: NodeId, event: Calls | Received | Persisted | object) -> None:
        self.replicas[name].step(event, self.now_ns)  # type: ignore[arg-type]
        self.carry_out(name)

    def carry_out(self, name: NodeId) -> Effects:
        effects = self.replicas[name].ready(self.wall_ns)
        self._messages.extend(effects.send_now)
        self.notices += [message for message in effects.send_now if isinstance(message, DigestNotice)]
        self._writes[name].extend(effects.persists)
        self.events.extend((name, event) for event in effects.events)
        for reply_to, result in effects.replies:
            assert str(reply_to) not in self.answers, f"{reply_to} was answered twice"
            self.answers[str(reply_to)] = result
        if effects.snapshot_due is not None:
            self.snapshots_due.setdefault(name, []).append(effects.snapshot_due)
        if effects.diverged is not None:
            assert name not in self.diverged, f"{name} said twice that it diverged"
            self.diverged[name] = effects.diverged
        return effects

    def settle(self) -> None:
        """Deliver and complete until nothing moves."""
        for _ in range(ROUNDS_MAX):
            if not self._deliver() and not self._complete_writes():
                return
        raise AssertionError("the group does not come to rest")

    def _deliver(self) -> bool:
        delivered = bool(self._messages)
        while self._messages:
            self.deliver(0)
        return delivered

    @property
    def messages_under_way(self) -> int:
        return len(self._messages)

    def deliver(self, place: int, *, again: bool = False) -> None:
        """Deliver one of the messages that are under way; `again`: it will come once more."""
        message = self._messages[place]
        if not again:
            del self._messages[place]
        if not {message.sender, message.to} & self.cut:
            self.step(message.to, Received(message))

    def _complete_writes(self) -> bool:
        completed = False
        for name, writes in self._writes.items():
            while writes and name not in self.stalled:
                self.complete_write(name)
                completed = True
        return completed

    def complete_write(self, name: NodeId) -> None:
        """Make a node's oldest write durable, if it has one under way."""
        if self._writes[name]:
            persist = self._writes[name].popleft()
            self._disks[name].take(persist)
            self._messages.extend(persist.then_send)
            self.step(name, Persisted(persist.write_seq))

    def take_writes(self, name: NodeId) -> list[Persist]:
        """Take away what a node has to persist; the caller completes it, or does not."""
        writes = list(self._writes[name])
        self._writes[name].clear()
        return writes

    def drop_messages(self) -> None:
        """Lose whatever is on its way."""
        self._messages.clear()

    def tick(self, name: NodeId, count: int = 1) -> None:
        for _ in range(count):
            self.step(name, TICKED)

    def pass_ticks(self, name: NodeId, count: int) -> None:
        """Let one node's time pass with everything delivered in between."""
        for _ in range(count):
            self.tick(name)
            self.settle()

    def elect(self, name: NodeId) -> Replica:
        """Let a node campaign and win; its no-op is committed and applied."""
        for other in self.replicas:
            if other != name and not self.replicas[other].leads:
                self.tick(other, ELECTION_TICKS)  # long enough without a leader to vote for another
        self.drop_messages()  # whoever lost patience was not heard
        self.tick(name, 2 * ELECTION_TICKS)
        self.settle()
        assert self.replicas[name].leads
        return self.replicas[name]

    # Calls

    def write(self, name: NodeId, mark: str, command: Command, *, deadline_ns: int = NEVER_NS) -> None:
        self.step(name, Calls((write_call(mark, command, deadline_ns),)))

    def read(
        self,
        name: NodeId,
        mark: str,
        account: str,
        *,
        mode: ReadMode = LINEARIZABLE,
        deadline_ns: int = NEVER_NS,
    ) -> None:
        self.step(name, Calls((ReadCall(mark, GetBalance(AccountId(account)), mode, deadline_ns),)))


def write_call(mark: str, command: Command, deadline_ns: int = NEVER_NS) -> WriteCall:
    return WriteCall(mark, command, raw_of(command), deadline_ns)


def raw_of(command: Command) -> bytes:
    match command:
        case CreateAccount():
            body = client_codec.encode_create_account(command.account, command.initial_balance, command.request_id)
            return wrap_command(Method.CREATE_ACCOUNT, body)
        case SubmitTransfers():
            body = client_codec.encode_submit_transfers(
                command.tx_ids, command.sources, command.targets, command.amounts
            )
            return wrap_command(Method.SUBMIT_TRANSFERS, body)
        case _:
            raise AssertionError("no client sends what cannot be read")


def create(account: str, balance: int = 0) -> CreateAccount:
    return CreateAccount(AccountId(account), balance)


def transfer(tx_id: str, source: str, target: str, amount: int) -> SubmitTransfers:
    return SubmitTransfers([TxId(tx_id)], [AccountId(source)], [AccountId(target)], [amount])


def calls(*batch: Call) -> Calls:
    return Calls(batch)
