"""What all sub-protocols of one node share: who it is, its term, vote, role, log and outbox.

The sub-protocols (election, replication, follower, reads, transfer) each own what only they need and
meet here. Nothing in this module decides anything; it keeps the books that every rule relies on:

- the term never falls, and at most one vote is given in a term;
- what must not be said before it is durable goes through `send_durable`, everything else through
  `send`: a vote, a request for votes and an acknowledgement of entries are promises about the disk;
- whatever happened since the last Ready leaves with the next one, once.
"""

import attrs

from bankd.raft.log import RaftLog
from bankd.raft.messages import Configuration, HardState, Message, SnapshotRef
from bankd.raft.options import RaftOptions, RandomSource
from bankd.raft.ready import (
    ChunkReceived,
    ChunkWanted,
    LogTruncated,
    MessageIgnored,
    Persist,
    RaftEvent,
    ReadRefused,
    ReadState,
    Ready,
    Refilled,
    Role,
    RoleChanged,
)
from bankd.raft.refilling import Refill
from bankd.raft.writes import Writes
from bankd.types import LogIndex, NodeId, Term

NOTHING = Ready()


@attrs.define(eq=False)
class Outbox:
    """What the next Ready carries, beside what the log itself has to hand out."""

    send_now: list[Message] = attrs.field(factory=list)
    send_durable: list[Message] = attrs.field(factory=list)
    read_states: list[ReadState] = attrs.field(factory=list)
    reads_refused: list[ReadRefused] = attrs.field(factory=list)
    events: list[RaftEvent] = attrs.field(factory=list)
    chunks_wanted: list[ChunkWanted] = attrs.field(factory=list)
    chunks_received: list[ChunkReceived] = attrs.field(factory=list)
    base: SnapshotRef | None = None  # the log was restarted behind it since the last Ready

    def clear(self) -> None:
        self.send_now.clear()
        self.send_durable.clear()
        self.read_states.clear()
        self.reads_refused.clear()
        self.events.clear()
        self.chunks_wanted.clear()
        self.chunks_received.clear()
        self.base = None


