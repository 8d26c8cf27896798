"""Ticks handed over in bulk leave a node exactly where the same ticks one by one do."""

from collections.abc import Callable
from random import Random

import pytest

from bankd.raft.core import Raft
from bankd.raft.messages import ReadIndexResponse
from bankd.raft.ready import Ready
from bankd.types import LogIndex
from tests.raft.solo import N1, N2, N3, QUIET, heartbeat, leader, node, tick, vote


def pass_in_bulk(raft: Raft, ticks: int) -> None:
    """As a driver does that sleeps while nothing is due."""
    while ticks:
        quiet = min(ticks, raft.ticks_until_due - 1)
        raft.let_pass(quiet)
        ticks -= quiet
        if ticks:
            raft.tick()
            ticks -= 1


def drained(raft: Raft) -> Ready:
    """Hand out everything, and complete the write at once."""
    ready = raft.ready()
    if ready.persist is not None:
        raft.persisted(ready.persist.write_seq)
    return ready


HAPPENINGS: list[Callable[[Raft, int], None]] = [
    lambda raft, at: raft.step(heartbeat(N2, raft.term or 1)),
    lambda raft, at: raft.request_read(at),
    lambda raft, at: raft.step(ReadIndexResponse(N1, N2, raft.term, 1, LogIndex(0))),
    lambda raft, at: raft.step(vote(N3, raft.term + 1, (9, 9))),
    lambda raft, at: None,
]


@pytest.mark.parametrize("seed", range(40))
def test_no_history_tells_bulk_from_single_ticks(seed: int) -> None:
    random = Random(seed)
    single, bulk = node(terms=[1, 1], term=1), node(terms=[1, 1], term=1)
    for at in range(60):
        ticks, happen = random.randrange(3 * QUIET.election_ticks // 2), random.choice(HAPPENINGS)
        tick(single, ticks)
        pass_in_bulk(bulk, ticks)
        assert drained(bulk) == drained(single)
        happen(single, at)
        happen(bulk, at)
        assert (drained(bulk), bulk.term, bulk.role) == (drained(single), single.term, single.role)


def test_follower_is_due_when_its_timeout_is_over_and_not_before() -> None:
    raft = node()
    raft.step(heartbeat(N2, 1))
    assert raft.ticks_until_due == QUIET.election_ticks
    raft.let_pass(QUIET.election_ticks - 1)
    assert raft.ticks_until_due == 1
    with pytest.raises(AssertionError, match="1 ticks, the next that is due is number 1"):
        raft.let_pass(1)


def test_question_to_the_leader_is_due_an_election_timeout_after_it_was_asked() -> None:
    raft = node()
    raft.step(heartbeat(N2, 1))
    raft.request_read(7)
    raft.let_pass(3)
    raft.step(heartbeat(N2, 1))
    assert raft.ticks_until_due == QUIET.election_ticks - 3


def test_every_tick_of_a_leader_is_due() -> None:
    assert leader().ticks_until_due == 1
