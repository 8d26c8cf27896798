"""A few replicas and the wires between them, moved by hand: no clock, no disk, no chance.

`settle` delivers everything and completes every write until nothing moves. Messages to a cut node
are lost; writes of a node with a stalled disk wait.
"""

from collections import deque
from collections.abc import Sequence

from bankd.ledger.commands import Command, CreateAccount, SubmitTransfers
from bankd.ledger.queries import GetBalance
from bankd.ledger.state import Ledger
from bankd.raft.core import Raft, RaftOptions
from bankd.raft.messages import Configuration, HardState, Message
from bankd.raft.ready import Persist, RaftEvent
from bankd.replica.core import Applied, EntryCodec, Replica
from bankd.replica.effects import Effects, Result
from bankd.replica.events import TICKED, Call, Calls, Persisted, ReadCall, Received, WriteCall
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


class Group:
    def __init__(self, names: Sequence[NodeId] = NAMES, *, waiting_calls_max: int = 100) -> None:
        self.now_ns = 0
        self.wall_ns = 1_000
        self.cut: set[NodeId] = set()
        self.stalled: set[NodeId] = set()
        self.answers: dict[str, Result] = {}
        self.events: list[tuple[NodeId, RaftEvent]] = []
        self._messages: deque[Message] = deque()
        self._writes: dict[NodeId, deque[Persist]] = {name: deque() for name in names}
        self.replicas = {name: self._make(name, names, waiting_calls_max) for name in names}

    def _make(self, name: NodeId, names: Sequence[NodeId], waiting_calls_max: int) -> Replica:
        raft = Raft(
            node_id=name,
            configuration=Configuration(voters=frozenset(names)),
            hard_state=HardState(),
            entries=(),
            options=RaftOptions(heartbeat_ticks=1, election_ticks=ELECTION_TICKS),
            random=NoChance(),
        )
        codec = EntryCodec(encode_batch_head, decode_batch)
        return Replica(
            raft=raft,
            ledger=Ledger(),
            applied=Applied(Term(0), b""),
            codec=codec,
            waiting_calls_max=waiting_calls_max,
        )

    # Moving the world

    def step(self, name: NodeId, event: Calls | Received | Persisted | object) -> None:
        self.replicas[name].step(event, self.now_ns)  # type: ignore[arg-type]
        self.carry_out(name)

    def carry_out(self, name: NodeId) -> Effects:
        effects = self.replicas[name].ready(self.wall_ns)
        self._messages.extend(effects.send_now)
        self._writes[name].extend(effects.persists)
        self.events.extend((name, event) for event in effects.events)
        for reply_to, result in effects.replies:
            assert str(reply_to) not in self.answers, f"{reply_to} was answered twice"
            self.answers[str(reply_to)] = result
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
            message = self._messages.popleft()
            if not {message.sender, message.to} & self.cut:
                self.step(message.to, Received(message))
        return delivered

    def _complete_writes(self) -> bool:
        completed = False
        for name, writes in self._writes.items():
            while writes and name not in self.stalled:
                persist = writes.popleft()
                self._messages.extend(persist.then_send)
                self.step(name, Persisted(persist.write_seq))
                completed = True
        return completed

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
