"""Snapshot files by their path: open one, look into it, begin to write one. A backup is such a file.

To look into one reads all of it and replays it, as a node that starts from it would do: what is called sound is a bank
whose invariants hold.

Two kinds of failure: what the user can put right (no such file, no permission) is raised; damage is what was found,
and told with as much as can still be read.

A file is opened for reading alone, so that a backup may lie where nothing can be written.
"""

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path

import attrs

from bankd.errors import DiskFailed, DiskFull, FileUnusable, ProtocolError
from bankd.ledger.rows import Block
from bankd.raft.messages import Configuration
from bankd.snapshot.state import State, StateBuilder, blocks_of
from bankd.storage.disk import OsDisk, OsFile
from bankd.storage.snapshot_draft import Draft
from bankd.storage.snapshot_format import HEADER_BYTES_MAX, SnapshotDamaged, SnapshotHeader, decode_header
from bankd.storage.snapshot_names import TEMPORARY_SUFFIX
from bankd.storage.snapshot_reader import SnapshotReader
from bankd.wire.entries import decode_configuration

Watch = Callable[[int, int], None]  # so many bytes more of the content are replayed, and how many it has


@attrs.frozen
class Content:
    """What a sound snapshot holds. Its balances add up to 0, none of a customer below 0, or it would not be sound."""

    chunks: int
    content_bytes: int  # before compression
    content_id: bytes
    accounts: int
    transfers: int  # recorded outcomes
    openings: int  # recorded requests to open an account


@attrs.frozen
class Found:
    """What a file holds: `content` if it is sound, `damage` if it is not what a node wrote. Then header and
    configuration are there if they can be read, and only what the file says."""

    size_bytes: int
    header: SnapshotHeader | None = None
    configuration: Configuration | None = None
    content: Content | None = None
    damage: SnapshotDamaged | None = None


def look(path: Path, watch: Watch = lambda _size, _total: None) -> Found:
    """Read all of a snapshot, of whatever cluster and under whatever name, and replay it.

    Raises:
      FileUnusable: there is no such file, or it is not for us to read.
      DataDirForeign: a newer program wrote it.
    """
    with closing(open_read_only(path)) as file:
        said = _said(path, file)
        try:
            reader = SnapshotReader(path, file, None)
            state = read_state(reader, watch)
        except SnapshotDamaged as damage:
            return attrs.evolve(said, damage=damage)
        return attrs.evolve(said, content=_content(reader, state))


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


def read_state(reader: SnapshotReader, watch: Watch = lambda _size, _total: None) -> State:
    """Read the whole snapshot and return the state that it is.

    Raises:
      SnapshotDamaged: its bytes, its rows or its header are wrong.
      DataDirForeign: a newer program wrote it.
    """
    builder = StateBuilder(str(reader.path))
    for chunk in reader.chunks():
        for _ in builder.take(chunk):
            pass
        watch(len(chunk), reader.content_bytes)
    return builder.finish(reader.header)


def blocks_in(reader: SnapshotReader) -> Iterator[Block]:
    """Give the rows block by block. All of them count only once the iteration has ended. Raises as `read_state`."""
    return chain.from_iterable(blocks_of(chunk, str(reader.path)) for chunk in reader.chunks())


def begin(path: Path) -> Draft:
    """Begin to write a backup under a temporary name beside `path`; `publish(path.name)` gives it its own.

    The temporary name is nobody else's: two that write to one path hurt neither each other nor a file that is there.
    What one that was killed left stays, and may be removed.

    Raises:
      FileUnusable: there can be no such file.
      DiskFull.
    """
    try:
        return Draft(OsDisk(), path.with_name(f"{path.name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"))
    except DiskFull:
        raise
    except DiskFailed as error:
        why = error.__cause__.strerror if isinstance(error.__cause__, OSError) else str(error)
        raise FileUnusable(f"{path} cannot be written: {why} (check the path, its owner and its mode)") from error


def _said(path: Path, file: OsFile) -> Found:
    """What the header says, if it can be read: nothing else may be."""
    found = Found(file.size())
    try:
        header, _ = decode_header(file.pread(HEADER_BYTES_MAX, 0), path, None)
        found = attrs.evolve(found, header=header)
        return attrs.evolve(found, configuration=decode_configuration(header.configuration)[0])
    except (SnapshotDamaged, DiskFailed, ProtocolError):
        return found


def _content(reader: SnapshotReader, state: State) -> Content:
    head = state.ledger.freeze().head
    return Content(
        chunks=reader.chunk_count,
        content_bytes=reader.content_bytes,
        content_id=reader.ref.content_id,
        accounts=head.accounts,
        transfers=head.transfers,
        openings=head.requests,
    )
