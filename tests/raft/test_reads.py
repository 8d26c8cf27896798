"""ReadIndex: thesis 6.4."""

import pytest

from bankd.raft.core import Raft, RaftOptions
from bankd.raft.messages import (
    Configuration,
    HeartbeatRequest,
    ReadIndexRequest,
    ReadIndexResponse,
    VoteRequest,
)
from bankd.raft.ready import ReadRefused, ReadState
from bankd.types import LogIndex, NodeId, Term
from tests.raft.cluster import Cluster, Draws, node_ids
from tests.raft.solo import (
    N1,
    N2,
    N3,
    N4,
    N5,
    accept,
    finish_writes,
    heartbeat,
    heartbeat_answer,
    leader,
    node,
    propose,
    serving_leader,
    tick,
)


def rounds(raft: Raft) -> list[tuple[NodeId, int]]:
    """Return the read rounds that leave now, by receiver."""
    return [(beat.to, beat.read_round) for beat in raft.ready().send_now if isinstance(beat, HeartbeatRequest)]


def test_leader_confirms_a_read_by_a_round_of_heartbeats() -> None:
    raft = serving_leader()
    raft.request_read(7)
    assert rounds(raft) == [(N2, 1), (N3, 1)]
    assert raft.ready().read_states == ()
    heartbeat_answer(raft, N3, 1)
    assert raft.ready().read_states == (ReadState(7, LogIndex(1)),)


def test_reads_between_two_readys_share_one_round() -> None:
    raft = serving_leader()
    for read_id in (1, 2):
        raft.request_read(read_id)
    raft.step(ReadIndexRequest(N1, N2, Term(1), 40))
    assert rounds(raft) == [(N2, 1), (N3, 1)]
    heartbeat_answer(raft, N2, 1)
    ready = raft.ready()
    assert ready.read_states == (ReadState(1, LogIndex(1)), ReadState(2, LogIndex(1)))
    assert ready.send_now == (ReadIndexResponse(N2, N1, Term(1), 40, LogIndex(1)),)


def test_single_voter_serves_at_once() -> None:
    raft = node(configuration=Configuration(frozenset({N1})))
    tick(raft, 20)
    finish_writes(raft)
    finish_writes(raft)
    raft.request_read(1)
    assert raft.ready().read_states == (ReadState(1, LogIndex(1)),)


def test_read_index_is_the_commit_index_when_the_round_opens() -> None:
    raft = serving_leader()
    raft.request_read(1)
    raft.ready()
    propose(raft, b"x")
    finish_writes(raft)
    accept(raft, N2, 2)
    raft.request_read(2)
    raft.ready()
    heartbeat_answer(raft, N2, 2)
    assert raft.ready().read_states == (ReadState(1, LogIndex(1)), ReadState(2, LogIndex(2)))


def test_read_waits_until_the_no_op_is_committed() -> None:
    # R02
    raft = leader(terms=[1, 1])
    raft.request_read(1)
    assert rounds(raft) == []
    heartbeat_answer(raft, N2, 0)
    accept(raft, N2, 3)
    assert rounds(raft) == [(N2, 1), (N3, 1)]
    heartbeat_answer(raft, N2, 1)
    assert raft.ready().read_states == (ReadState(1, LogIndex(3)),)


def test_answer_to_an_earlier_round_does_not_confirm_a_later_read() -> None:
    # R03
    raft = serving_leader()
    for read_id in (1, 2):
        raft.request_read(read_id)
        raft.ready()
    heartbeat_answer(raft, N2, 1)
    heartbeat_answer(raft, N3, 1)
    assert raft.ready().read_states == (ReadState(1, LogIndex(1)),)
    heartbeat_answer(raft, N2, 99)  # no round of ours: counts as the newest at most
    assert raft.ready().read_states == (ReadState(2, LogIndex(1)),)
    raft.request_read(3)
    raft.ready()
    assert raft.ready().read_states == ()


def test_later_heartbeat_makes_good_a_lost_one() -> None:
    raft = serving_leader()
    raft.request_read(1)
    raft.ready()
    tick(raft, 2)
    assert rounds(raft) == [(N2, 1), (N3, 1)]


def test_joint_configuration_confirms_reads_with_both_halves() -> None:
    raft = serving_leader(configuration=Configuration(frozenset({N1, N2, N3}), voters_outgoing=frozenset({N1, N4, N5})))
    raft.request_read(1)
    raft.ready()
    heartbeat_answer(raft, N2, 1)
    heartbeat_answer(raft, N3, 1)
    assert raft.ready().read_states == ()
    heartbeat_answer(raft, N5, 1)
    assert raft.ready().read_states == (ReadState(1, LogIndex(1)),)


def test_learners_answer_confirms_nothing() -> None:
    raft = serving_leader(configuration=Configuration(frozenset({N1, N2, N3}), learners=frozenset({N4, N5})))
    raft.request_read(1)
    raft.ready()
    heartbeat_answer(raft, N4, 1)
    heartbeat_answer(raft, N5, 1)
    assert raft.ready().read_states == ()


