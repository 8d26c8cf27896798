"""The log against a list, and each of its questions in a table."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.raft.log import ENTRY_OVERHEAD_BYTES, RaftLog
from bankd.raft.messages import Entry, EntryType
from bankd.types import LogIndex, Term
from tests.raft.cluster import entries_of_terms
from tests.raft.solo import entries


def log_of(*terms: int, commit: int = 0) -> RaftLog:
    return RaftLog(entries_of_terms(terms), commit_index=LogIndex(commit))


def terms_of(log: RaftLog) -> list[int]:
    return [log.term_at(LogIndex(index)) for index in range(1, log.last_index + 1)]


@pytest.mark.parametrize(
    ("last", "up_to_date"),
    [
        ((3, 2), True),  # equal
        ((4, 2), True),  # longer
        ((2, 2), False),  # shorter
        ((1, 3), True),  # newer last term, however short
        ((9, 1), False),  # older last term, however long
        ((0, 0), False),
    ],
)
def test_log_with_newer_last_term_or_same_and_longer_is_up_to_date(last: tuple[int, int], up_to_date: bool) -> None:
    # Raft 5.4.1
    assert log_of(1, 1, 2).is_up_to_date(LogIndex(last[0]), Term(last[1])) is up_to_date


@pytest.mark.parametrize(
    ("index", "term", "expected"),
    [
        (5, 4, 5),  # all of it may agree
        (9, 4, 5),  # asked beyond the end
        (5, 3, 4),
        (5, 2, 2),  # skips the three entries of terms 3 and 4
        (3, 1, 2),
        (4, 0, 0),
        (0, 0, 0),
    ],
)
def test_agree_index_skips_every_entry_of_a_newer_term(index: int, term: int, expected: int) -> None:
    assert log_of(1, 1, 3, 3, 4).agree_index(LogIndex(index), Term(term)) == expected


def test_empty_log_matches_only_what_is_before_it() -> None:
    log = RaftLog()
    assert log.matches(LogIndex(0), Term(0))
    assert not log.matches(LogIndex(1), Term(0))
    assert (log.last_index, log.last_term) == (0, 0)


def test_log_behind_a_base_answers_for_the_base() -> None:
    log = RaftLog(entries((8, 3), (9, 4)), base_index=LogIndex(7), base_term=Term(2))
    assert log.matches(LogIndex(7), Term(2))
    assert not log.matches(LogIndex(6), Term(2))
    assert (log.commit_index, log.delivered_index, log.last_index) == (7, 7, 9)
    assert log.agree_index(LogIndex(9), Term(2)) == 7
    assert log.slice(LogIndex(8), LogIndex(9), 1_000) == entries((8, 3), (9, 4))
    log.commit_to(LogIndex(8))
    assert log.take_committed() == entries((8, 3))


@pytest.mark.parametrize(
    ("new", "replaced_from", "terms"),
    [
        ([(4, 2)], None, [1, 1, 2, 2]),  # behind the end
        ([(3, 2), (4, 2)], None, [1, 1, 2, 2]),  # one held already
        ([(2, 1)], None, [1, 1, 2]),  # all held already: what follows stays
        ([], None, [1, 1, 2]),
        ([(3, 3)], 3, [1, 1, 3]),
        ([(2, 2), (3, 3)], 2, [1, 2, 3]),
        ([(1, 4)], 1, [4]),
    ],
)
def test_merge_replaces_from_the_first_conflict_only(
    new: list[tuple[int, int]], replaced_from: int | None, terms: list[int]
) -> None:
    # Raft figure 2, AppendEntries, receiver rules 3 and 4
    log = log_of(1, 1, 2)
    assert log.merge(entries(*new)) == replaced_from
    assert terms_of(log) == terms


def test_replaced_entries_count_as_neither_written_nor_stable() -> None:
    log = log_of(1, 1, 1)
    log.merge(entries((2, 2), (3, 2)))
    assert (log.stable_index, log.written_index) == (1, 1)
    assert log.take_unwritten() == entries((2, 2), (3, 2))
    assert log.take_unwritten() == ()


def test_committed_entry_is_never_replaced() -> None:
    with pytest.raises(AssertionError, match="at or below commit 2"):
        log_of(1, 1, 1, commit=2).merge(entries((2, 2)))


def test_commit_index_never_falls() -> None:
    log = log_of(1, 1, 1)
    log.commit_to(LogIndex(2))
    log.commit_to(LogIndex(1))
    assert log.commit_index == 2


def test_committed_entries_are_handed_out_once_and_in_order() -> None:
    log = log_of(1, 1, 2, commit=1)
    log.commit_to(LogIndex(3))
    assert log.take_committed() == entries((2, 1), (3, 2))
    assert log.take_committed() == ()


@pytest.mark.parametrize(("bytes_max", "count"), [(0, 1), (10, 1), (20, 2), (29, 2), (30, 3), (999, 3)])
def test_slice_is_cut_by_bytes_but_never_empty(bytes_max: int, count: int) -> None:
    body = b"x" * (10)
    log = RaftLog([Entry(LogIndex(index), Term(1), EntryType.COMMANDS, body) for index in (1, 2, 3)])
    room_bytes = bytes_max + count * ENTRY_OVERHEAD_BYTES
    assert len(log.slice(LogIndex(1), LogIndex(3), room_bytes)) == count
    assert log.bytes_between(LogIndex(0), LogIndex(2)) == 2 * (10 + ENTRY_OVERHEAD_BYTES)


def test_log_with_a_gap_or_falling_terms_is_not_taken_over() -> None:
    with pytest.raises(AssertionError, match="stands where 2 belongs"):
        RaftLog(entries((1, 1), (3, 1)))
    with pytest.raises(AssertionError, match="behind term 2"):
        RaftLog(entries((1, 2), (2, 1)))


appends = st.lists(
    st.tuples(st.integers(0, 6), st.lists(st.integers(0, 2), min_size=1, max_size=4)), min_size=1, max_size=12
)


@settings(max_examples=150, deadline=None)
@given(appends)
def test_merge_agrees_with_a_plain_list(appends: list[tuple[int, list[int]]]) -> None:
    log = RaftLog()
    plain: list[int] = []
    for start, steps in appends:
        prev = min(start, len(plain))
        term = plain[prev - 1] if prev else 1
        new = []
        for offset, step in enumerate(steps, prev + 1):
            term += step
            new.append((offset, term))
        log.merge(entries(*new))
        kept = [held for held, (_, given_) in zip(plain[prev:], new, strict=False) if held == given_]
        conflict = len(kept) < min(len(new), len(plain) - prev)
        tail = [] if conflict or len(new) > len(plain) - prev else plain[prev + len(new) :]
        plain = plain[:prev] + [given_ for _, given_ in new] + tail
        assert terms_of(log) == plain
        assert log.stable_index <= log.written_index <= log.last_index
