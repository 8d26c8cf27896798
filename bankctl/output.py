"""Print what a command found, in the form that was asked for.

Results go to stdout, everything else to stderr. A command hands over a `Record` (one thing) or a
`Listing` (many); text, table, json, jsonl and csv follow from their columns. Rows are printed as
they come: a listing of millions is never held, except where one JSON document or a table's widths
need a block of it.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import BinaryIO, Final, TextIO
from unicodedata import combining, east_asian_width

import attrs

from bankctl.columns import Column, JsonValue, Row, to_cells, to_csv, to_json
from bankctl.errors import Failure

TABLE_BLOCK_ROWS: Final = 500  # column widths are found block by block and never shrink
COLUMNS_MIN: Final = 80
GAP: Final = "  "

BOLD, RED, GREEN = "1", "31", "32"  # SGR codes


class Format(Enum):
    TEXT = "text"
    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


@attrs.frozen
class Host:
    """What a command touches of its process: so that a test can be the process."""

    stdin: BinaryIO
    stdout: TextIO
    stderr: TextIO
    environ: Mapping[str, str]


@attrs.frozen
class Record:
    """One thing. `text` is the line, or lines, for people."""

    columns: Sequence[Column]
    row: Row
    text: str


@attrs.frozen
class Listing:
    """Many things. `name` is their key in JSON. `line` makes one row's text; without it the rows are a
    table on a terminal and tab-separated cells elsewhere. `head` says what is true of the whole."""

    name: str
    columns: Sequence[Column]
    rows: Iterable[Row]
    line: Callable[[Row], str] | None = None
    head: Record | None = None


@attrs.frozen
class Printer:
    host: Host
    format: Format = Format.TEXT
    color: str = "auto"  # auto, always, never
    quiet: bool = False
    verbose: bool = False

    def record(self, record: Record) -> None:
        match self.format:
            case Format.TEXT:
                self._line(record.text)
            case Format.TABLE:
                self._table(record.columns, [record.row])
            case Format.JSON | Format.JSONL:
                self._json(to_json(record.columns, record.row))
            case Format.CSV:
                self._csv(record.columns, [record.row])

    def listing(self, listing: Listing) -> None:
        match self.format:
            case Format.TEXT:
                self._text(listing)
            case Format.TABLE:
                self._table(listing.columns, listing.rows)
            case Format.JSON:
                head = to_json(listing.head.columns, listing.head.row) if listing.head else {}
                self._json({**head, listing.name: [to_json(listing.columns, row) for row in listing.rows]})
            case Format.JSONL:
                for row in listing.rows:
                    self._json(to_json(listing.columns, row))
            case Format.CSV:
                self._csv(listing.columns, listing.rows)

    def raw(self, text: str) -> None:
        """A text that is the result itself, whatever the format: help, a completion script."""
        self.host.stdout.write(text)

    def flush(self) -> None:
        self.host.stdout.flush()

    @property
    def columns(self) -> int:
        """How wide the terminal is; COLUMNS says otherwise. Off a terminal it is as wide as the narrowest."""
        if not self.host.stdout.isatty():
            return COLUMNS_MIN
        told = self.host.environ.get("COLUMNS", "")
        if told.isascii() and told.isdigit():
            return int(told)
        try:
            return os.get_terminal_size(self.host.stdout.fileno()).columns or COLUMNS_MIN
        except OSError:
            return COLUMNS_MIN

    @property
    def for_programs(self) -> bool:
        return self.format in (Format.JSON, Format.JSONL)

    def note(self, text: str) -> None:
        """Something beside the result, for people: -q silences it, and programs have it in the rows."""
        if not self.quiet and not self.for_programs:
            print(one_line(text), file=self.host.stderr)

    def detail(self, text: str) -> None:
        """What only -v tells."""
        if self.verbose:
            print(one_line(text), file=self.host.stderr)

    def complain(self, text: str) -> None:
        """A part of an error that has its line to itself; in JSON it is in the error's metadata."""
        if not self.for_programs:
            print(one_line(text), file=self.host.stderr)

    def failure(self, failure: Failure) -> None:
        if self.for_programs:
            print(dump(failure.as_json()), file=self.host.stderr)
            return
        label = styled("error:", f"{BOLD};{RED}", self.colored(self.host.stderr))
        print(f"{label} {failure.reason}: {one_line(failure.sentence)}", file=self.host.stderr)
        for key, value in sorted(failure.metadata.items()):
            self.detail(f"  {key}: {value}")

    def verdict(self, good: bool) -> str:
        word, style = ("PASS", GREEN) if good else ("FAIL", RED)
        return styled(word, f"{BOLD};{style}", self.colored(self.host.stdout))

    def colored(self, stream: TextIO) -> bool:
        """--color, then NO_COLOR, then FORCE_COLOR, then whether someone sits there."""
        environ = self.host.environ
        if self.color != "auto":
            return self.color == "always"
        if environ.get("NO_COLOR"):
            return False
        if environ.get("FORCE_COLOR"):
            return True
        return stream.isatty() and environ.get("TERM") != "dumb"

    def _line(self, text: str) -> None:
        self.host.stdout.write(f"{text}\n")

    def _json(self, value: Mapping[str, JsonValue | list[dict[str, JsonValue]]]) -> None:
        self._line(dump(value))

    def _csv(self, columns: Sequence[Column], rows: Iterable[Row]) -> None:
        import csv

        writer = csv.writer(self.host.stdout, lineterminator="\n")
        writer.writerow(column.key for column in columns)
        writer.writerows(to_csv(columns, row) for row in rows)

    def _text(self, listing: Listing) -> None:
        if listing.head:
            self._line(listing.head.text)
        if listing.line:
            for row in listing.rows:
                self._line(listing.line(row))
        elif self.host.stdout.isatty():
            self._table(listing.columns, listing.rows)
        else:
            shown = [column for column in listing.columns if column.in_table]
            for row in listing.rows:
                self._line("\t".join(to_cells(shown, row)))

    def _table(self, every_column: Sequence[Column], rows: Iterable[Row]) -> None:
        columns = [column for column in every_column if column.in_table]
        headings = [column.heading for column in columns]
        widths = [width(heading) for heading in headings]
        blocks = in_blocks((to_cells(columns, row) for row in rows), TABLE_BLOCK_ROWS)
        block = next(blocks, [])
        widen(widths, block)
        self._line(styled(aligned(columns, headings, widths), BOLD, self.colored(self.host.stdout)))
        while block:
            for cells in block:
                self._line(aligned(columns, cells, widths))
            block = next(blocks, [])
            widen(widths, block)


def dump(value: object) -> str:
    import json  # 5 ms that a text line can do without; csv alike

    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def styled(text: str, style: str, color: bool) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if color else text


def one_line(text: str) -> str:
    """The text with line breaks and other control characters made harmless: it may come from elsewhere."""
    return "".join(character if character.isprintable() else " " for character in text)


def width(text: str) -> int:
    """Columns of a terminal that the text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def widen(widths: list[int], block: list[list[str]]) -> None:
    for cells in block:
        widths[:] = map(max, widths, map(width, cells))


def aligned(columns: Sequence[Column], cells: list[str], widths: list[int]) -> str:
    padding = (" " * (column_width - width(cell)) for cell, column_width in zip(cells, widths, strict=True))
    parts = (
        pad + cell if column.kind.right else cell + pad
        for column, cell, pad in zip(columns, cells, padding, strict=True)
    )
    return GAP.join(parts).rstrip()


def in_blocks(rows: Iterable[list[str]], size: int) -> Iterator[list[list[str]]]:
    rows = iter(rows)
    while block := list(islice(rows, size)):
        yield block
