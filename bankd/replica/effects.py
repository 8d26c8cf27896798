"""What a replica wants done: the effects that its driver carries out, as plain values.

`send_now` and `persists` may be carried out in any order and at the same time. What waits for a
write travels with that write (`Persist.then_send`). Replies are final: each `reply_to` is handed
back exactly once.
"""

from typing import NamedTuple

import attrs

from bankd.errors import Refusal
from bankd.ledger.commands import Outcome
from bankd.ledger.queries import Answer
from bankd.raft.ready import Persist, RaftEvent
from bankd.replica import refusals
from bankd.replica.comparison import DigestsDiffer, Diverged
from bankd.replica.events import PeerMessage, ReplyTo
from bankd.status import DigestReport, LeadershipMoved
from bankd.types import LogIndex

AGE_UNKNOWN_MS = 2**63 - 1  # no leader has been confirmed by a quorum since this process began


@attrs.frozen
class ReadDone:
    """An answer, the index whose state it reflects, and how old that state may be (0 when linearizable)."""

    answer: Answer
    index: LogIndex
    age_ms: int = 0


Result = Outcome | ReadDone | DigestReport | LeadershipMoved | Refusal


class Reply(NamedTuple):  # one per call on the hot path, hence a plain tuple
    reply_to: ReplyTo
    result: Result


def without_state(reply: Reply) -> Reply:
    """The same answer if it says nothing of this node's state; else one that doesn't."""
    match reply.result:
        case Refusal() | LeadershipMoved():
            return reply
        case ReadDone() | DigestReport():
            return Reply(reply.reply_to, refusals.quarantined())
        case _:
            return Reply(reply.reply_to, refusals.outcome_unknown(None))


ReplicaEvent = RaftEvent | DigestsDiffer


@attrs.frozen
class Effects:
    send_now: tuple[PeerMessage, ...] = ()
    persists: tuple[Persist, ...] = ()
    replies: tuple[Reply, ...] = ()
    events: tuple[ReplicaEvent, ...] = ()
    more: bool = False  # work is left that needs no event: call ready() again soon
    diverged: Diverged | None = None  # once: this replica is to end, and its state to be fetched anew


NO_EFFECTS = Effects()
