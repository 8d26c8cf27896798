"""Appending, reopening, rolling: what goes in comes out, over however many segments."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.sim.disk import SimDisk
from bankd.sim.random import Stream
from bankd.storage.disk import OsDisk
from bankd.storage.records import SECTOR_BYTES, Write
from bankd.storage.wal import Wal
from bankd.types import LogIndex
from tests.storage.histories import (
    DIRECTORY,
    IDENTITY,
    LoggedDisk,
    State,
    append,
    append_history,
    entry,
    long_history,
    new_disk,
    recovered_state,
    reopen,
    segments,
    states,
    tiny,
    vote,
    write_history,
)

FIRST_SEGMENT = "0000000001-00000000000000000001.wal"


def test_new_log_is_empty(tmp_path: Path) -> None:
    write_history(OsDisk(), tmp_path, [], tiny())
    recovered = reopen(OsDisk(), tmp_path)
    assert recovered.is_empty
    assert recovered.torn is None


def test_log_with_only_a_vote_is_not_empty(tmp_path: Path) -> None:
    write_history(OsDisk(), tmp_path, [vote(1, "n2")], tiny())
    assert not reopen(OsDisk(), tmp_path).is_empty


def test_history_over_several_segments_reads_back(tmp_path: Path) -> None:
    history = long_history()
    write_history(OsDisk(), tmp_path, history, tiny())
    assert len(list(tmp_path.glob("*.wal"))) > 2
    assert recovered_state(reopen(OsDisk(), tmp_path)) == states(history)[-1]


def test_log_goes_on_where_it_ended_after_every_reopening(tmp_path: Path) -> None:
    history = long_history()
    write_history(OsDisk(), tmp_path, [], tiny())
    for batch, expected in zip(history, states(history)[1:], strict=True):
        append_history(OsDisk(), tmp_path, [batch], tiny())
        assert recovered_state(reopen(OsDisk(), tmp_path)) == expected


def test_batch_larger_than_any_segment_is_kept_whole() -> None:
    disk = new_disk()
    history = [append(entry(1)), append(entry(2, body=b"y" * 50_000)), append(entry(3))]
    write_history(disk, DIRECTORY, history, tiny())
    assert recovered_state(reopen(disk, DIRECTORY)) == states(history)[-1]


def test_segment_never_outgrows_its_zeros_except_for_a_batch_that_fits_none() -> None:
    disk = new_disk()
    write_history(disk, DIRECTORY, [append(entry(index)) for index in range(1, 30)], tiny())
    assert {len(content) for path, content in disk.copy().items() if path.suffix == ".wal"} == {2048}


def test_roll_takes_the_spare_when_there_is_one() -> None:
    disk = new_disk()
    write_history(disk, DIRECTORY, [], tiny())
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
    for _ in wal.fill_spare():
        pass
    for index in range(1, 5):
        wal.write(append(entry(index)))
        wal.sync()
    sizes = [len(content) for content in segments(disk).values()]
    assert (wal.sequence, sizes) == (2, [2048, 4096])
    assert len(reopen(disk, DIRECTORY).entries) == 4


def test_leftover_spare_full_of_old_batches_is_never_read_as_log() -> None:
    """The worst leftover there is: a copy of the segment in use, with batches that once were right here."""
    disk = new_disk()
    history = [append(entry(index)) for index in range(1, 3)]
    write_history(disk, DIRECTORY, history, tiny())
    (segment,) = segments(disk).values()
    leftover = disk.create(DIRECTORY / "spare.tmp")
    leftover.pwrite(segment * 3, 0)

    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
    for _ in wal.fill_spare():
        pass
    history += [append(entry(index, 2)) for index in range(3, 6)]
    for batch in history[2:]:
        wal.write(batch)
        wal.sync()
    assert wal.sequence == 2
    assert recovered_state(reopen(disk, DIRECTORY)) == states(history)[-1]


def test_spare_that_is_not_finished_is_not_taken() -> None:
    disk = new_disk()
    options = tiny(segment_bytes=1 << 20)
    write_history(disk, DIRECTORY, [], options)
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, options)
    filling = wal.fill_spare()
    next(filling)
    for index in range(1, 5):
        wal.write(append(entry(index)))
        wal.sync()
    assert wal.sequence == 2
    assert "spare.tmp" in disk.listdir(DIRECTORY)
    assert len(reopen(disk, DIRECTORY).entries) == 4


@pytest.mark.parametrize(("bytes_written", "steps"), [(0, 8), (100_000, 6), (5_000_000, 1)])
def test_spare_is_filled_faster_when_the_log_is_written_faster(bytes_written: int, steps: int) -> None:
    disk = new_disk()
    options = tiny(segment_bytes=1 << 20)
    write_history(disk, DIRECTORY, [], options)
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, options)
    if bytes_written:
        wal.write(append(entry(1, body=b"x" * bytes_written)))
        wal.sync()
    assert len(list(wal.fill_spare())) == steps


class FillingDisk(SimDisk):
    """A disk on which another thread fills the next segment, some steps between every two operations of the log."""

    filling: Iterator[None] = iter(())
    steps_at_once = 0
    begin_at = 0

    def operate(self, operation: str, path: Path, *, takes_room: bool = False) -> None:
        super().operate(operation, path, takes_room=takes_room)
        if self.operations > self.begin_at:
            steps, self.steps_at_once = self.steps_at_once, 0  # the filling's own operations pass through
            for _ in islice(self.filling, steps):
                pass
            self.steps_at_once = steps


@pytest.mark.parametrize("steps_at_once", [1, 100])
def test_filling_at_any_moment_never_touches_a_segment_in_use(steps_at_once: int) -> None:
    """The filling thread runs beside everything, a roll included, and its requests may come late or twice."""
    for begin_after in range(60):
        disk = FillingDisk(Stream(7, "disk"))
        write_history(disk, DIRECTORY, [], tiny())
        wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
        for _ in wal.fill_spare():
            pass
        disk.filling, disk.steps_at_once, disk.begin_at = wal.fill_spare(), steps_at_once, disk.operations + begin_after
        for index in range(1, 20):
            wal.write(append(entry(index)))
            wal.sync()
        disk.steps_at_once = 0
        assert len(reopen(disk, DIRECTORY).entries) == 19


def test_write_costs_one_pwrite_and_sync_one_fdatasync() -> None:
    disk = LoggedDisk()
    write_history(disk, DIRECTORY, [], tiny())
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
    disk.log.clear()
    wal.write([*append(entry(1), entry(2)), *append(entry(3))])
    wal.sync()
    wal.sync()  # nothing written since
    assert disk.log == [f"pwrite {FIRST_SEGMENT}", f"sync {FIRST_SEGMENT}"]


def test_only_a_new_term_or_vote_costs_a_second_sync_after_that_of_the_log() -> None:
    disk = LoggedDisk()
    write_history(disk, DIRECTORY, [], tiny())
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
    disk.log.clear()
    for _ in range(2):  # the second time it is no news
        wal.write([*vote(1, "n1"), *append(entry(1))])
        wal.sync()
    of_the_log = [f"pwrite {FIRST_SEGMENT}", f"sync {FIRST_SEGMENT}"]
    assert disk.log == [*of_the_log, "pwrite STATE", "sync STATE", *of_the_log]


def test_synced_sector_is_never_written_again_while_open() -> None:
    disk = new_disk()
    write_history(disk, DIRECTORY, [], tiny())
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
    (path,) = segments(disk)
    seen: set[int] = {0}
    for index in (1, 2):
        before = disk.copy()[path]
        wal.write(append(entry(index)))
        changed = {
            at // SECTOR_BYTES
            for at, (old, new) in enumerate(zip(before, disk.copy()[path], strict=True))
            if old != new
        }
        assert not seen & changed
        seen |= changed
        wal.sync()
    assert len(seen) * SECTOR_BYTES == 1536


def room_taken(disk: SimDisk) -> int:
    return sum(map(len, disk.copy().values()))


def test_size_is_what_the_files_take_through_rolls_growth_pruning_and_restarts() -> None:
    disk = new_disk()
    write_history(disk, DIRECTORY, [], tiny())
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
    bodies = [bytes(300), bytes(300), bytes(9000), bytes(300), bytes(2500), bytes(300), bytes(300)]
    for index, body in enumerate(bodies, start=1):
        wal.write(append(entry(index, 1, body)))
        wal.sync()
        if index % 2:
            list(wal.fill_spare())
        assert wal.size_bytes == room_taken(disk)
    assert wal.prune(LogIndex(len(bodies)))
    assert wal.size_bytes == room_taken(disk)
    wal.close()
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny(), LogIndex(len(bodies)))
    list(wal.fill_spare())
    assert wal.size_bytes == room_taken(disk)


def test_size_is_told_without_asking_the_disk() -> None:
    disk = LoggedDisk()
    write_history(disk, DIRECTORY, long_history(), tiny())
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
    disk.log.clear()
    assert wal.size_bytes
    assert disk.log == []


@pytest.mark.parametrize("entries", [[entry(2)], [entry(1), entry(3)], [entry(0)]])
def test_write_with_a_gap_is_our_bug(entries: list[object]) -> None:
    disk = new_disk()
    write_history(disk, DIRECTORY, [], tiny())
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
    with pytest.raises(AssertionError):
        wal.write([(None, entries)])  # type: ignore[list-item]


@st.composite
def histories(draw: st.DrawFn) -> list[list[Write]]:
    """Random batches that a Raft node could write: terms rise, suffixes are replaced by later terms."""
    history: list[list[Write]] = []
    term, length = 1, 0
    for _ in range(draw(st.integers(1, 12))):
        batch: list[Write] = []
        if new_term := draw(st.booleans()):
            term += 1
            batch += vote(term, draw(st.sampled_from([None, "n1", "n2"])))
        first = draw(st.integers(1, length + 1)) if new_term else length + 1
        bodies = draw(st.lists(st.binary(max_size=20) | st.integers(0, 1400).map(bytes), max_size=4))
        if bodies:
            length = first + len(bodies) - 1
            batch += append(*(entry(first + offset, term, body) for offset, body in enumerate(bodies)))
        if batch:
            history.append(batch)
    return history


@settings(deadline=None, max_examples=60)
@given(history=histories(), cuts=st.sets(st.integers(0, 12)), spare=st.booleans())
def test_any_history_reads_back_over_any_restarts(history: list[list[Write]], cuts: set[int], spare: bool) -> None:
    disk = new_disk()
    write_history(disk, DIRECTORY, [], tiny())
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
    filled_behind = 0
    for position, batch in enumerate(history):
        if position in cuts:
            wal, recovered = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
            assert recovered_state(recovered) == states(history[:position])[-1]
            filled_behind = 0
        if spare and filled_behind < wal.sequence:
            filled_behind = wal.sequence
            for _ in wal.fill_spare():
                pass
        wal.write(batch)
        wal.sync()
    assert recovered_state(reopen(disk, DIRECTORY)) == (states(history)[-1] if history else State())
