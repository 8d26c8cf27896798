"""What the driver must do for the core, and in which order.

`Raft.ready()` hands out everything that came up since the last call:

    send_now             may leave at once, before anything is durable
    persist              one write, numbered; writes become durable in the order of their numbers
    persist.then_send    may leave only when that write, and so every one before it, is durable
    committed            to be applied, in order; maybe before this node's own copy is durable (a quorum has them)
    chunks_wanted        to be read from a snapshot of this node, then `Raft.send_chunk` (or `chunk_unreadable`)
    chunks_received      to be kept, in order, then `Raft.chunk_kept`; a complete snapshot: `Raft.install`
    read_states          reads that may be answered once their index is applied
    events               what changed, for logs and for calls that wait; the driver acts on `LogForgotten`, `Refilled`

The driver calls `Raft.persisted(write_seq)` when a write is durable. A late, repeated or
out-of-order completion is harmless: number n says that all writes up to n are durable.

Why numbers and not (index, term): entry (5, term 1) may be overwritten by (5, term 2) and then come
back as (5, term 1) from the first leader, re-elected. A completion of the first write must not
count for the third (etcd's "ABA race"). The core clamps writes under way when it truncates.
"""

from enum import IntEnum, unique

import attrs

from bankd.raft.messages import Entry, HardState, Message, SnapshotRef
from bankd.types import LogIndex, NodeId, Term


@unique
class Role(IntEnum):
    FOLLOWER = 1
    PRE_CANDIDATE = 2
    CANDIDATE = 3
    LEADER = 4


@attrs.frozen
class Persist:
    """One write to the log. Hard state first, then entries: with the entries first, a crash between the two
    could restart the node in the old term with entries of the new one.

    An entry whose index is not beyond the log's end replaces everything from that index on. `base`: everything
    written so far is void, and the log goes on behind this installed snapshot.
    """

    write_seq: int
    hard_state: HardState | None
    entries: tuple[Entry, ...]
    then_send: tuple[Message, ...]
    base: SnapshotRef | None = None


@attrs.frozen
class ChunkWanted:
    """Bytes of a snapshot of this node from `offset` on are to go to a follower. How many is the driver's affair."""

    to: NodeId
    snapshot: SnapshotRef
    offset: int


@attrs.frozen
class ChunkReceived:
    """Bytes of a snapshot came from the leader; none: it asks how many are here. What does not begin where the kept
    bytes end is not kept. Of another snapshot than the one begun: that one is given up."""

    snapshot: SnapshotRef
    offset: int
    data: bytes


@attrs.frozen
class ReadState:
    """The read asked for with `read_id` may be answered from a state that has applied `index`."""

    read_id: int
    index: LogIndex


@attrs.frozen
class ReadRefused:
    """The read asked for with `read_id` cannot be confirmed: the leader changed, or there is none. Ask again."""

    read_id: int


@attrs.frozen
class RoleChanged:
    """This node's role, term or known leader changed."""

    role: Role
    term: Term
    leader_id: NodeId | None
    last_index: LogIndex
    reason: str  # snake_case, for logs: "quorum_lost", "newer_term", "elected", "disk_stalled" ...


@attrs.frozen
class LogTruncated:
    """Entries from `from_index` on were replaced by a newer leader's. For logs alone: whoever led when they were
    proposed here has been told of its end by a `RoleChanged`, at the latest in the same Ready."""

    from_index: LogIndex


@attrs.frozen
class LeadershipTransferAborted:
    """`target` did not take over within an election timeout; this node leads on and takes proposals again."""

    target: NodeId


@attrs.frozen
class MessageIgnored:
    """`sender` said what no correct peer says: its program or its disk is broken. Nothing changed here."""

    sender: NodeId
    reason: str  # snake_case: "second_leader_in_term", "committed_entry_contradicted", "append_malformed" ...


@attrs.frozen
class LogForgotten:
    """The leader knows that this node holds `index` durably, and its log ends before: the disk has lost what was
    acknowledged (D10). The driver must start the node anew as refilling before it takes part in anything."""

    leader_id: NodeId
    index: LogIndex


@attrs.frozen
class Refilled:
    """A refilling node holds durably, up to `index`, all that it may ever have acknowledged. The driver forgets the
    loss on disk, durably, and then calls `Raft.trust`."""

    index: LogIndex


RaftEvent = RoleChanged | LogTruncated | LeadershipTransferAborted | MessageIgnored | LogForgotten | Refilled


@attrs.frozen
class Ready:
    send_now: tuple[Message, ...] = ()
    persist: Persist | None = None
    committed: tuple[Entry, ...] = ()
    read_states: tuple[ReadState, ...] = ()
    reads_refused: tuple[ReadRefused, ...] = ()
    events: tuple[RaftEvent, ...] = ()
    chunks_wanted: tuple[ChunkWanted, ...] = ()
    chunks_received: tuple[ChunkReceived, ...] = ()
