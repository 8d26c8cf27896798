"""What a replica says when it cannot take a call, or has lost sight of one (docs/contract.md, K11, K13).

UNAVAILABLE stands only for what surely entered no log. Whatever may have entered one is "outcome
unknown". Both may be sent again with the same id.
"""

from bankd.errors import Code, Refusal
from bankd.types import LogIndex, NodeId

BACKOFF_MS = 50  # a hint for clients that were refused for want of room: about one group of fsyncs


def not_leader(leader_id: NodeId | None) -> Refusal:
    if leader_id is None:
        return Refusal(Code.UNAVAILABLE, "NO_LEADER", "no leader is known at the moment", retryable=True)
    message = f"this node does not lead; {leader_id} does"
    return Refusal(Code.UNAVAILABLE, "NOT_LEADER", message, retryable=True, leader_id=leader_id)


def outcome_unknown(leader_id: NodeId | None) -> Refusal:
    return Refusal(
        Code.UNKNOWN,
        "OUTCOME_UNKNOWN",
        "outcome unknown, ask GetTransferStatus with the same id",
        retryable=True,
        leader_id=leader_id or "",
    )


def deadline_passed(leader_id: NodeId | None) -> Refusal:
    """For what surely entered no log: reads, and writes that still waited."""
    return Refusal(
        Code.UNAVAILABLE,
        "TOOK_TOO_LONG",
        "the deadline passed before a quorum answered; nothing was written",
        retryable=True,
        leader_id=leader_id or "",
    )


def overloaded() -> Refusal:
    return Refusal(
        Code.RESOURCE_EXHAUSTED,
        "OVERLOADED",
        "too many calls are waiting on this node; nothing was written",
        retryable=True,
        retry_after_ms=BACKOFF_MS,
    )


def disk_full() -> Refusal:
    return Refusal(
        Code.RESOURCE_EXHAUSTED,
        "DISK_FULL",
        "the leader's disk is nearly full: writes are refused, reads go on",
        retryable=True,
        retry_after_ms=1000,
    )


def read_not_confirmed(leader_id: NodeId | None) -> Refusal:
    return Refusal(
        Code.UNAVAILABLE,
        "READ_NOT_CONFIRMED",
        "leadership changed while the read waited to be confirmed",
        retryable=True,
        leader_id=leader_id or "",
    )


def too_old(age_ms: int, max_age_ms: int) -> Refusal:
    """For a read with a bound on its age, whose round was confirmed and then took too long to be applied."""
    return Refusal(
        Code.UNAVAILABLE,
        "TOO_OLD",
        f"the state here may be {age_ms} ms old, and at most {max_age_ms} ms were asked for",
        retryable=True,
    )


def quarantined() -> Refusal:
    """For what surely entered no log, and for reads: the state here is wrong."""
    message = "this node's state differs from the majority's; it fetches it anew"
    return Refusal(Code.UNAVAILABLE, "QUARANTINED", message, retryable=True)


def lease_not_configured() -> Refusal:
    return Refusal(
        Code.FAILED_PRECONDITION,
        "LEASE_NOT_CONFIGURED",
        "lease reads are off: they need a clock bound that the operator sets",
    )


def digest_forgotten(index: LogIndex, oldest: LogIndex) -> Refusal:
    return Refusal(
        Code.OUT_OF_RANGE,
        "DIGEST_FORGOTTEN",
        f"the digest at index {index} is no longer kept; the oldest kept is {oldest}",
        metadata={"index": str(index), "oldest": str(oldest)},
    )


def snapshot_failed(why: str) -> Refusal:
    return Refusal(Code.RESOURCE_EXHAUSTED, "SNAPSHOT_FAILED", f"no snapshot was taken: {why}", retryable=True)


def snapshot_under_way() -> Refusal:
    return Refusal(
        Code.DEADLINE_EXCEEDED, "TOOK_TOO_LONG", "the snapshot is still being written; ask for it again", retryable=True
    )


def hand_over_refused(message: str, leader_id: NodeId | None) -> Refusal:
    return Refusal(Code.FAILED_PRECONDITION, "LEADERSHIP_NOT_MOVED", message, leader_id=leader_id or "")
