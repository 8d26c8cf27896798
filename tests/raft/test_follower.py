"""The follower's side: paper figure 2, AppendEntries, receiver implementation."""

import pytest

from bankd.raft.core import Raft
from bankd.raft.messages import AppendResponse, Entry, HeartbeatResponse, Message, SnapshotRef, SnapshotRequest
from bankd.raft.ready import ChunkReceived, LogForgotten, LogTruncated, MessageIgnored, Persist
from bankd.types import LogIndex, Term
from tests.raft.solo import N1, N2, N3, QUIET, append, entries, finish_writes, heartbeat, node, tick


def persist_of(raft: Raft) -> Persist:
    persist = raft.ready().persist
    assert persist is not None
    return persist


def answers(raft: Raft) -> list[tuple[bool, int]]:
    ready = raft.ready()
    assert not any(isinstance(message, AppendResponse) for message in ready.send_now)
    held: tuple[Message, ...] = ready.persist.then_send if ready.persist else ()
    return [(answer.accepted, answer.match_index) for answer in held if isinstance(answer, AppendResponse)]


def test_follower_answers_append_only_after_persist() -> None:
    # Paper figure 2, "respond after"; D20
    raft = node()
    raft.step(append(N2, 1, (0, 0), entries((1, 1), (2, 1))))
    ready = raft.ready()
    assert ready.send_now == ()
    assert ready.persist is not None
    assert ready.persist.entries == entries((1, 1), (2, 1))
    assert ready.persist.then_send == (AppendResponse(N2, N1, Term(1), True, LogIndex(2)),)
    assert raft.stable_index == 0
    raft.persisted(ready.persist.write_seq)
    assert raft.stable_index == 2


def test_repeated_append_is_acknowledged_behind_the_write_that_it_relies_on() -> None:
    raft = node()
    raft.step(append(N2, 1, (0, 0), entries((1, 1))))
    first = persist_of(raft)
    raft.step(append(N2, 1, (0, 0), entries((1, 1))))
    second = persist_of(raft)
    assert (second.hard_state, second.entries) == (None, ())
    assert second.write_seq == first.write_seq + 1
    assert second.then_send == (AppendResponse(N2, N1, Term(1), True, LogIndex(1)),)


def test_follower_whose_disk_hangs_takes_nothing_more_until_it_goes_on() -> None:
    # D16, B1: a leader asks with every heartbeat
    raft = node()
    raft.step(append(N2, 1, (0, 0), entries((1, 1))))
    hung = persist_of(raft)
    writes = 0
    for _ in range(10 * QUIET.election_ticks):
        raft.tick()
        raft.step(heartbeat(N2, 1, 0))
        raft.step(append(N2, 1, (1, 1), ()))
        writes += raft.ready().persist is not None
    assert writes < QUIET.election_ticks
    raft.persisted(hung.write_seq + writes)
    raft.step(append(N2, 1, (1, 1), entries((2, 1))))
    assert answers(raft) == [(True, 2)]


def test_follower_whose_disk_hangs_takes_no_snapshot_either() -> None:
    raft = node()
    raft.step(append(N2, 1, (0, 0), entries((1, 1))))
    hung = persist_of(raft)
    tick(raft, QUIET.election_ticks)
    snapshot = SnapshotRef(LogIndex(9), Term(1), 10, b"a")
    raft.step(SnapshotRequest(N1, N2, Term(1), snapshot))
    assert raft.ready().chunks_received == ()
    raft.persisted(hung.write_seq)
    raft.step(SnapshotRequest(N1, N2, Term(1), snapshot))
    assert raft.ready().chunks_received == (ChunkReceived(snapshot, 0, b""),)


def test_hard_state_is_written_with_or_before_the_entries_of_its_term() -> None:
    raft = node(terms=[1])
    raft.step(append(N2, 3, (1, 1), entries((2, 3))))
    persist = persist_of(raft)
    assert persist.hard_state is not None
    assert (persist.hard_state.term, persist.entries) == (3, entries((2, 3)))
    raft.step(append(N2, 3, (2, 3), entries((3, 3))))
    assert persist_of(raft).hard_state is None


@pytest.mark.parametrize(
    ("prev", "new", "expected", "last_index"),
    [
        ((3, 2), ((4, 3),), (True, 4), 4),
        ((3, 1), ((4, 3),), (False, 3), 3),  # another term there
        ((9, 2), ((10, 3),), (False, 9), 3),  # a gap
        ((1, 1), ((2, 1),), (True, 2), 3),  # what is held already stays, and says no more than the message
        ((1, 1), ((2, 3),), (True, 2), 2),  # a conflict goes, with all behind it
        ((0, 0), (), (True, 0), 3),
    ],
)
def test_append_is_taken_only_behind_a_matching_entry(
    prev: tuple[int, int], new: tuple[tuple[int, int], ...], expected: tuple[bool, int], last_index: int
) -> None:
    # Paper 5.3, consistency check
    raft = node(terms=[1, 1, 2])
    raft.step(append(N2, 3, prev, entries(*new)))
    assert answers(raft) == [expected]
    assert raft.last_index == last_index


