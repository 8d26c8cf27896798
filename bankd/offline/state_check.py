"""Check the copy of term and vote beside the log, and that the log has not forgotten what it knows.

Limits: a slot that a crash left half written and one in which a bit has flipped look alike where the other one is the newest:
neither is damage, and no start reads it back.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from bankd.offline.files import Unreadable, read_file
from bankd.offline.findings import DAMAGED, SOUND, UNREADABLE, FileLine, Finding
from bankd.offline.log_check import LogCheck
from bankd.storage.data_dir import WAL
from bankd.storage.segment import Owner
from bankd.storage.state_file import NAME, StateFound, forgotten, look_at_state

FILE = f"{WAL}/{NAME}"


@attrs.frozen
class StateCheck:
    """`stops`: why a start that reads the copy ends; `doubt`: why term and vote are not certain by it alone."""

    files: Sequence[FileLine] = ()
    damages: Sequence[Finding] = ()
    stops: str | None = None
    doubt: str | None = f"{FILE}, not no such file"


def check_state(directory: Path, log: LogCheck, owner: Owner | None) -> StateCheck:
    """Return what is wrong; nothing where there is no copy, as in a directory of before there were any.

    Raises:
      FileUnusable: it cannot be read for want of permission.
      DataDirForeign: a newer program wrote it.
    """
    path = directory / NAME
    if not path.exists():
        return StateCheck()
    try:
        data = read_file(path)
    except Unreadable as unreadable:
        line, expected = FileLine(FILE, path.stat().st_size, UNREADABLE), f"expected {unreadable.expected}"
        return StateCheck([line], [Finding(FILE, unreadable.offset, expected)], f"the disk does not give back {FILE}")
    found = look_at_state(data, path)
    stops = None
    if found.newest is not None and owner not in (None, found.newest.owner):
        stops = f"{FILE} belongs to {found.newest.owner}"
    damages = [Finding(FILE, None, f"expected {expected}") for expected in _wrongs(found, log, owner, stops)]
    return StateCheck([FileLine(FILE, len(data), DAMAGED if damages else SOUND)], damages, stops, found.doubt)


def _wrongs(found: StateFound, log: LogCheck, owner: Owner | None, stops: str | None) -> Iterator[str]:
    if found.doubt is not None:
        yield found.doubt
    if found.newest is not None and stops is not None:
        yield f"a copy of {owner}, not of {found.newest.owner}"
    lost = forgotten(log.outline.hard_state, found) if log.is_readable else None
    if lost is not None:
        log.is_readable = False  # a start takes it for rotten
        yield lost
