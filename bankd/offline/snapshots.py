"""Read a snapshot whole, and say what it holds and whether it is sound: bytes, rows, sums, header.

Of a damaged one is told what can be read: the header if that is sound, and where the damage is.
"""

from collections.abc import Sequence
from contextlib import closing
from itertools import zip_longest
from pathlib import Path

import attrs

from bankd.ledger.rows import Block
from bankd.ledger.state import Ledger
from bankd.offline.findings import Finding
from bankd.offline.rows import held_configuration
from bankd.raft.messages import Configuration
from bankd.snapshot.files import Content, blocks_in, look, open_snapshot, read_state
from bankd.storage.snapshot_format import SnapshotHeader
from bankd.storage.snapshot_names import file_name, place_in_log
from bankd.types import ClusterId, LogIndex, Term
from bankd.wire.entries import decode_configuration


@attrs.frozen
class SnapshotFound:
    """`file`: its name in what is told. Sound if there is no damage; then it has a header and content."""

    path: Path
    file: str
    size: int
    header: SnapshotHeader | None
    content: Content | None
    damage: Finding | None
    is_foreign: bool = False  # another cluster's

    @property
    def index(self) -> LogIndex:
        return LogIndex(0) if self.header is None else self.header.index

    @property
    def term(self) -> Term:
        return Term(0) if self.header is None else self.header.term

    def load(self) -> Ledger:
        """Read it once more. Raises SnapshotDamaged: the disk changes its mind."""
        with closing(open_snapshot(self.path)) as reader:
            return read_state(reader).ledger


def look_at_snapshot(path: Path, file: str) -> SnapshotFound:
    """Read a snapshot of whatever cluster, under whatever name.

    Raises:
      FileUnusable: there is no such file, or it is not for us to read.
      DataDirForeign: a newer program wrote it.
    """
    found, damage = look(path), None
    if found.damage is not None:
        damage = Finding(file, found.damage.offset, f"expected {found.damage.expected}")
    return SnapshotFound(path, file, found.size_bytes, found.header, found.content, damage)


def look_at_own(path: Path, file: str, cluster_id: ClusterId | None) -> SnapshotFound:
    """Read a snapshot of a data directory: besides, its name and its cluster must be right. Raises as above."""
    found = look_at_snapshot(path, file)
    place, header = place_in_log(path.name), found.header
    if header is None:
        return found
    # A start that is given a name of this form looks at the owner before anything else.
    is_foreign = place is not None and cluster_id not in (None, header.cluster_id)
    expected = None
    if place != (found.index, found.term):
        expected = f"snapshot {path.name}, not {file_name(found.index, found.term)} under another name"
    elif is_foreign:
        expected = f"a snapshot of cluster {cluster_id:016x}, not of {header.cluster_id:016x}"
    wrong = None if expected is None else Finding(file, 0, f"expected {expected}")
    return attrs.evolve(found, damage=found.damage or wrong, is_foreign=is_foreign)


def newest_sound(snapshots: Sequence[SnapshotFound]) -> SnapshotFound | None:
    """`snapshots`: the newest last."""
    return next((found for found in reversed(snapshots) if found.damage is None), None)


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
    with closing(open_snapshot(found.path)) as reader:
        for own, other in zip_longest(ledger.freeze().blocks(), blocks_in(reader)):
            if own != other:
                return f"rows to which the log leads: {_kind(own)} that differ from {_kind(other)} in the file"
    return None


def _members(configuration: bytes) -> Configuration:
    return decode_configuration(configuration)[0]


def _kind(block: Block | None) -> str:
    return "none" if block is None else type(block).__name__
