"""Cut power between every two operations on a disk, and look at what a restarted node finds.

A *scenario* plays on a `Stage`: it does real calls of storage, each as a step, and every step says what a node
must remember once it is done. The stage takes a *cut* before every operation: the disk as it was, and what a node may
remember that starts from there: what it did before the step under way, or what it did after it; nothing else. Every write
is done in two pieces, so that there are cuts in the midst of writes.

Of a cut, `crashes` makes disks: as the process left it, if that alone ended; and what power losses keep of what
was not synced: every subset, each also with one sector torn, if these are few; otherwise the extremes and a sample.

The *search* starts a node on each of those disks, by the program's own code. What it remembers must be allowed, and it must
be able to go on: it appends, makes another snapshot, and loses all that is not durable; what it remembered at
its start and did since must be there. A search of depth 2 cuts that as well: start, mending, and going on.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from itertools import cycle, islice, product
from pathlib import Path
from typing import Final

import attrs

from bankd.boot import led_on_from
from bankd.raft.messages import HardState, SnapshotRef
from bankd.sim.disk import SimDisk, SimFile
from bankd.sim.random import Stream
from bankd.storage.data_dir import DataDir
from bankd.storage.records import Base, Write
from bankd.storage.snapshot_format import SnapshotHeader
from bankd.storage.snapshot_store import SNAPSHOTS_KEPT, SnapshotStore
from bankd.storage.wal import Wal, WalOptions
from bankd.types import LogIndex
from tests.storage.histories import IDENTITY, State, append, entry
from tests.storage.test_snapshot_files import header_of, save, stored

DATA_DIR: Final = Path("n1")
TORN: Final = tuple(part for at in (1, 20, 57, 300, 511) for part in (slice(at), slice(at, None)))
PIECE_BYTES: Final = 500  # of a snapshot that is received

Survival = tuple[bool | slice, ...]


# What a node remembers


@attrs.frozen
class Memory:
    """The snapshots that are kept, by index, the newest first; and the log that goes on behind the older of two.

    A log that began anew behind the newest goes on behind that.
    """

    log: State = attrs.field(factory=State)
    snapshots: tuple[int, ...] = ()

    def after(self, batch: Sequence[Write]) -> "Memory":
        return attrs.evolve(self, log=self.log.after(batch))

    def with_snapshot(self, index: int) -> "Memory":
        snapshots = (index, *self.snapshots)[:SNAPSHOTS_KEPT]
        return Memory(self.log.behind(covered_by(snapshots)), snapshots)

    def installed(self, index: int) -> "Memory":
        """The same with a snapshot that the log does not lead on from. Its term is known by that."""
        known, term = self.log.hard_state, header_of(index).term
        hard_state = known if known.term >= term else HardState(term)
        return Memory(State(hard_state, (), index), self.with_snapshot(index).snapshots)

    @property
    def next_index(self) -> int:
        return self.log.base_index + len(self.log.entries) + 1

    @property
    def last_term(self) -> int:
        return max((entry.term for entry in self.log.entries[-1:]), default=header_of(0).term)


def covered_by(snapshots: Sequence[int]) -> int:
    """Return up to where the log may be deleted: one snapshot alone may turn out damaged."""
    return snapshots[SNAPSHOTS_KEPT - 1] if len(snapshots) >= SNAPSHOTS_KEPT else 0


@cache
def noise(index: int) -> list[bytes]:
    """Return content that stays as large as it is when it is compressed: a snapshot of four sectors."""
    return [b"".join(hashlib.blake2b(b"%d %d %d" % (index, n, m)).digest() for m in range(8)) for n in range(3)]


@attrs.frozen
class Node:
    wal: Wal
    store: SnapshotStore
    memory: Memory  # as it was at the start


def start(disk: SimDisk, options: WalOptions) -> Node:
    """Start a node, and have it read everything that it has. The log goes on from the newest snapshot as in a program."""
    data_dir = open_data_dir(disk, options)
    store = SnapshotStore.open(disk, data_dir.snapshot_dir, IDENTITY.cluster_id)
    headers = [verified(store, snapshot) for snapshot in store.snapshots]
    newest = headers[0].index if headers else LogIndex(0)
    wal, recovered = Wal.open(disk, data_dir.wal_dir, IDENTITY, options, newest)
    if headers:
        recovered = led_on_from(store.snapshots[0], wal, recovered)
    log = State(recovered.hard_state, recovered.entries, recovered.base_index)
    assert store.damaged == ()
    assert len(disk.listdir(data_dir.snapshot_dir)) == len(headers), "something unfinished is left"
    snapshots = tuple(header.index for header in headers[:SNAPSHOTS_KEPT])
    return Node(wal, store, Memory(log.behind(covered_by(snapshots)), snapshots))


def open_data_dir(disk: SimDisk, options: WalOptions) -> DataDir:
    return DataDir.open_or_create(
        DATA_DIR,
        cluster=IDENTITY.cluster,
        cluster_id=IDENTITY.cluster_id,
        node_id=IDENTITY.node_id,
        new_incarnation=lambda: IDENTITY.incarnation,
        disk=disk,
        wal_options=options,
    )


def verified(store: SnapshotStore, snapshot: SnapshotRef) -> SnapshotHeader:
    """Return the header of a snapshot, having compared all that is in it."""
    reader = store.open_snapshot(snapshot)
    assert reader.header == header_of(snapshot.index)
    assert list(reader.chunks()) == noise(snapshot.index)
    reader.close()
    return reader.header


# Where scenarios play


class CutDisk(SimDisk):
    """A disk whose writes are done in two pieces each. Tells of every operation before it is done.

    Attributes that a stage sets:
      before: called with the operation that comes next.
      forgets: whether to do nothing when asked for that sync, as if nobody had asked.
    """

    def __init__(self) -> None:
        super().__init__(Stream(7, "disk"))
        self.before: Callable[[str], None] = ignore
        self.forgets: Callable[[str], bool] = nothing

    def fork(self) -> "CutDisk":
        fork = CutDisk()
        fork.forgets = self.forgets
        fork.imitate(self)
        return fork

    def operate(self, operation: str, path: Path, *, takes_room: bool = False) -> None:
        self.before(f"{operation} {path.name}")
        super().operate(operation, path, takes_room=takes_room)

    def open(self, path: Path) -> SimFile:
        return CutFile(self, path, super().open(path)._inode)

    def create(self, path: Path) -> SimFile:
        return CutFile(self, path, super().create(path)._inode)

    def fsync_dir(self, path: Path) -> None:
        if not self.forgets(f"fsync_dir {path.name}"):
            super().fsync_dir(path)

    def image(self) -> object:
        """Return something equal for disks on which the same will be found, now and after a power loss."""
        read = ((path, bytes(inode.current)) for path, inode in self._names.items())
        kept = ((path, bytes(inode.durable)) for path, inode in self._durable_names.items())
        return frozenset(read), frozenset(kept), tuple(path for change in self._name_changes for path, _ in change)


class CutFile(SimFile):
    _disk: CutDisk

    def pwrite(self, data: bytes | bytearray, offset: int) -> None:
        super().pwrite(data[: len(data) // 2], offset)
        super().pwrite(data, offset)

    def sync(self) -> None:
        if not self._disk.forgets(f"sync {self.path.name}"):
            super().sync()


def ignore(operation: str) -> None:
    """Take no cut."""


def nothing(sync: str) -> bool:
    return False


@attrs.frozen(eq=False)
class Cut:
    disk: CutDisk
    operation: str  # that comes next
    allowed: tuple[Memory, ...]


class Stage:
    """One node and its disk, and the cuts taken so far."""

    def __init__(self, disk: CutDisk, options: WalOptions, *, allowed: Sequence[Memory] = (Memory(),)) -> None:
        self.disk = disk
        self.cuts: list[Cut] = []
        self.allowed = tuple(allowed)
        self._options = options

    @property
    def memory(self) -> Memory:
        """What the node remembers between steps."""
        (memory,) = self.allowed
        return memory

    @contextmanager
    def cutting(self) -> Iterator[None]:
        """Take cuts meanwhile, and a last one at the end."""
        self.disk.before = self._take_cut
        yield
        self.disk.before = ignore
        self._take_cut("the end")

    @contextmanager
    def step(self, after: Memory) -> Iterator[None]:
        """Have the node remember `after` once this is done."""
        self.allowed = (*self.allowed, after)
        yield
        self.allowed = (after,)

    def start(self) -> None:
        self.node = start(self.disk, self._options)
        assert self.node.memory in self.allowed, f"{self.node.memory} is remembered, not one of {self.allowed}"
        self.allowed = (self.node.memory,)

    def append(self, *batches: Sequence[Write]) -> None:
        for batch in batches:
            with self.step(self.memory.after(batch)):
                self.node.wal.write(batch)
                self.node.wal.sync()

    def fill_spare(self) -> None:
        for _ in self.node.wal.fill_spare():
            pass

    def snapshot(self, index: int) -> None:
        with self.step(self.memory.with_snapshot(index)):
            save(self.node.store, index, noise(index))

    def receive(self, index: int) -> None:
        """Have a leader's snapshot come in, that the log does not lead on from, and seal it."""
        data, header = stored(noise(index), index), header_of(index)
        incoming = self.node.store.receive(SnapshotRef(header.index, header.term, len(data), data[-20:-4]))
        with self.step(self.memory.installed(index)):
            for at in range(0, len(data), PIECE_BYTES):
                incoming.write(data[at : at + PIECE_BYTES], at)
            for _ in incoming.chunks():
                pass
            incoming.seal()

    def begin_log_behind(self, index: int) -> None:
        self.append([(self.memory.log.hard_state, (Base(LogIndex(index), header_of(index).term),))])

    def prune(self) -> None:
        self.node.wal.prune(self.node.store.covered_index)

    def _take_cut(self, operation: str) -> None:
        self.cuts.append(Cut(self.disk.fork(), operation, self.allowed))


