"""The write-ahead log: appends batches, makes them durable, moves from segment to segment.

One `write`, then one `sync`, in turn: what a batch says about its forerunner (it was durable) rests on
that. After a failure nothing more may be called. Formats are in records.py and segment.py, reading back
in recovery.py.

A roll, in the order that every crash survives:
1. a prepared file of zeros gets its header, is synced, renamed, and its directory synced;
2. the old segment gets its seal and is synced;
3. the next batch goes into the new one.
So a sealed segment always has a next one, and a missing last segment shows. A crash between 1 and 2
leaves an untouched segment behind an unsealed one: `open` removes it.

Every segment begins with the hard state, so that those before it may be deleted (`prune`), once a snapshot covers the
entries that they hold. The oldest goes first, and the last two stay: the last may not have come to its first batch.

Term and vote are kept once more, beside the log (state_file.py). That costs a second sync when they change, which is when
leaders do, and none otherwise.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto
from itertools import pairwise
from pathlib import Path
from typing import Final

import attrs

from bankd.raft.messages import HardState
from bankd.raft.ready import Persist
from bankd.storage.disk import Disk
from bankd.storage.identity import Identity
from bankd.storage.records import (
    EDGE,
    SECTOR_BYTES,
    Base,
    Place,
    Write,
    data_size,
    encode_batch,
    encode_seal,
    padded_size,
)
from bankd.storage.recovery import LogRead, Recovered, read_file, read_log, segment_names
from bankd.storage.scan import is_zero
from bankd.storage.segment import SegmentHeader, begin, damaged, first_index_of, write_zeros
from bankd.storage.spare import Spare
from bankd.storage.state_file import NAME as STATE_NAME
from bankd.storage.state_file import STATE_BYTES, UNTOLD, NewStart, StateFile, forgotten, read_state
from bankd.types import LogIndex

_SPARE_NAME: Final = "spare.tmp"
_SHORT_NAME: Final = "short.tmp"

# Zeros written and synced in one step of filling. A commit beside it waits for at most one step: fdatasync of the log
# measured p99 0.7 ms at 128 KiB, 3.6 ms at 1 MiB. A log that is written fast needs faster filling more than low latency.
FILL_STEP_BYTES_MIN: Final = 128 << 10
FILL_STEP_BYTES_MAX: Final = 4 << 20
_NO_META: Final = "nothing: the directory has no META, so it never held a log (put META back; nothing was changed)"
FILL_PER_BYTE_WRITTEN: Final = 4  # so the next segment is ready when this one is a quarter full


def _random_nonce() -> int:
    return secrets.randbits(64)


@attrs.frozen
class WalOptions:
    """Sizes in bytes, multiples of 512.

    `short_segment_bytes`: of a segment made while a commit waits, because no spare is ready: the first one of
    all, and under a load that outruns the filling. 1 MiB of zeros takes about 1 ms, 64 MiB about 100.
    """

    segment_bytes: int = 64 << 20
    short_segment_bytes: int = 1 << 20
    new_nonce: Callable[[], int] = _random_nonce


def log_write(persist: Persist) -> Write | None:
    """What a write of Raft's puts into the log; None: nothing, it only waits for those before it."""
    if persist.base is not None:
        return persist.hard_state, (Base(persist.base.index, persist.base.term), *persist.entries)
    if persist.entries or persist.hard_state is not None:
        return persist.hard_state, persist.entries
    return None


class _Next(Enum):
    """Which call may come next."""

    WRITE = auto()
    SYNC = auto()
    NONE = auto()  # closed, or an operation failed: what is on the disk is unknown


