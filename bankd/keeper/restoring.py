"""Make a ledger of a snapshot's chunks, and believe it only if everything that the file says of itself holds.

What is compared beyond checksums and the ledger's own rules (`LedgerBuilder`): the header's index, time and digest
are those of the state. So a file whose parts belong to different states cannot be taken for one.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

import attrs

from bankd.errors import NodeError, ProtocolError
from bankd.keeper.work import Work, blocking, run_now
from bankd.ledger.builder import LedgerBuilder
from bankd.ledger.rows import ImageInvalid, ImageNewer
from bankd.ledger.state import Ledger
from bankd.raft.messages import Configuration, SnapshotRef
from bankd.storage.snapshot_format import SnapshotDamaged, SnapshotHeader
from bankd.storage.snapshot_store import SnapshotStore
from bankd.types import NodeId
from bankd.wire.entries import decode_configuration
from bankd.wire.snapshot_rows import decode_blocks


class SnapshotNewer(NodeError):
    """A newer program wrote the snapshot. Raised where one is restored; at a start it ends the node, and one that a
    peer sends is left alone."""

    reason = "SNAPSHOT_NEWER"


@attrs.frozen(eq=False)
class Restored:
    """A state and its place in the log."""

    snapshot: SnapshotRef
    ledger: Ledger
    configuration: Configuration
    addresses: Mapping[NodeId, str]
    configuration_body: bytes


def restore_newest(store: SnapshotStore) -> Restored | None:
    """Restore the newest snapshot that is sound, reading each at most once; blocks. The store learns which are not.

    Raises:
      SnapshotNewer, DataDirForeign: a newer program, or another cluster, wrote it.
      DiskFailed: it cannot be opened.
    """
    for snapshot in store.snapshots:
        try:
            reader = store.open_snapshot(snapshot)
            try:
                return run_now(restore(snapshot, reader))
            finally:
                reader.close()
        except SnapshotDamaged as error:
            store.mark_damaged(snapshot, str(error))
    return None


class Source(Protocol):
    """A snapshot to read, verified once all its chunks were given."""

    @property
    def header(self) -> SnapshotHeader: ...
    def chunks(self) -> Iterator[bytes]: ...


def restore(snapshot: SnapshotRef, source: Source) -> Work[Restored]:
    """Build the state, a block a slice; reading the next chunk is a call that blocks.

    Raises:
      SnapshotDamaged: the file is, or what it holds is no state, or not its header's.
      SnapshotNewer.
    """
    builder, chunks = LedgerBuilder(), source.chunks()
    try:
        while (content := (yield from blocking(lambda: next(chunks, None)))) is not None:
            for block in decode_blocks(content):
                builder.take(block)
                yield None
        ledger, header = builder.finish(), source.header
        configuration, addresses = decode_configuration(header.configuration)
    except ImageNewer as error:
        raise SnapshotNewer(f"snapshot {snapshot.index}: {error} (start the newer bankd)") from error
    except (ImageInvalid, ProtocolError) as error:
        raise SnapshotDamaged(f"snapshot {snapshot.index} holds no state of a ledger: {error}") from error
    found = (ledger.applied_index, ledger.last_time_ns, ledger.digest)
    if found != (header.index, header.time_ns, header.digest):
        raise SnapshotDamaged(f"snapshot {snapshot.index} holds another state than its header says")
    return Restored(snapshot, ledger, configuration, addresses, header.configuration)
