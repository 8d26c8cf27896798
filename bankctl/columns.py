"""What a value is, and so how each output shows it.

A command gives rows of plain values; the column's kind decides the rest: JSON has 64-bit numbers as
strings and times as RFC 3339 UTC, amounts there are ints of minor units; people and CSV files get
decimal amounts. The JSON shapes are promises: tests pin them.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from bankctl.money import format_money

Value = str | int | float | bool | None  # None: not known, or it does not apply
Row = Mapping[str, Value]  # by column key
JsonValue = str | int | float | bool

KIB: Final = 1024


@attrs.frozen
class Kind:
    """`json` and `cell` are never called with None. `csv` is the cell where nothing else is said."""

    json: Callable[[Any], JsonValue]
    cell: Callable[[Any], str]
    csv: Callable[[Any], str] | None = None
    right: bool = False  # aligned right in a table


@attrs.frozen
class Column:
    """`in_table` is off for what only programs need."""

    key: str
    kind: Kind
    title: str = ""
    in_table: bool = True

    @property
    def heading(self) -> str:
        return self.title or self.key.upper().replace("_", " ")


def rfc3339(time_ns: int) -> str:
    """UTC, to the nanosecond: digits are cut, not computed."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest_ns:09}Z"


def to_the_millisecond(time_ns: int) -> str:
    return f"{rfc3339(time_ns)[:-7]}Z"


def milliseconds(microseconds: float) -> str:
    return f"{microseconds / 1000:.1f} ms"


def byte_size(count: float) -> str:
    """In the largest unit of which there is one."""
    if count < KIB:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= KIB
        if count < KIB:
            return f"{count:.1f} {unit}"
    return f"{count / KIB:.1f} TiB"


def unchanged(value: Any) -> Any:
    return value


TEXT: Final = Kind(json=str, cell=str)
INT: Final = Kind(json=str, cell=str, right=True)  # 64 bits: more than a JSON number surely holds
MONEY: Final = Kind(json=str, cell=format_money, right=True)
BYTES: Final = Kind(json=str, cell=byte_size, csv=str, right=True)
TIME: Final = Kind(json=rfc3339, cell=to_the_millisecond, csv=rfc3339)
MICROS: Final = Kind(json=str, cell=milliseconds, csv=str, right=True)
NUMBER: Final = Kind(json=unchanged, cell=lambda value: f"{value:.1f}", right=True)
YES_NO: Final = Kind(
    json=unchanged, cell=lambda value: "yes" if value else "no", csv=lambda value: "true" if value else "false"
)


def to_json(columns: Sequence[Column], row: Row) -> dict[str, JsonValue]:
    """The JSON object of a row; what is not known is left out."""
    return {column.key: column.kind.json(value) for column in columns if (value := row.get(column.key)) is not None}


def to_cells(columns: Sequence[Column], row: Row) -> list[str]:
    """What people read; what is not known is a dash."""
    return [column.kind.cell(v) if (v := row.get(column.key)) is not None else "-" for column in columns]


def to_csv(columns: Sequence[Column], row: Row) -> list[str]:
    """The fields of a CSV record; what is not known is empty."""
    return [
        (column.kind.csv or column.kind.cell)(v) if (v := row.get(column.key)) is not None else "" for column in columns
    ]
