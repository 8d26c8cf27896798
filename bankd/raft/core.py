"""One node of a Raft group: messages, ticks and completions in, a Ready out.

This is the front door of the package. `Raft` owns the shared state and the sub-protocols, applies
the one rule that is common to all messages (terms, paper figure 2, "all servers") and hands each
message to the sub-protocol that it belongs to:

    election       terms, votes, roles, check-quorum      (paper 5.2, 5.4.1; thesis 9.6, 6.2)
    replication    the leader's side of appends, commit   (5.3, 5.4.2; thesis 10.2.1)
    follower       the follower's side                    (5.3, 7)
    snapshots      the leader's side of snapshots         (7)
    reads          ReadIndex                              (thesis 6.4)
    transfer       leadership transfer                    (thesis 3.10)
    refilling      a node that lost what it acknowledged  (5.4.3)

Contract with the driver: see `ready`. One thread calls it; nothing here blocks, reads a clock or
does I/O; the same calls and the same random draws give the same run. No message from a peer raises.

Rules:
- an empty Ready is one shared object and costs next to nothing, so asking often is fine
- appends and read rounds are made when the Ready is asked for: all that came in before shares them

Limits: the configuration is the one given at the start, or that of an installed snapshot; the log behind its base
is in memory.
"""

from collections.abc import Sequence
from typing import assert_never

from bankd.raft.election import Election
from bankd.raft.follower import accept_append, accept_heartbeat, accept_snapshot, chunk_kept, install
from bankd.raft.log import RaftLog
from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    Configuration,
    Entry,
    EntryType,
    HardState,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    ReadIndexRequest,
    ReadIndexResponse,
    SnapshotRef,
    SnapshotRequest,
    SnapshotResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from bankd.raft.options import RaftOptions, RandomSource
from bankd.raft.progress import ProgressView
from bankd.raft.reads import Reads
from bankd.raft.ready import ChunkWanted, Ready, Role
from bankd.raft.refilling import Refill
from bankd.raft.refusals import InvalidTransferTarget, NotLeader, ProposalRefused
from bankd.raft.replication import Replication
from bankd.raft.state import State
from bankd.raft.transfer import Transfer
from bankd.types import LogIndex, NodeId, Term

__all__ = ["InvalidTransferTarget", "NotLeader", "ProposalRefused", "Raft", "RaftOptions", "RandomSource"]


