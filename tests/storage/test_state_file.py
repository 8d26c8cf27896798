"""Term and vote beside the log: never older than what was answered, and the witness of a log that forgot."""

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from bankd.errors import DataDirForeign, DiskFailed, LogDamaged
from bankd.raft.messages import HardState
from bankd.sim.disk import PowerLost, SimDisk
from bankd.sim.random import Stream
from bankd.storage.records import SECTOR_BYTES, Write
from bankd.storage.segment import Owner
from bankd.storage.state_file import (
    NAME,
    STARTS_MAX,
    STATE_BYTES,
    NewStart,
    Slot,
    StateFound,
    encode_slot,
    look_at_state,
    read_state,
)
from bankd.storage.wal import Wal
from bankd.types import Incarnation, NodeId, Starts, Term
from tests.storage.histories import (
    DIRECTORY,
    IDENTITY,
    append,
    append_history,
    entry,
    new_disk,
    reopen,
    segments,
    tiny,
    vote,
    write_history,
)
from tests.storage.losses import every_power_loss

STATE = DIRECTORY / NAME
MOST_STARTS = Starts(2**64 - 1, (2**64 - 1,) * STARTS_MAX)
VOTES: list[list[Write]] = [
    vote(1, "n1"),
    append(entry(1)),
    vote(2),
    [*vote(2, "n3"), *append(entry(2, 2))],
    vote(5, "n2"),
]


def hard_state(batch: list[Write]) -> HardState:
    return next(state for state, _ in batch if state is not None)


def found(disk: SimDisk) -> StateFound:
    return read_state(disk, DIRECTORY, IDENTITY)


def certain(disk: SimDisk) -> HardState:
    state = found(disk)
    assert state.newest is not None
    assert state.doubt is None
    return state.newest.hard_state


def voted() -> SimDisk:
    disk = new_disk()
    write_history(disk, DIRECTORY, VOTES, tiny())
    return disk


def rank(state: HardState) -> tuple[int, bool]:
    return state.term, state.voted_for is not None


def flips(data: bytes) -> Iterator[bytes]:
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


# What is sound


def test_copy_says_what_the_log_says_after_each_sync() -> None:
    disk = new_disk()
    write_history(disk, DIRECTORY, [], tiny())
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
    for batch in VOTES:
        wal.write(batch)
        wal.sync()
        if any(state for state, _ in batch):
            assert certain(disk) == hard_state(batch)


def test_starts_are_counted_whatever_was_written_between() -> None:
    disk = new_disk()
    write_history(disk, DIRECTORY, [], tiny())  # makes the log, and starts on it once
    counted = []
    for batch in VOTES:
        wal, recovered = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
        counted.append(recovered.starts.boots)
        wal.write(batch)
        wal.sync()
        wal.close()
        disk.lose_power(lambda: False)
    assert counted == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(("seen", "counted"), [(0, [2, 3]), (1, [2, 3]), (2, [3, 4]), (40, [41, 42])])
def test_start_has_a_higher_number_than_any_that_a_peer_has_met(seen: int, counted: list[int]) -> None:
    disk = new_disk()
    write_history(disk, DIRECTORY, [], tiny())
    found = []
    for boots_seen in (seen, 0):
        wal, recovered = Wal.open(disk, DIRECTORY, IDENTITY, tiny(), start=NewStart(7, boots_seen))
        found.append(recovered.starts.boots)
        wal.close()
        disk.lose_power(lambda: False)
    assert found == counted


def test_latest_starts_are_remembered_by_their_nonces_and_one_that_is_refilling_forgets_those_before_it() -> None:
    disk = new_disk()
    write_history(disk, DIRECTORY, [], tiny())

    def remembered(nonce: int, *, refilling: bool = False) -> Starts:
        wal, recovered = Wal.open(disk, DIRECTORY, IDENTITY, tiny(), start=NewStart(nonce, refilling=refilling))
        wal.close()
        disk.lose_power(lambda: False)
        return recovered.starts

    assert remembered(1000, refilling=True) == Starts(2, (1000,))
    for nonce in range(1001, 1030):
        starts = remembered(nonce)
        assert starts == Starts(nonce - 998, tuple(range(nonce, max(1000, nonce - STARTS_MAX + 1) - 1, -1)))
    assert remembered(2000, refilling=True) == Starts(32, (2000,))
    assert remembered(2001) == Starts(33, (2001, 2000))


