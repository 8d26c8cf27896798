"""Make a ledger of a snapshot file: where its bytes (storage/), its rows (wire/) and its state (ledger/) meet.

A snapshot is sound if its bytes are those that were sealed, its rows are the image of a ledger, and its header says of
that ledger what is so. All three are judged here, by reading the whole file once.

The file is opened for reading alone, so that a backup may lie where nothing can be written.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from bankd.errors import DataDirForeign, FileUnusable, ProtocolError
from bankd.ledger.builder import LedgerBuilder
from bankd.ledger.rows import Block, ImageInvalid, ImageNewer
from bankd.ledger.state import Ledger
from bankd.storage.disk import OsFile
from bankd.storage.snapshot_format import SnapshotDamaged
from bankd.storage.snapshot_reader import SnapshotReader
from bankd.wire.entries import decode_configuration
from bankd.wire.snapshot_rows import decode_blocks


def open_snapshot(path: Path) -> SnapshotReader:
    """Open a snapshot, of whatever cluster, whose header and footer are sound.

    Raises:
      FileUnusable: there is no such file, or it is not for us to read.
      SnapshotDamaged: header and footer are not sound.
      DataDirForeign: a newer program wrote it.
    """
    file = open_read_only(path)
    try:
        return SnapshotReader(path, file, None)
    except BaseException:
        file.close()
        raise


def open_read_only(path: Path) -> OsFile:
    """Raises FileUnusable: there is no such file, or it is not for us to read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # asked before: to open a pipe would wait for its other end
            raise FileUnusable(f"{path} is no file (check the path)")
        return OsFile(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        to_check = "its owner and its mode" if isinstance(error, PermissionError) else "the path"
        raise FileUnusable(f"{path} cannot be read: {error.strerror} (check {to_check})") from error


def blocks_in(reader: SnapshotReader) -> Iterator[Block]:
    """Give the rows block by block. All of them count only once the iteration has ended.

    Raises:
      SnapshotDamaged: the bytes are not those that were sealed, or are no rows.
      DataDirForeign: a newer program wrote them.
    """
    for chunk in reader.chunks():
        try:
            yield from decode_blocks(chunk)
        except ImageNewer as error:
            raise DataDirForeign(f"{reader.path} holds {error}: start a matching bankd") from error
        except ImageInvalid as error:
            raise _wrong(reader, f"rows of a ledger, not {error}") from error


def read_ledger(reader: SnapshotReader) -> Ledger:
    """Read the whole snapshot and return the state that it is.

    Raises:
      SnapshotDamaged: its bytes, its rows or its header are wrong.
      DataDirForeign: a newer program wrote it.
    """
    builder = LedgerBuilder()
    try:
        for block in blocks_in(reader):
            builder.take(block)
        ledger = builder.finish()
    except ImageInvalid as error:
        raise _wrong(reader, f"the rows of a ledger, not {error}") from error
    _require_header(reader, ledger)
    return ledger


def _require_header(reader: SnapshotReader, ledger: Ledger) -> None:
    header = reader.header
    said = (header.index, header.time_ns, header.digest)
    found = (ledger.applied_index, ledger.last_time_ns, ledger.digest)
    if said != found:
        raise _wrong(reader, f"rows of index, time and digest {_shown(*said)}, not {_shown(*found)}")
    try:
        decode_configuration(header.configuration)
    except ProtocolError as error:
        raise _wrong(reader, f"a configuration, not {error}") from error


def _shown(index: int, time_ns: int, digest: bytes) -> str:
    return f"{index}, {time_ns}, {digest.hex()}"


def _wrong(reader: SnapshotReader, expected: str) -> SnapshotDamaged:
    return SnapshotDamaged(f"{reader.path}: expected {expected}", expected)