# What becomes of a cut


def crashes(disk: CutDisk, most: int) -> Iterator[tuple[str, CutDisk]]:
    """Give about as many as `most` disks that a crash can leave, and say what it kept."""
    yield "the process alone ended", disk.fork()
    for survival in islice(survivals(questions(disk.fork()), most), most):
        lost = disk.fork()
        lost.lose_power(iter(survival).__next__)
        yield f"power was lost and kept {survival}", lost


def questions(disk: CutDisk) -> int:
    """How many things a power loss may keep or not. Uses the disk up."""
    asked = 0

    def survives() -> bool:
        nonlocal asked
        asked += 1
        return False

    disk.lose_power(survives)
    return asked


def survivals(size: int, most: int) -> Iterator[Survival]:
    """Give every subset, then every one with a part of one sector; of what is too much for half of `most`, a sample."""
    yield from subsets(size) if 2 << size <= most else extremes(size, most // 2)
    yield from torn_subsets(size) if (len(TORN) * size << size) <= most else torn_samples(size)


def subsets(size: int) -> Iterator[Survival]:
    return product((False, True), repeat=size)


def extremes(size: int, most: int) -> Iterator[Survival]:
    """None and all; if there is room for them, also each alone, and all but each."""
    for others in (False, True):
        yield (others,) * size
        if 2 * size + 2 <= most:
            yield from (with_part((others,) * (size - 1), at, not others) for at in range(size))


def torn_subsets(size: int) -> Iterator[Survival]:
    for at, part, others in product(range(size), TORN, subsets(max(0, size - 1))):
        yield with_part(others, at, part)


def torn_samples(size: int) -> Iterator[Survival]:
    """Give them without end."""
    stream = Stream(size, "torn samples")
    for part in cycle(TORN):
        share = stream.pick((100_000, 500_000, 900_000))
        yield with_part([stream.chance(share) for _ in range(size - 1)], stream.below(size), part)


def with_part(others: Sequence[bool | slice], at: int, part: bool | slice) -> Survival:
    return (*others[:at], part, *others[at:])


# Looking at what became of it


def resume(stage: Stage) -> None:
    """What a node does after a restart."""
    stage.start()
    stage.append(append(entry(stage.memory.next_index, stage.memory.last_term)))


@attrs.define
class Search:
    """Looks at crashes, at the same one only once."""

    options: WalOptions
    crashes: int = 0  # that were different
    found: set[Memory] = attrs.field(factory=set)  # what nodes remembered after them
    _seen: set[object] = attrs.field(factory=set)

    def look(self, cuts: Sequence[Cut], most: int, *, most_again: int = 0) -> None:
        """Look at as many crashes of each cut. `most_again`: of each cut of a node that goes on after one of them."""
        for number, cut in enumerate(cuts):
            for kept, disk in crashes(cut.disk, most):
                try:
                    self.look_at(disk, cut.allowed, most_again=most_again)
                except BaseException as error:
                    error.add_note(f"cut {number}, before {cut.operation}: {kept}")
                    raise

    def look_at(self, disk: CutDisk, allowed: tuple[Memory, ...], *, most_again: int = 0) -> None:
        """Look at what is left of a node that may remember one of these."""
        seen = bool(most_again), allowed, disk.image()
        if seen in self._seen:
            return
        self._seen.add(seen)
        self.crashes += 1
        stage = Stage(disk, self.options, allowed=allowed)
        with stage.cutting() if most_again else nullcontext():
            resume(stage)
        self.found.add(stage.node.memory)
        if stage.memory.snapshots:
            stage.snapshot(stage.memory.next_index - 1)
        disk.lose_power(lambda: False)
        stage.start()
        self.look(stage.cuts, most_again)
