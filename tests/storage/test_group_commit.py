"""Group commit: what waits is joined, acknowledged in order and only once durable; a failure ends it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from bankd.errors import DiskFailed
from bankd.raft.messages import Entry, HardState
from bankd.raft.ready import Persist
from bankd.storage.group_commit import GROUP_WRITES_MAX, MEAN_OVER, NOW_BYTES_MAX, NOW_MEAN_S_MAX, GroupCommit
from bankd.storage.wal import Wal, WalOptions
from bankd.types import Term
from tests.storage.histories import DIRECTORY, IDENTITY, LoggedDisk, entry, reopen, tiny, write_history

WAIT_S = 120  # a bound for a broken test, not a measure
FAST_S = NOW_MEAN_S_MAX / 10
SLOW_S = NOW_MEAN_S_MAX * MEAN_OVER  # one such sync lifts the mean over the bound


class SteppedDisk(LoggedDisk):
    """A disk whose log syncs can be held: each announces itself, then waits to be let through.

    Its clock, `now`, stands still but for `sync_s` seconds in every sync of the log.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = False
        self.now = 0.0
        self.sync_s = FAST_S
        self.failing = ("", "")  # operation, end of the file's name
        self.failure = DiskFailed("the disk says no")
        self.syncs_begun: SimpleQueue[str] = SimpleQueue()
        self._let_through = threading.Semaphore(0)

    def operate(self, operation: str, path: Path, *, takes_room: bool = False) -> None:
        if self.held and operation == "sync" and path.suffix == ".wal":
            self.syncs_begun.put(path.name)
            assert self._let_through.acquire(timeout=WAIT_S)
        if operation == "sync" and path.suffix == ".wal":
            self.now += self.sync_s
        if operation == self.failing[0] and path.name.endswith(self.failing[1]):
            raise self.failure
        super().operate(operation, path, takes_room=takes_room)

    def let_through(self, syncs: int) -> None:
        self._let_through.release(syncs)


class Node:
    """A log under group commit, and what was reported about it."""

    def __init__(self, disk: SteppedDisk, options: WalOptions | None = None) -> None:
        self.disk = disk
        options = options or tiny()
        write_history(disk, DIRECTORY, [], options)
        self.wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, options)
        self.durable: SimpleQueue[int] = SimpleQueue()
        self.failed: SimpleQueue[Exception] = SimpleQueue()
        self.durations: list[float] = []
        self.commit = GroupCommit(
            self.wal, on_durable=self._on_durable, on_failed=self.failed.put, clock=lambda: disk.now
        )

    def _on_durable(self, write_seq: int, duration_s: float) -> None:
        self.durations.append(duration_s)
        self.disk.log.append(f"durable {write_seq}")
        self.durable.put(write_seq)

    def submit(self, write_seq: int, *entries: Entry, hard_state: HardState | None = None) -> None:
        self.commit.submit(Persist(write_seq, hard_state, entries, ()))

    def commit_now(self, write_seq: int, *entries: Entry) -> float | None:
        return self.commit.commit_now(Persist(write_seq, None, entries, ()))

    def write_until_fast(self, first: int = 1) -> int:
        """Submit entries, one after the other, until a commit at once is granted. Returns the next one's index."""
        index = first
        while self.commit_now(0) is None:  # an empty write is granted like any other, and leaves no trace
            self.submit(index, entry(index))
            assert self.durable.get(timeout=WAIT_S) == index
            index += 1
        return index

    def wait_idle(self) -> None:
        """Wait until the thread, on a fast disk, is done with the write that it reported last."""
        while self.commit_now(0) is None:
            threading.Event().wait(0.001)

    def wal_log(self) -> list[str]:
        """Return what happened to the log, without file names and without the spares."""
        happened = (line.split() for line in self.disk.log)
        return [words[0] if words[0] != "durable" else " ".join(words) for words in happened if "tmp" not in words[1]]


@pytest.fixture
def node() -> Iterator[Node]:
    disk = SteppedDisk()
    node = Node(disk)
    disk.log.clear()
    yield node
    disk.held = False
    disk.let_through(1000)
    node.commit.close()


def test_write_is_reported_only_after_its_sync(node: Node) -> None:
    node.disk.held = True
    node.submit(1, entry(1))
    node.disk.syncs_begun.get(timeout=WAIT_S)
    assert node.durable.empty()
    node.disk.let_through(1)
    assert node.durable.get(timeout=WAIT_S) == 1
    assert node.wal_log() == ["pwrite", "sync", "durable 1"]
    assert node.durations[0] > 0


