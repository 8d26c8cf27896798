"""Run the entries of a log through a ledger, as every node does, and add the books up.

It begins where a node may begin: with an empty ledger if the log goes back to its first entry, or with the oldest sound
snapshot that the log leads on from. Every later snapshot that stands in the log's way is compared with the state that
the log leads to: digest, members, row by row. One that differs is damage, and the replay goes on from it, as a node would.

A log does not know how much of its end is committed: a leader that comes may replace what no majority has. All that
the log holds in the end is replayed, and the digest is the cluster's only if all of it is committed.

Entries that a later one replaced are left out (survivors.py). The files are read a second time for this; a disk that
gives back other bytes than the first time is found out.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import attrs

from bankd.errors import ProtocolError, UnknownEntryVersion
from bankd.ledger.state import Ledger
from bankd.offline.books import LedgerSummary, add_up
from bankd.offline.files import Unreadable, read_file
from bankd.offline.findings import Finding
from bankd.offline.progress import Progress
from bankd.offline.snapshots import SnapshotFound, difference
from bankd.offline.survivors import Survivors
from bankd.raft.messages import Entry, EntryType
from bankd.storage.data_dir import WAL
from bankd.storage.scan import Found, Sound, first_place, scan
from bankd.storage.segment import HeaderDamaged, parse_header
from bankd.storage.snapshot_format import SnapshotDamaged
from bankd.types import LogIndex
from bankd.wire.entries import decode_batch, decode_configuration

Where = tuple[Path, int]  # file, offset of the batch


@attrs.define(eq=False)
class Replay:
    """`batches`: how many of the log are whole, from the one with number `first_batch` on, which is its first."""

    batches: int
    first_batch: int = 1
    ledger: Ledger = attrs.field(factory=Ledger)
    equal_from: dict[str, LogIndex] = attrs.field(factory=dict)  # by snapshot that the log leads to: from which index
    damages: list[Finding] = attrs.field(factory=list)
    _begun_at: LogIndex = LogIndex(0)
    _configuration: bytes | None = None  # body of the newest that the replay has met

    def begin_with(self, snapshot: SnapshotFound) -> None:
        """Go on from what a sound snapshot holds."""
        try:
            self.ledger = snapshot.load()
        except SnapshotDamaged as damage:
            self._damage_in(snapshot, damage)
            return
        assert snapshot.header is not None
        self._begun_at, self._configuration = snapshot.index, snapshot.header.configuration

    def run(
        self,
        paths: Sequence[Path],
        survivors: Survivors,
        progress: Progress,
        to_compare: Sequence[SnapshotFound] = (),
    ) -> None:
        """Replay as far as the log is whole, or to the first entry that cannot be applied.

        `to_compare`: sound snapshots behind the beginning, the oldest first.
        """
        due = deque(to_compare)
        for (path, offset), entry in survivors.among(self._entries(paths, progress)):
            if entry.index <= self.ledger.applied_index:
                continue
            if entry.index > self.ledger.applied_index + 1:
                return  # the snapshot before it could not be read a second time, which was said
            try:
                self._apply(entry)
            except (ProtocolError, UnknownEntryVersion) as error:
                message = f"expected an entry at index {entry.index} that can be applied, not {error}"
                self.damages.append(Finding(f"{WAL}/{path.name}", offset, message))
                return
            if due and due[0].index == entry.index:
                self._compare(due.popleft())

    def summary(self) -> LedgerSummary:
        """Add the books up; what is wrong with them is damage, too (M1, M2)."""
        found = add_up(self.ledger)
        if found.imbalance or found.negative_accounts:
            message = f"expected balances that add up to 0, none below 0, not to {found.imbalance}, {found.negative_accounts} below 0"
            self.damages.append(Finding("ledger", None, message))
        return found

    def _apply(self, entry: Entry) -> None:
        match entry.type:
            case EntryType.COMMANDS:
                batch = decode_batch(entry.body)
                self.ledger.apply(entry.index, batch.time_ns, batch.commands)
            case EntryType.CONFIG:
                decode_configuration(entry.body)
                self._configuration = entry.body
                self.ledger.skip(entry.index)
            case EntryType.NOOP:
                self.ledger.skip(entry.index)

    def _compare(self, snapshot: SnapshotFound) -> None:
        try:
            expected = difference(snapshot, self.ledger, self._configuration)
        except SnapshotDamaged as damage:
            self._damage_in(snapshot, damage)
            return
        if expected is None:
            self.equal_from[snapshot.file] = self._begun_at
            self._begun_at = snapshot.index
        else:
            self.damages.append(Finding(snapshot.file, None, f"expected {expected}"))
            self.begin_with(snapshot)

    def _damage_in(self, snapshot: SnapshotFound, damage: SnapshotDamaged) -> None:
        message = f"expected {damage.expected}: the disk changes its mind"
        self.damages.append(Finding(snapshot.file, damage.offset, message))

    def _entries(self, paths: Sequence[Path], progress: Progress) -> Iterator[tuple[Where, Entry]]:
        read = 0
        for path, found in chain.from_iterable(_found(path, progress) for path in paths):
            if read == self.batches:
                return
            if not isinstance(found, Sound) or found.place.number != self.first_batch + read:
                break
            read += 1
            for record in found.batch.records:
                if isinstance(record, Entry):
                    yield (path, found.place.offset), record
        if read < self.batches:
            message = (
                f"expected {self.batches} whole batches as at the first reading, not {read}: the disk changes its mind"
            )
            self.damages.append(Finding(f"{WAL}/", None, message))


def _found(path: Path, progress: Progress) -> Iterator[tuple[Path, Found]]:
    try:
        data = read_file(path)
        header, _ = parse_header(data, path)
    except (Unreadable, HeaderDamaged):
        return  # the gap shows by the number of the next batch, if there was one to read
    for found in scan(data, first_place(data, header)):
        yield path, found
    progress.advance("replayed", len(data))
