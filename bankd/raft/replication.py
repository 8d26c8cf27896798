"""Bring every member's log to the leader's, and commit: the leader's side of replication.

Appends are not sent where they become due but gathered: whatever came in since the last Ready goes
out with the next one, in few large messages a follower (`send_appends`). They leave before the
leader's own write is durable; the leader counts itself only up to what its disk has confirmed
(thesis 10.2.1).

Followers learn the commit index from the next append or heartbeat, whichever comes first: no
message is sent for it alone.

Rules:
- a new leader appends a no-op first; until it is committed the commit index may be behind (5.4.2, 6.4)
- only an entry of this term is committed by counting; older ones follow it (5.4.2, figure 8)
- a follower that is refilling gets all that others get, and counts for nothing
- a lost append is found by the first heartbeat answer after `heartbeat_ticks` without any answer: an
  append without entries makes the follower say what it misses

Sources: paper 5.3, 5.4.2; thesis 10.2.1.
"""

from collections.abc import Sequence

import attrs

from bankd.raft import snapshots
from bankd.raft.log import ENTRY_OVERHEAD_BYTES
from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    Entry,
    EntryType,
    HeartbeatRequest,
    HeartbeatResponse,
    SnapshotResponse,
)
from bankd.raft.progress import Progress, ProgressState, ProgressView, Window
from bankd.raft.quorum import quorum_index
from bankd.raft.ready import ChunkWanted, Role
from bankd.raft.refusals import ProposalRefused
from bankd.raft.state import State
from bankd.types import LogIndex, NodeId

Batches = dict[LogIndex, tuple[tuple[Entry, ...], int]]  # by first index: entries and their bytes