def test_writes_that_wait_for_a_sync_share_the_next_one(node: Node) -> None:
    node.disk.held = True
    node.submit(1, entry(1))
    node.disk.syncs_begun.get(timeout=WAIT_S)
    for index in range(2, 6):
        node.submit(index, entry(index))
    node.disk.let_through(2)
    assert [node.durable.get(timeout=WAIT_S), node.durable.get(timeout=WAIT_S)] == [1, 5]
    assert node.wal_log() == ["pwrite", "sync", "durable 1", "pwrite", "sync", "durable 5"]


def test_one_group_is_bounded(node: Node) -> None:
    node.disk.held = True
    node.submit(1, entry(1))
    node.disk.syncs_begun.get(timeout=WAIT_S)
    for write_seq in range(2, GROUP_WRITES_MAX + 3):
        node.submit(write_seq, hard_state=HardState(Term(1)))
    node.disk.held = False
    node.disk.let_through(1)
    assert [node.durable.get(timeout=WAIT_S) for _ in range(3)] == [1, GROUP_WRITES_MAX + 1, GROUP_WRITES_MAX + 2]


def test_empty_writes_complete_in_order_and_cost_no_sync(node: Node) -> None:
    node.submit(1, entry(1))
    assert node.durable.get(timeout=WAIT_S) == 1
    node.submit(2)
    assert node.durable.get(timeout=WAIT_S) == 2
    node.disk.held = True
    node.submit(3, entry(2))
    node.disk.syncs_begun.get(timeout=WAIT_S)
    node.submit(4)
    assert node.durable.empty()
    node.disk.let_through(1)
    assert [node.durable.get(timeout=WAIT_S), node.durable.get(timeout=WAIT_S)] == [3, 4]
    assert node.wal_log() == ["pwrite", "sync", "durable 1", "durable 2", "pwrite", "sync", "durable 3", "durable 4"]
    assert node.durations[1] == node.durations[3] == 0.0


def test_close_finishes_what_was_submitted() -> None:
    disk = SteppedDisk()
    node = Node(disk)
    for index in range(1, 200):
        node.submit(index, entry(index, body=bytes([index]) * 900))
    node.commit.close()
    assert node.failed.empty()
    assert node.wal_log()[-1] == "durable 199"
    disk.lose_power(lambda: False)
    assert len(reopen(disk, DIRECTORY).entries) == 199


@pytest.mark.parametrize("failing", ["pwrite", "sync"])
def test_failure_is_reported_once_and_nothing_after_it_is_written_or_reported(failing: str) -> None:
    disk = SteppedDisk()
    node = Node(disk)
    node.submit(1, entry(1))
    assert node.durable.get(timeout=WAIT_S) == 1
    disk.failing = (failing, ".wal")
    node.submit(2, entry(2))
    assert node.failed.get(timeout=WAIT_S) is disk.failure
    disk.failing = ("", "")
    disk.log.clear()
    node.submit(3, entry(3))
    node.commit.close()
    assert (node.failed.empty(), node.durable.empty(), node.wal_log()) == (True, True, [])
    assert len(reopen(disk, DIRECTORY).entries) in (1, 2)


def test_failure_to_prepare_a_segment_is_reported_too() -> None:
    disk = SteppedDisk()
    disk.failing = ("create", "spare.tmp")
    node = Node(disk)
    node.submit(1, entry(1))
    assert node.failed.get(timeout=WAIT_S) is disk.failure
    node.submit(2, entry(2))
    node.commit.close()
    assert node.wal_log()[-3:] == ["pwrite", "sync", "durable 1"]


def test_bug_on_the_thread_is_reported_and_hangs_nobody() -> None:
    disk = SteppedDisk()
    node = Node(disk)
    node.submit(1, entry(7))  # no such place in the log
    assert isinstance(node.failed.get(timeout=WAIT_S), AssertionError)
    node.commit.close()


def test_next_segment_is_prepared_ahead_and_again_after_each_roll(node: Node) -> None:
    for index in range(1, 12):
        node.submit(index, entry(index))
        assert node.durable.get(timeout=WAIT_S) == index
        while not node.wal.has_spare:
            threading.Event().wait(0.001)
    node.commit.close()
    made = [line for line in node.disk.log if line.startswith("create")]
    assert made == ["create spare.tmp"] * node.wal.sequence


# Committing at once

ROOMY = tiny(segment_bytes=1 << 20, short_segment_bytes=1 << 20)  # holds a whole test


@pytest.fixture
def fast_node() -> Iterator[Node]:
    """A node with room in its segment, whose disk has not been measured yet."""
    node = Node(SteppedDisk(), ROOMY)
    yield node
    node.disk.held = False
    node.disk.let_through(1000)
    node.commit.close()


def entries_after_power_loss(node: Node) -> list[int]:
    node.disk.lose_power(lambda: False)
    return [found.index for found in reopen(node.disk, DIRECTORY).entries]


