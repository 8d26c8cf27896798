"""The contract with the driver, and the options."""

import pytest

from bankd.raft.core import Raft, RaftOptions
from bankd.raft.messages import Configuration, HardState
from bankd.raft.ready import Ready
from bankd.types import LogIndex, Term
from tests.raft.cluster import Zeros, entries_of_terms
from tests.raft.solo import N1, N2, THREE, accept, append, entries, finish_writes, node, propose, serving_leader


def test_ready_hands_out_everything_once() -> None:
    raft = serving_leader()
    propose(raft, b"x")
    assert raft.ready() != Ready()
    assert raft.ready() == Ready()


def test_empty_ready_is_one_shared_object() -> None:
    raft = node()
    assert raft.ready() is raft.ready()


def test_writes_are_numbered_one_by_one() -> None:
    raft = serving_leader()
    numbers = []
    for _ in range(3):
        propose(raft, b"x")
        persist = raft.ready().persist
        assert persist is not None
        numbers.append(persist.write_seq)
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]


def test_completions_may_come_late_repeated_and_out_of_order() -> None:
    raft = serving_leader()
    numbers = []
    for _ in range(3):
        propose(raft, b"x")
        persist = raft.ready().persist
        assert persist is not None
        numbers.append(persist.write_seq)
    for number in (numbers[1], numbers[0], numbers[1]):
        raft.persisted(number)
        assert raft.stable_index == 3
    raft.persisted(numbers[2])
    assert raft.stable_index == 4


def test_entries_applied_before_the_start_are_not_handed_out_again() -> None:
    raft = Raft(
        node_id=N1,
        configuration=THREE,
        hard_state=HardState(Term(1)),
        entries=entries_of_terms([1, 1, 1]),
        commit_index=LogIndex(2),
        options=RaftOptions(),
        random=Zeros(),
    )
    raft.step(append(N2, 1, (3, 1), commit=3))
    assert raft.ready().committed == entries((3, 1))


def test_log_newer_than_the_hard_state_is_not_taken_over() -> None:
    with pytest.raises(AssertionError, match="behind the log's"):
        Raft(
            node_id=N1,
            configuration=THREE,
            hard_state=HardState(Term(1)),
            entries=entries_of_terms([1, 2]),
            options=RaftOptions(),
            random=Zeros(),
        )


def test_views_tell_how_the_followers_stand() -> None:
    raft = serving_leader()
    propose(raft, b"x")
    finish_writes(raft)
    accept(raft, N2, 2)
    view = raft.progress[N2]
    assert (view.match_index, view.next_index, view.state.name, view.recent_active) == (2, 3, "REPLICATE", True)
    assert (raft.node_id, raft.configuration, raft.leader_id) == (N1, THREE, N1)
    assert node(configuration=Configuration(frozenset({N1}))).progress == {}


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"heartbeat_ticks": 0}, "heartbeat_ticks must be at least 1"),
        ({"heartbeat_ticks": 5, "election_ticks": 10}, "one lost heartbeat costs a leader"),
        ({"append_bytes_max": 0}, "append_bytes_max"),
        ({"inflight_messages_max": 0}, "inflight_messages_max"),
        ({"inflight_bytes_max": 0}, "inflight_bytes_max"),
        ({"uncommitted_bytes_max": 0}, "uncommitted_bytes_max"),
        ({"reads_waiting_max": 0}, "reads_waiting_max"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(settings: dict[str, int], fault: str) -> None:
    numbers = {"heartbeat_ticks": 2, "election_ticks": 20, "append_bytes_max": 1, "inflight_messages_max": 1}
    numbers |= {"inflight_bytes_max": 1, "uncommitted_bytes_max": 1, "reads_waiting_max": 1} | settings
    with pytest.raises(ValueError, match=fault):
        RaftOptions(
            heartbeat_ticks=numbers["heartbeat_ticks"],
            election_ticks=numbers["election_ticks"],
            append_bytes_max=numbers["append_bytes_max"],
            inflight_messages_max=numbers["inflight_messages_max"],
            inflight_bytes_max=numbers["inflight_bytes_max"],
            uncommitted_bytes_max=numbers["uncommitted_bytes_max"],
            reads_waiting_max=numbers["reads_waiting_max"],
        )
