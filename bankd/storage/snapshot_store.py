"""The snapshots of one node: which there are, which are sound, and which may go.

Two are kept, so that the log from the older one on makes good for a newest that turns out damaged. A damaged one is never
taken, and reported by name with the reason. It is left as it is, as evidence and because a part of it may be all that
there is, until a newer snapshot has been sealed: then it is worth nothing.

Rules:
- A file ends in .snap only if its content was durable before (snapshot_draft.py); `open` makes the names durable, so
  what the store lists stays.
- An older snapshot is deleted only after the newer one is durable. A crash between the two leaves one too many,
  which goes with the next seal. Deletions are made durable too, or crashes could let files gather.
- One writer and one receiver at a time, each with its own temporary file.

Limits: a sealed snapshot is not read again before it is needed.
"""

from pathlib import Path
from typing import Final

import attrs

from bankd.errors import DiskFailed
from bankd.raft.messages import SnapshotRef
from bankd.storage.disk import Disk
from bankd.storage.snapshot_draft import Draft, require_room
from bankd.storage.snapshot_format import SnapshotDamaged, SnapshotHeader, damaged
from bankd.storage.snapshot_names import SUFFIX, TEMPORARY_SUFFIX, Sealed, file_name, place_in_log
from bankd.storage.snapshot_reader import SnapshotReader
from bankd.storage.snapshot_receiver import IncomingSnapshot
from bankd.storage.snapshot_writer import SnapshotWriter
from bankd.types import ClusterId, LogIndex

SNAPSHOTS_KEPT: Final = 2

_WRITING: Final = f"writing{TEMPORARY_SUFFIX}"
_RECEIVING: Final = f"receiving{TEMPORARY_SUFFIX}"


class SnapshotGone(Exception):
    """The snapshot has been deleted, or found damaged, since it was listed. Raised by `SnapshotStore.open_snapshot`, caught
    by who asked: there is another one, or soon will be."""


@attrs.frozen
class DamagedSnapshot:
    name: str
    reason: str