def test_nothing_is_committed_at_once_before_the_disk_was_measured_fast(fast_node: Node) -> None:
    assert fast_node.write_until_fast() > MEAN_OVER
    assert len(fast_node.durations) > MEAN_OVER


def test_slow_disk_is_never_used_at_once(fast_node: Node) -> None:
    fast_node.disk.sync_s = NOW_MEAN_S_MAX * 2
    for index in range(1, 10 * MEAN_OVER):
        fast_node.submit(index, entry(index))
        assert fast_node.durable.get(timeout=WAIT_S) == index
        assert fast_node.commit_now(0) is None


def test_write_committed_at_once_is_durable_on_return_and_not_reported_again(fast_node: Node) -> None:
    index = fast_node.write_until_fast()
    fast_node.disk.log.clear()
    assert fast_node.commit_now(index, entry(index)) == pytest.approx(FAST_S)
    assert fast_node.wal_log() == ["pwrite", "sync"]
    assert fast_node.durable.empty()
    assert entries_after_power_loss(fast_node) == list(range(1, index + 1))


def test_empty_write_committed_at_once_costs_no_sync(fast_node: Node) -> None:
    index = fast_node.write_until_fast()
    fast_node.disk.log.clear()
    assert fast_node.commit_now(index) == 0.0
    assert fast_node.wal_log() == []


def test_writes_committed_at_once_and_by_the_thread_follow_each_other_in_the_log(fast_node: Node) -> None:
    index = fast_node.write_until_fast()
    for at_once in (index, index + 2, index + 4):
        assert fast_node.commit_now(at_once, entry(at_once)) is not None
        fast_node.submit(at_once + 1, entry(at_once + 1))
        assert fast_node.durable.get(timeout=WAIT_S) == at_once + 1
        fast_node.wait_idle()
    assert entries_after_power_loss(fast_node) == list(range(1, index + 6))


def test_nothing_is_committed_at_once_while_a_write_is_under_way(fast_node: Node) -> None:
    index = fast_node.write_until_fast()
    fast_node.disk.held = True
    fast_node.submit(index, entry(index))
    fast_node.disk.syncs_begun.get(timeout=WAIT_S)
    fast_node.disk.log.clear()
    assert fast_node.commit_now(index + 1, entry(index + 1)) is None
    assert fast_node.commit_now(index + 1) is None  # an empty one neither: it would overtake
    assert fast_node.wal_log() == []


def test_large_write_is_left_to_the_thread(fast_node: Node) -> None:
    index = fast_node.write_until_fast()
    fast_node.disk.log.clear()
    assert fast_node.commit_now(index, entry(index, body=bytes(NOW_BYTES_MAX))) is None
    assert fast_node.wal_log() == []
    assert fast_node.commit_now(index, entry(index, body=bytes(NOW_BYTES_MAX // 2))) is not None


def test_write_that_needs_a_new_segment_is_left_to_the_thread_which_prepares_the_next(node: Node) -> None:
    index = node.write_until_fast()
    sequence = node.wal.sequence
    while node.wal.sequence == sequence and node.commit_now(index, entry(index)) is not None:
        index += 1
    assert node.wal.sequence == sequence
    node.submit(index, entry(index))
    assert node.durable.get(timeout=WAIT_S) == index
    assert node.wal.sequence == sequence + 1
    while not node.wal.has_spare:
        threading.Event().wait(0.001)


def test_disk_that_turns_slow_sends_the_next_writes_to_the_thread_until_it_is_fast_again(fast_node: Node) -> None:
    index = fast_node.write_until_fast()
    fast_node.disk.sync_s = SLOW_S
    assert fast_node.commit_now(index, entry(index)) == pytest.approx(SLOW_S)
    assert fast_node.commit_now(index + 1, entry(index + 1)) is None
    fast_node.disk.sync_s = FAST_S
    assert fast_node.write_until_fast(index + 1) > index + 2


@pytest.mark.parametrize("failing", ["pwrite", "sync"])
def test_failure_of_a_commit_at_once_is_raised_and_reported_once_and_ends_all_writing(failing: str) -> None:
    disk = SteppedDisk()
    node = Node(disk, ROOMY)
    index = node.write_until_fast()
    disk.failing = (failing, ".wal")
    with pytest.raises(DiskFailed) as caught:
        node.commit_now(index, entry(index))
    assert node.failed.get(timeout=WAIT_S) is caught.value is disk.failure
    disk.failing = ("", "")
    disk.log.clear()
    assert node.commit_now(index + 1, entry(index + 1)) is None
    node.submit(index + 1, entry(index + 1))
    node.commit.close()
    assert (node.failed.empty(), node.durable.empty(), node.wal_log()) == (True, True, [])