class Raft:
    """One node's part in the consensus. It starts as a follower that knows no leader."""

    __slots__ = ("_election", "_reads", "_replication", "_state", "_transfer")

    def __init__(
        self,
        *,
        node_id: NodeId,
        configuration: Configuration,
        hard_state: HardState,
        entries: Sequence[Entry],
        commit_index: LogIndex = LogIndex(0),
        snapshot: SnapshotRef | None = None,
        refilling: int = 0,
        copied: bool = False,
        options: RaftOptions,
        random: RandomSource,
    ) -> None:
        """Take over what the disk held: everything given here is durable.

        Entries up to `commit_index` must be known to be committed and to have been applied; `ready()`
        does not hand them out again. `snapshot`: the newest that is durable here, which the caller has restored; then the
        entries are those behind it, or begin earlier and reach it, so that followers may still be sent them.
        `refilling`: 0, or a nonce, which says that this disk has lost what it once held (see `refilling`). `copied`: its
        term and its vote may be old as well.
        """
        log = _log_behind(snapshot, entries, commit_index)
        known = _newest_known(hard_state, snapshot)
        assert known.term >= log.last_term, f"term {known.term} behind the log's {log.last_term}"
        self._state = State(
            node_id=node_id,
            configuration=configuration,
            options=options,
            random=random,
            log=log,
            term=known.term,
            voted_for=known.voted_for,
            snapshot=snapshot,
            written_hard_state=hard_state,
            stable_hard_state=hard_state,
            refill=Refill(refilling, copied) if refilling else None,
            election_timeout_ticks=options.election_ticks + random.below(options.election_ticks),
        )
        self._replication = Replication(self._state)
        self._reads = Reads(self._state, self._replication)
        self._transfer = Transfer(self._state, self._replication)
        self._election = Election(self._state, self._replication, self._reads, self._transfer)

    @property
    def node_id(self) -> NodeId:
        return self._state.node_id

    @property
    def role(self) -> Role:
        return self._state.role

    @property
    def term(self) -> Term:
        return self._state.term

    @property
    def leader_id(self) -> NodeId | None:
        """Who leads as far as this node knows; itself while it leads."""
        return self._state.leader_id

    @property
    def last_index(self) -> LogIndex:
        return self._state.log.last_index

    @property
    def commit_index(self) -> LogIndex:
        return self._state.log.commit_index

    @property
    def stable_index(self) -> LogIndex:
        """The last index that is durable on this node."""
        return self._state.log.stable_index

    @property
    def base_index(self) -> LogIndex:
        """The log is held behind it; 0: from its beginning."""
        return self._state.log.base_index

    @property
    def is_refilling(self) -> bool:
        """Whether this node has lost what it acknowledged and is not trusted again yet."""
        return self._state.refill is not None

    @property
    def configuration(self) -> Configuration:
        return self._state.configuration

    @property
    def can_serve(self) -> bool:
        """Whether this node leads and has committed an entry of its term."""
        return self._replication.can_serve

    @property
    def progress(self) -> dict[NodeId, ProgressView]:
        """The other members as the leader sees them; empty unless this node leads."""
        return self._replication.views()

    def tick(self) -> None:
        """Let one tick of time pass."""
        self._state.now_tick += 1
        self._reads.tick()
        if self._state.role is not Role.LEADER:
            self._election.tick_follower()
            return
        self._election.tick_leader()
        self._transfer.tick()
        if self._state.role is Role.LEADER:
            self._replication.tick(self._reads.newest_round)

    @property
    def ticks_until_due(self) -> int:
        """The first tick from now on that may do more than count, unless something else comes before it; at least 1."""
        if self._state.role is Role.LEADER:
            return 1
        due = self._election.ticks_until_due
        if self._reads.is_asking:
            due = min(due, self._reads.ticks_until_due)
        return due if due > 1 else 1

    def let_pass(self, ticks: int) -> None:
        """Let so many ticks pass, fewer than `ticks_until_due`: the same as calling `tick` as often, and cheaper."""
        assert ticks < self.ticks_until_due, f"{ticks} ticks, the next that is due is number {self.ticks_until_due}"
        self._state.now_tick += ticks
        self._state.quiet_ticks += ticks

    def step(self, message: Message) -> None:
        """Take a message from a peer."""
        if message.term > self._state.term:
            if not self._election.meet_newer_term(message):
                return
        elif message.term < self._state.term:
            self._election.answer_older_term(message)
            return
        self._step_in_term(message)

    def propose(self, bodies: Sequence[tuple[EntryType, bytes]]) -> LogIndex:
        """Append one entry for each of `bodies` (one at least) and return the index of the first.

        The entries leave with the next Ready. That they were taken does not mean that they will be
        committed: see `LogTruncated` and `RoleChanged`.

        Raises:
            NotLeader: nothing was appended; ask the leader that it names.
            ProposalRefused: nothing was appended: too much waits for a quorum already, or leadership is
                being handed over. Try again later.
        """
        assert bodies, "nothing to propose"
        if self._state.role is not Role.LEADER:
            raise NotLeader(self._state.leader_id)
        if self._transfer.target is not None:
            raise ProposalRefused("leadership_transfer")
        return self._replication.propose(bodies)

    def request_read(self, read_id: int) -> None:
        """Ask for an index as of which a linearizable read may be served, on a leader or a follower.

        A later Ready answers once, in `read_states` or in `reads_refused`. `read_id` is the caller's
        own, never used twice. All that ask between two Readys share one round of heartbeats.
        """
        self._reads.request(read_id)

    def transfer_leadership(self, target: NodeId | None) -> None:
        """Hand leadership to `target`, or to the voter whose log is longest. Proposals are refused meanwhile.

        Ends in a `RoleChanged`, or in `LeadershipTransferAborted` after an election timeout.

        Raises:
            NotLeader: this node has nothing to hand over.
            InvalidTransferTarget: `target` is not another voter, is refilling, or there is none.
        """
        if self._state.role is not Role.LEADER:
            raise NotLeader(self._state.leader_id)
        self._transfer.begin(target)

    def persisted(self, write_seq: int) -> None:
        """Take the news that every write up to `write_seq` is durable. Late and repeated news is harmless."""
        if not self._state.persisted(write_seq):
            return
        match self._state.role:
            case Role.LEADER:
                self._replication.maybe_commit()
            case Role.CANDIDATE:
                self._election.own_vote_stable()
            case _:
                pass

    def report_unreachable(self, peer: NodeId) -> None:
        """Take the news that messages to `peer` were lost (its connection broke): probe it from here on."""
        self._replication.report_unreachable(peer)

    def snapshot_taken(self, snapshot: SnapshotRef) -> None:
        """Take the news that this node's own snapshot is durable: it may be sent, and the log may be compacted."""
        newest = self._state.snapshot
        if newest is None or snapshot.index > newest.index:
            self._state.snapshot = snapshot

    @property
    def compactable_index(self) -> LogIndex:
        """Up to where `compact` may drop the log now."""
        return self._replication.compactable_index

    def compact(self, index: LogIndex) -> None:
        """Drop the log's entries up to `index`, at most `compactable_index`."""
        assert index <= self.compactable_index, f"{index} is needed: {self.compactable_index} is the most"
        self._state.log.compact(index)

    def send_chunk(self, wanted: ChunkWanted, data: bytes) -> None:
        """Send what was read for `wanted`; late, it is left aside."""
        self._replication.send_chunk(wanted, data)

    def chunk_unreadable(self, wanted: ChunkWanted) -> None:
        """Take the news that a snapshot cannot be read any more: the follower is sent another one."""
        self._replication.chunk_unreadable(wanted)

    def chunk_kept(self, snapshot: SnapshotRef, received_bytes: int) -> None:
        """Tell the leader that the first `received_bytes` of a snapshot are here; they need not be durable yet."""
        chunk_kept(self._state, snapshot, received_bytes)

    def install(self, snapshot: SnapshotRef, configuration: Configuration) -> bool:
        """Begin anew behind a snapshot that was received, verified and is durable; return whether it was needed.

        If so, the driver puts the snapshot's state in the place of its own: what is handed out as committed next
        follows `snapshot.index`.
        """
        return install(self._state, snapshot, configuration)

    def trust(self) -> None:
        """End the refill: its `Refilled` was handed out, and the disk says no more that this node has lost anything."""
        refill = self._state.refill
        assert refill is not None, "trusted already"
        assert refill.is_done, "trusted before it was refilled"
        self._state.refill = None

    def ready(self) -> Ready:
        """Hand out everything that the driver must do now; each thing is handed out once."""
        if self._state.role is Role.LEADER:
            self._reads.open_round()
            self._replication.send_appends()
            self._transfer.hand_over()
        return self._state.drain()

    def _step_in_term(self, message: Message) -> None:
        # A yes to a pre-vote and a request for one may name a term beyond ours; all else is of our term.
        leads = self._state.role is Role.LEADER
        match message:
            case AppendResponse():
                if leads:
                    self._replication.on_append_response(message)
            case AppendRequest():
                if self._election.follow(message.sender):
                    accept_append(self._state, message)
            case HeartbeatRequest():
                if self._election.follow(message.sender):
                    accept_heartbeat(self._state, message)
            case HeartbeatResponse():
                if leads:
                    self._replication.on_heartbeat_response(message)
                    self._reads.on_heartbeat_response(message)
            case SnapshotRequest():
                if self._election.follow(message.sender):
                    accept_snapshot(self._state, message)
            case SnapshotResponse():
                if leads:
                    self._replication.on_snapshot_response(message)
            case ReadIndexRequest():
                self._reads.on_request(message)
            case ReadIndexResponse():
                self._reads.on_response(message)
            case VoteRequest():
                self._election.on_vote_request(message)
            case VoteResponse():
                self._election.on_vote_response(message)
            case TimeoutNow():
                self._election.on_timeout_now(message)
            case _:
                assert_never(message)


def _newest_known(hard_state: HardState, snapshot: SnapshotRef | None) -> HardState:
    """A snapshot may be durable before the term in which it came. No vote of that term can have left before then."""
    if snapshot is None or snapshot.term <= hard_state.term:
        return hard_state
    return HardState(snapshot.term)


def _log_behind(snapshot: SnapshotRef | None, entries: Sequence[Entry], commit_index: LogIndex) -> RaftLog:
    """The log as it was found; the first of the entries that a snapshot covers serves as its base, if there is one."""
    if snapshot is None:
        return RaftLog(entries, commit_index=commit_index)
    if entries and entries[0].index <= snapshot.index <= entries[-1].index:
        base, behind = (entries[0].index, entries[0].term), entries[1:]
    else:
        base, behind = (snapshot.index, snapshot.term), entries
    return RaftLog(behind, base_index=base[0], base_term=base[1], commit_index=max(commit_index, snapshot.index))
