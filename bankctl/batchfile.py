"""Read a file of transfers: every row judged, every fault named with its line, before anything is sent. Pure.

Two forms. CSV begins with a line of column names (from, to, amount, and tx_id if wanted) and has decimal
amounts, as people write them; JSON lines hold objects with the same keys and amounts in minor units, as
programs write them.

Invariant: the same bytes give the same ids. A row without an id gets "batch-", 32 hex digits of the
file's SHA-256, and its number: sending the file again sends the same transfers again, and each takes
effect once.

Limits: the file is held in memory, about 600 bytes a row. Ids of rows that name none belong to the whole
file: in an edited file they are new.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from io import StringIO
from typing import Final

import attrs

from bankctl.money import parse_amount
from bankd.client import TransferRequest
from bankd.client.calls import transfer_row
from bankd.client.transfers import judge_row

REQUIRED: Final = ("from", "to", "amount")
COLUMNS: Final = (*REQUIRED, "tx_id")
HASH_DIGITS: Final = 32  # 128 bits: no two files meet


@attrs.frozen
class BatchRow:
    number: int  # the first row is 1; blank lines and the CSV header do not count
    request: TransferRequest


@attrs.frozen
class Fault:
    line: int
    sentence: str


class BatchInvalid(Exception):
    """The file cannot be sent. Raised by `read_batch`, caught by the command; nothing has happened yet."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = faults


def read_batch(content: bytes, file_format: str) -> list[BatchRow]:
    """All rows of the file.

    Raises:
      BatchInvalid: with every fault that was found.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BatchInvalid([Fault(content.count(b"\n", 0, error.start) + 1, "this is not UTF-8")]) from None
    digest = sha256(content).hexdigest()[:HASH_DIGITS]
    rows: list[BatchRow] = []
    faults: list[Fault] = []
    line_of_id: dict[str, int] = {}
    for number, (line, fields) in enumerate(records(text, file_format), 1):
        try:
            request = read_request(fields, file_format, f"batch-{digest}-{number}")
            refuse_second(line_of_id, request.tx_id or "", line)
        except ValueError as error:
            faults.append(Fault(line, str(error)))
        else:
            rows.append(BatchRow(number, request))
    if faults:
        raise BatchInvalid(faults)
    return rows


def records(text: str, file_format: str) -> Iterator[tuple[int, Mapping[str, object] | ValueError]]:
    """Line number and fields of every row, or what is wrong with it as a whole."""
    return csv_records(text) if file_format == "csv" else jsonl_records(text)


def jsonl_records(text: str) -> Iterator[tuple[int, Mapping[str, object] | ValueError]]:
    for line, row in enumerate(text.split("\n"), 1):
        if row.strip():
            yield line, json_fields(row)


def json_fields(row: str) -> Mapping[str, object] | ValueError:
    try:
        fields = json.loads(row, object_pairs_hook=once_each)
    except (ValueError, RecursionError) as error:
        return ValueError(f"this is not a JSON object: {error}")
    return fields if isinstance(fields, dict) else ValueError("this is not a JSON object")


def once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key is there twice")
    return fields


def csv_records(text: str) -> Iterator[tuple[int, Mapping[str, object] | ValueError]]:
    lines = csv_lines(text)
    line, header = next(lines, (1, []))
    columns = header if isinstance(header, ValueError) else [cell.strip() for cell in header]
    if isinstance(columns, ValueError) or not columns_usable(columns):
        names = "from,to,amount, and perhaps tx_id"
        yield line, ValueError(f"the first line must name the columns: {names}")
        return
    for line, cells in lines:
        yield line, cells if isinstance(cells, ValueError) else csv_fields(columns, cells)


def csv_lines(text: str) -> Iterator[tuple[int, list[str] | ValueError]]:
    """The cells of every line that is not blank, with its number; ends at the first that is not CSV."""
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        while True:
            line = reader.line_num + 1
            if cells := next(reader):
                yield line, cells
    except StopIteration:
        return
    except csv.Error as error:
        yield line, ValueError(f"this is not CSV: {error}")


def columns_usable(columns: Sequence[str]) -> bool:
    return set(REQUIRED) <= set(columns) <= set(COLUMNS) and len(set(columns)) == len(columns)


def csv_fields(columns: Sequence[str], cells: Sequence[str]) -> Mapping[str, object] | ValueError:
    if len(cells) != len(columns):
        return ValueError(f"{len(cells)} fields, and {len(columns)} columns")
    return {column: cell for column, cell in zip(columns, cells, strict=True) if cell or column != "tx_id"}


def read_request(fields: Mapping[str, object] | ValueError, file_format: str, own_id: str) -> TransferRequest:
    """The transfer that a row means, judged as the ledger will judge it.

    Raises:
      ValueError: it cannot be sent; the message says why.
    """
    if isinstance(fields, ValueError):
        raise fields
    missing = [column for column in REQUIRED if column not in fields]
    strange = sorted(set(fields) - set(COLUMNS))
    if missing or strange:
        raise ValueError(
            "; ".join([f"{key} is missing" for key in missing] + [f"{key!r} is not known" for key in strange])
        )
    amount = csv_amount(fields["amount"]) if file_format == "csv" else json_amount(fields["amount"])
    tx_id = own_id if fields.get("tx_id") is None else text_of(fields, "tx_id")
    row = transfer_row(text_of(fields, "from"), text_of(fields, "to"), amount, tx_id)
    refusal = judge_row(row)
    if refusal is not None:
        raise ValueError(refusal.message)
    return TransferRequest(row.source, row.target, amount, tx_id)


def text_of(fields: Mapping[str, object], key: str) -> str:
    text = fields[key]
    if not isinstance(text, str):
        raise ValueError(f"{key} must be text, not {json.dumps(text)}")
    return text


def csv_amount(cell: object) -> int:
    assert isinstance(cell, str), "CSV cells are text"
    return parse_amount(cell.strip())


def json_amount(amount: object) -> int:
    """Minor units as a JSON number or, as 64-bit numbers are written, as text."""
    if isinstance(amount, str) and amount.isascii() and amount.isdigit() and len(amount) <= 19:
        return int(amount)
    if isinstance(amount, int) and not isinstance(amount, bool):
        return amount
    raise ValueError(f"amount must be a whole number of minor units (1250 for 12.50), not {json.dumps(amount)}")


def refuse_second(line_of_id: dict[str, int], tx_id: str, line: int) -> None:
    if tx_id in line_of_id:
        raise ValueError(f"tx_id {tx_id!r} is that of line {line_of_id[tx_id]}: an id names one transfer")
    line_of_id[tx_id] = line