class Wal:
    """The log of one node, open for appending. One thread at a time, but see `fill_spare`."""

    def __init__(
        self, disk: Disk, directory: Path, identity: Identity, options: WalOptions, read: LogRead, state: StateFile
    ) -> None:
        """Take over a log that was read and mended; see `open`."""
        self._disk = disk
        self._directory = directory
        self._identity = identity
        self._options = options
        self._file = disk.open(read.tail.path)
        self._capacity = read.tail.capacity
        self._place = read.tail.place
        self._next_index = read.tail.next_index
        self._hard_state = read.recovered.hard_state
        self._state = state
        self._sizes = dict(read.sizes)
        self._name = read.tail.path.name
        self._next = _Next.WRITE
        self._spare = Spare(disk, directory / _SPARE_NAME, options.segment_bytes)
        self._bytes_written = 0
        self._bytes_filled_for = 0
        self.sequence = read.tail.sequence  # of the segment being written; each wants one spare behind it

    @classmethod
    def create(cls, disk: Disk, directory: Path, identity: Identity, options: WalOptions) -> None:
        """Begin an empty log: its first segment is durable on return.

        For a data directory that has no META yet. What an earlier attempt left is replaced.

        Raises:
          LogDamaged: there is a log with something in it, or one was opened here.
          DiskFailed, DiskFull.
        """
        if STATE_NAME in disk.listdir(directory):
            raise damaged(directory / STATE_NAME, 0, _NO_META)
        for name in segment_names(disk, directory):
            path = directory / name
            if not is_zero(read_file(disk, path), SECTOR_BYTES):
                raise damaged(path, SECTOR_BYTES, _NO_META)
            disk.unlink(path)
        begin_log(disk, directory, identity, options)

    @classmethod
    def open(
        cls,
        disk: Disk,
        directory: Path,
        identity: Identity,
        options: WalOptions,
        covered_index: LogIndex = LogIndex(0),
        start: NewStart = UNTOLD,
    ) -> tuple["Wal", Recovered]:
        """Read the log, cut off an unfinished last write, and make everything that is answered durable, names included.

        `covered_index`: a durable snapshot stands for the entries up to there, so that the log need not hold them.

        Raises:
          LogDamaged: damage that no unfinished write explains, or a term or a vote that the log has lost; nothing was
            changed.
          DataDirForeign: a segment is another node's, or a newer program's.
          DiskFailed, DiskFull.
        """
        read = read_log(disk, directory, identity, covered_index)
        hard_state = read.recovered.hard_state
        found = read_state(disk, directory, identity)
        if (expected := forgotten(hard_state, found)) is not None:
            raise damaged(directory, 0, expected)
        _mend(disk, read)
        state = StateFile.begin(disk, directory, identity, found, hard_state, start)
        wal = cls(disk, directory, identity, options, read, state)
        return wal, attrs.evolve(read.recovered, starts=state.starts)

    def write(self, writes: Sequence[Write]) -> None:
        """Append `writes` as one batch, in order, without making it durable. At least one record.

        Entries are contiguous within a write; one whose index is not beyond the log's end replaces
        everything from that index on. A base comes before the entries behind it, and replaces the whole log. After a
        crash before `sync` the batch is there as a whole or not at all.

        Raises:
          DiskFailed, DiskFull: what is on the disk is unknown. Never call again.
        """
        assert self._next is _Next.WRITE, f"write while {self._next} was due"
        self._next = _Next.NONE
        # A batch that no segment can hold grows an empty one.
        if self._place.sector > 1 and not self.has_room(data_size(writes)):
            self._roll()
            writes = [(self._hard_state, ()), *writes]
        self._note(writes)
        self._append(*encode_batch(self._place, writes))
        self._next = _Next.SYNC

    def sync(self) -> None:
        """Make the last write durable. One fdatasync, two if it brought another term or vote; with nothing written, none.

        Raises:
          DiskFailed: it may or may not be durable. Never call again: the kernel may have dropped it.
        """
        if self._next is _Next.WRITE:
            return
        assert self._next is _Next.SYNC, "sync after a failure"
        self._next = _Next.NONE
        self._file.sync()
        # The copy comes second: ahead of the log, it would be the proof of a loss.
        if self._hard_state != self._state.hard_state:
            self._state.write(self._hard_state)
        self._next = _Next.WRITE

    def fill_spare(self) -> Iterator[None]:
        """Prepare the segment after this one, some zeros at each step. May be abandoned.

        The one thing that another thread may do while this one writes. Wanted after every change of `sequence`.

        Raises:
          DiskFailed, DiskFull.
        """
        return self._spare.fill(self._fill_step_bytes)

    def prune(self, covered_index: LogIndex) -> int:
        """Delete the segments that hold nothing behind `covered_index`, which a durable snapshot covers.

        Returns how many. Any thread may call it: it looks at names alone, and never at the two segments in use.

        Raises:
          DiskFailed.
        """
        names = segment_names(self._disk, self._directory)[:-1]
        deleted = 0
        for name, following in pairwise(names):
            if first_index_of(following) - 1 > covered_index:
                break
            self._disk.unlink(self._directory / name)
            # Each by itself: a disk may keep a later deletion without an earlier one, and that gap would be damage.
            self._disk.fsync_dir(self._directory)
            del self._sizes[name]
            deleted += 1
        return deleted

    def close(self) -> None:
        """Close the files. Does not sync."""
        self._next = _Next.NONE
        self._file.close()
        self._state.close()

    def has_room(self, data_bytes: int) -> bool:
        """Whether a batch with `data_bytes` of header and records needs no new segment."""
        end = self._place.sector * SECTOR_BYTES + padded_size(data_bytes)
        return end + SECTOR_BYTES <= self._capacity  # the seal needs a sector

    @property
    def has_spare(self) -> bool:
        """Whether the next roll finds its segment prepared."""
        return self._spare.ready

    @property
    def size_bytes(self) -> int:
        """The room that the log's files take, the spare and the copy of term and vote included. Any thread may ask."""
        segments = tuple(self._sizes.values())  # in one step, for `prune` may be at work in another thread
        return sum(segments) + self._spare.size_bytes + STATE_BYTES

    def _note(self, writes: Sequence[Write]) -> None:
        for hard_state, entries in writes:
            if hard_state is not None:
                self._hard_state = hard_state
            if entries:
                first, last = entries[0].index, entries[-1].index
                is_anew = type(entries[0]) is Base
                assert is_anew or 1 <= first <= self._next_index, f"entry {first} after {self._next_index - 1}"
                assert last - first == len(entries) - 1, f"entries {first} to {last} have gaps"
                self._next_index = LogIndex(last + 1)

    def _fill_step_bytes(self) -> int:
        written = self._bytes_written - self._bytes_filled_for
        self._bytes_filled_for += written
        return min(max(FILL_PER_BYTE_WRITTEN * written, FILL_STEP_BYTES_MIN), FILL_STEP_BYTES_MAX)

    def _append(self, batch: bytearray, running_crc: int) -> None:
        place = self._place
        self._file.pwrite(batch, place.sector * SECTOR_BYTES)
        self._bytes_written += len(batch)
        sector = place.sector + len(batch) // SECTOR_BYTES
        self._place = Place(place.nonce, sector, place.number + 1, running_crc)
        self._sizes[self._name] = max(self._sizes[self._name], self._place.offset)  # one too large makes the file grow

    def _roll(self) -> None:
        seal, running_crc = encode_seal(self._place, self._next_index)
        spare = self._spare if self.has_spare else _short_spare(self._disk, self._directory, self._options)
        nonce, number = self._options.new_nonce(), self._place.number + 1
        header = SegmentHeader(self.sequence + 1, self._next_index, number, nonce, spare.capacity, running_crc)
        file, first_crc = begin(self._disk, spare.path, header, self._identity)
        spare.renamed()
        self._append(seal, running_crc)
        self._file.sync()
        self._file.close()
        self._file, self._capacity, self.sequence = file, spare.capacity, header.sequence
        self._name, self._sizes[header.name] = header.name, spare.capacity
        self._place = Place(nonce, 1, number, first_crc)