@pytest.mark.parametrize(
    ("prev", "hint"),
    [((9, 5), (5, 4)), ((5, 3), (2, 1)), ((4, 2), (2, 1)), ((3, 1), (2, 1)), ((5, 0), (0, 0))],
)
def test_refusal_names_where_the_logs_may_agree_at_the_latest(prev: tuple[int, int], hint: tuple[int, int]) -> None:
    raft = node(terms=[1, 1, 4, 4, 4])
    raft.step(append(N2, 5, prev))
    (answer,) = persist_of(raft).then_send
    assert isinstance(answer, AppendResponse)
    assert (answer.accepted, answer.hint_index, answer.hint_term) == (False, *hint)


def test_replaced_entries_are_reported_from_the_first_on() -> None:
    raft = node(terms=[1, 1, 1, 1])
    raft.step(append(N2, 2, (2, 1), entries((3, 2))))
    assert LogTruncated(LogIndex(3)) in raft.ready().events


@pytest.mark.parametrize(("leader_commit", "count", "commit"), [(0, 2, 0), (2, 2, 2), (9, 2, 3), (9, 0, 1), (3, 1, 2)])
def test_follower_commits_no_further_than_the_last_entry_known_to_match(
    leader_commit: int, count: int, commit: int
) -> None:
    # Paper figure 2, receiver rule 5: entries behind the message's last may be another leader's
    raft = node(terms=[1, 1, 1, 1])
    raft.step(append(N2, 1, (1, 1), entries((2, 1), (3, 1))[:count], leader_commit))
    assert raft.commit_index == commit


def test_commit_index_never_falls() -> None:
    raft = node(terms=[1, 1, 1])
    raft.step(append(N2, 1, (3, 1), commit=3))
    raft.step(append(N2, 1, (3, 1), commit=1))
    raft.step(heartbeat(N2, 1, commit=2))
    assert raft.commit_index == 3


def test_old_append_before_the_commit_index_is_answered_with_it() -> None:
    raft = node(terms=[1, 1, 1])
    raft.step(append(N2, 1, (3, 1), commit=3))
    finish_writes(raft)
    raft.step(append(N2, 1, (1, 1), entries((2, 1))))
    assert answers(raft) == [(True, 3)]


def test_heartbeat_is_answered_at_once_with_its_round() -> None:
    raft = node()
    raft.step(heartbeat(N2, 1, read_round=7))
    assert raft.ready().send_now == (HeartbeatResponse(N2, N1, Term(1), 7),)


def test_late_completion_of_a_replaced_entry_does_not_make_its_successor_durable() -> None:
    # D25; the golden transcript aba_race shows the longer story
    raft = node()
    raft.step(append(N2, 1, (0, 0), entries((1, 1), (2, 1))))
    first = persist_of(raft)
    raft.step(append(N3, 2, (1, 1), entries((2, 2))))
    second = persist_of(raft)
    raft.persisted(first.write_seq)
    assert raft.stable_index == 1
    raft.persisted(second.write_seq)
    assert raft.stable_index == 2


@pytest.mark.parametrize(
    ("prev", "new", "reason"),
    [
        ((2, 9), ((3, 9),), "committed_entry_contradicted"),
        ((1, 9), (), "committed_entry_contradicted"),
        ((3, 1), ((5, 9),), "append_malformed"),  # a gap inside
        ((3, 1), ((4, 9), (4, 9)), "append_malformed"),
        ((3, 1), ((4, 9), (5, 8)), "append_malformed"),  # terms fall
        ((3, 1), ((4, 10),), "append_malformed"),  # of a term to come
        ((3, 10), (), "append_malformed"),
    ],
)
def test_append_that_no_correct_leader_sends_is_ignored_and_reported(
    prev: tuple[int, int], new: tuple[tuple[int, int], ...], reason: str
) -> None:
    raft = node(terms=[1, 1, 1])
    raft.step(append(N2, 9, (3, 1), commit=2))
    finish_writes(raft)
    raft.step(append(N2, 9, prev, entries(*new)))
    ready = raft.ready()
    assert ready.events == (MessageIgnored(N2, reason),)
    assert ready.persist is None
    assert (raft.last_index, raft.commit_index) == (3, 2)


def test_append_that_would_rewrite_committed_entries_rewrites_nothing() -> None:
    # S4, whatever a broken leader sends
    raft = node(terms=[1, 1, 1])
    raft.step(append(N2, 9, (3, 1), commit=3))
    finish_writes(raft)
    raft.step(append(N2, 9, (1, 1), entries((2, 9), (3, 9), (4, 9))))
    ready = raft.ready()
    assert ready.persist is None or ready.persist.entries == ()
    assert raft.last_index == 3


def test_heartbeat_beyond_the_log_is_reported_and_commits_nothing() -> None:
    # D10: this node acknowledged entries that it does not hold any more
    raft = node(terms=[1])
    raft.step(heartbeat(N2, 1, commit=5))
    assert LogForgotten(N2, LogIndex(5)) in raft.ready().events
    assert raft.commit_index == 0


def test_stranger_that_leads_is_followed() -> None:
    # A follower's configuration may be older than its leader's.
    raft = node()
    stranger = type(N1)("n9")
    raft.step(append(stranger, 1, (0, 0), (Entry(LogIndex(1), Term(1), entries((1, 1))[0].type, b""),)))
    assert raft.leader_id == stranger
    assert answers(raft) == [(True, 1)]
