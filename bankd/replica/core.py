"""One node's mind: Raft decides the order, the ledger applies it, and whoever waits is answered.

The driver hands in events with `step`, then asks once for `ready()` and carries out the effects
(docs/overview.md). Everything that waited becomes **one** log entry; everything that became
committed is applied here, at once, in log order.

Rules
- Time comes in: `now_ns` is the driver's monotonic clock, `wall_ns` stamps entries (K15). Stamps
  strictly increase along the log: a leader proposes only once its own no-op is applied, by when it
  has seen every earlier stamp.
- A leader that is deposed answers all that it had logged with "outcome unknown" at once, and all
  that it had not with "not leader": a client that asks again elsewhere, with the same id, gets the
  truth sooner than one that waits here.
- Bounds are enforced where work enters: `waiting_calls_max` calls in all, `APPLY_BYTES_MAX` applied
  in one `ready()` so that a long replay never holds up heartbeats, `GATHERED_BYTES_MAX` held unlogged.

Invariant: `ledger.applied_index` <= `raft.commit_index`, and entries are applied without gaps.
Invariant: every call that was stepped in is answered exactly once.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol, assert_never

import attrs

from bankd.errors import Refusal
from bankd.ledger.commands import Command
from bankd.ledger.state import Ledger
from bankd.raft.core import NotLeader, ProposalRefused, Raft
from bankd.raft.messages import Entry, EntryType, Message
from bankd.raft.ready import LeadershipTransferAborted, Persist, RaftEvent, Ready, Role, RoleChanged
from bankd.replica import refusals
from bankd.replica.digests import DigestRing
from bankd.replica.effects import Effects, ReadDone, Reply, Result
from bankd.replica.events import (
    Call,
    Calls,
    DigestCall,
    DiskSpace,
    Event,
    HandOverCall,
    PeerUnreachable,
    Persisted,
    ReadCall,
    Received,
    ReplyTo,
    Ticked,
    WriteCall,
)
from bankd.replica.handover import HandOver
from bankd.replica.reads import Reads
from bankd.replica.writes import Writes, split_by_bytes
from bankd.status import DigestReport
from bankd.types import Lease, Linearizable, LogIndex, Stale, TimeNs

APPLY_BYTES_MAX: Final = 4 * 1024 * 1024  # about 30 ms of applying, a third of a heartbeat
GATHERED_BYTES_MAX: Final = 64 * 1024 * 1024  # of calls that wait while a new leader takes over
SWEEP_TICKS: Final = 4  # deadlines are coarse: a sweep over all that waits, every few ticks
PASSES_MAX: Final = 3  # of one ready(): what the first pass releases, the second may propose, the third empties


class Batch(Protocol):
    """A decoded log entry."""

    @property
    def time_ns(self) -> TimeNs: ...
    @property
    def commands(self) -> Sequence[Command]: ...


@attrs.frozen
class EntryCodec:
    """How commands look as bytes, which this layer does not know."""

    encode_head: Callable[[TimeNs], bytes]
    decode: Callable[[bytes], Batch]  # raises UnknownEntryVersion, and nothing else


class Replica:
    def __init__(self, *, raft: Raft, ledger: Ledger, codec: EntryCodec, waiting_calls_max: int) -> None:
        self.raft = raft
        self.ledger = ledger
        self.digests = DigestRing(ledger.applied_index, ledger.digest)
        self._codec = codec
        self._waiting_calls_max = waiting_calls_max
        self._writes = Writes()
        self._reads = Reads()
        self._hand_over = HandOver()
        self._to_apply: deque[Entry] = deque()
        self._replies: list[Reply] = []
        self._last_stamp = TimeNs(0)
        self._may_propose = False  # leads, and has applied its own no-op
        self._disk_has_room = True
        self._now_ns = 0
        self._ticks = 0

    # Views

    @property
    def waiting_calls(self) -> int:
        """Calls taken in and not yet answered."""
        return self._writes.count + self._reads.count

    @property
    def leads(self) -> bool:
        return self.raft.role is Role.LEADER

    # Events in

    def step(self, event: Event, now_ns: int) -> None:
        """Take in one event at monotonic time `now_ns`. What follows from it is handed out by `ready`."""
        self._now_ns = now_ns
        match event:
            case Calls(calls=calls):
                for call in calls:
                    self._take(call)
            case Received(message=message):
                self.raft.step(message)
            case Persisted(write_seq=write_seq):
                self.raft.persisted(write_seq)
            case Ticked():
                self._tick()
            case PeerUnreachable(peer=peer):
                self.raft.report_unreachable(peer)
            case DiskSpace(enough=enough):
                self._disk_has_room = enough
            case _:
                assert_never(event)

    def _take(self, call: Call) -> None:
        if self.waiting_calls >= self._waiting_calls_max:
            self._answer(call.reply_to, refusals.overloaded())
            return
        match call:
            case WriteCall():
                self._take_write(call)
            case ReadCall():
                if isinstance(call.mode, Lease):
                    self._answer(call.reply_to, refusals.lease_not_configured())
                elif self.raft.leader_id is None and not isinstance(call.mode, Stale):
                    self._answer(call.reply_to, refusals.not_leader(None))
                else:
                    self._reads.add(call, self._now_ns)
            case DigestCall():
                index = call.index or self.ledger.applied_index
                self._reads.add(attrs.evolve(call, index=index), self._now_ns)
            case HandOverCall():
                self._hand_over.begin(call, self.raft, self._answer)
            case _:
                assert_never(call)

    def _take_write(self, call: WriteCall) -> None:
        if not self.leads:
            self._answer(call.reply_to, refusals.not_leader(self.raft.leader_id))
        elif not self._disk_has_room:
            self._answer(call.reply_to, refusals.disk_full())
        elif self._writes.gathered_bytes > GATHERED_BYTES_MAX:
            self._answer(call.reply_to, refusals.overloaded())
        else:
            self._writes.gather(call)

    def _tick(self) -> None:
        self.raft.tick()
        self._ticks += 1
        if self._ticks % SWEEP_TICKS == 0:
            self._expire()

    def _expire(self) -> None:
        leader_id = self.raft.leader_id
        for mark in self._writes.expire_gathered(self._now_ns):
            self._answer(mark, refusals.deadline_passed(leader_id))
        for mark in self._writes.expire_logged(self._now_ns):
            self._answer(mark, refusals.outcome_unknown(leader_id))
        for call in self._reads.expire(self._now_ns):
            self._answer(call.reply_to, refusals.deadline_passed(leader_id))
        self._hand_over.expire(self._now_ns, self._answer)

    # Effects out

    def ready(self, wall_ns: int) -> Effects:
        """Hand out everything that is to be done since the last call.

        `wall_ns`: nanoseconds since 1970 UTC, the lower bound of the stamps made now.

        Raises:
          UnknownEntryVersion: a committed entry is newer than this program; the node must end (K14).
        """
        sends: list[Message] = []
        persists: list[Persist] = []
        events: list[RaftEvent] = []
        for _ in range(PASSES_MAX):
            self._propose_gathered(wall_ns)
            self._ask_for_reads()
            ready = self.raft.ready()
            sends += ready.send_now
            if ready.persist is not None:
                persists.append(ready.persist)
            events += ready.events
            self._carry_out(ready)
            if not (self._reads.any_ready_to_ask or (self._writes.any_gathered and self._may_propose)):
                break
        replies, self._replies = self._replies, []
        return Effects(tuple(sends), tuple(persists), tuple(replies), tuple(events), more=bool(self._to_apply))

    def _propose_gathered(self, wall_ns: int) -> None:
        if not (self._writes.any_gathered and self._may_propose and self.raft.can_serve):
            return
        for calls in split_by_bytes(self._writes.take_gathered()):
            self._propose(calls, wall_ns)

    def _propose(self, calls: Sequence[WriteCall], wall_ns: int) -> None:
        stamp = TimeNs(max(wall_ns, self._last_stamp + 1, self.ledger.last_time_ns + 1))
        body = self._codec.encode_head(stamp) + b"".join([call.raw for call in calls])
        try:
            index = self.raft.propose([(EntryType.COMMANDS, body)])
        except NotLeader:
            self._answer_all(calls, refusals.not_leader(self.raft.leader_id))
        except ProposalRefused:
            self._answer_all(calls, refusals.overloaded())
        else:
            self._last_stamp = stamp
            self._writes.logged(index, self.raft.term, stamp, calls)

    def _ask_for_reads(self) -> None:
        read_id = self._reads.next_round(self._now_ns)
        if read_id is not None:
            self.raft.request_read(read_id)

    def _carry_out(self, ready: Ready) -> None:
        for event in ready.events:
            if isinstance(event, RoleChanged):
                self._role_changed(event)
            elif isinstance(event, LeadershipTransferAborted):
                self._hand_over.aborted(event, self.raft.node_id, self._answer)
        self._to_apply.extend(ready.committed)
        self._apply()
        if not self._may_propose:
            # Serving means that the no-op is committed; nothing left to apply, that every earlier stamp is seen.
            self._may_propose = self.raft.can_serve and not self._to_apply
        for state in ready.read_states:
            self._reads.confirmed(state.read_id, state.index)
        for refused in ready.reads_refused:
            for call in self._reads.refused(refused.read_id):
                self._answer(call.reply_to, refusals.read_not_confirmed(self.raft.leader_id))
        self._answer_ripe_reads()

    def _role_changed(self, event: RoleChanged) -> None:
        self._may_propose = False
        if event.role is not Role.LEADER:
            for mark in self._writes.abandon():
                self._answer(mark, refusals.outcome_unknown(event.leader_id))
            for call in self._writes.take_gathered():
                self._answer(call.reply_to, refusals.not_leader(event.leader_id))
        self._hand_over.role_changed(event, self._answer)

    def _apply(self) -> None:
        budget = APPLY_BYTES_MAX
        while self._to_apply and budget > 0:
            entry = self._to_apply.popleft()
            budget -= len(entry.body) + 1
            if entry.type is EntryType.COMMANDS:
                self._apply_commands(entry)
            else:
                self.ledger.skip(entry.index)
            self.digests.record(entry.index, self.ledger.digest)

    def _apply_commands(self, entry: Entry) -> None:
        ours = self._writes.take_logged(entry.index, entry.term)
        if ours is None:
            batch = self._codec.decode(entry.body)
            self.ledger.apply(entry.index, batch.time_ns, batch.commands)
            return
        outcomes = self.ledger.apply(entry.index, ours.time_ns, ours.commands)
        for mark, outcome in zip(ours.reply_tos, outcomes, strict=True):
            if mark is not None:
                self._replies.append(Reply(mark, outcome))

    def _answer_ripe_reads(self) -> None:
        applied = self.ledger.applied_index
        for call in self._reads.ripe(applied):
            if isinstance(call, DigestCall):
                self._answer(call.reply_to, self._digest_at(call.index))
            else:
                age_ms = 0 if isinstance(call.mode, Linearizable) else self._reads.age_ms(self._now_ns)
                self._answer(call.reply_to, ReadDone(self.ledger.read(call.query), applied, age_ms))

    def _digest_at(self, index: LogIndex) -> DigestReport | Refusal:
        digest = self.digests.at(index)
        if digest is None:
            return refusals.digest_forgotten(index, self.digests.oldest)
        return DigestReport(index, digest, self.ledger.imbalance())

    def _answer(self, reply_to: ReplyTo, result: Result) -> None:
        self._replies.append(Reply(reply_to, result))

    def _answer_all(self, calls: Sequence[WriteCall], refusal: Refusal) -> None:
        for call in calls:
            self._answer(call.reply_to, refusal)
