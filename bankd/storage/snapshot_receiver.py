"""Take in a snapshot from a peer: raw bytes in order, verified as a whole before they become a snapshot.

The receiver says how much it has, and the sender goes on from there (raft/snapshots.py). So a repeated piece is
harmless, a piece behind a gap is not taken, and after a lost connection or a change of leader the transfer goes on:
equal content ids are equal bytes. Within one process only: what an earlier one has received is not relied upon
(snapshot_draft.py), and a restarted node begins at 0.

Nothing that a peer says is allocated, and nothing that it sent is used before `chunks` has ended.
Whether there is room for what it announces is asked first (`SnapshotStore.receive`).
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from bankd.raft.messages import SnapshotRef
from bankd.storage.snapshot_draft import Draft
from bankd.storage.snapshot_format import SnapshotHeader, damaged
from bankd.storage.snapshot_names import Sealed, file_name
from bankd.storage.snapshot_reader import SnapshotReader


class IncomingSnapshot:
    """One snapshot being received; see `SnapshotStore.receive`. Owned by one thread at a time.

    `write` and `seal` raise DiskFull and DiskFailed, `write` and `chunks` SnapshotDamaged, `chunks` DataDirForeign; then
    only `abandon` may follow. After DiskFull and SnapshotDamaged the node goes on, and the transfer may begin anew; after
    DataDirForeign it goes on too, and the same bytes would be refused again.
    """

    def __init__(
        self,
        draft: Draft,
        snapshot: SnapshotRef,
        open_reader: Callable[[Path], SnapshotReader],
        on_published: Callable[[SnapshotRef], Sealed],
    ) -> None:
        self.snapshot = snapshot
        self._draft = draft
        self._open_reader = open_reader
        self._on_published = on_published
        self._verified = False
        self._header: SnapshotHeader | None = None

    @property
    def is_open(self) -> bool:
        return self._draft.is_open

    @property
    def received_bytes(self) -> int:
        """How much is here, from the start: where the sender goes on."""
        return self._draft.size

    @property
    def is_complete(self) -> bool:
        return self.received_bytes == self.snapshot.size_bytes

    def write(self, data: bytes, offset: int) -> int:
        """Take what of `data` is new and follows without a gap; return how much is here."""
        end = offset + len(data)
        if end > self.snapshot.size_bytes:
            raise damaged(self._draft.path, self.snapshot.size_bytes, f"the end of the snapshot, not {end} bytes")
        if offset <= self.received_bytes < end:
            self._draft.append(data[self.received_bytes - offset :])
        return self.received_bytes

    @property
    def header(self) -> SnapshotHeader:
        """What it says of itself; there once `chunks` has given the first."""
        assert self._header is not None, "the header was not read yet"
        return self._header

    def chunks(self) -> Iterator[bytes]:
        """Read everything that was received, verifying it; `seal` may follow once the iteration has ended."""
        assert self.is_complete, f"{self.received_bytes} of {self.snapshot.size_bytes} bytes to verify"
        reader = self._open_reader(self._draft.path)
        try:
            if reader.ref != self.snapshot:
                raise damaged(self._draft.path, 0, f"{self.snapshot}, not {reader.ref}")
            self._header = reader.header
            yield from reader.chunks()
        finally:
            reader.close()
        self._verified = True

    def seal(self) -> Sealed:
        """Make the snapshot durable under its name, and delete what it makes needless. The receiver is used up."""
        assert self._verified, "sealed before it was verified"
        self._draft.publish(file_name(self.snapshot.index, self.snapshot.term))
        return self._on_published(self.snapshot)

    def abandon(self) -> None:
        """Remove what was received. Does nothing once the snapshot is sealed or abandoned."""
        self._draft.abandon()
