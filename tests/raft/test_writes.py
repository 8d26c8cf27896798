"""Numbered writes: what a completion proves, and how a hanging disk shows."""

import pytest

from bankd.raft.messages import HardState
from bankd.raft.writes import Writes
from bankd.types import LogIndex, Term


def begun(*stable_indexes: int) -> Writes:
    writes = Writes()
    for tick, index in enumerate(stable_indexes):
        writes.begin(HardState(Term(tick)), LogIndex(index), now_tick=tick)
    return writes


def finished(writes: Writes, write_seq: int) -> list[int]:
    stable: list[int] = []
    while (write := writes.pop_finished(write_seq)) is not None:
        stable.append(write.stable_index)
    return stable


def test_completion_speaks_for_every_earlier_write() -> None:
    assert finished(begun(3, 5, 9), 2) == [3, 5]


def test_late_and_repeated_completions_find_nothing() -> None:
    writes = begun(3, 5, 9)
    assert finished(writes, 2) == [3, 5]
    assert finished(writes, 1) == []
    assert finished(writes, 2) == []
    assert finished(writes, 3) == [9]


def test_truncation_clamps_what_the_writes_under_way_prove() -> None:
    writes = begun(3, 5)
    writes.clamp(LogIndex(3))
    writes.begin(None, LogIndex(6), now_tick=2)
    assert finished(writes, 3) == [3, 3, 6]


def test_disk_is_stalled_when_its_oldest_write_is_too_old() -> None:
    writes = begun(1, 2)
    assert not writes.is_stalled(19, 20)
    assert writes.is_stalled(20, 20)
    finished(writes, 1)
    assert not writes.is_stalled(20, 20)
    finished(writes, 2)
    assert not writes.is_stalled(1_000, 20)


def test_completion_of_a_write_that_was_never_handed_out_is_our_bug() -> None:
    with pytest.raises(AssertionError, match="never handed out"):
        finished(begun(1), 2)
