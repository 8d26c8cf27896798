"""Histories of any kind, and chains of crashes and failures: drawn, where crash points (test_crash_points.py) are enumerated.

The judge is always the same: the log that is read back is what some number of whole batches amount to, no fewer than
were synced and no more than were written; and it goes on from there.
"""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.errors import DiskFailed
from bankd.sim.disk import PowerLost, SimDisk
from bankd.sim.inode import Survives
from bankd.sim.random import Stream
from bankd.storage.records import Write
from bankd.storage.recovery import Recovered
from bankd.storage.wal import Wal
from tests.storage.histories import (
    DIRECTORY,
    IDENTITY,
    all_subsets,
    append,
    append_history,
    entry,
    long_history,
    new_disk,
    recovered_state,
    reopen,
    states,
    tiny,
    write_history,
)
from tests.storage.test_wal import histories


def surviving(percent: int, seed: int = 7) -> Survives:
    stream = Stream(seed, "survival")
    return lambda: stream.chance(percent * 10_000)


class Run:
    """Writes a history until power is lost; knows how much of it must be there afterwards."""

    def __init__(self, history: Sequence[Sequence[Write]], *, short_segment_bytes: int = 2048, seed: int = 7) -> None:
        self.history = history
        self.disk = new_disk(seed)
        self.synced = 0
        self.written = 0
        write_history(self.disk, DIRECTORY, [], tiny(short_segment_bytes=short_segment_bytes))

    def write_all(self) -> None:
        wal, _ = Wal.open(self.disk, DIRECTORY, IDENTITY, tiny())
        for _ in wal.fill_spare():
            pass
        for position, batch in enumerate(self.history, start=1):
            self.written = position
            wal.write(batch)
            wal.sync()
            self.synced = position

    def write_until(self, operation: int) -> bool:
        """Write, losing power at that operation; return false if the history ended before."""
        self.disk.crash_in(operation)
        try:
            self.write_all()
        except PowerLost:
            return True
        return False

    def check(self, recovered: Recovered) -> int:
        """Judge what was read back; return the number of batches that it amounts to."""
        allowed = states(self.history)[self.synced : self.written + 1]
        assert recovered_state(recovered) in allowed, f"{self.synced} synced, {self.written} written"
        return self.synced + allowed.index(recovered_state(recovered))

    def check_goes_on(self, kept: int) -> None:
        """Let another history follow, of other sizes and with other rolls, durable whatever happens then."""
        state = states(self.history)[kept]
        future = [append(entry(index, 99)) for index in range(1, 9)]
        # One batch alone first: what a torn write left behind it must not come to light again.
        for batches in (future[:1], future[1:]):
            append_history(self.disk, DIRECTORY, batches, tiny())
            self.disk.lose_power(surviving(0))
            state = states(batches, state)[-1]
            recovered = reopen(self.disk, DIRECTORY)
            assert recovered_state(recovered) == state
            assert recovered.torn is None


def run_that_loses_power_in_its_last_batch(survival: Sequence[bool | slice], *, seed: int = 7) -> Run:
    """Each item says what becomes of one sector of that batch."""
    body = b"a" * 500 + bytes(1200) + b"b" * 500  # one of its sectors is zero by content
    history = [append(entry(1)), append(entry(2, body=body), entry(3))]
    run = Run(history, short_segment_bytes=8192, seed=seed)
    wal, _ = Wal.open(run.disk, DIRECTORY, IDENTITY, tiny())
    wal.write(history[0])
    wal.sync()
    wal.write(history[1])
    run.synced, run.written = 1, 2
    left = list(reversed(survival))
    run.disk.lose_power(left.pop)
    assert not left, "the batch was expected to have one sector for each item"
    return run


@settings(deadline=None, max_examples=150)
@given(history=histories(), data=st.data())
def test_any_history_survives_any_power_loss(history: list[list[Write]], data: st.DataObject) -> None:
    run = Run(history)
    if not run.write_until(data.draw(st.integers(1, 60))):
        return
    run.disk.lose_power(surviving(60, seed=data.draw(st.integers(0, 2**32))))
    run.check_goes_on(run.check(reopen(run.disk, DIRECTORY)))


def end_somehow(disk: SimDisk, stream: Stream) -> None:
    """Power is lost, and sectors are torn; or the process alone has ended."""
    if stream.chance(700_000):
        disk.lose_power()
    else:
        disk.end_process()


def go_wrong_soon(disk: SimDisk, stream: Stream, operations: int) -> None:
    at = stream.between(1, operations)
    if stream.chance(600_000):
        disk.crash_in(at)
    else:
        disk.fail_in(at, DiskFailed("the disk says no"))


def write_through_a_chain_of_crashes(seed: int) -> Run:
    stream = Stream(seed, "chain")
    run = Run(long_history(), seed=seed)
    go_wrong_soon(run.disk, stream, 60)
    try:
        run.write_all()
    except (PowerLost, DiskFailed):
        pass
    end_somehow(run.disk, stream)
    for _ in range(stream.below(4)):
        go_wrong_soon(run.disk, stream, 10)
        try:
            run.synced = run.check(reopen(run.disk, DIRECTORY))  # what a restarted node answered must not be lost
        except (PowerLost, DiskFailed):
            pass
        end_somehow(run.disk, stream)
    return run


def test_any_chain_of_crashes_and_failures_ends_in_a_log_that_goes_on() -> None:
    """While it is written, then in one recovery after the other: D01, D02, D12, D14, D15 at once."""
    for seed in range(1500):
        try:
            run = write_through_a_chain_of_crashes(seed)
            run.check_goes_on(run.check(reopen(run.disk, DIRECTORY)))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


def test_sectors_that_a_failed_sync_left_behind_when_a_write_was_cut_off_never_come_to_light() -> None:
    """The process after that one reads zeros there, though the disk still holds the sectors (ATC'20)."""
    failed = 0
    for survival in all_subsets(5):
        for operation in range(1, 12):
            run = run_that_loses_power_in_its_last_batch(survival)
            run.disk.short_write_bytes = 10_000
            run.disk.fail_in(operation, DiskFailed("the disk says no"))
            try:
                reopen(run.disk, DIRECTORY)
            except DiskFailed:
                failed += 1
            run.disk.end_process()
            run.check_goes_on(run.check(reopen(run.disk, DIRECTORY)))
    assert failed > 200