def test_copy_that_a_crash_left_behind_the_log_is_renewed() -> None:
    disk = voted()
    behind = disk.copy()[STATE]
    append_history(disk, DIRECTORY, [vote(7, "n1")], tiny())
    disk.restore(disk.copy() | {STATE: behind})
    assert reopen(disk, DIRECTORY).hard_state == HardState(Term(7), NodeId("n1"))
    assert certain(disk) == HardState(Term(7), NodeId("n1"))


@pytest.mark.parametrize("left", [None, b"", bytes(STATE_BYTES), b"\xff" * STATE_BYTES, b"not ours"])
def test_copy_that_is_missing_or_not_to_be_read_is_made_anew_from_a_sound_log(left: bytes | None) -> None:
    disk = voted()
    files = {path: content for path, content in disk.copy().items() if path != STATE}
    disk.restore(files if left is None else files | {STATE: left})
    assert found(disk).doubt is not None
    assert reopen(disk, DIRECTORY).hard_state == hard_state(VOTES[-1])
    disk.lose_power(lambda: False)
    assert certain(disk) == hard_state(VOTES[-1])


@pytest.mark.parametrize("size", [0, 1, SECTOR_BYTES - 1, SECTOR_BYTES, STATE_BYTES - 1, STATE_BYTES + 1])
def test_copy_of_another_size_is_in_doubt(size: int) -> None:
    data = voted().copy()[STATE].ljust(size, b"\0")[:size]
    assert look_at_state(data, STATE).doubt is not None


def test_log_cannot_be_made_where_one_was_opened_though_its_segments_are_gone() -> None:
    disk = voted()
    disk.restore({STATE: disk.copy()[STATE]})
    with pytest.raises(LogDamaged, match="never held a log"):
        Wal.create(disk, DIRECTORY, IDENTITY, tiny())


def test_copy_of_another_node_is_refused_by_its_name() -> None:
    disk = voted()
    other = Slot(Owner.of(attrs.evolve(IDENTITY, node_id=NodeId("n2"))), 0, Starts(1), HardState())
    disk.restore(disk.copy() | {STATE: encode_slot(other).ljust(STATE_BYTES, b"\0")})
    with pytest.raises(DataDirForeign, match=r"STATE belongs to node n2 .* this is node n1"):
        reopen(disk, DIRECTORY)


def test_ids_of_any_length_that_a_configuration_allows_fit() -> None:
    longest = NodeId("n" * 64)
    slot = Slot(
        Owner(IDENTITY.cluster_id, longest, Incarnation(2**64 - 1)), 0, MOST_STARTS, HardState(Term(9), longest)
    )
    data = encode_slot(slot)
    assert len(data) == SECTOR_BYTES
    assert look_at_state(data.ljust(STATE_BYTES, b"\0"), STATE).newest == slot


# A log that forgot


def test_log_cut_back_to_what_it_once_was_is_refused_if_that_costs_a_term_or_a_vote() -> None:
    """As whole batches that had been synced, but for the zeros in their place, are lost."""
    disk = new_disk()
    write_history(disk, DIRECTORY, [], tiny())
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
    older: list[tuple[HardState, dict[Path, bytes]]] = []
    for batch in VOTES:
        older.append((certain(disk), segments(disk)))
        wal.write(batch)
        wal.sync()
    for state, files in older:
        assert rank(state) < rank(hard_state(VOTES[-1]))
        disk.restore(files | {STATE: disk.copy()[STATE]})
        before = disk.copy()
        with pytest.raises(LogDamaged, match="expected a log with term 5 and a vote for n2, as STATE has it, not"):
            reopen(disk, DIRECTORY)
        assert disk.copy() == before


