"""Read a snapshot whole, and say what it holds and whether it is sound: bytes, rows, sums, header.

Of a damaged one is told what can be read: the header if that is sound, and where the damage is.
"""

from itertools import zip_longest
from pathlib import Path

import attrs

from bankd.errors import DiskFailed
from bankd.ledger.rows import Block
from bankd.ledger.state import Ledger
from bankd.offline.findings import Finding
from bankd.offline.rows import held_configuration
from bankd.raft.messages import Configuration
from bankd.snapshot import blocks_in, open_read_only, open_snapshot, read_ledger
from bankd.storage.snapshot_format import HEADER_BYTES_MAX, SnapshotDamaged, SnapshotHeader, decode_header
from bankd.storage.snapshot_names import file_name, place_in_log
from bankd.storage.snapshot_reader import SnapshotReader
from bankd.types import ClusterId, LogIndex, Term
from bankd.wire.entries import decode_configuration


@attrs.frozen
class Content:
    """What a sound snapshot holds."""

    chunks: int
    content_bytes: int  # before compression
    content_id: bytes
    accounts: int
    transfers: int
    openings: int  # recorded requests to open an account

    @classmethod
    def of(cls, reader: SnapshotReader, ledger: Ledger) -> "Content":
        head = ledger.freeze().head
        return cls(
            chunks=reader.chunk_count,
            content_bytes=reader.content_bytes,
            content_id=reader.ref.content_id,
            accounts=head.accounts,
            transfers=head.transfers,
            openings=head.requests,
        )


@attrs.frozen
class SnapshotFound:
    """`file`: its name in what is told. Sound if there is no damage; then it has a header and content."""

    path: Path
    file: str
    size: int
    header: SnapshotHeader | None
    content: Content | None
    damage: Finding | None

    @property
    def index(self) -> LogIndex:
        return LogIndex(0) if self.header is None else self.header.index

    @property
    def term(self) -> Term:
        return Term(0) if self.header is None else self.header.term

    def load(self) -> Ledger:
        """Read it once more. Raises SnapshotDamaged: the disk changes its mind."""
        reader = open_snapshot(self.path)
        try:
            return read_ledger(reader)
        finally:
            reader.close()


def look_at_snapshot(path: Path, file: str) -> SnapshotFound:
    """Read a snapshot of whatever cluster, under whatever name.

    Raises:
      FileUnusable: there is no such file, or it is not for us to read.
      DataDirForeign: a newer program wrote it.
    """
    try:
        reader = open_snapshot(path)
    except SnapshotDamaged as damage:
        return SnapshotFound(path, file, path.stat().st_size, _header_alone(path), None, _finding(file, damage))
    try:
        content = Content.of(reader, read_ledger(reader))
        return SnapshotFound(path, file, path.stat().st_size, reader.header, content, None)
    except SnapshotDamaged as damage:
        return SnapshotFound(path, file, path.stat().st_size, reader.header, None, _finding(file, damage))
    finally:
        reader.close()


def look_at_own(path: Path, file: str, cluster_id: ClusterId | None) -> SnapshotFound:
    """Read a snapshot of a data directory: besides, its name and its cluster must be right. Raises as above."""
    found = look_at_snapshot(path, file)
    if found.header is None or found.damage is not None:
        return found
    expected = None
    if place_in_log(path.name) != (found.index, found.term):
        expected = f"snapshot {path.name}, not {file_name(found.index, found.term)} under another name"
    elif cluster_id not in (None, found.header.cluster_id):
        expected = f"a snapshot of cluster {cluster_id:016x}, not of {found.header.cluster_id:016x}"
    return found if expected is None else attrs.evolve(found, damage=Finding(file, 0, f"expected {expected}"))


def difference(found: SnapshotFound, ledger: Ledger, configuration: bytes | None) -> str | None:
    """Return what was expected where a snapshot is not this state with these members; None: it is.

    `configuration`: the body of its entry. Where the members listen is not compared: a node may have learnt better.

    Raises SnapshotDamaged: the disk changes its mind.
    """
    assert found.header is not None, f"{found.file} is compared, and it is damaged"
    if found.header.digest != ledger.digest:
        return f"digest {ledger.digest.hex()}, to which the log leads, not {found.header.digest.hex()}"
    if configuration is not None and _members(found.header.configuration) != _members(configuration):
        members, others = (held_configuration(body)[0] for body in (configuration, found.header.configuration))
        return f"the configuration that the log has there, {members}, not {others}"
    reader = open_snapshot(found.path)
    try:
        for own, other in zip_longest(ledger.freeze().blocks(), blocks_in(reader)):
            if own != other:
                return f"rows to which the log leads: {_kind(own)} that differ from {_kind(other)} in the file"
    finally:
        reader.close()
    return None


def _members(configuration: bytes) -> Configuration:
    return decode_configuration(configuration)[0]


def _kind(block: Block | None) -> str:
    return "none" if block is None else type(block).__name__


def _header_alone(path: Path) -> SnapshotHeader | None:
    file = open_read_only(path)
    try:
        return decode_header(file.pread(HEADER_BYTES_MAX, 0), path, None)[0]
    except (SnapshotDamaged, DiskFailed):
        return None
    finally:
        file.close()


def _finding(file: str, damage: SnapshotDamaged) -> Finding:
    return Finding(file, damage.offset, f"expected {damage.expected}")
