"""What snapshot files are called: `<index>-<term>.snap`, both in decimal with 20 digits."""

import re
from typing import Final

import attrs

from bankd.raft.messages import SnapshotRef
from bankd.types import LogIndex, Term

SUFFIX: Final = ".snap"
TEMPORARY_SUFFIX: Final = ".tmp"
_NAME: Final = re.compile(rf"(\d{{20}})-(\d{{20}}){re.escape(SUFFIX)}", re.ASCII)


@attrs.frozen
class Sealed:
    """A snapshot that is durable from now on, and the files that were deleted for it."""

    snapshot: SnapshotRef
    deleted: tuple[str, ...]


def file_name(index: LogIndex, term: Term) -> str:
    return f"{index:020}-{term:020}{SUFFIX}"


def place_in_log(name: str) -> tuple[LogIndex, Term] | None:
    """Return the index and the term in a snapshot's name; None: no snapshot is called that."""
    match = _NAME.fullmatch(name)
    return None if match is None else (LogIndex(int(match[1])), Term(int(match[2])))
