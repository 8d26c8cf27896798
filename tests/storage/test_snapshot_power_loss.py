"""Power is lost at every operation of writing, receiving, sealing and deleting, with any part of what was not synced.

The judge is always the same: what is there afterwards is the old state or the new one, whole; the new one if it was
sealed; nothing is damaged; and the next snapshot can be written.
"""

import hashlib
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from bankd.errors import DiskFailed
from bankd.raft.messages import SnapshotRef
from bankd.sim.disk import PowerLost, SimDisk
from bankd.sim.inode import SECTOR
from bankd.sim.random import Stream
from bankd.storage.snapshot_store import SnapshotStore
from tests.storage.histories import all_subsets
from tests.storage.test_snapshot_files import header_of, name_of, save, stored
from tests.storage.test_snapshot_store import indexes, names, open_newest, open_store


def noise(index: int) -> list[bytes]:
    """Return content that stays as large as it is when it is compressed: a snapshot of four sectors."""
    return [b"".join(hashlib.blake2b(b"%d %d %d" % (index, n, m)).digest() for m in range(8)) for n in range(3)]


def found_index(store: SnapshotStore) -> int:
    """Return the index of the newest snapshot that verifies, having compared what is in it; 0: there is none."""
    reader = open_newest(store)
    if reader is None:
        return 0
    assert list(reader.chunks()) == noise(reader.header.index)
    reader.close()
    return reader.header.index


def write(store: SnapshotStore, index: int) -> None:
    save(store, index, noise(index))


def receive(store: SnapshotStore, index: int) -> None:
    data = stored(noise(index), index)
    incoming = store.receive(SnapshotRef(header_of(index).index, header_of(index).term, len(data), data[-20:-4]))
    for at in range(0, len(data), 500):
        incoming.write(data[at : at + 500], at)
    for _ in incoming.chunks():
        pass
    incoming.seal()


Make = Callable[[SnapshotStore, int], None]


class Run:
    """Makes snapshots 5, 9 and 12 until power is lost; knows which of them must be there afterwards."""

    def __init__(self, make: Make, seed: int = 7) -> None:
        self.disk = SimDisk(Stream(seed, "disk"))
        self.make = make
        self.sealed = 0  # the newest that is
        self.begun = 0

    def make_all(self) -> None:
        store = open_store(self.disk)
        for index in (5, 9, 12):
            self.begun = index
            self.make(store, index)
            self.sealed = index

    def make_until(self, operation: int) -> bool:
        """Make them, losing power at that operation; return false if all were made before."""
        self.disk.crash_in(operation)
        try:
            self.make_all()
        except PowerLost:
            return True
        self.disk.disarm()
        return False

    def check(self) -> int:
        """Judge what is there after the process has ended; return the newest."""
        store = open_store(self.disk)
        found = found_index(store)
        assert found in (self.sealed, self.begun), f"{found} is there, {self.sealed} sealed, {self.begun} begun"
        assert store.damaged == ()
        assert names(self.disk) == sorted(map(name_of, indexes(store)))
        older = {9: 5, 12: 9}.get(found)
        assert older is None or older in indexes(store), "the older one was deleted too early"
        return found

    def check_goes_on(self, found: int) -> None:
        """What was found stays; the next one can be made, and is durable whatever happens then."""
        self.disk.lose_power(lambda: False)
        store = open_store(self.disk)
        assert found_index(store) == found
        self.make(store, 20)
        self.disk.lose_power(lambda: False)
        store = open_store(self.disk)
        assert found_index(store) == 20
        assert len(names(self.disk)) <= 2, "what a crash left has not gone with the next seal"


@pytest.fixture(params=[write, receive])
def make(request: pytest.FixtureRequest) -> Make:
    chosen: Make = request.param
    return chosen


def every_power_loss(stopped: Callable[[int], Run]) -> Iterator[Run]:
    """Give what every power loss leaves of a run that has stopped: all subsets of what was not synced where these are
    few; and drawn losses, which tear sectors. `stopped(seed)` makes the run anew."""
    questions = count()
    stopped(0).disk.lose_power(lambda: next(questions) >= 0)
    asked = next(questions)
    if asked <= 6:
        for subset in all_subsets(asked):
            run = stopped(0)
            run.disk.lose_power(iter(subset).__next__)
            yield run
    for seed in range(8):
        run = stopped(seed)
        run.disk.lose_power()
        yield run


def test_snapshots_of_these_tests_stand_in_several_sectors() -> None:
    assert len(stored(noise(5))) > 3 * SECTOR


def test_every_power_loss_at_every_operation_of_writing_sealing_and_deleting(make: Make) -> None:
    operation, losses, new = 0, 0, 0
    reached = True
    while reached:
        operation += 1

        def stopped(seed: int, operation: int = operation) -> Run:
            nonlocal reached
            run = Run(make, seed)
            reached = run.make_until(operation)
            return run

        for run in every_power_loss(stopped):
            found = run.check()
            new += found > run.sealed
            run.check_goes_on(found)
            losses += 1
    assert losses > 10 * operation > 200
    assert new > 20, "a snapshot that was not yet reported as sealed was expected to survive now and then"


def test_process_killed_at_every_operation_then_power_lost_after_the_restart(make: Make) -> None:
    """What a restarted node has loaded must not be lost any more: it goes on from there."""
    operation = 1
    while True:
        run = Run(make)
        if not run.make_until(operation):
            break
        run.disk.end_process()
        run.check_goes_on(run.check())
        operation += 1
    assert operation > 20


def test_power_lost_again_at_every_operation_of_opening(make: Make) -> None:
    for first in range(1, 30):
        second = 1
        while True:
            run = Run(make)
            if not run.make_until(first):
                break
            run.disk.lose_power()
            run.disk.crash_in(second)
            try:
                open_store(run.disk)
            except PowerLost:
                run.disk.lose_power()
                run.check_goes_on(run.check())
                second += 1
            else:
                break


def test_failure_of_any_operation_then_a_restart_then_power_lost(make: Make) -> None:
    """A sync that failed marks clean what it did not write: nothing of that may come to be relied upon (ATC'20)."""
    operation = 1
    while True:
        run = Run(make)
        run.disk.fail_in(operation, DiskFailed("the disk says no"))
        try:
            run.make_all()
        except DiskFailed:
            pass
        else:
            break
        run.disk.end_process()
        run.check_goes_on(run.check())
        operation += 1
    assert operation > 20
