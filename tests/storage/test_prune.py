"""A log whose first segments are deleted, and one that begins anew behind a snapshot, read back as what is left."""

import pytest

from bankd.errors import LogDamaged
from bankd.raft.messages import HardState
from bankd.sim.disk import PowerLost, SimDisk
from bankd.storage.records import Base, Write
from bankd.storage.recovery import segment_names
from bankd.storage.segment import first_index_of
from bankd.storage.wal import Wal
from bankd.types import LogIndex, NodeId, Term
from tests.storage.histories import (
    DIRECTORY,
    IDENTITY,
    append,
    append_history,
    entry,
    new_disk,
    recovered_state,
    reopen,
    states,
    tiny,
    vote,
    write_history,
)

LENGTH = 60
COVERED = 40


def base(index: int, term: int) -> Base:
    return Base(LogIndex(index), Term(term))


def long_log() -> list[list[Write]]:
    """One vote, long ago, and entries over many segments."""
    return [vote(3, "n2"), *(append(entry(index, 3, bytes(400))) for index in range(1, LENGTH + 1))]


def written(history: list[list[Write]]) -> SimDisk:
    disk = new_disk()
    write_history(disk, DIRECTORY, history, tiny())
    return disk


def prune(disk: SimDisk, covered: int) -> int:
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny(), LogIndex(covered))
    deleted = wal.prune(LogIndex(covered))
    wal.close()
    return deleted


def test_what_a_snapshot_covers_is_deleted_and_the_rest_reads_back() -> None:
    disk = written(long_log())
    before = segment_names(disk, DIRECTORY)
    deleted = prune(disk, COVERED)
    assert segment_names(disk, DIRECTORY) == before[deleted:]
    recovered = reopen(disk, DIRECTORY, covered=COVERED)
    assert 0 < recovered.base_index <= COVERED
    assert recovered_state(recovered) == states(long_log())[-1].behind(recovered.base_index)


def test_vote_survives_the_segment_that_it_was_written_to() -> None:
    disk = written(long_log())
    assert prune(disk, LENGTH)
    assert reopen(disk, DIRECTORY, covered=LENGTH).hard_state == HardState(Term(3), NodeId("n2"))


@pytest.mark.parametrize("covered", range(0, LENGTH + 1, 3))
def test_nothing_behind_the_snapshot_is_deleted(covered: int) -> None:
    disk = written(long_log())
    prune(disk, covered)
    recovered = reopen(disk, DIRECTORY, covered=covered)
    assert recovered.base_index <= covered
    assert recovered_state(recovered) == states(long_log())[-1].behind(recovered.base_index)


def test_last_two_segments_stay_whatever_is_covered() -> None:
    disk = written(long_log())
    prune(disk, LENGTH)
    assert len(segment_names(disk, DIRECTORY)) == 2
    assert prune(disk, LENGTH) == 0


def test_log_goes_on_after_it_was_shortened_in_front() -> None:
    disk = written(long_log())
    prune(disk, COVERED)
    more = [append(entry(index, 4)) for index in range(LENGTH + 1, 2 * LENGTH)]
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny(first_nonce=0x9999), LogIndex(COVERED))
    for batch in more:
        wal.write(batch)
        wal.sync()
    wal.close()
    recovered = reopen(disk, DIRECTORY, covered=COVERED)
    assert recovered_state(recovered) == states([*long_log(), *more])[-1].behind(recovered.base_index)


def test_entries_that_replaced_some_of_a_deleted_segment_read_back() -> None:
    """The replaced ones stood in front of the first segment that is left."""
    history = [*(append(entry(index, 1, bytes(400))) for index in range(1, 31))]
    history += [append(entry(index, 2, bytes(400))) for index in range(20, 41)]
    disk = written(history)
    first_indexes = [first_index_of(name) for name in segment_names(disk, DIRECTORY)]
    turn = next(place for place, index in enumerate(first_indexes) if index > first_indexes[place + 1])
    for name in segment_names(disk, DIRECTORY)[:turn]:
        disk.unlink(DIRECTORY / name)
    recovered = reopen(disk, DIRECTORY, covered=19)
    assert recovered_state(recovered) == states(history)[-1].behind(19)


def test_segments_missing_in_front_that_no_snapshot_covers_are_damage() -> None:
    # D07
    disk = written(long_log())
    for name in segment_names(disk, DIRECTORY)[:2]:
        disk.unlink(DIRECTORY / name)
    with pytest.raises(LogDamaged, match="a log that goes on behind index 1, not behind"):
        reopen(disk, DIRECTORY, covered=1)


def test_segment_missing_in_the_midst_is_damage_whatever_is_covered() -> None:
    disk = written(long_log())
    disk.unlink(DIRECTORY / segment_names(disk, DIRECTORY)[1])
    with pytest.raises(LogDamaged):
        reopen(disk, DIRECTORY, covered=LENGTH)


@pytest.mark.parametrize(("base_index", "behind"), [(100, 0), (100, 3), (2, 4)])
def test_log_that_began_anew_behind_a_snapshot_reads_back(base_index: int, behind: int) -> None:
    installed = append(base(base_index, 5), *(entry(base_index + 1 + more, 6) for more in range(behind)))
    history = [*long_log(), [*vote(6), *installed]]
    disk = written(history)
    recovered = reopen(disk, DIRECTORY, covered=base_index)
    assert recovered_state(recovered) == states(history)[-1]
    assert recovered.base_index == base_index


def test_log_that_began_anew_without_its_snapshot_is_damage() -> None:
    disk = written([*long_log(), append(base(100, 5))])
    with pytest.raises(LogDamaged, match="a log that goes on behind index 99, not behind 100"):
        reopen(disk, DIRECTORY, covered=99)


def test_power_loss_at_any_operation_of_pruning_leaves_a_log_that_reads_back() -> None:
    whole = states(long_log())[-1]
    operation, ended = 0, False
    while not ended:
        operation += 1
        disk = written(long_log())
        wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny(), LogIndex(COVERED))
        disk.crash_in(operation)
        try:
            wal.prune(LogIndex(COVERED))
            ended = True
        except PowerLost:
            pass
        disk.lose_power()
        recovered = reopen(disk, DIRECTORY, covered=COVERED)
        assert recovered_state(recovered) == whole.behind(recovered.base_index)
        append_more(disk)
    assert operation > 3


def append_more(disk: SimDisk) -> None:
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny(first_nonce=0x9999), LogIndex(COVERED))
    wal.write(append(entry(LENGTH + 1, 3)))
    wal.sync()
    wal.close()
    assert reopen(disk, DIRECTORY, covered=COVERED).entries[-1].index == LENGTH + 1


def test_new_log_needs_no_snapshot_to_be_read() -> None:
    disk = written([])
    append_history(disk, DIRECTORY, [append(entry(1))], tiny())
    assert reopen(disk, DIRECTORY).base_index == 0
