"""`batch`: many transfers from a file, one result line each.

Rows are judged first, all of them; then they are sent in chunks, in order. It stops where the world
fails (no leader, time up, Ctrl-C): what was not sent is said to be so, and sending the same file again
goes on from there, because every row keeps its id. The exit code is that of the worst row.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bankctl.batchfile import BatchInvalid, BatchRow, read_batch
from bankctl.columns import INT, MONEY, TEXT, TIME, Column, Row, to_cells
from bankctl.commands.transfers import WORDS
from bankctl.errors import CommandFailed, Failure, exit_code, interrupted, usage
from bankctl.output import Listing
from bankctl.progress import Progress
from bankctl.session import Session
from bankd.client import Transfer, TransferRequest
from bankd.errors import BankError, Code, Exit, OutcomeUnknown, Refusal, Unavailable
from bankd.types import TransferStatus

CHUNK_ROWS: Final = 1000  # sent and answered together; as many are in doubt after a crash
CHUNK_S: Final = 30.0  # to get one chunk answered, when --timeout does not say: some failovers long

SUFFIXES: Final[Mapping[str, str]] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}

COLUMNS: Final = (
    Column("row", INT),
    Column("tx_id", TEXT, "TX ID"),
    Column("from", TEXT),
    Column("to", TEXT),
    Column("amount", MONEY),
    Column("status", TEXT),
    Column("index", INT),
    Column("time", TIME, in_table=False),
    Column("error", TEXT),
)

SEVERITY: Final = (  # from the best to the worst: what a batch ends with is the worst of its rows
    Exit.OK,
    Exit.REFUSED,
    Exit.NOT_FOUND,
    Exit.USAGE,
    Exit.ID_CONFLICT,
    Exit.UNAVAILABLE,
    Exit.NOT_ALLOWED,
    Exit.OUTCOME_UNKNOWN,
    Exit.INTERNAL,
)
GOES_ON: Final = frozenset(SEVERITY[: SEVERITY.index(Exit.UNAVAILABLE)])  # what the ledger said, row by row
AGAIN: Final = "send the same file again: no row takes effect twice"

NOT_SENT: Final = Refusal(Code.UNAVAILABLE, "NOT_SENT", "not sent", retryable=True)
IN_DOUBT: Final = Refusal(Code.CANCELLED, "OUTCOME_UNKNOWN", "outcome unknown: interrupted under way", retryable=True)


def batch(session: Session, *, file: str, format: str | None) -> Exit:
    sending = Sending(session, load(session, file, format))
    try:
        session.printer.listing(Listing("rows", COLUMNS, sending.results(), line_of))
        session.printer.flush()
    except KeyboardInterrupt:  # while printing: every row that was sent has its answer
        raise interrupted("the batch was cut short", AGAIN) from None
    session.printer.note(sending.summary())
    if sending.interrupted:
        raise interrupted("some rows were under way, their outcome is unknown", AGAIN, {"file": file})
    return sending.worst


def load(session: Session, file: str, file_format: str | None) -> list[BatchRow]:
    file_format = file_format or SUFFIXES.get(Path(file).suffix.lower())
    if file_format is None:
        raise usage(f"the name {file!r} does not say whether this is CSV or JSON lines", "add --format csv or jsonl")
    try:
        content = session.printer.host.stdin.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise usage(f"{file} cannot be read: {error.strerror}", "nothing was sent") from None
    try:
        return read_batch(content, file_format)
    except BatchInvalid as error:
        for fault in error.faults:
            session.printer.complain(f"{file}:{fault.line}: {fault.sentence}")
        raise CommandFailed(invalid(file, error)) from None


def invalid(file: str, error: BatchInvalid) -> Failure:
    faults = {f"line {fault.line}": fault.sentence for fault in error.faults}
    count = len(error.faults)
    message = f"{count} {'row' if count == 1 else 'rows'} of {file} cannot be sent"
    return Failure(Exit.USAGE, Code.INVALID_ARGUMENT, "BATCH_INVALID", message, "nothing was sent", metadata=faults)


class Sending:
    """Sends the rows and gives a result for each, in order. The fields hold once all are given."""

    def __init__(self, session: Session, rows: Sequence[BatchRow]) -> None:
        self.worst = Exit.OK
        self.interrupted = False
        self.counts: Counter[str] = Counter()
        self._session = session
        self._rows = rows
        self._progress = Progress(session.printer, len(rows))

    def results(self) -> Iterator[Row]:
        for start in range(0, len(self._rows), CHUNK_ROWS):
            chunk = self._rows[start : start + CHUNK_ROWS]
            self._progress.show()
            done = self._send([row.request for row in chunk])
            self._progress.advance(len(chunk))
            self._progress.hide()
            for row, transfer in zip(chunk, done, strict=True):
                self._count(transfer)
                yield row_of(row, transfer)
            self._session.printer.flush()  # what is done must be told before the next chunk may fail

    def _send(self, requests: list[TransferRequest]) -> list[Transfer]:
        if self.interrupted or self.worst not in GOES_ON:
            return unanswered(requests, Unavailable(NOT_SENT))
        try:
            timeout_s = self._session.left_s() or CHUNK_S
        except CommandFailed:
            return unanswered(requests, Unavailable(NOT_SENT))
        try:
            return self._session.bank.transfer_many(requests, batch_size=CHUNK_ROWS, timeout_s=timeout_s)
        except KeyboardInterrupt:
            self.interrupted = True
            return unanswered(requests, OutcomeUnknown(IN_DOUBT))

    def _count(self, transfer: Transfer) -> None:
        code = exit_code(transfer.error) if transfer.error else Exit.OK
        self.worst = max(self.worst, code, key=SEVERITY.index)
        self.counts[word_of(transfer)] += 1

    def summary(self) -> str:
        parts = ", ".join(f"{count} {word}" for word, count in self.counts.items())
        again = "" if self.worst in GOES_ON else f" ({AGAIN})"
        return f"{len(self._rows)} rows: {parts or 'nothing to do'}{again}"


def unanswered(requests: Sequence[TransferRequest], error: BankError) -> list[Transfer]:
    return [
        Transfer(
            request.tx_id or "",
            request.source,
            request.target,
            request.amount,
            TransferStatus.UNKNOWN,
            0,
            0,
            error=error,
        )
        for request in requests
    ]


def row_of(row: BatchRow, transfer: Transfer) -> Row:
    recorded = transfer.status is not TransferStatus.UNKNOWN
    return {
        "row": row.number,
        "tx_id": transfer.tx_id,
        "from": transfer.source,
        "to": transfer.target,
        "amount": transfer.amount,
        "status": transfer.status.name,
        "index": transfer.index if recorded else None,
        "time": transfer.time_ns if recorded else None,
        "error": transfer.error.reason if transfer.error else None,
    }


def word_of(transfer: Transfer) -> str:
    """In one or two words, what became of it."""
    if transfer.status is TransferStatus.UNKNOWN and transfer.error:
        return transfer.error.reason.lower().replace("_", " ")
    return WORDS[transfer.status]


def line_of(row: Row) -> str:
    cells = dict(zip((column.key for column in COLUMNS), to_cells(COLUMNS, row), strict=True))
    outcome = (
        cells["error"] if cells["index"] == "-" else f"{WORDS[TransferStatus[cells['status']]]}  index {cells['index']}"
    )
    return f"{cells['row']}  {cells['from']} -> {cells['to']}  {cells['amount']}  {outcome}  id {cells['tx_id']}"
