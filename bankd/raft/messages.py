"""What Raft nodes say to each other, and the entries of the log, as frozen values.

A message names its sender, its receiver and the sender's term. Nothing here decides anything;
`wire/raft_codec.py` turns these into bytes and back, `proto/raft.proto` is their published shape.

Sources: Ongaro & Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014), figure 2;
Ongaro's thesis (2014): pre-vote 9.6, leadership transfer 3.10, read index 6.4.
"""

from enum import IntEnum, unique

import attrs

from bankd.types import LogIndex, NodeId, Term


@unique
class EntryType(IntEnum):
    """What an entry's body holds. The numbers are on disk and on the wire: never reused."""

    COMMANDS = 1
    NOOP = 2
    CONFIG = 3


@attrs.frozen
class Entry:
    """One place in the log. The body is opaque here."""

    index: LogIndex
    term: Term
    type: EntryType
    body: bytes


@attrs.frozen
class HardState:
    """What a node must never forget (paper, figure 2): it reaches the disk before any answer that relies on it.

    The commit index is not part of it: a restarted node learns it from the next leader.
    """

    term: Term = Term(0)
    voted_for: NodeId | None = None


@attrs.frozen
class Configuration:
    """Who votes. With `voters_outgoing` not empty, both halves must agree (paper section 6)."""

    voters: frozenset[NodeId]
    voters_outgoing: frozenset[NodeId] = frozenset()
    learners: frozenset[NodeId] = frozenset()


@attrs.frozen
class SnapshotRef:
    """A sealed snapshot of the state as of `index`, whose entry had `term`. Equal `content_id`: equal bytes."""

    index: LogIndex
    term: Term
    size_bytes: int
    content_id: bytes


@attrs.frozen
class VoteRequest:
    to: NodeId
    sender: NodeId
    term: Term  # of a pre-vote: the term that the sender would campaign in
    last_index: LogIndex
    last_term: Term
    pre_vote: bool = False
    leadership_transfer: bool = False  # sent on the leader's word: voters need not wait for its silence


@attrs.frozen
class VoteResponse:
    to: NodeId
    sender: NodeId
    term: Term  # of a granted pre-vote: the term asked for, echoed; otherwise the voter's own
    granted: bool
    pre_vote: bool = False


@attrs.frozen
class AppendRequest:
    to: NodeId
    sender: NodeId
    term: Term
    prev_index: LogIndex
    prev_term: Term
    commit_index: LogIndex
    entries: tuple[Entry, ...] = ()


@attrs.frozen
class AppendResponse:
    """Accepted: `match_index` is durable at the sender. Refused: `match_index` is the prev_index refused, and
    the logs cannot agree behind (`hint_index`, `hint_term`)."""

    to: NodeId
    sender: NodeId
    term: Term
    accepted: bool
    match_index: LogIndex
    hint_index: LogIndex = LogIndex(0)
    hint_term: Term = Term(0)
    refilling: int = 0  # a refilling sender's nonce (see `refilling`); 0: it has lost nothing


@attrs.frozen
class HeartbeatRequest:
    to: NodeId
    sender: NodeId
    term: Term
    commit_index: LogIndex  # never beyond what the receiver is known to hold
    read_round: int = 0  # the newest read round that the answer confirms; 0: none
    refilling: int = 0  # the receiver's nonce, for which the barrier was fixed; 0: it has lost nothing
    barrier_index: LogIndex = LogIndex(0)  # what it must hold to be trusted again; 0: no quorum stands behind it yet
    unanimous: bool = False  # not a quorum alone, but every other voter stands behind it


@attrs.frozen
class HeartbeatResponse:
    to: NodeId
    sender: NodeId
    term: Term
    read_round: int = 0
    refilling: int = 0


@attrs.frozen
class SnapshotRequest:
    """A part of a snapshot (paper section 7); without data it only asks how much of it the receiver has."""

    to: NodeId
    sender: NodeId
    term: Term
    snapshot: SnapshotRef
    offset: int = 0
    data: bytes = b""


@attrs.frozen
class SnapshotResponse:
    """The sender has the first `received_bytes` of the snapshot with this id. That it is installed, an
    `AppendResponse` says."""

    to: NodeId
    sender: NodeId
    term: Term
    content_id: bytes
    received_bytes: int
    refilling: int = 0


@attrs.frozen
class ReadIndexRequest:
    to: NodeId
    sender: NodeId
    term: Term
    read_id: int


@attrs.frozen
class ReadIndexResponse:
    to: NodeId
    sender: NodeId
    term: Term
    read_id: int
    index: LogIndex = LogIndex(0)
    refused: bool = False


@attrs.frozen
class TimeoutNow:
    to: NodeId
    sender: NodeId
    term: Term


Message = (
    VoteRequest
    | VoteResponse
    | AppendRequest
    | AppendResponse
    | HeartbeatRequest
    | HeartbeatResponse
    | SnapshotRequest
    | SnapshotResponse
    | ReadIndexRequest
    | ReadIndexResponse
    | TimeoutNow
)
