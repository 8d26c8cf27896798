"""The leader's side: appends, windows, commit. Paper 5.3, 5.4.2; thesis 10.2.1."""

import pytest

from bankd.raft.core import NotLeader, ProposalRefused, RaftOptions
from bankd.raft.log import ENTRY_OVERHEAD_BYTES
from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    Configuration,
    EntryType,
    HeartbeatRequest,
)
from bankd.raft.progress import ProgressState
from bankd.raft.ready import MessageIgnored, Ready
from bankd.types import LogIndex, NodeId
from tests.raft.cluster import Cluster, node_ids
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


def appends(ready: Ready, to: NodeId | None = None) -> list[AppendRequest]:
    return [
        message for message in ready.send_now if isinstance(message, AppendRequest) and (to is None or message.to == to)
    ]


def indexes(append: AppendRequest) -> list[int]:
    return [entry.index for entry in append.entries]


# Paper 5.3


def test_only_a_leader_takes_proposals_and_others_name_it() -> None:
    raft = node()
    with pytest.raises(NotLeader) as unknown:
        propose(raft, b"x")
    raft.step(heartbeat(N2, 1))
    with pytest.raises(NotLeader) as known:
        propose(raft, b"x")
    assert (unknown.value.leader_id, known.value.leader_id) == (None, N2)


def test_new_leader_opens_its_term_with_a_no_op() -> None:
    raft = leader(terms=[1, 1])
    assert raft.last_index == 3
    assert not raft.can_serve
    accept(raft, N2, 3)
    assert raft.can_serve
    assert [(entry.index, entry.type) for entry in raft.ready().committed] == [
        (1, EntryType.COMMANDS),
        (2, EntryType.COMMANDS),
        (3, EntryType.NOOP),
    ]


def test_proposals_between_two_readys_leave_in_one_append_a_follower() -> None:
    raft = serving_leader()
    assert propose(raft, b"a", b"b") == 2
    assert propose(raft, b"c") == 4
    sent = appends(raft.ready())
    assert [(append.to, indexes(append)) for append in sent] == [(N2, [2, 3, 4]), (N3, [2, 3, 4])]
    assert sent[0].entries is sent[1].entries


def test_large_batches_are_cut_into_appends_of_bounded_size() -> None:
    raft = serving_leader(options=RaftOptions(append_bytes_max=2 * (10 + ENTRY_OVERHEAD_BYTES)))
    propose(raft, *[b"x" * 10] * 5)
    assert [indexes(append) for append in appends(raft.ready(), N2)] == [[2, 3], [4, 5], [6]]


def test_commit_needs_a_majority_and_counts_each_follower_once() -> None:
    raft = serving_leader(configuration=Configuration(frozenset({N1, N2, N3, N4, N5})))
    propose(raft, b"x")
    finish_writes(raft)
    for _ in range(3):
        accept(raft, N2, 2)
    assert raft.commit_index == 1
    accept(raft, N3, 2)
    assert raft.commit_index == 2


def test_commit_reaches_followers_with_the_next_append_or_heartbeat() -> None:
    raft = serving_leader()
    propose(raft, b"x")
    finish_writes(raft)
    accept(raft, N2, 2)
    assert raft.ready().send_now == ()
    propose(raft, b"y")
    assert [append.commit_index for append in appends(raft.ready())] == [2, 2]
    tick(raft, 2)
    beats = [message for message in raft.ready().send_now if isinstance(message, HeartbeatRequest)]
    assert [(beat.to, beat.commit_index) for beat in beats] == [(N2, 2), (N3, 1)]


def test_heartbeat_never_names_a_commit_beyond_what_the_follower_acknowledged() -> None:
    raft = leader(terms=[1, 1])
    accept(raft, N2, 3)
    tick(raft, 2)
    beats = {beat.to: beat.commit_index for beat in raft.ready().send_now if isinstance(beat, HeartbeatRequest)}
    assert beats == {N2: 3, N3: 0}


