"""What happens to a replica: the events that its driver hands it, as plain values.

`reply_to` is the driver's own mark for "where the answer goes"; the replica hands it back unread.
Deadlines are nanoseconds of the driver's monotonic clock.
"""

from collections.abc import Sequence
from typing import NamedTuple

import attrs

from bankd.ledger.commands import Command
from bankd.ledger.queries import Query
from bankd.raft.messages import Message
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


Call = WriteCall | ReadCall | DigestCall | HandOverCall


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


Event = Calls | Received | Persisted | Ticked | PeerUnreachable | DiskSpace

TICKED = Ticked()