def begin_log(
    disk: Disk,
    directory: Path,
    identity: Identity,
    options: WalOptions,
    *,
    sequence: int = 1,
    hard_state: HardState | None = None,
) -> None:
    """Begin a log without entries, whose first segment has that number: it is durable on return, `hard_state` with it.

    Raises:
      DiskFailed, DiskFull.
    """
    spare = _short_spare(disk, directory, options)
    header = SegmentHeader(sequence, LogIndex(1), 1, options.new_nonce(), spare.capacity, 0)
    file, _ = begin(disk, spare.path, header, identity, hard_state)
    file.close()


def _short_spare(disk: Disk, directory: Path, options: WalOptions) -> Spare:
    spare = Spare(disk, directory / _SHORT_NAME, options.short_segment_bytes)
    for _ in spare.fill(lambda: options.short_segment_bytes):
        pass
    return spare


def _mend(disk: Disk, read: LogRead) -> None:
    """Bring the disk to the state that was read, durably; after a crash in here it reads the same."""
    if read.recovered.torn is not None:
        _cut_off(disk, read.tail.path, read.recovered.torn.offset)
    if read.unused is not None:
        disk.unlink(read.unused)
        # A rename that a crash left half done has both names stand for one file. If this one came back after the next
        # roll had begun to fill that file with zeros again, a segment without a header would stand here.
        disk.fsync_dir(read.unused.parent)
    # The last batch may be in the page cache only, even marked clean by an fsync that failed: written again, it is
    # dirty, and this sync is about it. Whatever came before it was synced by the process that wrote it.
    if read.last_batch is not None:
        file = disk.open(read.last_batch.path)
        try:
            file.pwrite(read.last_batch.data, read.last_batch.offset)
            file.sync()
        finally:
            file.close()


def _cut_off(disk: Disk, path: Path, start: int) -> None:
    """Put zeros over an unfinished write, durably, and over the rest of the file: its sectors may stand anywhere there.

    Its first sector stays a torn one until the others are durable. If all were written at once and that sync failed,
    the next process would read zeros that never reach the disk, take them for a clean end, and write its batches
    in front of sectors that a power loss brings back. Its back edge goes first of it: a write of zeros that came to a part
    of the sector, of which the disk kept a part, would leave both edges around a header that is gone: rot.
    """
    file = disk.open(path)
    try:
        behind = start + SECTOR_BYTES
        if not any(file.pread(SECTOR_BYTES, start)):
            file.pwrite(EDGE, start)
            file.sync()
        write_zeros(file, behind, max(behind, file.size()))
        write_zeros(file, behind - len(EDGE), behind)
        write_zeros(file, start, behind)
    finally:
        file.close()
