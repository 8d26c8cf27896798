"""When a replica takes a snapshot, who is told of it, and what of the log goes."""

import pytest

from bankd.errors import Refusal
from bankd.ledger.commands import CreateAccount
from bankd.raft.messages import SnapshotRef
from bankd.raft.ready import ChunkWanted
from bankd.replica.core import SnapshotPolicy
from bankd.replica.effects import SnapshotDue
from bankd.replica.events import Calls, ChunkRead, SnapshotCall, SnapshotFailed, SnapshotSealed
from bankd.replica.snapshots import NO_SNAPSHOTS
from bankd.status import SnapshotTaken
from bankd.types import AccountId, LogIndex, NodeId
from tests.replica.group import NEVER_NS, Group

N1, N2 = NodeId("n1"), NodeId("n2")
EVERY = 5


def led(policy: SnapshotPolicy = NO_SNAPSHOTS) -> Group:
    """A lone node that leads, and has applied its no-op at index 1."""
    group = Group([N1], snapshot_policy=policy)
    group.elect(N1)
    return group


def write(group: Group, count: int) -> None:
    """As many entries."""
    for _ in range(count):
        number = len(group.answers)
        group.write(N1, f"write {number}", CreateAccount(AccountId(f"account {number}"), 0))
        group.settle()


def ask(group: Group, mark: str, *, deadline_ns: int = NEVER_NS) -> None:
    group.step(N1, Calls((SnapshotCall(mark, deadline_ns),)))


def due(group: Group) -> list[SnapshotDue]:
    return group.snapshots_due.get(N1, [])


def sealed(due: SnapshotDue, *, covered: int = 0) -> SnapshotSealed:
    return SnapshotSealed(SnapshotRef(due.index, due.term, 100, b"c" * 16), LogIndex(covered))


def test_a_snapshot_is_due_after_so_many_entries_and_again_after_as_many() -> None:
    group = led(SnapshotPolicy(entries=EVERY))
    write(group, EVERY - 2)
    assert due(group) == []
    write(group, 1)
    assert [one.index for one in due(group)] == [EVERY]
    assert due(group)[0].image.head.applied_index == EVERY
    assert due(group)[0].term == group.replicas[N1].raft.term
    group.step(N1, sealed(due(group)[0]))
    write(group, EVERY - 1)
    assert len(due(group)) == 1
    write(group, 1)
    assert [one.index for one in due(group)] == [EVERY, 2 * EVERY]


def test_a_snapshot_is_due_after_so_many_bytes() -> None:
    group = led(SnapshotPolicy(log_bytes=100))
    write(group, 1)
    assert due(group) == []
    group.write(N1, "long", CreateAccount(AccountId("x" * 120), 0))
    group.settle()
    assert [one.index for one in due(group)] == [3]


def test_one_snapshot_is_under_way_at_a_time_and_one_that_failed_is_tried_after_as_many_entries_more() -> None:
    group = led(SnapshotPolicy(entries=EVERY))
    write(group, 3 * EVERY)
    assert len(due(group)) == 1
    group.step(N1, SnapshotFailed("no room"))
    assert [one.index for one in due(group)] == [EVERY, 3 * EVERY + 1], "what was applied meanwhile counts"
    group.step(N1, SnapshotFailed("no room"))
    write(group, EVERY - 1)
    assert len(due(group)) == 2
    write(group, 1)
    assert len(due(group)) == 3


def test_the_log_is_cut_where_two_snapshots_cover_it() -> None:
    group = led(SnapshotPolicy(entries=EVERY))
    raft = group.replicas[N1].raft
    write(group, EVERY)
    group.step(N1, sealed(due(group)[0]))
    assert raft.base_index == 0
    write(group, EVERY)
    group.step(N1, sealed(due(group)[1], covered=EVERY))
    assert raft.base_index == EVERY


def test_a_snapshot_that_is_asked_for_is_of_a_state_that_is_no_older_and_answers_whoever_waits() -> None:
    group = led()
    write(group, 2)
    ask(group, "first")
    write(group, 2)
    ask(group, "second")  # while the first is being written
    assert [one.index for one in due(group)] == [3]
    group.step(N1, sealed(due(group)[0]))
    assert group.answers["first"] == SnapshotTaken(LogIndex(3), due(group)[0].term, 100, b"c" * 16)
    assert "second" not in group.answers
    assert [one.index for one in due(group)] == [3, 5]
    group.step(N1, sealed(due(group)[1]))
    ask(group, "third")
    assert group.answers["second"] == group.answers["third"], "nothing was applied since"
    assert len(due(group)) == 2


def test_a_snapshot_that_failed_is_refused_to_whoever_asked_for_it() -> None:
    group = led()
    write(group, 1)
    ask(group, "asked")
    group.step(N1, SnapshotFailed("no room"))
    answer = group.answers["asked"]
    assert isinstance(answer, Refusal)
    assert (answer.reason, answer.retryable) == ("SNAPSHOT_FAILED", True)


def test_whoever_waits_for_a_snapshot_is_told_at_its_deadline_that_it_is_still_being_written() -> None:
    group = led()
    write(group, 1)
    ask(group, "asked", deadline_ns=10)
    group.now_ns = 10
    group.pass_ticks(N1, 8)
    answer = group.answers["asked"]
    assert isinstance(answer, Refusal)
    assert answer.reason == "TOOK_TOO_LONG"
    group.step(N1, sealed(due(group)[0]))  # and nobody is answered twice


@pytest.mark.parametrize("newest", [True, False])
def test_a_newest_snapshot_that_cannot_be_read_is_replaced_by_another(newest: bool) -> None:
    group = led(SnapshotPolicy(entries=EVERY))
    write(group, EVERY)
    event = sealed(due(group)[0])
    group.step(N1, event)
    unreadable = event.snapshot if newest else SnapshotRef(LogIndex(1), event.snapshot.term, 1, b"x" * 16)
    group.step(N1, ChunkRead(ChunkWanted(N2, unreadable, 0), None))
    assert len(due(group)) == (2 if newest else 1)
