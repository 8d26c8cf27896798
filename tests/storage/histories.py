"""Logs with a known history, for tests: what was written, batch by batch, and what each prefix amounts to."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import attrs

from bankd.raft.messages import Entry, EntryType, HardState
from bankd.sim.disk import SimDisk
from bankd.sim.random import Stream
from bankd.storage.disk import Disk
from bankd.storage.identity import Identity
from bankd.storage.records import Base, Write
from bankd.storage.recovery import Recovered
from bankd.storage.wal import Wal, WalOptions
from bankd.types import ClusterId, Incarnation, LogIndex, NodeId, Term

IDENTITY = Identity("main", ClusterId(7), NodeId("n1"), Incarnation(0xABCDEF))
DIRECTORY = Path("wal")  # on a SimDisk


def new_disk(seed: int = 7) -> SimDisk:
    return SimDisk(Stream(seed, "disk"))


def segments(disk: SimDisk) -> dict[Path, bytes]:
    """Return what the segments hold, in their order."""
    return {path: content for path, content in sorted(disk.copy().items()) if path.suffix == ".wal"}


class LoggedDisk(SimDisk):
    """A disk that remembers its operations, as "pwrite META"."""

    def __init__(self) -> None:
        super().__init__(Stream(7, "disk"))
        self.log: list[str] = []

    def operate(self, operation: str, path: Path, *, takes_room: bool = False) -> None:
        self.log.append(f"{operation} {path.name or path}")
        super().operate(operation, path, takes_room=takes_room)


def tiny(*, segment_bytes: int = 4096, short_segment_bytes: int = 2048, first_nonce: int = 0x1111) -> WalOptions:
    """Return options under which a handful of batches fills a segment, with predictable nonces."""
    nonces = count(first_nonce)
    return WalOptions(
        segment_bytes=segment_bytes, short_segment_bytes=short_segment_bytes, new_nonce=lambda: next(nonces)
    )


def entry(index: int, term: int = 1, body: bytes | None = None) -> Entry:
    return Entry(
        LogIndex(index), Term(term), EntryType.COMMANDS, body if body is not None else b"e%d.%d" % (index, term)
    )


def append(*entries: Entry | Base) -> list[Write]:
    return [(None, entries)]


def vote(term: int, voted_for: str | None = None) -> list[Write]:
    return [(HardState(Term(term), NodeId(voted_for) if voted_for else None), ())]


@attrs.frozen
class State:
    """What a log amounts to, the naive way."""

    hard_state: HardState = attrs.field(factory=HardState)
    entries: tuple[Entry, ...] = ()
    base_index: int = 0

    def after(self, batch: Sequence[Write]) -> "State":
        state = self
        for voted, appended in batch:
            state = attrs.evolve(state, hard_state=voted or state.hard_state)
            for new in appended:
                state = state.with_next(new)
        return state

    def with_next(self, new: Entry | Base) -> "State":
        if isinstance(new, Base):
            return State(self.hard_state, (), new.index)
        return attrs.evolve(self, entries=(*self.entries[: new.index - 1 - self.base_index], new))

    def behind(self, index: int) -> "State":
        """The same without what a snapshot of that index stands for."""
        dropped = max(0, index - self.base_index)
        return State(self.hard_state, self.entries[dropped:], max(self.base_index, index))


def states(history: Sequence[Sequence[Write]], before: State | None = None) -> list[State]:
    """Return the state after no batch, after the first, after the first two ..."""
    found = [before or State()]
    for batch in history:
        found.append(found[-1].after(batch))
    return found


def recovered_state(recovered: Recovered) -> State:
    return State(recovered.hard_state, recovered.entries, recovered.base_index)


def write_history(disk: Disk, directory: Path, history: Sequence[Sequence[Write]], options: WalOptions) -> None:
    """Make a log that holds `history`, one batch after the other, all durable."""
    disk.mkdir(directory)
    Wal.create(disk, directory, IDENTITY, options)
    disk.fsync_dir(directory.parent)
    append_history(disk, directory, history, options)


def append_history(disk: Disk, directory: Path, history: Sequence[Sequence[Write]], options: WalOptions) -> None:
    wal, _ = Wal.open(disk, directory, IDENTITY, options)
    for batch in history:
        wal.write(batch)
        wal.sync()
    wal.close()


def reopen(disk: Disk, directory: Path, options: WalOptions | None = None, *, covered: int = 0) -> Recovered:
    """Open the log as a restarted node would that has a snapshot of index `covered`, and close it."""
    wal, recovered = Wal.open(disk, directory, IDENTITY, options or tiny(), LogIndex(covered))
    wal.close()
    return recovered


def long_history() -> list[list[Write]]:
    """Votes, appends, conflicts that replace a suffix, bodies of all sizes, zeros by content."""
    return [
        vote(1, "n1"),
        append(entry(1, 1), entry(2, 1), entry(3, 1)),
        append(entry(4, 1, b"")),
        [*vote(2), *append(entry(3, 2), entry(4, 2))],
        append(entry(5, 2, b"x" * 700), entry(6, 2, bytes(1500))),
        vote(4, "n3"),
        append(entry(7, 4, bytes(range(256)) * 3)),
        append(entry(6, 4), entry(7, 4), entry(8, 4)),
    ]


def all_subsets(size: int) -> Iterator[tuple[bool, ...]]:
    for number in range(1 << size):
        yield tuple(bool(number >> bit & 1) for bit in range(size))
