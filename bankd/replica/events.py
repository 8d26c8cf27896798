"""What happens to a replica: the events that its driver hands it, as plain values.

`reply_to` is the driver's own mark for "where the answer goes"; the replica hands it back unread.
Deadlines are nanoseconds of the driver's monotonic clock.
"""

from collections.abc import Sequence
from typing import NamedTuple

import attrs

from bankd.ledger.commands import Command
from bankd.ledger.queries import Query
from bankd.ledger.state import Ledger
from bankd.raft.messages import Configuration, Message, SnapshotRef
from bankd.raft.ready import ChunkWanted
from bankd.replica.comparison import DigestNotice
from bankd.types import LogIndex, NodeId, ReadMode

ReplyTo = object
PeerMessage = Message | DigestNotice  # all that nodes say to each other


class WriteCall(NamedTuple):  # one per write on the hot path, hence a plain tuple
    """A command that was judged sound. `raw` is its bytes, already framed for the body of a log entry."""

    reply_to: ReplyTo
    command: Command
    raw: bytes
    deadline_ns: int


@attrs.frozen
class ReadCall:
    reply_to: ReplyTo
    query: Query
    mode: ReadMode
    deadline_ns: int


@attrs.frozen
class DigestCall:
    """Asks for the state digest right after `index`; 0 means the index applied when the call is taken in."""

    reply_to: ReplyTo
    index: LogIndex
    deadline_ns: int


@attrs.frozen
class HandOverCall:
    """Asks the leader to hand leadership to `target`; None: to the most up-to-date voter."""

    reply_to: ReplyTo
    target: NodeId | None
    deadline_ns: int


@attrs.frozen
class SnapshotCall:
    """Asks for a snapshot of this node's state as it is now, or later; answered when it is durable."""

    reply_to: ReplyTo
    deadline_ns: int


Call = WriteCall | ReadCall | DigestCall | HandOverCall | SnapshotCall


@attrs.frozen
class Calls:
    """Everything that one receive brought."""

    calls: Sequence[Call]


@attrs.frozen
class Received:
    message: PeerMessage


@attrs.frozen
class Persisted:
    """Every write up to this number is durable."""

    write_seq: int


@attrs.frozen
class Ticked:
    """One tick of the driver's clock has passed."""


@attrs.frozen
class PeerUnreachable:
    """Messages to this peer were lost: fall back to probing."""

    peer: NodeId


@attrs.frozen
class DiskSpace:
    """Whether there is room for writes; False refuses them before the log, reads go on (K13)."""

    enough: bool


@attrs.frozen
class SnapshotSealed:
    """The snapshot that was due is durable; up to `covered_index` the log is covered by two sound ones."""

    snapshot: SnapshotRef
    covered_index: LogIndex


@attrs.frozen
class SnapshotFailed:
    """The snapshot that was due was given up, and nothing is left of it."""

    reason: str


@attrs.frozen
class ChunkRead:
    """What was read for a follower; None: that snapshot cannot be read any more."""

    wanted: ChunkWanted
    data: bytes | None


@attrs.frozen
class ChunkKept:
    """The first `received_bytes` of a snapshot of the leader's are here, not durable yet."""

    snapshot: SnapshotRef
    received_bytes: int


@attrs.frozen(eq=False)
class SnapshotReceived:
    """A snapshot of the leader's is complete, verified and durable, and `ledger` is its state. The ledger is given away."""

    snapshot: SnapshotRef
    covered_index: LogIndex
    ledger: Ledger
    configuration: Configuration
    configuration_body: bytes


@attrs.frozen
class LossForgotten:
    """The disk says no more that this node has lost anything, as `Refilled` asked for."""


Event = (
    Calls
    | Received
    | Persisted
    | Ticked
    | PeerUnreachable
    | DiskSpace
    | SnapshotSealed
    | SnapshotFailed
    | ChunkRead
    | ChunkKept
    | SnapshotReceived
    | LossForgotten
)

TICKED = Ticked()
