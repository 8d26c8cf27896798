"""A follower that is sent a snapshot: for how long the leader keeps the log behind it."""

from bankd.raft.core import Raft
from bankd.raft.messages import AppendResponse, SnapshotRef, SnapshotRequest, SnapshotResponse
from bankd.raft.progress import ProgressState
from bankd.raft.ready import Ready
from bankd.raft.snapshots import PATIENCE_ELECTION_TIMEOUTS
from bankd.types import LogIndex, Term
from tests.raft.solo import N1, N2, N3, QUIET, accept, finish_writes, heartbeat_answer, leader, propose, tick

SIZE_BYTES = 1_000_000
BEATS = PATIENCE_ELECTION_TIMEOUTS * QUIET.election_ticks // QUIET.heartbeat_ticks


def snapshot_at(raft: Raft, index: int) -> SnapshotRef:
    return SnapshotRef(LogIndex(index), raft.term, SIZE_BYTES, bytes([index]) * 16)


def leader_that_sends_a_snapshot() -> tuple[Raft, SnapshotRef]:
    """n1 leads with n3's help, has dropped its log up to index 3, and sends n2, which has nothing, a snapshot of that."""
    raft = leader()
    propose(raft, b"x", b"x")
    finish_writes(raft)
    accept(raft, N3, 3)
    raft.ready()
    snapshot = snapshot_at(raft, 3)
    raft.snapshot_taken(snapshot)
    raft.compact(snapshot.index)
    raft.step(AppendResponse(N1, N2, raft.term, False, LogIndex(0), LogIndex(0), Term(0)))
    beat(raft)
    assert raft.progress[N2].state is ProgressState.SNAPSHOT
    return raft, snapshot


def beat(raft: Raft) -> Ready:
    """Let a heartbeat pass, which both others answer."""
    tick(raft, QUIET.heartbeat_ticks)
    for other in (N2, N3):
        heartbeat_answer(raft, other)
    return finish_writes(raft)


def go_on_to(raft: Raft, index: int) -> None:
    """Commit one entry with n3, and take a snapshot of it."""
    assert propose(raft, b"x") == index
    finish_writes(raft)
    accept(raft, N3, index)
    raft.ready()
    raft.snapshot_taken(snapshot_at(raft, index))


def test_the_log_behind_a_snapshot_that_is_being_sent_is_kept_while_it_gets_on() -> None:  # R16
    raft, snapshot = leader_that_sends_a_snapshot()
    go_on_to(raft, 4)
    for received_bytes in range(BEATS + 10):
        raft.step(SnapshotResponse(N1, N2, raft.term, snapshot.content_id, received_bytes))
        beat(raft)
    assert raft.compactable_index == snapshot.index


def test_a_follower_that_begins_its_snapshot_anew_again_and_again_holds_the_log_no_more() -> None:  # B1
    """It ends each time before it is done, or finds what it was sent wrong."""
    raft, snapshot = leader_that_sends_a_snapshot()
    go_on_to(raft, 4)
    rounds = (0, SIZE_BYTES // 2, SIZE_BYTES)
    for number in range(2 * BEATS):
        raft.step(SnapshotResponse(N1, N2, raft.term, snapshot.content_id, rounds[number % len(rounds)]))
        beat(raft)
    assert raft.compactable_index == 4


def test_a_follower_that_takes_nothing_of_its_snapshot_for_long_holds_the_log_no_more() -> None:  # B1
    raft, snapshot = leader_that_sends_a_snapshot()
    go_on_to(raft, 4)
    raft.step(SnapshotResponse(N1, N2, raft.term, snapshot.content_id, 1))
    for _ in range(BEATS - 1):
        beat(raft)
    assert raft.compactable_index == snapshot.index
    beat(raft)
    assert raft.compactable_index == 4
    raft.compact(LogIndex(4))
    asked = [message for message in beat(raft).send_now if isinstance(message, SnapshotRequest)]
    assert all(request.snapshot == snapshot for request in asked), "it is still sent what it was begun with"
    accept(raft, N2, snapshot.index)  # and installs that at last
    beat(raft)
    assert raft.progress[N2].state is ProgressState.SNAPSHOT, "what follows is gone: the newer one is due"
