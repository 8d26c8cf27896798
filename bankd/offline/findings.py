"""What a verification finds, as values: the state of every file, and what is worth a line."""

from typing import Final

import attrs

from bankd.types import LogIndex

# States of files. The last three are not checked, see verify.py; a segment may also be sealed, open or unused.
SOUND: Final = "sound"
DAMAGED: Final = "damaged"
UNREADABLE: Final = "unreadable"
SET_ASIDE: Final = "set aside"
NO_MEMORY: Final = "not memory"
NOT_CHECKED: Final = "not checked"


@attrs.frozen
class Finding:
    """Something worth a line. `file` is relative to the data directory."""

    file: str
    offset: int | None
    message: str

    def __str__(self) -> str:
        at = "" if self.offset is None else f" at byte {self.offset}"
        return f"{self.file}{at}: {self.message}"


@attrs.frozen
class FileLine:
    """One file, and what it holds. `indexes`: of a segment the lowest and the highest of its entries; of a snapshot
    those that it stands for."""

    file: str
    size: int
    state: str
    batches: int | None = None
    indexes: tuple[LogIndex, LogIndex] | None = None
