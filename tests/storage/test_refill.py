"""What is damaged is set aside as a whole, whatever interrupts that, and a log begins that remembers term and vote."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bankd.errors import DataDirForeign, DiskFailed, DiskFull, LogDamaged
from bankd.pb import storage_pb2
from bankd.raft.messages import HardState
from bankd.sim.disk import PowerLost, SimDisk
from bankd.storage.data_dir import DataDir
from bankd.storage.framed_file import framed
from bankd.storage.records import SECTOR_BYTES, Base
from bankd.storage.recovery import Recovered, segment_names
from bankd.storage.refill import NAME, REASON_CHARS_MAX, Refill, clear, marker, resume, set_aside
from bankd.storage.wal import Wal
from bankd.types import ClusterId, LogIndex, NodeId, Term
from tests.storage.histories import IDENTITY, append, entry, new_disk, tiny, vote
from tests.storage.losses import every_power_loss
from tests.storage.test_state_file import flips

DATA = Path("n1")
WAL, SNAP = DATA / "wal", DATA / "snap"
STATE, MARKER = WAL / "STATE", DATA / NAME
SNAPSHOTS = ("00000000000000000002-00000000000000000001.snap", "00000000000000000004-00000000000000000001.snap")
VOTED = HardState(Term(3), NodeId("n2"))
REASON = "the log is rotten"


def open_dir(disk: SimDisk) -> DataDir:
    return DataDir.open_or_create(
        DATA,
        cluster="main",
        cluster_id=ClusterId(7),
        node_id=NodeId("n1"),
        new_incarnation=lambda: 0xABCDEF,
        disk=disk,
        wal_options=tiny(),
    )


def rotten(seed: int = 7) -> SimDisk:
    """A directory with snapshots, and a log of several segments with a flipped bit in one."""
    disk = new_disk(seed)
    open_dir(disk).close()
    wal, _ = Wal.open(disk, WAL, IDENTITY, tiny())
    for batch in [vote(3, "n2"), *(append(entry(index, 3, bytes(300))) for index in range(1, 8))]:
        wal.write(batch)
        wal.sync()
    wal.close()
    names = segment_names(disk, WAL)
    assert len(names) > 2
    segment = WAL / names[1]
    damaged = bytearray(disk.copy()[segment])
    damaged[SECTOR_BYTES + 60] ^= 1
    disk.restore(disk.copy() | {segment: bytes(damaged)} | {SNAP / name: name.encode() for name in SNAPSHOTS})
    return disk


def aside(disk: SimDisk, *, void: bool = False, reason: str = REASON) -> HardState:
    return set_aside(disk, DATA, IDENTITY, tiny(first_nonce=0x7777), reason, state_is_void=void)


def start(disk: SimDisk, *, void: bool = False) -> tuple[Refill | None, Recovered]:
    """What a node does at its start: go on where a crash stopped, set aside what is damaged, open the log."""
    open_dir(disk).close()
    found = resume(disk, DATA, IDENTITY, tiny(first_nonce=0x8888))
    try:
        wal, recovered = Wal.open(disk, WAL, IDENTITY, tiny(first_nonce=0x9999))
    except LogDamaged:
        aside(disk, void=void)
        found = marker(disk, DATA)
        wal, recovered = Wal.open(disk, WAL, IDENTITY, tiny(first_nonce=0x9999))
    wal.close()
    return found, recovered


def evidence(disk: SimDisk) -> dict[Path, bytes]:
    """What was set aside, by the names that it had."""
    files = disk.copy().items()
    return {path.with_suffix(""): content for path, content in files if path.suffix == ".damaged"}


def files_in(disk: SimDisk, suffix: str) -> dict[Path, bytes]:
    return {path: content for path, content in disk.copy().items() if path.suffix == suffix}


def check_was_set_aside(disk: SimDisk, before: SimDisk, *, void: bool) -> None:
    """Judge a directory after its next start, and see that power losses and further starts change nothing."""
    set_aside_files = files_in(before, ".wal") | (files_in(before, ".snap") if void else {})
    for _ in range(2):
        found, recovered = start(disk, void=void)
        assert found is not None
        assert (found.reason, found.state_is_void) == (REASON, void)
        assert (recovered.hard_state, recovered.entries, recovered.base_index) == (VOTED, (), 0)
        assert evidence(disk) == set_aside_files
        assert files_in(disk, ".snap") == ({} if void else files_in(before, ".snap"))
        disk.lose_power(lambda: False)


# What is done


@pytest.mark.parametrize("void", [False, True])
def test_log_is_set_aside_as_a_whole_and_the_snapshots_only_if_the_state_is_void(void: bool) -> None:
    disk, before = rotten(), rotten()
    assert aside(disk, void=void) == VOTED
    check_was_set_aside(disk, before, void=void)


def test_new_log_takes_entries_and_votes_and_goes_on_with_the_numbers_of_the_old_one() -> None:
    disk = rotten()
    last = segment_names(disk, WAL)[-1]
    aside(disk)
    (first,) = segment_names(disk, WAL)
    assert int(first[:10]) == int(last[:10]) + 1
    wal, _ = Wal.open(disk, WAL, IDENTITY, tiny())
    entries = [entry(index, 4, bytes(300)) for index in range(1, 20)]
    for batch in [vote(4, "n1"), *map(append, entries)]:
        wal.write(batch)
        wal.sync()
    wal.prune(LogIndex(0))
    disk.lose_power(lambda: False)
    _, recovered = start(disk)
    assert recovered.entries == tuple(entries)
    assert recovered.hard_state == HardState(Term(4), NodeId("n1"))


def test_new_log_can_begin_behind_a_snapshot() -> None:
    disk = rotten()
    aside(disk)
    wal, _ = Wal.open(disk, WAL, IDENTITY, tiny())
    wal.write([(None, (Base(LogIndex(4), Term(1)), entry(5, 4)))])
    wal.sync()
    _, recovered = Wal.open(disk, WAL, IDENTITY, tiny(), LogIndex(4))
    assert (recovered.base_index, recovered.entries) == (4, (entry(5, 4),))


def test_sound_directory_has_no_marker_and_nothing_to_resume() -> None:
    disk = rotten()
    before = disk.copy()
    assert marker(disk, DATA) is None
    assert resume(disk, DATA, IDENTITY, tiny()) is None
    assert disk.copy() == before


def test_marker_stays_until_it_is_cleared_durably_and_what_was_set_aside_stays_longer() -> None:
    disk = rotten()
    aside(disk)
    kept = evidence(disk)
    clear(disk, DATA)
    disk.lose_power(lambda: False)
    found, recovered = start(disk)
    assert found is None
    assert recovered.hard_state == VOTED
    assert evidence(disk) == kept


def test_next_damage_replaces_what_an_earlier_one_set_aside() -> None:
    disk = rotten()
    aside(disk, void=True)
    for _ in range(3):
        clear(disk, DATA)
        (segment,) = segment_names(disk, WAL)
        damaged = disk.copy()[WAL / segment][:SECTOR_BYTES].ljust(2048, b"\xff")
        disk.restore(disk.copy() | {WAL / segment: damaged})
        assert aside(disk) == VOTED
        assert evidence(disk) == {WAL / segment: damaged}


@pytest.mark.parametrize("left", [{}, {WAL / "no-segment.wal": b"x"}])
def test_log_without_its_segments_is_begun_anew(left: dict[Path, bytes]) -> None:
    disk = rotten()
    files = {path: content for path, content in disk.copy().items() if path.suffix != ".wal"}
    disk.restore(files | left)
    found, recovered = start(disk)
    assert found is not None
    assert (recovered.hard_state, recovered.entries) == (VOTED, ())
    assert evidence(disk) == left


@pytest.mark.parametrize("reason", ["x" * 5000, "\N{EURO SIGN}" * 5000, "of a path that is no text: \udcff"])
def test_reason_of_any_kind_is_kept_as_far_as_it_goes(reason: str) -> None:
    disk = rotten()
    aside(disk, reason=reason)
    found = marker(disk, DATA)
    assert found is not None
    assert found.reason == reason[:REASON_CHARS_MAX].replace("\udcff", "?")


# What is refused


@pytest.mark.parametrize("state", [None, b"", bytes(1024)], ids=["missing", "empty", "zeros"])
def test_without_a_certain_term_and_vote_nothing_is_changed_and_the_words_say_what_to_do(state: bytes | None) -> None:
    disk = rotten()
    files = {path: content for path, content in disk.copy().items() if path != STATE}
    disk.restore(files if state is None else files | {STATE: state})
    before = disk.copy()
    with pytest.raises(LogDamaged) as refusal:
        aside(disk)
    assert disk.copy() == before
    for words in (
        REASON,
        "its term and vote",
        "must not start again as it is",
        "`bankd verify n1`",
        "while they are a majority",
    ):
        assert words in str(refusal.value)


def test_any_flipped_bit_in_the_only_slot_that_counts_is_refused() -> None:
    disk = rotten()
    files = disk.copy()
    refused = 0
    for number, state in enumerate(flips(files[STATE])):
        if number % 5:
            continue
        disk.restore(files | {STATE: state})
        try:
            assert aside(disk) == VOTED
        except LogDamaged:
            refused += 1
    assert refused == pytest.approx(SECTOR_BYTES * 8 / 5, abs=1)


# Interruptions


def every_interruption(
    begin: Callable[[int], SimDisk], act: Callable[[SimDisk], object]
) -> Iterator[Callable[[int], SimDisk]]:
    """Give for each operation of `act` how to make a disk whose process ended in its midst."""
    operation, reached = 0, True
    while reached:
        operation += 1

        def stopped(seed: int, operation: int = operation) -> SimDisk:
            nonlocal reached
            disk = begin(seed)
            disk.crash_in(operation)
            try:
                act(disk)
            except PowerLost:
                reached = True
            else:
                reached = False
            return disk

        yield stopped


@pytest.mark.parametrize("void", [False, True])
def test_every_power_loss_at_every_operation_ends_in_the_same_result(void: bool) -> None:
    interrupted = 0
    for stopped in every_interruption(rotten, lambda disk: aside(disk, void=void)):
        for disk in every_power_loss(stopped):
            check_was_set_aside(disk, rotten(), void=void)
            interrupted += 1
    assert interrupted > 200


@pytest.mark.parametrize("void", [False, True])
def test_process_killed_at_every_operation_ends_in_the_same_result(void: bool) -> None:
    for stopped in every_interruption(rotten, lambda disk: aside(disk, void=void)):
        disk = stopped(7)
        disk.end_process()
        check_was_set_aside(disk, rotten(), void=void)


@pytest.mark.parametrize("error", [DiskFailed("the disk says no"), DiskFull("no room")])
def test_failure_of_any_operation_ends_in_the_same_result_at_the_next_start(error: DiskFailed) -> None:
    operation, failed = 0, True
    while failed:
        operation += 1
        disk = rotten()
        disk.fail_in(operation, error)
        try:
            aside(disk, void=True)
        except DiskFailed:
            pass
        else:
            failed = False
        disk.end_process()
        check_was_set_aside(disk, rotten(), void=True)
    assert operation > 15


def test_resuming_that_is_interrupted_at_every_operation_ends_in_the_same_result() -> None:
    for first in every_interruption(rotten, lambda disk: aside(disk, void=True)):

        def half_done(seed: int, first: Callable[[int], SimDisk] = first) -> SimDisk:
            disk = first(seed)
            disk.lose_power()
            return disk

        for second in every_interruption(half_done, lambda disk: start(disk, void=True)):
            disk = second(3)
            disk.lose_power()
            check_was_set_aside(disk, rotten(), void=True)


def test_snapshots_that_a_leader_sent_later_are_not_set_aside_with_the_void_state() -> None:
    disk = rotten()
    aside(disk, void=True)
    sent = {SNAP / "00000000000000000009-00000000000000000003.snap": b"sent"}
    disk.restore(disk.copy() | sent)
    start(disk)
    assert files_in(disk, ".snap") == sent


# The marker


def test_any_flipped_bit_or_cut_of_the_marker_still_marks_and_is_put_right_by_beginning_anew() -> None:
    disk = rotten()
    aside(disk)
    files = disk.copy()
    sound = files[MARKER]
    for damaged in [*flips(sound), *(sound[:size] for size in range(len(sound)))]:
        disk.restore(files | {MARKER: damaged})
        found, recovered = start(disk)
        assert found is not None
        assert "REFILL is damaged" in found.reason
        assert found.state_is_void
        assert recovered.hard_state == VOTED
        assert files_in(disk, ".snap") == {}
        assert marker(disk, DATA) == found


def test_marker_of_a_newer_format_is_refused() -> None:
    disk = rotten()
    newer = framed(storage_pb2.Refill(format_version=2).SerializeToString())
    disk.restore(disk.copy() | {MARKER: newer})
    with pytest.raises(DataDirForeign, match="REFILL has format 2, this program knows 1"):
        start(disk)
