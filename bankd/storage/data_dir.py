"""The data directory: who it belongs to, and that one process alone uses it.

    LOCK    held for the life of the process, see lock.py
    META    identity, see identity.py
    PEERS   what other nodes said of themselves, see peers.py
    REFILL  there while the node may have less than it acknowledged, see refill.py
    wal/    the log, see segment.py, and beside it term and vote once more, see state_file.py
    snap/   snapshots, see snapshot_store.py; made by the store, so that a directory of before there were any has them too

Invariant: META is written last. A directory with META has had everything; one without it never voted, never
acknowledged, and is made anew. A crash between the two is completed by the next start; but not if it was being restored
from a backup (restoring.py), which has to be asked for again.

Limits: of missing parents, which are made too, only the last is synced.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bankd.errors import DataDirForeign, DataDirUnusable, DiskFailed
from bankd.storage.disk import Disk, DiskLock, OsDisk
from bankd.storage.framed_file import read_if_there, replace_file
from bankd.storage.identity import META_BYTES_MAX, Identity, decode_meta, encode_meta, restored_cluster_id
from bankd.storage.wal import Wal, WalOptions
from bankd.types import ClusterId, Incarnation, NodeId

__all__ = ["DataDir", "Identity"]

META: Final = "META"
META_RESTORING: Final = "META.restoring"  # see restoring.py
WAL: Final = "wal"
SNAPSHOTS: Final = "snap"


class DataDir:
    """An open data directory. Holds the lock until `close`, or until the process ends in whatever way."""

    def __init__(self, path: Path, identity: Identity, lock: DiskLock) -> None:
        self.path = path
        self.identity = identity
        self._lock = lock

    @classmethod
    def open_or_create(
        cls,
        path: Path | str,
        *,
        cluster: str,
        cluster_id: ClusterId,
        node_id: NodeId,
        new_incarnation: Callable[[], int],
        disk: Disk | None = None,
        wal_options: WalOptions | None = None,
    ) -> "DataDir":
        """Lock the directory and check whose it is, or make it (mode 0700) with an empty log.

        `cluster_id` is that of a cluster of this name that began with nothing; if this one was restored from a
        backup, the one that is checked follows from it and from META.
        `new_incarnation` gives a random u64; it is called only when the directory is made.

        Raises:
          DataDirLocked: another process has it; names its pid.
          DataDirForeign: it belongs to another node or cluster, or to a newer format; names whose it is.
          DataDirUnusable: it cannot be made, read or written, META is damaged, or a restore was interrupted.
          LogDamaged: META is missing from a directory that holds a log.
        """
        path = Path(path)
        disk = disk or OsDisk()
        lock = disk.lock(path)
        try:
            identity = _read_identity(disk, path)
            if identity is None:
                _require_not_restoring(disk, path)
                identity = Identity(cluster, cluster_id, node_id, Incarnation(new_incarnation()))
                _create(disk, path, identity, wal_options or WalOptions())
            _check_owner(path, identity, cluster, restored_cluster_id(cluster_id, identity.origin), node_id)
            # At every start: whoever made the directory may have been killed before it had done this, and the names
            # that we read are then in memory only.
            disk.fsync_dir(path)
            disk.fsync_dir(path.parent)
        except DiskFailed as error:
            lock.close()
            raise DataDirUnusable(f"the data directory cannot be used: {error}") from error
        except BaseException:
            lock.close()
            raise
        return cls(path, identity, lock)

    @property
    def wal_dir(self) -> Path:
        return self.path / WAL

    @property
    def snapshot_dir(self) -> Path:
        return self.path / SNAPSHOTS

    def close(self) -> None:
        """Let go of the lock. Files opened inside must be closed before."""
        self._lock.close()


def _read_identity(disk: Disk, path: Path) -> Identity | None:
    data = read_if_there(disk, path / META, META_BYTES_MAX)
    return None if data is None else decode_meta(data, str(path / META))


def _require_not_restoring(disk: Disk, path: Path) -> None:
    if META_RESTORING in disk.listdir(path):
        raise DataDirUnusable(
            f"a restore into the data directory {path} was interrupted: run the same `bankd restore` again"
        )


def _create(disk: Disk, path: Path, identity: Identity, options: WalOptions) -> None:
    """Make what is missing. The caller syncs the names."""
    disk.mkdir(path / WAL)
    Wal.create(disk, path / WAL, identity, options)
    disk.fsync_dir(path)  # META's name may not outlive that of the log
    replace_file(disk, path / META, encode_meta(identity))


def _check_owner(path: Path, found: Identity, cluster: str, cluster_id: ClusterId, node_id: NodeId) -> None:
    if (found.cluster, found.cluster_id, found.node_id) == (cluster, cluster_id, node_id):
        return
    raise DataDirForeign(
        f"the data directory {path} belongs to node {found.node_id} of cluster {found.cluster} "
        f"({found.cluster_id:016x}), this is {node_id} of {cluster} ({cluster_id:016x}): "
        "correct node.data_dir, node.id or cluster.name"
    )