def test_entries_cut_off_without_a_term_or_a_vote_are_not_noticed_here() -> None:
    disk = voted()
    older = segments(disk)
    append_history(disk, DIRECTORY, [append(entry(3, 5))], tiny())
    disk.restore(older | {STATE: disk.copy()[STATE]})
    assert len(reopen(disk, DIRECTORY).entries) == 2


def test_vote_for_another_in_the_same_term_is_refused() -> None:
    disk = voted()
    other = disk.copy()[STATE]
    disk = new_disk()
    write_history(disk, DIRECTORY, [*VOTES[:-1], vote(5, "n1")], tiny())
    disk.restore(disk.copy() | {STATE: other})
    with pytest.raises(LogDamaged, match="a vote for n2, as STATE has it, not one with term 5 and a vote for n1"):
        reopen(disk, DIRECTORY)


# Rot


def test_any_flipped_bit_leaves_the_newest_slot_or_a_doubt() -> None:
    """In the newest slot it costs just that; in the older one it costs nothing."""
    data = voted().copy()[STATE]
    newest = look_at_state(data, STATE).newest
    assert newest is not None
    for bit, flipped in enumerate(flips(data)):
        seen = look_at_state(flipped, STATE)
        if bit // 8 // SECTOR_BYTES == newest.sequence % 2:
            assert seen.newest != newest
            assert seen.doubt is not None
        else:
            assert seen == StateFound(newest, None)


def test_any_flipped_bit_is_healed_by_a_sound_log_and_starts_go_on_being_counted() -> None:
    disk = voted()
    files = disk.copy()
    boots = reopen(disk, DIRECTORY).starts.boots
    for number, flipped in enumerate(flips(files[STATE])):
        if number % 7:
            continue
        disk.restore(files | {STATE: flipped})
        recovered = reopen(disk, DIRECTORY)
        assert recovered.hard_state == hard_state(VOTES[-1])
        assert recovered.starts.boots >= boots
        assert certain(disk) == hard_state(VOTES[-1])


def test_lost_write_is_in_doubt_from_the_next_one_on() -> None:
    """A slot that a disk said to have written, and did not."""
    disk = new_disk()
    write_history(disk, DIRECTORY, [], tiny())
    wal, _ = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
    first, written = disk.copy()[STATE], []
    for term in (1, 2, 3):
        wal.write(vote(term))
        wal.sync()
        written.append(disk.copy()[STATE])
    newest = look_at_state(written[2], STATE).newest
    assert newest is not None
    older = slice(SECTOR_BYTES, None) if newest.sequence % 2 == 0 else slice(SECTOR_BYTES)
    lying = bytearray(written[2])
    lying[older] = first[older]
    seen = look_at_state(bytes(lying), STATE)
    assert seen.newest == newest
    assert seen.doubt is not None


# Crashes


@pytest.mark.parametrize("sequence", range(6))
def test_slot_torn_at_any_byte_from_either_end_leaves_the_other_one_beyond_doubt(sequence: int) -> None:
    def slot(sequence: int) -> Slot:
        return Slot(Owner.of(IDENTITY), sequence, Starts(3, (7, 6)), HardState(Term(100 + sequence), NodeId("n1")))

    sectors = [bytes(SECTOR_BYTES)] * 2
    for written in range(sequence + 1):
        sectors[written % 2] = encode_slot(slot(written))
    new, number = encode_slot(slot(sequence + 1)), (sequence + 1) % 2
    for cut in range(SECTOR_BYTES + 1):
        for torn in (new[:cut] + sectors[number][cut:], sectors[number][:cut] + new[cut:]):
            left = [*sectors]
            left[number] = torn
            seen = look_at_state(b"".join(left), STATE)
            assert seen.newest in (slot(sequence), slot(sequence + 1))
            assert seen.newest == slot(sequence + (torn == new))
            assert seen.doubt is None


