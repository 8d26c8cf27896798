"""What the consensus core may be tuned with, and where it gets its chance from.

Time is counted in ticks: how long one lasts is the driver's affair. Sizes are bytes of entry bodies
plus a small constant an entry (`log.ENTRY_OVERHEAD_BYTES`).
"""

from typing import Protocol

import attrs


class RandomSource(Protocol):
    """Where election timeouts come from. The same draws give the same run."""

    def below(self, bound: int) -> int:
        """Return an int drawn evenly from 0 <= n < bound (bound > 0)."""
        ...


@attrs.frozen(kw_only=True)
class RaftOptions:
    """Bounds and timeouts. Raises ValueError when they do not fit together."""

    heartbeat_ticks: int = 2  # a leader's silence at most; also how long an append may go unanswered before a check
    election_ticks: int = 20  # a follower campaigns after [1x, 2x) of these; nine lost heartbeats are survivable
    append_bytes_max: int = 1 << 20  # of one AppendRequest; a single larger entry travels alone
    inflight_messages_max: int = 64  # AppendRequests to one follower that wait for an answer
    inflight_bytes_max: int = 16 << 20  # their bytes: what a stuck follower can pin in send buffers
    uncommitted_bytes_max: int = (
        64 << 20
    )  # proposals beyond are refused: a leader without a quorum must not fill memory
    reads_waiting_max: int = 1024  # read requests that wait on one node; the caller puts many reads behind each
    pre_vote: bool = True  # thesis 9.6: ask before raising the term
    check_quorum: bool = True  # thesis 6.2: no quorum heard, no leader; and no vote while a leader is heard

    def __attrs_post_init__(self) -> None:
        for name in ("heartbeat_ticks", "append_bytes_max", "inflight_messages_max", "inflight_bytes_max"):
            _demand(getattr(self, name) >= 1, f"{name} must be at least 1")
        _demand(self.uncommitted_bytes_max >= 1, "uncommitted_bytes_max must be at least 1")
        _demand(self.reads_waiting_max >= 1, "reads_waiting_max must be at least 1")
        _demand(
            self.election_ticks > 2 * self.heartbeat_ticks,
            f"election_ticks ({self.election_ticks}) must be more than two heartbeats ({self.heartbeat_ticks} ticks "
            "each), or one lost heartbeat costs a leader",
        )


def _demand(holds: bool, fault: str) -> None:
    if not holds:
        raise ValueError(fault)
