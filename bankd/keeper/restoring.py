"""Restore a snapshot of a node's own, or one that it is being sent, in steps.

What makes it sound is judged in bankd/snapshot/state.py; here is who reads the chunks, and who waits for that.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Protocol

import attrs

from bankd.keeper.work import Work, blocking, run_now
from bankd.raft.messages import SnapshotRef
from bankd.snapshot.state import State, StateBuilder
from bankd.storage.snapshot_format import SnapshotDamaged, SnapshotHeader
from bankd.storage.snapshot_store import SnapshotStore


@attrs.frozen(eq=False)
class Restored:
    """A state and its place in the log."""

    snapshot: SnapshotRef
    state: State


def restore_newest(store: SnapshotStore) -> Restored | None:
    """Restore the newest snapshot that is sound, reading each at most once; blocks. The store learns which are not.

    Raises:
      DataDirForeign: a newer program, or another cluster, wrote it.
      DiskFailed: it cannot be opened.
    """
    for snapshot in store.snapshots:
        try:
            with closing(store.open_snapshot(snapshot)) as reader:
                return Restored(snapshot, run_now(restore(snapshot, reader)))
        except SnapshotDamaged as error:
            store.mark_damaged(snapshot, str(error))
    return None


class Source(Protocol):
    """A snapshot to read, verified once all its chunks were given."""

    @property
    def header(self) -> SnapshotHeader: ...
    def chunks(self) -> Iterator[bytes]: ...


def restore(snapshot: SnapshotRef, source: Source) -> Work[State]:
    """Build the state, a block a slice; reading the next chunk is a call that blocks.

    Raises:
      SnapshotDamaged: the file is, or what it holds is no state, or not its header's.
      DataDirForeign: a newer program wrote it.
    """
    builder, chunks = StateBuilder(f"snapshot {snapshot.index}"), source.chunks()
    while (chunk := (yield from blocking(lambda: next(chunks, None)))) is not None:
        yield from builder.take(chunk)
    return builder.finish(source.header)