def test_reads_of_a_deposed_leader_are_refused_to_all_who_asked() -> None:
    raft = serving_leader()
    raft.request_read(1)
    raft.ready()
    raft.request_read(2)
    raft.step(ReadIndexRequest(N1, N2, Term(1), 40))
    raft.step(heartbeat(N3, 2))
    ready = raft.ready()
    assert ready.reads_refused == (ReadRefused(1), ReadRefused(2))
    assert ReadIndexResponse(N2, N1, Term(2), 40, refused=True) in ready.send_now


def test_reads_beyond_the_bound_are_refused() -> None:
    # B1
    raft = serving_leader(options=RaftOptions(reads_waiting_max=2))
    for read_id in (1, 2, 3):
        raft.request_read(read_id)
    raft.step(ReadIndexRequest(N1, N2, Term(1), 40))
    ready = raft.ready()
    assert ready.reads_refused == (ReadRefused(3),)
    assert ReadIndexResponse(N2, N1, Term(1), 40, refused=True) in ready.send_now
    heartbeat_answer(raft, N2, 1)
    raft.request_read(4)
    assert raft.ready().reads_refused == ()


# Elsewhere


def follower() -> Raft:
    raft = node()
    raft.step(heartbeat(N2, 1))
    finish_writes(raft)
    return raft


def test_follower_asks_its_leader_and_passes_the_answer_on() -> None:
    raft = follower()
    raft.request_read(7)
    (request,) = raft.ready().send_now
    assert isinstance(request, ReadIndexRequest)
    assert request.to == N2
    raft.step(ReadIndexResponse(N1, N2, Term(1), request.read_id, LogIndex(5)))
    raft.step(ReadIndexResponse(N1, N2, Term(1), request.read_id, LogIndex(5)))
    assert raft.ready().read_states == (ReadState(7, LogIndex(5)),)


def test_node_that_knows_no_leader_refuses_reads() -> None:
    raft = node()
    raft.request_read(7)
    assert raft.ready().reads_refused == (ReadRefused(7),)


def test_node_that_does_not_lead_refuses_a_followers_read() -> None:
    raft = follower()
    raft.step(ReadIndexRequest(N1, N3, Term(1), 4))
    assert raft.ready().send_now == (ReadIndexResponse(N3, N1, Term(1), 4, refused=True),)


def test_leaders_refusal_reaches_the_caller() -> None:
    raft = follower()
    raft.request_read(7)
    (request,) = raft.ready().send_now
    assert isinstance(request, ReadIndexRequest)
    raft.step(ReadIndexResponse(N1, N2, Term(1), request.read_id, refused=True))
    assert raft.ready().reads_refused == (ReadRefused(7),)


def test_lost_request_is_refused_after_an_election_timeout() -> None:
    raft = follower()
    raft.request_read(7)
    for _ in range(19):
        tick(raft)
        raft.step(heartbeat(N2, 1))
    raft.request_read(8)
    assert raft.ready().reads_refused == ()
    tick(raft)
    assert raft.ready().reads_refused == (ReadRefused(7),)


@pytest.mark.parametrize(
    "change",
    [heartbeat(N3, 2), VoteRequest(N1, N3, Term(2), LogIndex(0), Term(0), leadership_transfer=True)],
    ids=["new-leader", "new-term"],
)
def test_open_request_is_refused_when_the_leader_changes(change: VoteRequest) -> None:
    raft = follower()
    raft.request_read(7)
    raft.step(change)
    assert raft.ready().reads_refused == (ReadRefused(7),)


def test_requests_of_a_follower_are_bounded() -> None:
    raft = node(options=RaftOptions(reads_waiting_max=2))
    raft.step(heartbeat(N2, 1))
    for read_id in (1, 2, 3):
        raft.request_read(read_id)
    assert raft.ready().reads_refused == (ReadRefused(3),)


def test_answer_to_a_node_before_its_restart_fits_no_request_of_now() -> None:
    # C09: else a read after the restart could be served as of before it
    draws = iter(["one life", "one life", "one life", "next life"])
    cluster = Cluster(node_ids(3), draws=lambda _: Draws(next(draws)))
    cluster.elect("n1")
    cluster.read(N2, 1)
    cluster.settle([N1, N2])
    cluster.read(N2, 2)
    waiting = [message for message in cluster.network if isinstance(message, ReadIndexRequest)]
    answer = ReadIndexResponse(N2, N1, Term(1), waiting[0].read_id, LogIndex(1))
    cluster.crash(N2)
    cluster.start(N2)
    cluster.deliver(HeartbeatRequest(N2, N1, Term(1), LogIndex(0)))
    cluster.read(N2, 1)
    cluster.deliver(answer)
    assert list(cluster.nodes[N2].read_floor) == [1]