class Run:
    """Starts, votes, and starts again, until something goes wrong; knows what it may have answered."""

    def __init__(self, seed: int = 7) -> None:
        self.disk = new_disk(seed)
        write_history(self.disk, DIRECTORY, [], tiny())
        self.answered = HardState()
        self.asked = HardState()
        self.boots = 1

    def vote_until_the_end(self) -> None:
        for batches in (VOTES[:3], VOTES[3:]):
            wal, recovered = Wal.open(self.disk, DIRECTORY, IDENTITY, tiny())
            assert rank(recovered.hard_state) >= rank(self.answered)
            assert recovered.starts.boots > self.boots
            self.answered, self.boots = recovered.hard_state, recovered.starts.boots
            for batch in batches:
                self.asked = next((state for state, _ in batch if state), self.asked)
                wal.write(batch)
                wal.sync()
                self.answered = self.asked
            wal.close()

    def check(self, disk: SimDisk) -> None:
        """Judge the copy, then the log, and see that the next start comes to the same."""
        assert certain(disk) in (self.answered, self.asked)
        recovered = reopen(disk, DIRECTORY)
        assert recovered.hard_state in (self.answered, self.asked)
        assert recovered.starts.boots > self.boots
        disk.lose_power(lambda: False)
        assert certain(disk) == recovered.hard_state
        again = reopen(disk, DIRECTORY)
        assert (again.hard_state, again.starts.boots) == (recovered.hard_state, recovered.starts.boots + 1)


def every_operation(go_wrong: Callable[[SimDisk, int], None]) -> Iterator[Callable[[int], Run]]:
    """Give for each operation how to make a run that something went wrong with there; end behind the last one."""
    operation, reached = 0, True
    while reached:
        operation += 1

        def stopped(seed: int, operation: int = operation) -> Run:
            nonlocal reached
            run = Run(seed)
            go_wrong(run.disk, operation)
            try:
                run.vote_until_the_end()
            except (PowerLost, DiskFailed):
                reached = True
            else:
                reached = False
            return run

        yield stopped
    assert operation > 25


def test_every_power_loss_at_every_operation_leaves_the_old_copy_or_the_new_one() -> None:
    for stopped in every_operation(SimDisk.crash_in):
        run = stopped(0)
        for disk in every_power_loss(lambda seed, stopped=stopped: stopped(seed).disk):  # type: ignore[misc]
            run.check(disk)


def test_process_killed_at_every_operation_then_power_lost_after_the_restart() -> None:
    for stopped in every_operation(SimDisk.crash_in):
        run = stopped(7)
        run.disk.end_process()
        run.check(run.disk)


def test_failure_of_any_operation_then_power_lost_at_every_operation_of_the_next_start() -> None:
    """A sync that failed leaves a slot that reads well and is not on the disk (ATC'20)."""
    for stopped in every_operation(lambda disk, operation: disk.fail_in(operation, DiskFailed("the disk says no"))):
        second, reached = 0, True
        while reached:
            second += 1
            run = stopped(second)
            run.disk.end_process()
            run.disk.crash_in(second)
            try:
                reopen(run.disk, DIRECTORY)
            except PowerLost:
                run.disk.lose_power()
            else:
                reached = False
                run.disk.end_process()
            state = found(run.disk)
            assert state.newest is not None, "both slots are lost"
            assert rank(state.newest.hard_state) >= rank(run.answered) or state.doubt is not None
            recovered = reopen(run.disk, DIRECTORY)
            assert recovered.hard_state in (run.answered, run.asked)
            assert recovered.starts.boots > run.boots


def test_any_chain_of_crashes_never_forgets_a_vote_that_was_answered() -> None:
    for seed in range(400):
        stream = Stream(seed, "chain")
        disk = new_disk(seed)
        write_history(disk, DIRECTORY, [], tiny())
        answered = HardState()
        for _ in range(stream.between(2, 8)):
            disk.crash_in(stream.between(1, 20))
            try:
                wal, recovered = Wal.open(disk, DIRECTORY, IDENTITY, tiny())
                assert rank(recovered.hard_state) >= rank(answered), f"seed {seed}"
                answered = recovered.hard_state
                for term in range(answered.term + 1, answered.term + 9):
                    wal.write(vote(term, stream.pick([None, "n1"])))
                    wal.sync()
                    answered = certain(disk)
            except PowerLost:
                pass
            disk.lose_power()
            assert rank(certain(disk)) >= rank(answered), f"seed {seed}"
