"""`bankd inspect wal|meta`: show what stands in these files, damaged or not, running node or not.

Nothing is locked: beside a running node the end of the log may be seen in the midst of a write, and look unfinished.
A log is shown segment by segment, line by line, so that a pipe gets the first line at once; with a range of
indexes only the entries in it, and damage, which is never left out.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from bankd.errors import Exit, FileUnusable
from bankd.offline.fields import Json, field_lines, identity_json
from bankd.offline.files import Unreadable, first_bytes, is_directory, list_names, read_file, size_of
from bankd.offline.rows import DAMAGE, Row, segment_rows
from bankd.storage.data_dir import META, WAL
from bankd.storage.identity import META_BYTES_MAX, MetaFound, look_at_meta
from bankd.storage.segment import MAGIC, sequence_in
from bankd.types import LogIndex

_HEADINGS: Final = ("SEG", "OFFSET", "BATCH", "INDEX", "TERM", "TYPE", "BYTES", "HOLDS")
_WIDTHS: Final = (3, 8, 6, 7, 4, 10, 6, 0)  # a wider cell moves the rest of its line
_WORDS: Final = ("TYPE", "HOLDS")  # to the left; numbers stand to the right


@attrs.frozen
class Range:
    """The indexes to show; with neither end given, everything."""

    first: LogIndex | None = None
    last: LogIndex | None = None

    def shows(self, row: Row) -> bool:
        if (self.first is None and self.last is None) or row.is_damage:
            return True
        return row.index is not None and (self.first or 0) <= row.index <= (self.last or row.index)


def run_wal(path: Path, shown: Range, *, as_table: bool) -> int:
    """Show a log, or one segment of it; returns exit code 8 if something in it is damaged.

    Raises:
      FileUnusable: there is no log, or it cannot be read.
      DataDirForeign: a newer program wrote it.
    """
    damaged = False
    headed = not as_table  # by the first row: a file that cannot be shown gets no table
    for segment, row in _wal_rows(_segments(path)):
        damaged = damaged or row.is_damage
        if not headed:
            print(_line(_HEADINGS))
            headed = True
        if shown.shows(row):
            print(_line(_cells(row)) if as_table else json.dumps(_as_json(segment, row)))
    sys.stdout.flush()
    return Exit.UNHEALTHY if damaged else Exit.OK


def run_meta(path: Path, *, as_table: bool) -> int:
    """Show a META file, also by its data directory; returns exit code 8 if it is damaged.

    Raises:
      FileUnusable: it is not there, too big to be one, or cannot be read.
    """
    path = path / META if is_directory(path) else path
    if size_of(path) > META_BYTES_MAX:
        raise FileUnusable(f"{path} is no META: it has more than {META_BYTES_MAX} bytes")
    try:
        data = read_file(path)
    except Unreadable as unreadable:
        raise FileUnusable(f"{path} cannot be read: {unreadable.reason} (the disk failed)") from unreadable
    found = look_at_meta(data)
    fields = _meta_fields(path, data, found)
    print("\n".join(field_lines(fields)) if as_table else json.dumps(fields))
    sys.stdout.flush()
    return Exit.OK if found.damage is None else Exit.UNHEALTHY


def _meta_fields(path: Path, data: bytes, found: MetaFound) -> Json:
    fields: Json = {"file": str(path), "bytes": len(data), "sound": found.damage is None}
    if found.damage is not None:
        fields["damage"] = f"expected {found.damage}"
    if found.identity is not None:
        fields |= {"format_version": found.format_version, **identity_json(found.identity)}
    return fields


def _segments(path: Path) -> list[Path]:
    """The segments that a path names: one, those of a wal directory, or those of a data directory."""
    if not is_directory(path):
        return [path]
    directory = path / WAL if is_directory(path / WAL) else path
    found = [directory / name for name in list_names(directory) if name.endswith(".wal")]
    if not found:
        raise FileUnusable(
            f"{path} holds no log: there is no file that ends in .wal (name a data directory, its wal/, or a segment)"
        )
    return found


def _wal_rows(paths: list[Path]) -> Iterator[tuple[Path, Row]]:
    for path in paths:
        sequence = sequence_in(path.name)
        if sequence is None:
            _require_magic(path)
        try:
            data = read_file(path)
        except Unreadable as unreadable:
            message = f"expected {unreadable.expected}"
            yield path, Row(sequence, unreadable.offset, DAMAGE, message, {"message": message})
            continue
        for row in segment_rows(data, path, sequence):
            yield path, row


def _require_magic(path: Path) -> None:
    """A file that is not named like a segment must at least begin like one: it may be anything, and of any size."""
    if first_bytes(path, len(MAGIC)) != MAGIC:
        raise FileUnusable(f"{path} is no segment of a log: it does not begin with {MAGIC.decode().strip()}")


def _cells(row: Row) -> tuple[str, ...]:
    numbers = (row.sequence, row.offset, row.batch, row.index, row.term)
    kind = row.kind.upper() if row.is_damage else row.kind
    return (*map(_cell, numbers), kind, _cell(row.size), row.text)


def _cell(number: int | None) -> str:
    return "-" if number is None else str(number)


def _line(cells: tuple[str, ...]) -> str:
    columns = zip(cells, _WIDTHS, _HEADINGS, strict=True)
    padded = [f"{cell:<{width}}" if heading in _WORDS else f"{cell:>{width}}" for cell, width, heading in columns]
    return "  ".join(padded).rstrip()


def _as_json(path: Path, row: Row) -> Json:
    """The promise of `-o json`."""

    def number(value: int | None) -> str | None:
        return None if value is None else str(value)

    return {
        "file": path.name,
        "segment": number(row.sequence),
        "offset": str(row.offset),
        "batch": number(row.batch),
        "type": row.kind,
        "index": number(row.index),
        "term": number(row.term),
        "bytes": row.size,
        "holds": row.holds,
    }
