"""Begin a new cluster from a backup: make the data directory of one of its nodes.

Run on every node with that node's configuration, it gives all of them the same: the cluster's id is derived from its name,
its first members and the backup (boot.cluster_id_of), and so are the snapshot's bytes. It needs no vote to be agreed upon.

What stays: accounts, balances, every recorded outcome, index, term, time and digest. So a transfer that is sent again is
answered as it was recorded. What is new: the cluster's id, so that nodes of the old one refuse these and are refused;
and the members, which are those of `bootstrap`.

The log begins behind the snapshot, with the term of its last entry and no vote: no node of this cluster has cast one.

Limits: restored twice from one backup, with equal names and members, two clusters have the same id. Give the second
another name.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import attrs

from bankd.boot import SHORT_SEGMENT_BYTES_MAX, cluster_id_of
from bankd.config import Config
from bankd.errors import Exit
from bankd.raft.messages import Configuration, HardState
from bankd.snapshot.files import open_snapshot, read_state
from bankd.storage.disk import Disk, OsDisk
from bankd.storage.identity import Identity
from bankd.storage.records import Base
from bankd.storage.restoring import restore_into
from bankd.storage.snapshot_format import SnapshotDamaged, SnapshotHeader
from bankd.storage.snapshot_reader import SnapshotReader
from bankd.storage.snapshot_store import SnapshotStore
from bankd.storage.wal import Wal, WalOptions
from bankd.types import ClusterId, Incarnation
from bankd.wire.entries import encode_configuration


@attrs.frozen
class Restored:
    """What was made: whose directory, and the state in it."""

    identity: Identity
    header: SnapshotHeader
    backup_cluster_id: ClusterId
    accounts: int
    transfers: int


def run(file: Path, config: Config, *, as_table: bool) -> int:
    """Restore the backup `file`, print what was made and what is to be done next. Raises as `restore`, and FileUnusable."""
    try:
        with closing(open_snapshot(file)) as backup:
            restored = restore(backup, config, OsDisk(), lambda: secrets.randbits(64))
    except SnapshotDamaged as damage:
        raise SnapshotDamaged(f"{damage} (nothing was made; restore from another backup)") from damage
    print("\n".join(_as_text(restored, file, config)) if as_table else json.dumps(_as_json(restored, file, config)))
    return Exit.OK


def restore(backup: SnapshotReader, config: Config, disk: Disk, new_u64: Callable[[], int]) -> Restored:
    """Verify the whole backup, then make the data directory that `config` names. Blocks.

    May be called again after whatever interrupted it.

    Raises:
      SnapshotDamaged, DataDirForeign: the backup is damaged, or a newer program wrote it; nothing was made.
      DataDirLocked, DataDirUnusable: the directory is in use, not empty, or cannot be made.
      DiskFailed, DiskFull: nothing that starts was made.
    """
    # All of it before anything is made: a damaged backup leaves no trace.
    ledger = read_state(backup).ledger
    identity = _identity(config, backup.ref.content_id, new_u64() or 1)  # 0 stands for "not known"
    bootstrap = config.cluster.bootstrap
    members = encode_configuration(Configuration(voters=frozenset(bootstrap)), bootstrap)
    header = attrs.evolve(backup.header, cluster_id=identity.cluster_id, configuration=members)
    options = _options(config, new_u64)

    def fill(wal_dir: Path, snapshot_dir: Path) -> None:
        _make_snapshot(disk, snapshot_dir, header, backup)
        _make_log(disk, wal_dir, identity, header, options)

    restore_into(disk, Path(config.node.data_dir), identity, fill)
    return Restored(identity, header, backup.header.cluster_id, ledger.account_count, ledger.transfer_count)


def _identity(config: Config, origin: bytes, incarnation: int) -> Identity:
    cluster = config.cluster
    cluster_id = cluster_id_of(cluster.name, list(cluster.bootstrap), origin)
    return Identity(cluster.name, cluster_id, config.node.id, Incarnation(incarnation), origin)


def _options(config: Config, new_nonce: Callable[[], int]) -> WalOptions:
    segment_bytes = config.storage.segment_size_bytes
    return WalOptions(segment_bytes, min(segment_bytes, SHORT_SEGMENT_BYTES_MAX), new_nonce)


def _make_snapshot(disk: Disk, directory: Path, header: SnapshotHeader, backup: SnapshotReader) -> None:
    """Chunk by chunk as it is in the backup, each verified once more, under another header."""
    writer = SnapshotStore.open(disk, directory, header.cluster_id).begin(header)
    for chunk in backup.chunks():
        writer.add(chunk)
    writer.seal()


def _make_log(disk: Disk, directory: Path, identity: Identity, header: SnapshotHeader, options: WalOptions) -> None:
    disk.mkdir(directory)
    Wal.create(disk, directory, identity, options)
    wal, _ = Wal.open(disk, directory, identity, options)
    try:
        wal.write([(HardState(term=header.term), (Base(header.index, header.term),))])
        wal.sync()
    finally:
        wal.close()


def _as_text(restored: Restored, file: Path, config: Config) -> Iterator[str]:
    identity, header = restored.identity, restored.header
    members = sorted(config.cluster.bootstrap)
    others = [member for member in members if member != identity.node_id]
    first = f"run it on {', '.join(others)}, each with its own configuration, then " if others else ""
    yield f"{config.node.data_dir}: node {identity.node_id} of cluster {identity.cluster}, restored from {file}"
    yield f"cluster  {identity.cluster_id:016x}, a new one: nodes of cluster {restored.backup_cluster_id:016x} refuse it"
    yield f"members  {' '.join(members)}"
    yield f"ledger   {restored.accounts:,} accounts, {restored.transfers:,} transfers, as after index {header.index}"
    yield f"digest   {header.digest.hex()}"
    yield f"next     {first}start each with `bankd serve CONFIG`"


def _as_json(restored: Restored, file: Path, config: Config) -> dict[str, object]:
    """The promise of `-o json`."""
    identity, header = restored.identity, restored.header
    return {
        "file": str(file),
        "data_dir": config.node.data_dir,
        "cluster": identity.cluster,
        "cluster_id": f"{identity.cluster_id:016x}",
        "node_id": identity.node_id,
        "members": dict(sorted(config.cluster.bootstrap.items())),
        "restored_from": identity.origin.hex(),
        "backup_cluster_id": f"{restored.backup_cluster_id:016x}",
        "index": str(header.index),
        "term": str(header.term),
        "digest": header.digest.hex(),
        "accounts": str(restored.accounts),
        "transfers": str(restored.transfers),
    }