def test_learner_receives_entries_and_counts_for_nothing() -> None:
    raft = serving_leader(configuration=Configuration(frozenset({N1, N2, N3}), learners=frozenset({N4, N5})))
    for learner in (N4, N5):
        accept(raft, learner, 1)
    raft.ready()
    propose(raft, b"x")
    assert [append.to for append in appends(finish_writes(raft))] == [N2, N3, N4, N5]
    accept(raft, N4, 2)
    accept(raft, N5, 2)
    assert raft.commit_index == 1


def test_joint_configuration_commits_with_both_halves_only() -> None:
    raft = serving_leader(configuration=Configuration(frozenset({N1, N2, N3}), voters_outgoing=frozenset({N1, N4, N5})))
    propose(raft, b"x")
    finish_writes(raft)
    accept(raft, N2, 2)
    accept(raft, N3, 2)
    assert raft.commit_index == 1
    accept(raft, N4, 2)
    assert raft.commit_index == 2


# Paper 5.4.2


def test_entry_of_an_older_term_is_not_committed_by_counting() -> None:
    # Figure 8: R01
    raft = leader(terms=[1, 1])
    accept(raft, N2, 2)
    accept(raft, N3, 2)
    assert raft.commit_index == 0
    accept(raft, N3, 3)
    assert raft.commit_index == 3


# Thesis 10.2.1


def test_append_leaves_before_the_leaders_own_write_is_durable() -> None:
    raft = serving_leader()
    propose(raft, b"x")
    ready = raft.ready()
    assert len(appends(ready)) == 2
    assert ready.persist is not None
    assert [entry.index for entry in ready.persist.entries] == [2]


def test_leader_counts_itself_only_up_to_what_is_durable() -> None:
    raft = serving_leader()
    propose(raft, b"x")
    ready = raft.ready()
    accept(raft, N2, 2)
    assert raft.commit_index == 1
    assert ready.persist is not None
    raft.persisted(ready.persist.write_seq)
    assert raft.commit_index == 2


def test_followers_commit_an_entry_that_the_leaders_disk_does_not_hold_yet() -> None:
    raft = serving_leader()
    propose(raft, b"x")
    raft.ready()
    accept(raft, N2, 2)
    accept(raft, N3, 2)
    assert (raft.commit_index, raft.stable_index) == (2, 1)
    assert [entry.index for entry in raft.ready().committed] == [2]


def test_appends_follow_each_other_up_to_the_window() -> None:
    raft = serving_leader(options=RaftOptions(inflight_messages_max=3))
    for _ in range(5):
        propose(raft, b"x")
        raft.ready()
    assert raft.progress[N2].next_index == 5
    accept(raft, N2, 3)
    assert [indexes(append) for append in appends(raft.ready())] == [[5, 6]]


def test_slow_follower_does_not_hold_up_the_others() -> None:
    raft = serving_leader(options=RaftOptions(inflight_messages_max=2))
    for index in range(2, 40):
        propose(raft, b"x")
        ready = finish_writes(raft)
        assert appends(ready, N2), f"nothing for n2 at {index}"
        accept(raft, N2, index)
        assert raft.commit_index == index


@pytest.mark.parametrize("answered", [False, True])
def test_new_leader_probes_one_append_at_a_time(answered: bool) -> None:
    raft = leader()
    propose(raft, b"x")
    assert appends(raft.ready()) == []
    if answered:
        accept(raft, N2, 1)
    propose(raft, b"y")
    assert [(append.to, indexes(append)) for append in appends(raft.ready())] == ([(N2, [2, 3])] if answered else [])


def test_lost_probe_is_sent_again_after_a_heartbeat_is_answered() -> None:
    # R16
    raft = leader()
    heartbeat_answer(raft, N2)
    assert appends(raft.ready()) == []  # too early to call it lost
    tick(raft, 2)
    heartbeat_answer(raft, N2)
    assert [(append.to, indexes(append)) for append in appends(raft.ready())] == [(N2, [1])]


