"""Tables for what anyone can count by hand, and brute force over every small configuration."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.raft.messages import Configuration
from bankd.raft.quorum import VoteResult, has_quorum, majority, quorum_index, vote_result
from bankd.types import NodeId
from tests.raft.solo import N1, N2, N3, N4, N5

NODES = (N1, N2, N3, N4, N5)


def voters(names: str) -> frozenset[NodeId]:
    return frozenset(NodeId(f"n{name}") for name in names)


@pytest.mark.parametrize(("size", "expected"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)])
def test_majority_is_more_than_half(size: int, expected: int) -> None:
    assert majority(size) == expected


@pytest.mark.parametrize(
    ("incoming", "outgoing", "reached", "expected"),
    [
        ("1", "", {N1: 7}, 7),
        ("12", "", {N1: 7, N2: 3}, 3),
        ("123", "", {N1: 9, N2: 5, N3: 2}, 5),
        ("123", "", {N1: 9}, 0),
        ("123", "", {N1: 9, N2: 9, N4: 9}, 9),
        ("1234", "", {N1: 4, N2: 3, N3: 2, N4: 1}, 2),
        ("12345", "", {N1: 5, N2: 4, N3: 3, N4: 2, N5: 1}, 3),
        ("123", "345", {N1: 9, N2: 9, N3: 9, N4: 1, N5: 1}, 1),
        ("123", "345", {N1: 9, N2: 9, N3: 5, N4: 7}, 5),
        ("", "", {N1: 9}, 0),
    ],
)
def test_quorum_index_is_what_a_majority_of_each_half_reached(
    incoming: str, outgoing: str, reached: dict[NodeId, int], expected: int
) -> None:
    assert quorum_index(Configuration(voters(incoming), voters(outgoing)), reached) == expected


@pytest.mark.parametrize(
    ("incoming", "outgoing", "yes", "no", "expected"),
    [
        ("1", "", "1", "", VoteResult.WON),
        ("123", "", "1", "", VoteResult.PENDING),
        ("123", "", "12", "", VoteResult.WON),
        ("123", "", "1", "23", VoteResult.LOST),
        ("123", "", "1", "2", VoteResult.PENDING),
        ("1234", "", "12", "34", VoteResult.LOST),
        ("123", "345", "12", "", VoteResult.PENDING),
        ("123", "345", "1234", "", VoteResult.WON),
        ("123", "345", "12", "45", VoteResult.LOST),
        ("123", "", "145", "", VoteResult.PENDING),
    ],
)
def test_vote_is_won_by_a_majority_of_each_half(
    incoming: str, outgoing: str, yes: str, no: str, expected: VoteResult
) -> None:
    votes = dict.fromkeys(voters(yes), True) | dict.fromkeys(voters(no), False)
    assert vote_result(Configuration(voters(incoming), voters(outgoing)), votes) is expected


def test_learners_count_for_nothing() -> None:
    configuration = Configuration(voters("123"), learners=voters("45"))
    assert quorum_index(configuration, {N1: 5, N4: 5, N5: 5}) == 0
    assert not has_quorum(configuration, {N1, N4, N5})


configurations = st.builds(
    Configuration,
    st.frozensets(st.sampled_from(NODES), min_size=1),
    st.frozensets(st.sampled_from(NODES)),
    st.frozensets(st.sampled_from(NODES)),
)


def quorums(configuration: Configuration) -> list[set[NodeId]]:
    """Every set of nodes that holds more than half of each half, by trying them all."""
    halves = [half for half in (configuration.voters, configuration.voters_outgoing) if half]
    return [
        set(chosen)
        for size in range(len(NODES) + 1)
        for chosen in combinations(NODES, size)
        if all(2 * len(half & set(chosen)) > len(half) for half in halves)
    ]


@settings(max_examples=150, deadline=None)
@given(configurations, st.dictionaries(st.sampled_from(NODES), st.integers(0, 6)))
def test_quorum_index_agrees_with_brute_force(configuration: Configuration, reached: dict[NodeId, int]) -> None:
    expected = max(min(reached.get(node, 0) for node in chosen) for chosen in quorums(configuration))
    assert quorum_index(configuration, reached) == expected


@settings(max_examples=150, deadline=None)
@given(configurations, st.dictionaries(st.sampled_from(NODES), st.booleans()))
def test_vote_result_agrees_with_brute_force(configuration: Configuration, votes: dict[NodeId, bool]) -> None:
    yes = {node for node, granted in votes.items() if granted}
    may_yet = {node for node in NODES if votes.get(node, True)}
    assert (vote_result(configuration, votes) is VoteResult.WON) == any(q <= yes for q in quorums(configuration))
    assert (vote_result(configuration, votes) is VoteResult.LOST) == (
        not any(q <= may_yet for q in quorums(configuration))
    )


@settings(max_examples=100, deadline=None)
@given(configurations)
def test_two_quorums_always_share_a_node(configuration: Configuration) -> None:
    every = quorums(configuration)
    assert all(one & other for one in every for other in every)
    assert all(has_quorum(configuration, chosen) for chosen in every)
