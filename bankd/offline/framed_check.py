"""Check the small framed files beside META: REFILL, which marks a node that is to be refilled, and PEERS.

A marker that cannot be read marks all the same (storage/refill.py), and peers that cannot be read are forgotten
(storage/peers.py): no start stops at their damage, and none of their bits may flip unnoticed.
"""

from pathlib import Path

import attrs

from bankd.offline.files import Unreadable, read_file
from bankd.offline.findings import DAMAGED, SOUND, UNREADABLE, FileLine, Finding
from bankd.storage import peers, refill
from bankd.storage.framed_file import damage_of
from bankd.storage.refill import Refill, decode_marker


@attrs.frozen
class FramedFile:
    """One that is there, and what is wrong with it."""

    line: FileLine
    damage: Finding | None


@attrs.frozen
class Marker:
    """REFILL, and what a start takes it for; `refill` None: the disk does not give it back, which ends a start."""

    file: FramedFile
    refill: Refill | None


def check_marker(data_dir: Path) -> Marker | None:
    """Return what REFILL says, None where there is none.

    Raises:
      FileUnusable: it cannot be read for want of permission.
      DataDirForeign: a newer program wrote it.
    """
    path = data_dir / refill.NAME
    if not path.exists():
        return None
    try:
        data = read_file(path)[: refill.REFILL_BYTES_MAX]
    except Unreadable as unreadable:
        return Marker(_unreadable(path, unreadable), None)
    found = decode_marker(data, path)
    expected = None if found.first_sequence else "the fields of REFILL, not bytes that are none"
    return Marker(_checked(path, damage_of(data) or expected), found)


def check_peers(data_dir: Path) -> FramedFile | None:
    """Return what is wrong with PEERS, None where there is none. Raises FileUnusable."""
    path = data_dir / peers.NAME
    if not path.exists():
        return None
    try:
        peers.decode_peers(read_file(path)[: peers.PEERS_BYTES_MAX])
    except Unreadable as unreadable:
        return _unreadable(path, unreadable)
    except ValueError as error:
        return _checked(path, str(error))
    return _checked(path, None)


def _checked(path: Path, expected: str | None) -> FramedFile:
    state = SOUND if expected is None else DAMAGED
    damage = None if expected is None else Finding(path.name, 0, f"expected {expected}")
    return FramedFile(FileLine(path.name, path.stat().st_size, state), damage)


def _unreadable(path: Path, unreadable: Unreadable) -> FramedFile:
    damage = Finding(path.name, unreadable.offset, f"expected {unreadable.expected}")
    return FramedFile(FileLine(path.name, path.stat().st_size, UNREADABLE), damage)