def test_lost_append_is_uncovered_by_an_empty_one() -> None:
    # R16
    raft = serving_leader()
    propose(raft, b"x")
    finish_writes(raft)
    tick(raft, 2)
    raft.ready()
    heartbeat_answer(raft, N2)
    heartbeat_answer(raft, N2)
    assert [(append.prev_index, append.entries) for append in appends(raft.ready())] == [(2, ())]
    raft.step(AppendResponse(N1, N2, raft.term, False, LogIndex(2), LogIndex(1), raft.term))
    assert [indexes(append) for append in appends(raft.ready())] == [[2]]


def test_unreachable_follower_is_probed_behind_its_last_acknowledgement() -> None:
    raft = serving_leader()
    for _ in range(3):
        propose(raft, b"x")
        raft.ready()
    raft.report_unreachable(N2)
    assert [indexes(append) for append in appends(raft.ready())] == [[2, 3, 4]]
    assert raft.progress[N2].state is ProgressState.PROBE
    raft.report_unreachable(NodeId("n9"))
    assert raft.ready().send_now == ()


def test_read_rounds_do_not_make_the_leader_repeat_appends() -> None:
    raft = serving_leader()
    propose(raft, b"x")
    finish_writes(raft)
    for read_id in range(5):
        raft.request_read(read_id)
        raft.ready()
        heartbeat_answer(raft, N2, read_id + 1)
        assert appends(raft.ready()) == []


@pytest.mark.parametrize("window", [1, 2, 64])
@pytest.mark.parametrize("kept", [2, 3, 5])
def test_replication_survives_any_regular_loss(window: int, kept: int) -> None:
    # R16: of every `kept` messages one is lost, whatever it is
    cluster = Cluster(node_ids(3), options=RaftOptions(inflight_messages_max=window))
    cluster.elect("n1")
    count = 0
    for _ in range(30):
        if cluster.raft("n1").last_index < 20:
            cluster.propose(N1, b"x")
        for _ in range(20):
            waiting, cluster.network = cluster.network, []
            for message in waiting:
                count += 1
                if count % kept:
                    cluster.deliver(message)
            for name in (N1, N2, N3):
                cluster.persist(name)
        for name in (N1, N2, N3):
            cluster.tick(name)
    cluster.pass_time(4)
    assert [len(cluster.nodes[name].applied) for name in (N1, N2, N3)] == [20, 20, 20]


# Bounds


def test_proposals_beyond_the_uncommitted_limit_are_refused_until_a_quorum_answers() -> None:
    # X06
    room_bytes = 3 * (100 + ENTRY_OVERHEAD_BYTES)
    raft = serving_leader(options=RaftOptions(uncommitted_bytes_max=room_bytes))
    for _ in range(3):
        propose(raft, b"x" * 100)
    with pytest.raises(ProposalRefused, match="uncommitted_limit"):
        propose(raft, b"")
    assert raft.last_index == 4
    finish_writes(raft)
    accept(raft, N2, 2)
    assert propose(raft, b"x" * 100) == 5


def test_proposal_larger_than_the_limit_is_taken_when_nothing_waits() -> None:
    raft = serving_leader(options=RaftOptions(uncommitted_bytes_max=10))
    assert propose(raft, b"x" * 1_000) == 2
    with pytest.raises(ProposalRefused):
        propose(raft, b"x")


def test_new_leader_counts_what_its_predecessors_left_uncommitted() -> None:
    raft = leader(terms=[1] * 5, options=RaftOptions(uncommitted_bytes_max=5 * ENTRY_OVERHEAD_BYTES))
    with pytest.raises(ProposalRefused):
        propose(raft, b"")


# Peers that make no sense


def test_acknowledgement_beyond_the_leaders_log_is_ignored_and_reported() -> None:
    raft = serving_leader()
    accept(raft, N2, 99)
    assert raft.progress[N2].match_index == 1
    assert raft.ready().events == (MessageIgnored(N2, "acknowledged_beyond_log"),)


def test_answers_of_strangers_change_nothing() -> None:
    raft = serving_leader()
    accept(raft, N5, 1)
    heartbeat_answer(raft, N5)
    assert sorted(raft.progress) == [N2, N3]
    assert raft.ready().send_now == ()
