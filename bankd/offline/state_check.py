"""Check the copy of term and vote beside the log, and that the log has not forgotten what it knows.

Limits: a slot that a crash left half written and one in which a bit has flipped look alike where the other one is the newest:
neither is damage, and no start reads it back.
"""

from pathlib import Path

from bankd.offline.files import Unreadable, read_file
from bankd.offline.findings import DAMAGED, SOUND, UNREADABLE, FileLine, Finding
from bankd.offline.log_check import LogCheck
from bankd.storage.data_dir import WAL
from bankd.storage.segment import Owner
from bankd.storage.state_file import NAME, forgotten, look_at_state

FILE = f"{WAL}/{NAME}"


def check_state(directory: Path, log: LogCheck, owner: Owner | None) -> tuple[list[FileLine], list[Finding]]:
    """Return the file's line and what is wrong; nothing where there is no copy, as in a directory of before there were any.

    Raises:
      FileUnusable: it cannot be read for want of permission.
      DataDirForeign: a newer program wrote it.
    """
    path = directory / NAME
    if not path.exists():
        return [], []
    try:
        data = read_file(path)
    except Unreadable as unreadable:
        finding = Finding(FILE, unreadable.offset, f"expected {unreadable.expected}")
        return [FileLine(FILE, path.stat().st_size, UNREADABLE)], [finding]
    wrong = [Finding(FILE, None, f"expected {expected}") for expected in _wrongs(data, path, log, owner)]
    return [FileLine(FILE, len(data), DAMAGED if wrong else SOUND)], wrong


def _wrongs(data: bytes, path: Path, log: LogCheck, owner: Owner | None) -> list[str]:
    found = look_at_state(data, path)
    wrongs = [] if found.doubt is None else [found.doubt]
    if found.newest is not None and owner not in (None, found.newest.owner):
        wrongs.append(f"a copy of {owner}, not of {found.newest.owner}")
    lost = forgotten(log.outline.hard_state, found) if log.is_readable else None
    if lost is None:
        return wrongs
    log.is_readable = False  # a start takes it for rotten
    return [*wrongs, lost]