@attrs.define(eq=False, kw_only=True)
class State:
    """The books of one node.

    Invariant: the term never falls; stable_hard_state.term <= written_hard_state.term <= term.
    Invariant: leader_id is node_id exactly when role is LEADER; a candidate of either kind knows no leader.
    """

    node_id: NodeId
    configuration: Configuration
    options: RaftOptions
    random: RandomSource
    log: RaftLog
    term: Term
    voted_for: NodeId | None
    snapshot: SnapshotRef | None  # the newest that is durable here
    written_hard_state: HardState  # handed to the disk
    stable_hard_state: HardState  # confirmed by the disk
    refill: Refill | None = None  # None: this node counts
    role: Role = Role.FOLLOWER
    leader_id: NodeId | None = None
    now_tick: int = 0
    quiet_ticks: int = 0  # since a leader was heard, a vote given or a campaign begun
    election_timeout_ticks: int = 0  # drawn anew with every role
    writes: Writes = attrs.field(factory=Writes)
    outbox: Outbox = attrs.field(factory=Outbox)

    @property
    def is_voter(self) -> bool:
        return self.node_id in self.configuration.voters or self.node_id in self.configuration.voters_outgoing

    @property
    def other_members(self) -> list[NodeId]:
        """Every other member, learners included, in the order in which messages leave."""
        members = self.configuration.voters | self.configuration.voters_outgoing | self.configuration.learners
        return sorted(members - {self.node_id})

    @property
    def other_voters(self) -> list[NodeId]:
        return sorted((self.configuration.voters | self.configuration.voters_outgoing) - {self.node_id})

    @property
    def refilling(self) -> int:
        """The nonce that this node's answers carry; 0: it has lost nothing."""
        return 0 if self.refill is None else self.refill.nonce

    @property
    def is_disk_stalled(self) -> bool:
        return self.writes.is_stalled(self.now_tick, self.options.election_ticks)

    def send(self, message: Message) -> None:
        """Let a message leave at once: it promises nothing about this node's disk."""
        self.outbox.send_now.append(message)

    def send_durable(self, message: Message) -> None:
        """Let a message leave once all that this node knows now is durable."""
        self.outbox.send_durable.append(message)

    def ignore(self, sender: NodeId, reason: str) -> None:
        """Leave aside what no correct peer says, and report it."""
        self.outbox.events.append(MessageIgnored(sender, reason))

    def become(self, role: Role, term: Term, leader_id: NodeId | None, reason: str) -> None:
        """Change role, term or leader; draw a new election timeout. A new term takes the vote back."""
        assert term >= self.term, f"term {term} behind {self.term}"
        changed = (role, term, leader_id) != (self.role, self.term, self.leader_id)
        if term > self.term:
            self.term = term
            self.voted_for = None
        self.role = role
        self.leader_id = leader_id
        self.quiet_ticks = 0
        self.election_timeout_ticks = self.options.election_ticks + self.random.below(self.options.election_ticks)
        if changed:  # a pre-candidate that asks once more is no news
            self.outbox.events.append(RoleChanged(role, term, leader_id, self.log.last_index, reason))

    def truncated(self, from_index: LogIndex) -> None:
        """The log was truncated: writes under way prove less, and the driver hears of it."""
        self.writes.clamp(LogIndex(from_index - 1))
        self.outbox.events.append(LogTruncated(from_index))

    def restarted(self, snapshot: SnapshotRef) -> None:
        """Give up the log for an installed snapshot: writes under way prove nothing more about entries."""
        self.log.restart(snapshot.index, snapshot.term)
        self.writes.clamp(snapshot.index)
        self.snapshot = self.outbox.base = snapshot

    def persisted(self, write_seq: int) -> bool:
        """Take the completion of every write up to `write_seq`; return whether anything became durable by it."""
        progressed = False
        while (write := self.writes.pop_finished(write_seq)) is not None:
            progressed = True
            self.log.stable_to(write.stable_index)
            if write.hard_state is not None:
                self.stable_hard_state = write.hard_state
        return progressed

    def drain(self) -> Ready:
        """Hand out all that came up since the last call."""
        outbox = self.outbox
        if self.refill is not None:
            self._note_refilled(self.refill)
        persist = self._take_persist()
        committed = self.log.take_committed()
        if not (
            outbox.send_now
            or committed
            or persist is not None
            or outbox.read_states
            or outbox.reads_refused
            or outbox.events
            or outbox.chunks_wanted
            or outbox.chunks_received
        ):
            return NOTHING
        ready = Ready(
            tuple(outbox.send_now),
            persist,
            committed,
            tuple(outbox.read_states),
            tuple(outbox.reads_refused),
            tuple(outbox.events),
            tuple(outbox.chunks_wanted),
            tuple(outbox.chunks_received),
        )
        outbox.clear()
        return ready

    def _note_refilled(self, refill: Refill) -> None:
        barrier_index = refill.finish(self.term, self.log.stable_index)
        if barrier_index is not None:
            self.outbox.events.append(Refilled(barrier_index))

    def _take_persist(self) -> Persist | None:
        # A message that needs no new write still gets a number of its own: it may rely on a write
        # under way, and must not overtake it.
        entries = self.log.take_unwritten()
        hard_state = self._take_hard_state()
        held, base = self.outbox.send_durable, self.outbox.base
        if not (entries or held or hard_state is not None or base is not None):
            return None
        write_seq = self.writes.begin(hard_state, self.log.last_index, self.now_tick)
        return Persist(write_seq, hard_state, entries, tuple(held), base)

    def _take_hard_state(self) -> HardState | None:
        written = self.written_hard_state
        if written.term == self.term and written.voted_for == self.voted_for:
            return None
        self.written_hard_state = HardState(self.term, self.voted_for)
        return self.written_hard_state
