"""Drive the replica: drain every event that waits, step each, carry out the effects once.

One turn does that, without an await; everything that it hands on is a non-blocking hand-over with a
bound (docs/overview.md). Turns are taken by one task, which sleeps while nothing happens.

Under load the sleep is the batching: whatever the other tasks that are about to run will post joins
the same turn. With no call waiting, or a single one, there is nothing to gather, and `post_now` takes
the turn itself: a lone caller saves a pass of the scheduler at every hop.

Whoever's task a turn fails in, and whatever fails on the disk's way, ends the node in one place: the
loop's task raises it. A replica whose effects were lost half way must not go on, and the task of a
connection must not mistake such a failure for one of its own.

Invariant: no event is stepped and no effect carried out after the first failure.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import trio

from bankd.keeper.losses import loss_in
from bankd.node.disk import DiskWriter
from bankd.node.wake import Wake
from bankd.raft.messages import Message
from bankd.replica.core import Replica
from bankd.replica.effects import Effects, ReplicaEvent, Reply
from bankd.replica.events import Event, PeerMessage, Persisted

LONE_CALLS_MAX: Final = 1


class Outside(Protocol):
    """Where effects go."""

    def send(self, messages: Sequence[PeerMessage]) -> None: ...  # one send per connection
    def reply(self, replies: Sequence[Reply]) -> None: ...
    def observe(self, events: Sequence[ReplicaEvent]) -> None: ...
    def keep(self, effects: Effects) -> None: ...  # what concerns snapshots


def monotonic_ns() -> int:
    return int(trio.current_time() * 1e9)


class ReplicaLoop:
    def __init__(self, replica: Replica, outside: Outside, *, wall_ns: Callable[[], int]) -> None:
        self.replica = replica
        self.disk = DiskWriter(durable=self._durable, failed=self._fail)
        self._outside = outside
        self._wall_ns = wall_ns
        self._events: list[Event] = []
        self._wake = Wake()
        self._failure: Exception | None = None

    def post(self, event: Event) -> None:
        """Hand in one event; it is stepped in the loop's next turn."""
        self._events.append(event)
        self._wake.set()

    def post_now(self, events: Sequence[Event]) -> None:
        """Hand in what one receive brought, and take the turn at once if hardly anybody waits for anything.

        For tasks only. Raises nothing: a turn that fails ends the node by way of `run`.
        """
        self._events += events
        if self.replica.waiting_calls > LONE_CALLS_MAX or self._turn():
            self._wake.set()

    async def run(self) -> None:
        """Run until cancelled.

        Raises:
          UnknownEntryVersion: a committed entry is newer than this program.
          MustRefill: the node lost what it acknowledged, or its state is wrong; nothing of that turn was carried out.
          DiskFailed: a write or fsync failed; what waited for it is never acknowledged (D2).

        Cancellation: between two turns, so that no effect is half carried out.
        """
        while True:
            await self._wake.wait()
            while self._turn():
                await trio.lowlevel.checkpoint()
            if self._failure is not None:
                raise self._failure

    def _fail(self, error: Exception) -> None:
        """Take no further turn, and have `run` raise the first failure."""
        self._failure = self._failure or error
        self._wake.set()

    def _turn(self) -> bool:
        """Take a turn; True when work is left that needs no event."""
        if self._failure is not None:
            return False
        try:
            return self._step_and_carry_out()
        except Exception as error:  # raised again in the loop's task
            self._fail(error)
            return False

    def _step_and_carry_out(self) -> bool:
        replica = self.replica
        events, self._events = self._events, []
        now_ns = monotonic_ns()
        for event in events:
            replica.step(event, now_ns)
        effects = replica.ready(self._wall_ns())
        if (loss := loss_in(effects)) is not None:
            if effects.diverged is not None:
                self._outside.reply(effects.replies)  # they say nothing of the state
            raise loss
        if effects.send_now:
            self._outside.send(effects.send_now)
        if effects.replies:
            self._outside.reply(effects.replies)
        if effects.events:
            self._outside.observe(effects.events)
        if effects.snapshot_due is not None or effects.chunks_wanted or effects.chunks_received:
            self._outside.keep(effects)
        for persist in effects.persists:  # last: it may take the time of a sync
            self.disk.submit(persist)
        return effects.more

    def _durable(self, write_seq: int, messages: list[Message]) -> None:
        """Take in that a write is durable: what waited for it leaves, and the replica is told.

        Mostly nothing else follows (a follower is done, a leader waits for its followers), and then no
        turn is taken for it.
        """
        if self._failure is not None:
            return
        self._outside.send(messages)
        raft = self.replica.raft
        before = raft.commit_index, raft.role
        self.replica.step(Persisted(write_seq), monotonic_ns())
        if (raft.commit_index, raft.role) != before:
            self._wake.set()
