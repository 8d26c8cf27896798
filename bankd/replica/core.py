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
  truth sooner than one that waits here. What is committed already is answered by its outcome.
- Digests are compared with the other nodes' (`comparison`). Once this node's state is known to be wrong nothing that
  rests on it, or might, leaves any more: its driver ends the replica, and has the state fetched anew.
- Bounds are enforced where work enters: `waiting_calls_max` writes and as many reads, which do not
  take each other's places (K13), one hand-over, `GATHERED_BYTES_MAX` held unlogged. One `ready()`
  applies and answers as much as `costs` allows, so that no backlog ever holds up heartbeats.

Invariant: `ledger.applied_index` <= `raft.commit_index`, and entries are applied without gaps.
Invariant: every call that was stepped in is answered exactly once.
"""

from collections.abc import Sequence
from typing import Final, assert_never

import attrs

from bankd.errors import Refusal
from bankd.ledger.state import Ledger
from bankd.raft.core import NotLeader, ProposalRefused, Raft
from bankd.raft.messages import EntryType, SnapshotRef
from bankd.raft.ready import LeadershipTransferAborted, Persist, Ready, Role, RoleChanged
from bankd.replica import costs, refusals
from bankd.replica.applying import Applied, Applying, EntryCodec
from bankd.replica.comparison import Comparison, DigestNotice
from bankd.replica.effects import NO_EFFECTS, Effects, ReadDone, ReplicaEvent, Reply, Result, without_state
from bankd.replica.events import (
    Call,
    Calls,
    ChunkKept,
    ChunkRead,
    DigestCall,
    DiskSpace,
    Event,
    HandOverCall,
    LossForgotten,
    PeerMessage,
    PeerUnreachable,
    Persisted,
    ReadCall,
    Received,
    ReplyTo,
    SnapshotCall,
    SnapshotFailed,
    SnapshotReceived,
    SnapshotSealed,
    Ticked,
    WriteCall,
)
from bankd.replica.handover import HandOver
from bankd.replica.reads import Reads
from bankd.replica.snapshots import NO_SNAPSHOTS, SnapshotPolicy, Snapshots
from bankd.replica.writes import ENTRY_BYTES_MAX, Writes, split_by_bytes
from bankd.status import DigestReport
from bankd.types import Bounded, Lease, Linearizable, LogIndex, TimeNs

__all__ = ["Applied", "EntryCodec", "Replica", "SnapshotPolicy"]

GATHERED_BYTES_MAX: Final = 64 * 1024 * 1024  # of calls that wait while a new leader takes over
SWEEP_TICKS: Final = 4  # deadlines are coarse: a sweep over all that waits, every few ticks
COMPARE_TICKS: Final = 10 * SWEEP_TICKS  # 20 heartbeats, 2 s as bankd ticks: a few dozen bytes between any two nodes
PASSES_MAX: Final = 3  # of one ready(): what the first pass releases, the second may propose, the third empties


class Replica:
    def __init__(
        self,
        *,
        raft: Raft,
        ledger: Ledger,
        applied: Applied,
        codec: EntryCodec,
        waiting_calls_max: int,
        entry_bytes_max: int = ENTRY_BYTES_MAX,
        snapshot_policy: SnapshotPolicy = NO_SNAPSHOTS,
        snapshot: SnapshotRef | None = None,
    ) -> None:
        """`applied` belongs to `ledger`; `snapshot` is the newest that is durable here, as given to `raft`."""
        self.raft = raft
        self.ledger = ledger
        self._codec = codec
        self._waiting_calls_max = waiting_calls_max
        self._entry_bytes_max = entry_bytes_max
        self._writes = Writes()
        self._reads = Reads()
        self._hand_over = HandOver()
        self._applying = Applying(ledger, applied, codec, self._writes)
        self._comparison = Comparison(raft, self.digest_at)
        self._divergence_told = False
        self.snapshots = Snapshots(snapshot_policy, raft, self._applying, snapshot)
        self._apply_ns_left = 0  # of one ready(), whatever the number of its passes
        self._answer_ns_left = 0
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
        return self._writes.count + self._reads.count + self._hand_over.count + self.snapshots.count

    @property
    def leads(self) -> bool:
        return self.raft.role is Role.LEADER

    @property
    def is_quarantined(self) -> bool:
        """Whether this node's state was found to be wrong: it takes no more calls and says nothing more to its peers."""
        return self._comparison.diverged is not None

    @property
    def ticks_until_due(self) -> int:
        """The first tick from now on that may do more than count, unless another event comes before it; at least 1."""
        due = self.raft.ticks_until_due
        return min(due, SWEEP_TICKS - self._ticks % SWEEP_TICKS) if self.waiting_calls else due

    def digest_at(self, index: LogIndex) -> bytes | None:
        """The state digest right after `index`, or None when it is no longer, or not yet, kept."""
        return self._applying.digests.at(index)

    # Events in

    def step(self, event: Event, now_ns: int) -> None:
        """Take in one event at monotonic time `now_ns`. What follows from it is handed out by `ready`."""
        self._now_ns = now_ns
        match event:
            case Calls(calls=calls):
                self._take_all(calls)
            case Received(message=message):
                if isinstance(message, DigestNotice):
                    self._comparison.hear(message)
                else:
                    self.raft.step(message)
            case Persisted(write_seq=write_seq):
                self.raft.persisted(write_seq)
            case Ticked():
                self._tick()
            case PeerUnreachable(peer=peer):
                self.raft.report_unreachable(peer)
            case DiskSpace(enough=enough):
                self._disk_has_room = enough
            case LossForgotten():
                self.raft.trust()
            case _:
                self._step_snapshot(event)

    def _step_snapshot(self, event: SnapshotSealed | SnapshotFailed | ChunkRead | ChunkKept | SnapshotReceived) -> None:
        match event:
            case SnapshotSealed():
                self.snapshots.sealed(event, self._answer)
            case SnapshotFailed():
                self.snapshots.failed(event, self._answer)
            case ChunkRead(wanted=wanted, data=None):
                self.raft.chunk_unreadable(wanted)
                self.snapshots.unreadable(wanted.snapshot)
            case ChunkRead(wanted=wanted, data=bytes() as data):
                self.raft.send_chunk(wanted, data)
            case ChunkKept(snapshot=snapshot, received_bytes=received_bytes):
                self.raft.chunk_kept(snapshot, received_bytes)
            case SnapshotReceived():
                self._install(event)
            case _:
                raise AssertionError(f"{event} is no event of a snapshot")

    def _install(self, event: SnapshotReceived) -> None:
        """Put the leader's state in the place of ours, unless the log has come as far by itself meanwhile."""
        if self.raft.install(event.snapshot, event.configuration):
            self.ledger = event.ledger
            self._applying.restart(event.ledger, Applied(event.snapshot.term, event.configuration_body))
        self.snapshots.became_durable(event.snapshot, event.covered_index)

    def _take_all(self, calls: Sequence[Call]) -> None:
        if self.is_quarantined:
            self._answer_all(calls, refusals.quarantined())
            return
        for call in calls:
            self._take(call)

    def _take(self, call: Call) -> None:
        match call:
            case WriteCall():
                self._take_write(call)
            case ReadCall() | DigestCall():
                self._take_read(call)
            case HandOverCall():
                self._hand_over.begin(call, self.raft, self._answer)
            case SnapshotCall():
                self.snapshots.ask(call, self._answer)
            case _:
                assert_never(call)

    def _take_write(self, call: WriteCall) -> None:
        if not self.leads:
            self._answer(call.reply_to, refusals.not_leader(self.raft.leader_id))
        elif not self._disk_has_room:
            self._answer(call.reply_to, refusals.disk_full())
        elif self._writes.count >= self._waiting_calls_max or self._writes.gathered_bytes > GATHERED_BYTES_MAX:
            self._answer(call.reply_to, refusals.overloaded())
        else:
            self._writes.gather(call)

    def _take_read(self, call: ReadCall | DigestCall) -> None:
        if self._reads.count >= self._waiting_calls_max:
            self._answer(call.reply_to, refusals.overloaded())
        elif isinstance(call, DigestCall):
            index = call.index or self.ledger.applied_index
            self._reads.add(attrs.evolve(call, index=index), self._now_ns)
        elif isinstance(call.mode, Lease):
            self._answer(call.reply_to, refusals.lease_not_configured())
        elif self.raft.leader_id is None and self._reads.needs_round(call.mode, self._now_ns):
            self._answer(call.reply_to, refusals.not_leader(None))
        else:
            self._reads.add(call, self._now_ns)

    def let_pass(self, ticks: int) -> None:
        """Let so many ticks pass, fewer than `ticks_until_due`: the same as stepping `Ticked` as often, and cheaper.

        `ready` has nothing to hand out because of it.
        """
        self.raft.let_pass(ticks)
        self._ticks += ticks

    def _tick(self) -> None:
        self.raft.tick()
        self._ticks += 1
        if self._ticks % SWEEP_TICKS == 0:
            self._expire()
            if self._ticks % COMPARE_TICKS == 0 and self.leads:
                self._comparison.begin(self.ledger.applied_index)

    def _expire(self) -> None:
        leader_id = self.raft.leader_id
        for mark in self._writes.expire_gathered(self._now_ns):
            self._answer(mark, refusals.deadline_passed(leader_id))
        for mark in self._writes.expire_logged(self._now_ns):
            self._answer(mark, refusals.outcome_unknown(leader_id))
        for call in self._reads.expire(self._now_ns):
            self._answer(call.reply_to, refusals.deadline_passed(leader_id))
        self._hand_over.expire(self._now_ns, self._answer)
        self.snapshots.expire(self._now_ns, self._answer, refusals.snapshot_under_way())

    # Effects out

    def ready(self, wall_ns: int) -> Effects:
        """Hand out everything that is to be done since the last call.

        `wall_ns`: nanoseconds since 1970 UTC, the lower bound of the stamps made now.

        Raises:
          UnknownEntryVersion: a committed entry is newer than this program; the node must end (K14).
        """
        if self._comparison.diverged is not None:
            return self._withdraw()
        self._apply_ns_left, self._answer_ns_left = costs.APPLY_NS_MAX, costs.ANSWER_NS_MAX
        ready = self._pass(wall_ns)
        sends: tuple[PeerMessage, ...] = ready.send_now
        events: tuple[ReplicaEvent, ...] = ready.events
        chunks_wanted, chunks_received = ready.chunks_wanted, ready.chunks_received
        persists: tuple[Persist, ...] = () if ready.persist is None else (ready.persist,)
        for _ in range(PASSES_MAX - 1):
            if not (self._reads.any_ready_to_ask or (self._writes.any_gathered and self._may_propose)):
                break
            ready = self._pass(wall_ns)
            sends += ready.send_now
            events += ready.events
            chunks_wanted += ready.chunks_wanted
            chunks_received += ready.chunks_received
            if ready.persist is not None:
                persists += (ready.persist,)
        if self._comparison.has_news:
            if self._comparison.diverged is not None:  # by what was applied just now
                return self._withdraw()
            notices, differences = self._comparison.take_news()
            sends += notices
            events += differences
        more = bool(self._applying.backlog) or self._reads.any_ripe
        due = self.snapshots.freeze(self.ledger) if self.snapshots.is_due else None
        if not (sends or persists or events or more or self._replies or chunks_wanted or chunks_received or due):
            return NO_EFFECTS
        replies, self._replies = tuple(self._replies), []
        return Effects(sends, persists, replies, events, due, chunks_wanted, chunks_received, more)

    def _withdraw(self) -> Effects:
        """The last effects of a replica whose state is wrong: answers that say nothing of it.

        Entries and votes that this turn would have written are dropped with what waits for them: nobody has heard of
        them.
        """
        self._replies = [without_state(reply) for reply in self._replies]
        self._answer_all(self._writes.take_gathered(), refusals.quarantined())
        for mark in self._writes.abandon(()):
            self._answer(mark, refusals.outcome_unknown(None))
        self._answer_all(self._reads.abandon(), refusals.quarantined())
        self._hand_over.abandon(refusals.quarantined(), self._answer)
        self.snapshots.abandon(refusals.quarantined(), self._answer)
        replies, self._replies = tuple(self._replies), []
        diverged = None if self._divergence_told else self._comparison.diverged
        self._divergence_told = True
        return Effects(replies=replies, diverged=diverged)

    def _pass(self, wall_ns: int) -> Ready:
        if self._writes.any_gathered:
            self._propose_gathered(wall_ns)
        if self._reads.any_ready_to_ask:
            self._ask_for_reads()
        ready = self.raft.ready()
        if self._concerns_us(ready):
            self._carry_out(ready)
        return ready

    def _concerns_us(self, ready: Ready) -> bool:
        """Whether there may be something to apply or to answer. Most turns bring heartbeats alone."""
        return bool(
            ready.committed
            or ready.events
            or ready.read_states
            or ready.reads_refused
            or self._applying.backlog
            or self.waiting_calls
        )

    def _propose_gathered(self, wall_ns: int) -> None:
        if not (self._may_propose and self.raft.can_serve):
            return
        for calls in split_by_bytes(self._writes.take_gathered(), self._entry_bytes_max):
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
        backlog = self._applying.backlog
        # A leader waits for what a follower writes, and nobody for what it applies: the write goes first, and
        # applying has the next turn. Once, so that a stream of writes cannot put it off for ever.
        write_first = ready.persist is not None and not self.leads and not backlog
        backlog.extend(ready.committed)  # before the role changes, which spare calls that are committed
        for event in ready.events:
            if isinstance(event, RoleChanged):
                self._role_changed(event)
            elif isinstance(event, LeadershipTransferAborted):
                self._hand_over.aborted(event, self.raft.node_id, self._answer)
        self._hand_over.follow(self.raft, self._answer)
        if not write_first:
            self._apply_ns_left = self._applying.apply(self._apply_ns_left, self._replies)
            if self._comparison.is_awaiting:
                self._comparison.follow()
        if not self._may_propose:
            # Serving means that the no-op is committed; nothing left to apply, that every earlier stamp is seen.
            self._may_propose = self.raft.can_serve and not backlog
        for state in ready.read_states:
            self._reads.confirmed(state.read_id, state.index)
        for refused in ready.reads_refused:
            for call in self._reads.refused(refused.read_id):
                self._answer(call.reply_to, refusals.read_not_confirmed(self.raft.leader_id))
        self._answer_ripe_reads()

    def _role_changed(self, event: RoleChanged) -> None:
        self._may_propose = False
        if event.role is not Role.LEADER:
            for mark in self._writes.abandon(self._applying.backlog):
                self._answer(mark, refusals.outcome_unknown(event.leader_id))
            for call in self._writes.take_gathered():
                self._answer(call.reply_to, refusals.not_leader(event.leader_id))

    def _answer_ripe_reads(self) -> None:
        for call in self._reads.ripe(self.ledger.applied_index):
            result = self._digest_at(call.index) if isinstance(call, DigestCall) else self._read(call)
            self._answer(call.reply_to, result)
            self._answer_ns_left -= costs.answering_ns(result, self.ledger.account_count)
            if self._answer_ns_left <= 0:
                break

    def _read(self, call: ReadCall) -> ReadDone | Refusal:
        age_ms = 0 if isinstance(call.mode, Linearizable) else self._reads.age_ms(self._now_ns)
        if isinstance(call.mode, Bounded) and not self._reads.is_within(call.mode.max_age_ms, self._now_ns):
            return refusals.too_old(age_ms, call.mode.max_age_ms)
        return ReadDone(self.ledger.read(call.query), self.ledger.applied_index, age_ms)

    def _digest_at(self, index: LogIndex) -> DigestReport | Refusal:
        digest = self.digest_at(index)
        if digest is None:
            return refusals.digest_forgotten(index, self._applying.digests.oldest)
        return DigestReport(index, digest, self.ledger.imbalance())

    def _answer(self, reply_to: ReplyTo, result: Result) -> None:
        self._replies.append(Reply(reply_to, result))

    def _answer_all(self, calls: Sequence[Call], refusal: Refusal) -> None:
        for call in calls:
            self._answer(call.reply_to, refusal)
