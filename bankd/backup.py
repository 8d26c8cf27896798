"""Backup files: write one so that only a whole one ever has its name, and look into one.

A backup is the very file of a node's snapshot (bankd/storage/snapshot_format.py). Looking into one reads all of it: the
checksums, which prove that it is what the node wrote; and the rows, which are replayed into a ledger as a node that
starts from it would do, so that what is called sound is a bank whose invariants hold.

Two kinds of failure: what the user can put right (no such file, no permission) is raised; damage is what was found,
and told with as much as can still be read.

Limits: the ledger is held in memory while it is judged, about 250 MB for a million transfers. Nobody can tell from the
file alone whether its digest is that of the state: the other nodes' digests at its index tell (`bankctl audit`).
"""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import attrs

from bankd.errors import DataDirForeign, DiskFailed, DiskFull, FileUnusable, ProtocolError
from bankd.ledger.builder import LedgerBuilder
from bankd.ledger.rows import ImageInvalid, ImageNewer
from bankd.ledger.state import Ledger
from bankd.storage.disk import OsDisk, OsFile
from bankd.storage.snapshot_draft import Draft
from bankd.storage.snapshot_format import SnapshotDamaged, SnapshotHeader
from bankd.storage.snapshot_names import TEMPORARY_SUFFIX
from bankd.storage.snapshot_reader import SnapshotReader
from bankd.wire.entries import decode_configuration
from bankd.wire.snapshot_rows import decode_blocks

Watch = Callable[[int, int], None]  # so many bytes more of the content are replayed, and how many it has


@attrs.frozen
class Books:
    """What a sound backup holds. Its balances add up to 0, none of a customer below 0, or it would not be sound."""

    accounts: int
    transfers: int  # recorded outcomes


@attrs.frozen
class Backup:
    """What a file holds. With `damage` it is not what a node wrote, and what else stands here is only what it says."""

    size_bytes: int
    header: SnapshotHeader | None = None
    content_id: bytes = b""
    content_bytes: int = 0  # before compression
    voters: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()
    books: Books | None = None
    damage: str = ""


def begin(path: Path) -> Draft:
    """Begin to write a backup under the temporary name beside `path`; `publish(path.name)` gives it its own.

    What an earlier attempt left under the temporary name is replaced.

    Raises:
      FileUnusable: there can be no such file.
      DiskFull.
    """
    try:
        return Draft(OsDisk(), path.with_name(path.name + TEMPORARY_SUFFIX))
    except DiskFull:
        raise
    except DiskFailed as error:
        raise FileUnusable(str(error)) from error


def look(path: Path, watch: Watch = lambda _size, _total: None) -> Backup:
    """Read all of a backup file, and replay it.

    Raises:
      FileUnusable: it cannot be read.
      DataDirForeign: a newer program wrote it.
    """
    file = _open(path)
    try:
        size_bytes = file.size()
        try:
            reader = SnapshotReader(path, file, None)
        except SnapshotDamaged as error:
            return Backup(size_bytes, damage=str(error))
        return _judged(reader, Backup(size_bytes, reader.header, reader.ref.content_id, reader.content_bytes), watch)
    finally:
        file.close()


def _open(path: Path) -> OsFile:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # asked before: to open a pipe would wait for its other end
            raise FileUnusable(f"{path} is no file (check the path)")
        return OsFile(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise FileUnusable(
            f"{path} cannot be read: {error.strerror} (check the path, its owner and its mode)"
        ) from error


def _judged(reader: SnapshotReader, said: Backup, watch: Watch) -> Backup:
    try:
        configuration, _ = decode_configuration(reader.header.configuration)
        said = attrs.evolve(
            said, voters=tuple(sorted(configuration.voters)), learners=tuple(sorted(configuration.learners))
        )
        return attrs.evolve(said, books=_books(reader.header, _replay(reader, watch)))
    except ImageNewer as error:
        raise DataDirForeign(f"{reader.path} has {error}: start a matching program") from error
    except (ImageInvalid, ProtocolError) as error:
        return attrs.evolve(said, damage=f"{reader.path}: {error}")
    except SnapshotDamaged as error:
        return attrs.evolve(said, damage=str(error))


def _replay(reader: SnapshotReader, watch: Watch) -> Ledger:
    builder = LedgerBuilder()
    for chunk in reader.chunks():
        for block in decode_blocks(chunk):
            builder.take(block)
        watch(len(chunk), reader.content_bytes)
    return builder.finish()


def _books(header: SnapshotHeader, ledger: Ledger) -> Books:
    """Raises ImageInvalid: header and rows tell of different states."""
    if (ledger.applied_index, ledger.digest) != (header.index, header.digest):
        raise ImageInvalid(
            f"rows of index {ledger.applied_index} and digest {ledger.digest.hex()}, not of the header's"
        )
    return Books(ledger.account_count, ledger.transfer_count)
