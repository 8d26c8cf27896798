"""One run of the program on a simulated machine: drive a replica as bankd/node does (docs/overview.md).

Events are gathered and stepped in one turn, then the replica is asked once for its effects: what may leave leaves,
answers go back, writes go to the writer, and what waits for a write leaves when that is durable. A
completion that changes nothing takes no turn. Turns take no time, but an event may wait for others (`turn_ns`).

Ticks that only count are handed over in bulk, before whatever else comes next (`clocks.Ticks`), and the process is
woken for those that are due. The replica sees every tick, in its order.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import attrs

from bankd.boot import Opened
from bankd.errors import DiskFull, Refusal
from bankd.keeper.acquaintances import Acquaintances
from bankd.keeper.keeper import Keeper
from bankd.keeper.losses import loss_in
from bankd.raft.messages import Message
from bankd.raft.ready import Refilled, Role, RoleChanged
from bankd.replica import refusals
from bankd.replica.core import Replica
from bankd.replica.effects import Effects, Result
from bankd.replica.events import TICKED, Calls, Event, HandOverCall, Persisted, ReadCall, WriteCall
from bankd.sim.ask import Ask
from bankd.sim.clocks import Clock, Ticks
from bankd.sim.disk import SimDisk
from bankd.sim.lanes import drive
from bankd.sim.surroundings import Surroundings
from bankd.sim.writer import Writer
from bankd.storage.refill import clear
from bankd.types import NodeId
from bankd.wire.hello import Hello, PeerRole, judge_hello
from bankd.wire.methods import WRITES, Method
from bankd.wire.requests import Read, Write, decode_request

NEVER_NS: Final = 2**62
MORE_NS: Final = 1_000_000  # a turn that leaves work behind is followed by the next one after that long


@attrs.frozen(eq=False)
class ReplyTo:
    """Where one answer goes. Every call taken in gets one of its own."""

    ask: Ask


class Machine(Protocol):
    """What a process sees of its node."""

    name: NodeId
    clock: Clock
    disk: SimDisk
    turn_ns: int
    tick_ns: int  # of world time


class Process:
    def __init__(
        self,
        machine: Machine,
        world: Surroundings,
        opened: Opened,
        replica: Replica,
        later: Callable[..., None],
        disk_later: Callable[..., None],
        snapshot_chunk_bytes: int,
        heeded: dict[NodeId, int],
    ) -> None:
        """`later` and `disk_later` have something happen in this very process after so long, or never once it has ended."""
        self.replica = replica
        self._machine = machine
        self._world = world
        self._later = partial(later, self)
        self._writer = Writer(opened.wal, machine.disk, partial(disk_later, self), self._durable)
        self.keeper = Keeper(
            opened.store,
            opened.identity.cluster_id,
            opened.wal.prune,
            partial(clear, machine.disk, opened.data_dir.path),
            self._kept,
            lambda what, index, words: None,
            sent_bytes=snapshot_chunk_bytes,
        )
        self.acquaintances = Acquaintances(opened.peers, heeded, lambda words: None)
        self._identity, self._starts, self._copied = opened.identity, opened.recovered.starts, opened.copied
        for lane in (*self.keeper.lanes, self.acquaintances.lane):
            drive(lane, machine.disk, partial(disk_later, self))
        self._ticks = Ticks(world.queue.now_ns, machine.tick_ns)
        self._woken_at_ns = NEVER_NS
        self._events: list[Event] = []
        self._stepped: list[Event] = []  # since the replica was last asked for effects
        self._turn_is_due = False

    # Events in

    def receive(self, event: Event) -> None:
        """Take in an event: in the turn that is due, or at once, or together with what comes within `turn_ns`."""
        self._events.append(event)
        if self._turn_is_due:
            return
        if self._machine.turn_ns:
            self._turn_later(self._machine.turn_ns)
        else:
            self.turn()

    def _kept(self, event: Event) -> None:
        """Take in what became of a snapshot. Where the log finds no room in the turn that follows, that is not the keeper's
        affair, which would take it for its own."""
        try:
            self.receive(event)
        except DiskFull as full:
            self._later(0, _raise, full)

    def ask(self, ask: Ask) -> None:
        """Take in a call: a write goes to the leader, by one hop at most, everything else is answered here."""
        if ask.method in WRITES and not self.replica.leads:
            self._forward(ask)
            return
        request = decode_request(ask.method, ask.body)
        deadline_ns = self._machine.clock.monotonic_ns(self._world.queue.now_ns) + ask.timeout_ns
        match request:
            case Refusal():
                ask.answer(request)
            case Write():
                self.receive(Calls((WriteCall(ReplyTo(ask), request.command, request.raw, deadline_ns),)))
            case Read():
                self.receive(Calls((ReadCall(ReplyTo(ask), request.query, request.mode, deadline_ns),)))
            case _:
                raise AssertionError(f"no client asks {request!r}")

    def _forward(self, ask: Ask) -> None:
        leader_id = self.replica.raft.leader_id
        if leader_id is None or ask.hopped:
            ask.answer(refusals.not_leader(leader_id))
            return
        back = partial(self._world.network.carry, leader_id, self._machine.name, self._pass_back, ask)
        self._world.network.forward(self._machine.name, leader_id, attrs.evolve(ask, hopped=True, answer=back))

    def _pass_back(self, ask: Ask, result: Result) -> None:
        self._later(0, ask.answer, result)

    def hand_over(self, target: NodeId, for_ns: int) -> None:
        """Take in an operator's call; nobody waits for the answer."""
        deadline_ns = self._machine.clock.monotonic_ns(self._world.queue.now_ns) + for_ns
        ask = Ask(Method.TRANSFER_LEADERSHIP, b"", for_ns, lambda result: None)
        self.receive(Calls((HandOverCall(ReplyTo(ask), target, deadline_ns),)))

    def oversleep(self) -> None:
        """The process was stopped until now: a tick is overdue, and what waited is stepped in one turn with it."""
        self._ticks.restart(self._world.queue.now_ns)
        self._woken_at_ns = NEVER_NS
        self._turn_later(0)

    # Other nodes

    def hello(self) -> Hello:
        return Hello(
            PeerRole.PEER,
            node_id=self._machine.name,
            incarnation=self._identity.incarnation,
            boots=self._starts.boots,
            nonces=self._starts.nonces,
            refilling=self.replica.raft.is_refilling,
            copied=self._copied and self.replica.raft.is_refilling,
        )

    def meet(self, theirs: Hello) -> Refusal | None:
        """Judge another node by its Hello, and note it; or why not."""
        refusal = judge_hello(self.hello(), theirs, known=self.acquaintances.known(theirs.node_id))
        if refusal is None:
            self.acquaintances.met(theirs.node_id, theirs.start)
        return refusal

    # Turns

    def turn(self) -> None:
        world, replica, clock = self._world, self.replica, self._machine.clock
        now_ns = world.queue.now_ns
        self._turn_is_due = False
        self._pass_ticks(now_ns)
        events, self._events = self._events, []
        monotonic_ns = clock.monotonic_ns(now_ns)
        for event in events:
            replica.step(event, monotonic_ns)
        stepped, self._stepped = self._stepped + events, []
        effects = replica.ready(clock.wall_ns(now_ns))
        loss = loss_in(effects)
        for watcher in world.watchers:
            watcher.turned(now_ns, self._machine.name, replica, stepped, effects)
        if loss is not None:
            if effects.diverged is not None:
                self._answer(effects)
            raise loss
        self._carry_out(effects)
        self._wake_in_time()

    def _answer(self, effects: Effects) -> None:
        for reply in effects.replies:
            assert isinstance(reply.reply_to, ReplyTo), f"an answer for {reply.reply_to!r}"
            reply.reply_to.ask.answer(reply.result)

    def _carry_out(self, effects: Effects) -> None:
        for message in effects.send_now:
            self._world.network.send(message)
        self._answer(effects)
        for event in effects.events:
            if isinstance(event, RoleChanged) and event.role is Role.LEADER:
                self._world.elections += 1
            elif isinstance(event, Refilled):
                self.keeper.refilled()
        for persist in effects.persists:
            self._writer.submit(persist)
        self.keeper.carry_out(effects)
        if effects.more:
            self._turn_later(MORE_NS)

    def _durable(self, write_seq: int, messages: list[Message]) -> None:
        world, replica = self._world, self.replica
        now_ns = world.queue.now_ns
        for watcher in world.watchers:
            watcher.durable(now_ns, self._machine.name, write_seq)
        for message in messages:
            world.network.send(message)
        self._pass_ticks(now_ns)
        raft = replica.raft
        before = raft.commit_index, raft.role
        self._step(Persisted(write_seq), now_ns)
        if (raft.commit_index, raft.role) != before:
            self._turn_later(0)

    def _step(self, event: Event, now_ns: int) -> None:
        self.replica.step(event, self._machine.clock.monotonic_ns(now_ns))
        self._stepped.append(event)

    def _turn_later(self, delay_ns: int) -> None:
        self._turn_is_due = True
        self._later(delay_ns, self.turn)

    # Ticks

    def _pass_ticks(self, now_ns: int) -> None:
        """Hand over the ticks that have fallen."""
        replica = self.replica
        left = self._ticks.take(now_ns)
        while left:
            quiet = min(left, replica.ticks_until_due - 1)
            if quiet:
                replica.let_pass(quiet)
            else:
                self._step(TICKED, now_ns)
            left -= quiet or 1

    def _wake_in_time(self) -> None:
        """See to it that a turn is taken when the next tick is due."""
        if self._woken_at_ns <= self._ticks.falls_at(1):
            return
        due_ns = self._ticks.falls_at(self.replica.ticks_until_due)
        if due_ns < self._woken_at_ns:
            self._woken_at_ns = due_ns
            self._later(due_ns - self._world.queue.now_ns, self._wake, due_ns)

    def _wake(self, due_ns: int) -> None:
        if due_ns != self._woken_at_ns:
            return  # an earlier one was asked for since
        self._woken_at_ns = NEVER_NS
        if self._ticks.falls_at(self.replica.ticks_until_due) <= self._world.queue.now_ns:
            self.turn()
        else:
            self._wake_in_time()


def _raise(error: Exception) -> None:
    raise error