class Replication:
    """What a leader knows of the others. Empty while this node does not lead.

    Invariant: `progress` holds every other member, in the order in which messages leave.
    Invariant: `_uncommitted_bytes` is the size of the entries behind the commit index.
    """

    __slots__ = (
        "_appends_due",
        "_heartbeat_tick",
        "_noop_index",
        "_state",
        "_uncommitted_bytes",
        "progress",
        "round_wanted",
    )

    def __init__(self, state: State) -> None:
        self._state = state
        self._uncommitted_bytes = 0
        self._noop_index = LogIndex(0)
        self._heartbeat_tick = 0
        self._appends_due = False
        self.round_wanted = False  # a barrier was fixed, and no round speaks for it yet
        self.progress: dict[NodeId, Progress] = {}

    def start(self) -> None:
        """Take office: nothing is known of the others, and a no-op opens the term."""
        log = self._state.log
        self._noop_index = LogIndex(log.last_index + 1)
        self._uncommitted_bytes = (
            log.bytes_between(log.commit_index, log.last_index) + ENTRY_OVERHEAD_BYTES
        )  # the no-op
        self._heartbeat_tick = self._state.now_tick
        self.progress = {peer: self._new_progress(self._noop_index) for peer in self._state.other_members}
        self._append([(EntryType.NOOP, b"")])

    def stop(self) -> None:
        """Leave office."""
        self.progress = {}
        self.round_wanted = False
        self._appends_due = False

    @property
    def can_serve(self) -> bool:
        """Whether this node leads and has committed its no-op: its commit index is no older than any leader's."""
        return self._state.role is Role.LEADER and self._state.log.commit_index >= self._noop_index

    @property
    def active_members(self) -> set[NodeId]:
        """This node and every member heard within an election timeout."""
        heard_after = self._state.now_tick - self._state.options.election_ticks
        active = {peer for peer, progress in self.progress.items() if progress.heard_tick > heard_after}
        active.add(self._state.node_id)
        return active

    @property
    def counted_members(self) -> set[NodeId]:
        """Those of the active members that are not refilling."""
        return self.active_members - {peer for peer, progress in self.progress.items() if progress.refilling}

    def views(self) -> dict[NodeId, ProgressView]:
        active = self.active_members
        return {
            peer: ProgressView(
                progress.match_index, progress.next_index, progress.state, peer in active, progress.refilling > 0
            )
            for peer, progress in self.progress.items()
        }

    def propose(self, bodies: Sequence[tuple[EntryType, bytes]]) -> LogIndex:
        """Append one entry a body and return the index of the first.

        Raises:
            ProposalRefused: with them more than `uncommitted_bytes_max` would wait for a quorum. A single
                proposal larger than that is taken when nothing waits, or it could never be.
        """
        size_bytes = sum([len(body) for _, body in bodies]) + ENTRY_OVERHEAD_BYTES * len(bodies)
        uncommitted_bytes = self._uncommitted_bytes
        if uncommitted_bytes and uncommitted_bytes + size_bytes > self._state.options.uncommitted_bytes_max:
            raise ProposalRefused("uncommitted_limit")
        self._uncommitted_bytes = uncommitted_bytes + size_bytes
        return self._append(bodies)

    def send_appends(self) -> None:
        """Send every follower what it misses, as far as its window allows; what the log has dropped, as a snapshot."""
        if not self._appends_due:
            return
        self._appends_due = False
        log = self._state.log
        batches: Batches = {}
        for peer, progress in self.progress.items():
            if progress.next_index <= log.base_index and progress.can_send:
                snapshots.begin(self._state, peer, progress)
            while progress.next_index <= log.last_index and progress.can_send:
                self._send_batch(peer, progress, batches)

    def send_heartbeats(self, read_round: int) -> None:
        """Tell every member that this node leads, how far it may commit, and ask it to confirm a read round."""
        state = self._state
        self._heartbeat_tick = state.now_tick
        for peer, progress in self.progress.items():
            commit_index = min(state.log.commit_index, progress.match_index)
            heartbeat = HeartbeatRequest(peer, state.node_id, state.term, commit_index, read_round)
            state.send(self._with_barrier(heartbeat, progress) if progress.refilling else heartbeat)

    def _with_barrier(self, heartbeat: HeartbeatRequest, progress: Progress) -> HeartbeatRequest:
        """The same for a refilling member, with its barrier once a quorum has confirmed that no later term had a leader."""
        state, wanted = self._state, progress.barrier_round
        others = {peer: other for peer, other in self.progress.items() if other is not progress}
        counted = {peer: other.confirmed_round for peer, other in others.items() if not other.refilling}
        counted[state.node_id] = wanted
        if not 0 < wanted <= quorum_index(state.configuration, counted):
            return heartbeat
        voters = [peer for peer in state.other_voters if peer != heartbeat.to]
        return attrs.evolve(
            heartbeat,
            refilling=progress.refilling,
            barrier_index=progress.barrier_index,
            unanimous=all(self.progress[peer].confirmed_round >= wanted for peer in voters),
        )

    def confirmed(self, peer: NodeId, number: int) -> None:
        """Note that a member has answered the rounds up to this one."""
        progress = self.progress.get(peer)
        if progress is not None:
            progress.confirmed_round = max(progress.confirmed_round, number)

    def round_opened(self, number: int) -> None:
        """Note the round that speaks for the barriers fixed before it."""
        self.round_wanted = False
        for progress in self.progress.values():
            if progress.refilling and not progress.barrier_round:
                progress.barrier_round = number

    def tick(self, read_round: int) -> None:
        if self._state.now_tick - self._heartbeat_tick >= self._state.options.heartbeat_ticks:
            self.send_heartbeats(read_round)

    def on_append_response(self, message: AppendResponse) -> None:
        progress = self._hear(message)
        if progress is None:
            return
        state = self._state
        self._appends_due = True
        if not message.accepted:
            agree_index = state.log.agree_index(message.hint_index, message.hint_term)
            if message.match_index > state.log.base_index:  # the last that can be asked before a snapshot is due
                agree_index = max(agree_index, state.log.base_index)
            progress.refused(message.match_index, agree_index)
        elif message.match_index > state.log.last_index:
            state.ignore(message.sender, "acknowledged_beyond_log")
        elif progress.accepted(message.match_index, state.log.base_index, state.now_tick):
            self.maybe_commit()

    def on_heartbeat_response(self, message: HeartbeatResponse) -> None:
        progress = self._hear(message)
        if progress is None:
            return
        state = self._state
        if not progress.is_overdue(state.now_tick, state.options.heartbeat_ticks):
            return
        # The way there and back works and yet no append was answered: maybe the last one was lost.
        progress.waiting_since_tick = state.now_tick
        if progress.state is ProgressState.SNAPSHOT:
            snapshots.ask(state, message.sender, progress)
        elif progress.state is ProgressState.PROBE:
            progress.probe_sent = False
            self._appends_due = True
        elif progress.next_index <= state.log.base_index:  # dropped while it was under way
            progress.become_probe()
            self._appends_due = True
        else:
            self._send(message.sender, progress, ())

    def on_snapshot_response(self, message: SnapshotResponse) -> None:
        progress = self._hear(message)
        if progress is not None:
            snapshots.on_response(self._state, progress, message)

    def send_chunk(self, wanted: ChunkWanted, data: bytes) -> None:
        progress = self.progress.get(wanted.to)
        if progress is not None:
            snapshots.send_chunk(self._state, progress, wanted, data)

    def chunk_unreadable(self, wanted: ChunkWanted) -> None:
        """Give up this snapshot; after the follower's next sign of life it is sent what is the newest then."""
        progress = self.progress.get(wanted.to)
        if progress is not None and progress.snapshot == wanted.snapshot:
            progress.become_probe()
            progress.sent(progress.match_index, 0, self._state.now_tick)

    @property
    def compactable_index(self) -> LogIndex:
        return snapshots.compactable_index(self._state, self.progress, self.active_members if self.progress else set())

    def report_unreachable(self, peer: NodeId) -> None:
        """What was under way to `peer` is lost: probe from its last acknowledgement on.

        A snapshot goes on with the first sign of life.
        """
        progress = self.progress.get(peer)
        if progress is not None and progress.state is ProgressState.REPLICATE:
            progress.become_probe()
            self._appends_due = True

    def maybe_commit(self) -> None:
        """Commit what a quorum holds durably, if it reaches into this term (5.4.2)."""
        state = self._state
        log = state.log
        reached = {peer: progress.match_index for peer, progress in self.progress.items() if not progress.refilling}
        reached[state.node_id] = log.stable_index
        index = LogIndex(quorum_index(state.configuration, reached))
        if index > log.commit_index and log.term_at(index) == state.term:
            self._uncommitted_bytes -= log.bytes_between(log.commit_index, index)
            log.commit_to(index)

    def _append(self, bodies: Sequence[tuple[EntryType, bytes]]) -> LogIndex:
        state = self._state
        first_index = LogIndex(state.log.last_index + 1)
        for index, (entry_type, body) in enumerate(bodies, first_index):
            state.log.append(Entry(LogIndex(index), state.term, entry_type, body))
        self._appends_due = True
        return first_index

    def _hear(self, message: AppendResponse | HeartbeatResponse | SnapshotResponse) -> Progress | None:
        """Note a sign of life of a member. Under another nonce than before, all else that is known of it is void."""
        progress = self.progress.get(message.sender)
        if progress is not None and progress.refilling != message.refilling:
            progress = self._begin_anew(message.sender, message.refilling)
        if progress is not None:
            progress.heard_tick = self._state.now_tick
        return progress

    def _begin_anew(self, peer: NodeId, refilling: int) -> Progress:
        """Probe from the log's end on. Its last index is beyond all that the follower acknowledged to this leader."""
        last_index = self._state.log.last_index
        progress = self.progress[peer] = self._new_progress(last_index)
        if refilling:
            progress.refilling, progress.barrier_index = refilling, last_index
            self.round_wanted = True
        self._appends_due = True
        return progress

    def _new_progress(self, next_index: LogIndex) -> Progress:
        options = self._state.options
        return Progress(
            next_index=next_index,
            window=Window(messages_max=options.inflight_messages_max, bytes_max=options.inflight_bytes_max),
            heard_tick=self._state.now_tick,  # grace: nobody has had a chance to answer
        )

    def _send_batch(self, peer: NodeId, progress: Progress, batches: Batches) -> None:
        first_index = progress.next_index
        batch = batches.get(first_index)
        if batch is None:
            # Followers that stand at the same index share one tuple, so it need be encoded once only.
            log = self._state.log
            entries = log.slice(first_index, log.last_index, self._state.options.append_bytes_max)
            batch = batches[first_index] = entries, log.bytes_between(LogIndex(first_index - 1), entries[-1].index)
        entries, size_bytes = batch
        self._send(peer, progress, entries)
        progress.sent(entries[-1].index, size_bytes, self._state.now_tick)

    def _send(self, peer: NodeId, progress: Progress, entries: tuple[Entry, ...]) -> None:
        state = self._state
        log = state.log
        prev_index = LogIndex(progress.next_index - 1)
        state.send(
            AppendRequest(
                peer, state.node_id, state.term, prev_index, log.term_at(prev_index), log.commit_index, entries
            )
        )
