"""One follower's standing: what each answer does to it."""

import pytest

from bankd.raft.progress import Progress, ProgressState, Window
from bankd.types import LogIndex


def progress(*, next_index: int = 6, match_index: int = 0, messages_max: int = 3, bytes_max: int = 100) -> Progress:
    window = Window(messages_max=messages_max, bytes_max=bytes_max)
    return Progress(next_index=LogIndex(next_index), match_index=LogIndex(match_index), window=window, heard_tick=0)


def replicating(**settings: int) -> Progress:
    follower = progress(**settings)
    follower.accepted(LogIndex(5), LogIndex(0), now_tick=0)
    assert follower.state is ProgressState.REPLICATE
    return follower


def test_probe_waits_for_its_answer() -> None:
    follower = progress()
    assert follower.can_send
    follower.sent(LogIndex(6), 10, now_tick=0)
    assert not follower.can_send
    assert follower.next_index == 6


def test_accepted_probe_starts_replication_behind_it() -> None:
    follower = progress()
    follower.sent(LogIndex(8), 10, now_tick=0)
    assert follower.accepted(LogIndex(8), LogIndex(0), now_tick=1)
    assert (follower.state, follower.match_index, follower.next_index) == (ProgressState.REPLICATE, 8, 9)


def test_window_is_bounded_by_messages_and_by_bytes() -> None:
    by_messages = replicating(messages_max=2)
    by_bytes = replicating(bytes_max=50)
    for index in (6, 7):
        assert by_messages.can_send
        assert by_bytes.can_send
        by_messages.sent(LogIndex(index), 1, now_tick=0)
        by_bytes.sent(LogIndex(index), 30, now_tick=0)
    assert not by_messages.can_send
    assert not by_bytes.can_send
    by_messages.accepted(LogIndex(6), LogIndex(0), now_tick=1)
    by_bytes.accepted(LogIndex(6), LogIndex(0), now_tick=1)
    assert by_messages.can_send
    assert by_bytes.can_send


def test_refusal_while_replicating_returns_to_the_last_acknowledged_entry() -> None:
    follower = replicating()
    follower.sent(LogIndex(9), 10, now_tick=0)
    follower.refused(LogIndex(9), LogIndex(2))
    assert (follower.state, follower.next_index, len(follower.window)) == (ProgressState.PROBE, 6, 0)


@pytest.mark.parametrize("prev_index", [3, 5])
def test_late_refusal_of_what_was_acknowledged_since_changes_nothing(prev_index: int) -> None:
    follower = replicating()
    follower.sent(LogIndex(9), 10, now_tick=0)
    follower.refused(LogIndex(prev_index), LogIndex(1))
    assert (follower.state, follower.next_index) == (ProgressState.REPLICATE, 10)


@pytest.mark.parametrize(
    ("prev_index", "agree_index", "next_index", "can_send"),
    [
        (9, 4, 5, True),  # the hint skips
        (9, 9, 9, True),  # a hint that does not help: one back
        (9, 0, 3, True),  # never at or below what was acknowledged
        (7, 4, 10, False),  # the answer to an earlier probe
    ],
)
def test_refused_probe_falls_back_to_the_hint(
    prev_index: int, agree_index: int, next_index: int, can_send: bool
) -> None:
    follower = progress(next_index=10, match_index=2)
    follower.sent(LogIndex(12), 10, now_tick=0)
    follower.refused(LogIndex(prev_index), LogIndex(agree_index))
    assert (follower.next_index, follower.can_send) == (next_index, can_send)


def test_refusal_of_what_was_acknowledged_is_not_asked_again_at_once() -> None:  # D10
    follower = progress(next_index=6, match_index=5)
    follower.sent(LogIndex(6), 10, now_tick=0)
    follower.refused(LogIndex(5), LogIndex(2))
    assert not follower.can_send, "or the two would exchange messages without end"
    assert (follower.match_index, follower.next_index) == (5, 6)
    assert follower.is_overdue(2, ticks=2), "the next heartbeat asks again"


def test_match_index_never_falls() -> None:
    follower = replicating()
    assert not follower.accepted(LogIndex(3), LogIndex(0), now_tick=1)
    assert follower.match_index == 5


def test_append_is_overdue_when_nothing_was_answered_for_long_enough() -> None:
    follower = replicating()
    assert not follower.is_overdue(100, 2)
    follower.sent(LogIndex(6), 10, now_tick=100)
    follower.sent(LogIndex(7), 10, now_tick=101)
    assert not follower.is_overdue(101, 2)
    assert follower.is_overdue(102, 2)
    follower.accepted(LogIndex(6), LogIndex(0), now_tick=102)
    assert not follower.is_overdue(103, 2)
    assert follower.is_overdue(104, 2)
