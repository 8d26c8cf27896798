"""What a replica wants done: the effects that its driver carries out, as plain values.

`send_now` and `persists` may be carried out in any order and at the same time. What waits for a
write travels with that write (`Persist.then_send`). Replies are final: each `reply_to` is handed
back exactly once. What concerns snapshots takes its time, and nothing here waits for it.
"""

from typing import NamedTuple

import attrs

from bankd.errors import Refusal
from bankd.ledger.commands import Outcome
from bankd.ledger.image import Image
from bankd.ledger.queries import Answer
from bankd.raft.ready import ChunkReceived, ChunkWanted, Persist, RaftEvent
from bankd.replica import refusals
from bankd.replica.comparison import DigestsDiffer, Diverged
from bankd.replica.events import PeerMessage, ReplyTo
from bankd.status import DigestReport, LeadershipMoved, SnapshotTaken
from bankd.types import LogIndex, Term, TimeNs

AGE_UNKNOWN_MS = 2**63 - 1  # no leader has been confirmed by a quorum since this process began


@attrs.frozen
class ReadDone:
    """An answer, the index whose state it reflects, and how old that state may be (0 when linearizable)."""

    answer: Answer
    index: LogIndex
    age_ms: int = 0


Result = Outcome | ReadDone | DigestReport | LeadershipMoved | SnapshotTaken | Refusal
ReplicaEvent = RaftEvent | DigestsDiffer  # for logs


class Reply(NamedTuple):  # one per call on the hot path, hence a plain tuple
    reply_to: ReplyTo
    result: Result


def without_state(reply: Reply) -> Reply:
    """The same answer if it says nothing of this node's state; else one that doesn't."""
    match reply.result:
        case Refusal() | LeadershipMoved():
            return reply
        case ReadDone() | DigestReport() | SnapshotTaken():
            return Reply(reply.reply_to, refusals.quarantined())
        case _:
            return Reply(reply.reply_to, refusals.outcome_unknown(None))


@attrs.frozen(eq=False)
class SnapshotDue:
    """A state to be written, beside the traffic: that after the entry at `index`. Answered by `SnapshotSealed` or
    `SnapshotFailed`; until then there is no other."""

    index: LogIndex
    term: Term
    time_ns: TimeNs
    configuration: bytes  # the newest up to there, as the body of its entry
    image: Image


@attrs.frozen
class Effects:
    send_now: tuple[PeerMessage, ...] = ()
    persists: tuple[Persist, ...] = ()
    replies: tuple[Reply, ...] = ()
    events: tuple[ReplicaEvent, ...] = ()
    snapshot_due: SnapshotDue | None = None
    chunks_wanted: tuple[ChunkWanted, ...] = ()  # to be read, each answered by a `ChunkRead`
    chunks_received: tuple[ChunkReceived, ...] = ()  # to be kept in order, answered by `ChunkKept` or not at all
    more: bool = False  # work is left that needs no event: call ready() again soon
    diverged: Diverged | None = None  # once: this replica is to end, and its state to be fetched anew


NO_EFFECTS = Effects()