class SnapshotStore:
    """The snapshot directory of one node. Owned by one thread at a time; every method raises DiskFailed."""

    def __init__(self, disk: Disk, directory: Path, cluster_id: ClusterId, reserve_bytes: int) -> None:
        """See `open`."""
        self._disk = disk
        self._directory = directory
        self._cluster_id = cluster_id
        self._reserve_bytes = reserve_bytes
        self._snapshots: list[SnapshotRef] = []
        self._damaged: list[DamagedSnapshot] = []
        self._drafts: dict[str, Draft] = {}
        self._receiving: IncomingSnapshot | None = None

    @classmethod
    def open(cls, disk: Disk, directory: Path, cluster_id: ClusterId, reserve_bytes: int = 0) -> "SnapshotStore":
        """Make the directory if it is missing, remove what a crash left of unfinished snapshots, list the others.

        `reserve_bytes`: the room on the disk that no snapshot takes; the log may need it.

        Raises:
          DataDirForeign: a snapshot of another cluster, or of a newer program.
          DiskFailed, DiskFull.
        """
        store = cls(disk, directory, cluster_id, reserve_bytes)
        disk.mkdir(directory)
        # At every start: whoever made the directory or a name in it may have been killed before it had done this.
        disk.fsync_dir(directory.parent)
        disk.fsync_dir(directory)
        for name in disk.listdir(directory):
            if name.endswith(TEMPORARY_SUFFIX):
                disk.unlink(directory / name)
            elif name.endswith(SUFFIX):
                store._list(name)
        return store

    @property
    def snapshots(self) -> tuple[SnapshotRef, ...]:
        """Those that are durable and not known to be damaged, the newest first."""
        return tuple(self._snapshots)

    @property
    def damaged(self) -> tuple[DamagedSnapshot, ...]:
        """What was found damaged, in the order of finding."""
        return tuple(self._damaged)

    @property
    def covered_index(self) -> LogIndex:
        """Up to here every entry is covered twice: the log behind it is enough, whichever snapshot is damaged."""
        return self._snapshots[SNAPSHOTS_KEPT - 1].index if len(self._snapshots) >= SNAPSHOTS_KEPT else LogIndex(0)

    @property
    def size_bytes(self) -> int:
        """The room that sound snapshots and those in the making take."""
        unfinished = sum(draft.size for draft in self._drafts.values() if draft.is_open)
        return unfinished + sum(snapshot.size_bytes for snapshot in self._snapshots)

    def begin(self, header: SnapshotHeader) -> SnapshotWriter:
        """Begin a snapshot of this node's state.

        Raises DiskFailed, DiskFull: nothing was begun.
        """
        assert header.cluster_id == self._cluster_id, f"snapshot of cluster {header.cluster_id:016x}"
        draft = self._new_draft(_WRITING)
        try:
            return SnapshotWriter(draft, header, self._published)
        except DiskFailed:
            draft.abandon()
            raise

    def receive(self, snapshot: SnapshotRef) -> IncomingSnapshot:
        """Go on receiving that snapshot, or begin to: any other that was under way is given up.

        Raises DiskFailed, DiskFull: nothing was begun.
        """
        if self._receiving is not None and self._receiving.is_open:
            if self._receiving.snapshot == snapshot:
                return self._receiving
            self._receiving.abandon()
        require_room(self._disk, self._directory / _RECEIVING, snapshot.size_bytes, self._reserve_bytes)
        draft = self._new_draft(_RECEIVING)
        self._receiving = IncomingSnapshot(draft, snapshot, self._open, self._published)
        return self._receiving

    def open_snapshot(self, snapshot: SnapshotRef) -> SnapshotReader:
        """Open one of `snapshots`, to read or to send it. What it gives must be verified, by `verify` or by the receiver.

        Raises:
          SnapshotGone: it is none of them any more.
          SnapshotDamaged: it is not what was listed.
        """
        if snapshot not in self._snapshots:
            raise SnapshotGone(f"there is no snapshot {snapshot.index} any more")
        path = self._directory / file_name(snapshot.index, snapshot.term)
        reader = self._open(path)
        if reader.ref != snapshot:
            reader.close()
            raise damaged(path, 0, f"{snapshot}, not {reader.ref}")
        return reader

    def mark_damaged(self, snapshot: SnapshotRef, reason: str) -> None:
        """Take note that a snapshot was found damaged when it was read."""
        if snapshot in self._snapshots:
            self._snapshots.remove(snapshot)
            self._damaged.append(DamagedSnapshot(file_name(snapshot.index, snapshot.term), reason))

    def _new_draft(self, name: str) -> Draft:
        assert name not in self._drafts or not self._drafts[name].is_open, f"{name} is under way"
        self._drafts[name] = draft = Draft(self._disk, self._directory / name, self._reserve_bytes)
        return draft

    def _open(self, path: Path) -> SnapshotReader:
        return SnapshotReader.open(self._disk, path, self._cluster_id)

    def _list(self, name: str) -> None:
        path = self._directory / name
        try:
            if place_in_log(name) is None:
                raise damaged(path, 0, "a name of the form <index>-<term>.snap")
            reader = self._open(path)
            reader.close()
            if file_name(reader.ref.index, reader.ref.term) != name:
                raise damaged(path, 0, f"snapshot {name}, not {file_name(reader.ref.index, reader.ref.term)}")
        except SnapshotDamaged as error:
            self._damaged.append(DamagedSnapshot(name, str(error)))
        else:
            self._add(reader.ref)

    def _add(self, snapshot: SnapshotRef) -> None:
        place = (snapshot.index, snapshot.term)
        others = [other for other in self._snapshots if (other.index, other.term) != place]
        self._snapshots = sorted([*others, snapshot], key=lambda other: (other.index, other.term), reverse=True)

    def _published(self, snapshot: SnapshotRef) -> Sealed:
        """List a snapshot that has become durable; delete those that it makes needless."""
        self._add(snapshot)
        name = file_name(snapshot.index, snapshot.term)
        self._damaged = [other for other in self._damaged if other.name != name]  # it has been replaced
        return Sealed(snapshot, self._delete_needless())

    def _delete_needless(self) -> tuple[str, ...]:
        """Delete what is older than the newest sound snapshot and not one of those kept, damaged or not."""
        kept = {file_name(snapshot.index, snapshot.term) for snapshot in self._snapshots[:SNAPSHOTS_KEPT]}
        newest = file_name(self._snapshots[0].index, self._snapshots[0].term)
        needless = [
            name
            for name in self._disk.listdir(self._directory)
            if place_in_log(name) is not None and name < newest and name not in kept
        ]
        for name in needless:
            self._disk.unlink(self._directory / name)
        if needless:
            self._disk.fsync_dir(self._directory)
        del self._snapshots[SNAPSHOTS_KEPT:]
        self._damaged = [other for other in self._damaged if other.name not in needless]
        return tuple(needless)
