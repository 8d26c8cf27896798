"""A history as JSON lines: one record a line, in any order; blank lines are passed over.

Strict both ways: what is read back is equal to what was written, and a line that is not exactly a record is refused
with file and line, and so is a file of none. Numbers are plain JSON integers. docs/checkers.md shows the lines.
"""

import json
from collections.abc import Iterable, Iterator
from typing import ClassVar, Final, assert_never

from bankd.errors import Exit, NodeError
from bankd.history.fields import Fields, FieldWrong, value_of
from bankd.history.records import (
    Balance,
    BalanceFound,
    Conflict,
    Move,
    Moved,
    NotFound,
    Open,
    Opened,
    Operation,
    OutcomeFound,
    OutcomeOf,
    Record,
    Refused,
    Result,
)
from bankd.history.text import plain
from bankd.types import (
    LINEARIZABLE,
    ROW_ID_CONFLICT,
    ROW_MALFORMED,
    AccountId,
    AtLeast,
    Bounded,
    Lease,
    LogIndex,
    ReadMode,
    Stale,
    TransferStatus,
    TxId,
)

ROW_STATUSES: Final = frozenset({*map(int, TransferStatus), ROW_ID_CONFLICT, ROW_MALFORMED} - {0})

_PLAIN_MODES: Final[dict[str, ReadMode]] = {"linearizable": LINEARIZABLE, "lease": Lease(), "stale": Stale()}


class HistoryMalformed(NodeError):
    """A line of a history is no record, or there is no line. The message begins with file:line, or the file."""

    reason: ClassVar[str] = "HISTORY_MALFORMED"
    exit_code: ClassVar[Exit] = Exit.USAGE


def read_history(lines: Iterable[str | bytes], file: str) -> Iterator[Record]:
    """The records of these lines, one by one. `file` is the name for messages.

    Raises:
      HistoryMalformed: a line is no record, or none of them is one. The sentence is plain text (`text.py`).
    """
    empty = True
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            try:
                yield record_of(line)
            except FieldWrong as wrong:
                raise HistoryMalformed(f"{file}:{number}: {plain(str(wrong))}") from None
            empty = False
    if empty:
        # Or else a recorder that wrote nothing would pass for a bank that did nothing wrong.
        raise HistoryMalformed(f"{file} holds no call")


def record_of(line: str | bytes) -> Record:
    """Raises FieldWrong where the line is no record."""
    fields = Fields(value_of(line))
    client, call_ns = fields.take("client", int), fields.take("call_ns", int)
    return_ns, index = fields.maybe("return_ns", int), fields.maybe_count("index")
    operation = _operation(fields.inner("operation"))
    result = _result(fields.inner("result"), operation) if fields.has("result") else None
    if (result is None) != (return_ns is None):
        fields.wrong("return_ns", "and result belong together: an unknown outcome has neither")
    if return_ns is not None and return_ns < call_ns:
        fields.wrong("return_ns", "lies before call_ns")
    fields.finish()
    return Record(client, operation, call_ns, return_ns, result, None if index is None else LogIndex(index))


def line_of(record: Record) -> str:
    """One line without its end."""
    value: dict[str, object] = {"client": record.client, "operation": _operation_fields(record.operation)}
    value["call_ns"] = record.call_ns
    if record.result is not None:
        value["return_ns"] = record.return_ns
        value["result"] = _result_fields(record.result)
    if record.index is not None:
        value["index"] = record.index
    return json.dumps(value, separators=(",", ":"))


def operation_text(operation: Operation) -> str:
    """As it stands in its line."""
    return json.dumps(_operation_fields(operation))


def result_text(result: Result) -> str:
    """As it stands in its line."""
    return json.dumps(_result_fields(result))


# Operations


def _operation(fields: Fields) -> Operation:
    operation = _operation_of(fields.take("kind", str), fields)
    fields.finish()
    return operation


def _operation_of(kind: str, fields: Fields) -> Operation:
    match kind:
        case "open":
            request_id = fields.maybe("request_id", str)
            account, balance = AccountId(fields.take("account", str)), fields.take("balance", int)
            return Open(account, balance, None if request_id is None else TxId(request_id))
        case "move":
            return _move(fields)
        case "balance":
            return Balance(AccountId(fields.take("account", str)), _mode(fields))
        case "outcome":
            return OutcomeOf(TxId(fields.take("tx_id", str)), _mode(fields))
        case _:
            fields.wrong("kind", f"is {kind!r}, which is none of open, move, balance, outcome")


def _move(fields: Fields) -> Move:
    tx_ids = [TxId(text) for text in fields.column("tx_ids", str)]
    sources = [AccountId(text) for text in fields.column("sources", str)]
    targets = [AccountId(text) for text in fields.column("targets", str)]
    amounts = fields.column("amounts", int)
    if not len(tx_ids) == len(sources) == len(targets) == len(amounts) > 0:
        fields.wrong("tx_ids", "and the other columns must be equally long, and not empty")
    return Move(tuple(tx_ids), tuple(sources), tuple(targets), tuple(amounts))


def _mode(fields: Fields) -> ReadMode:
    name = fields.take("read", str)
    if name == "bounded":
        return Bounded(fields.count("max_age_ms"))
    if name == "at_least":
        return AtLeast(LogIndex(fields.count("at_least")))
    if name not in _PLAIN_MODES:
        fields.wrong("read", f"is {name!r}, which is none of {', '.join(_PLAIN_MODES)}, bounded, at_least")
    return _PLAIN_MODES[name]


def _operation_fields(operation: Operation) -> dict[str, object]:
    match operation:
        case Open(account=account, balance=balance, request_id=request_id):
            named = {} if request_id is None else {"request_id": request_id}
            return {"kind": "open", "account": account, "balance": balance, **named}
        case Move(tx_ids=tx_ids, sources=sources, targets=targets, amounts=amounts):
            columns = {"tx_ids": tx_ids, "sources": sources, "targets": targets, "amounts": amounts}
            return {"kind": "move", **{name: list(column) for name, column in columns.items()}}
        case Balance(account=account, mode=mode):
            return {"kind": "balance", "account": account, **_mode_fields(mode)}
        case OutcomeOf(tx_id=tx_id, mode=mode):
            return {"kind": "outcome", "tx_id": tx_id, **_mode_fields(mode)}
        case _:
            assert_never(operation)


def _mode_fields(mode: ReadMode) -> dict[str, object]:
    match mode:
        case Bounded(max_age_ms=max_age_ms):
            return {"read": "bounded", "max_age_ms": max_age_ms}
        case AtLeast(index=index):
            return {"read": "at_least", "at_least": index}
        case _:
            return {"read": next(name for name, plain in _PLAIN_MODES.items() if plain == mode)}


# Results: which ones are possible depends on what was asked


def _result(fields: Fields, operation: Operation) -> Result:
    if fields.has("refused"):
        result: Result = Refused(fields.take("refused", str))
    else:
        result = _answer(fields, operation)
    fields.finish()
    return result


def _answer(fields: Fields, operation: Operation) -> Result:
    match operation:
        case Open():
            return _opened(fields)
        case Move():
            return _moved(fields, rows=len(operation.tx_ids))
        case Balance():
            return _not_found(fields) or BalanceFound(fields.take("balance", int))
        case OutcomeOf():
            return _not_found(fields) or _outcome(fields)
        case _:
            assert_never(operation)


def _opened(fields: Fields) -> Opened | Conflict:
    if fields.has("differs"):
        return Conflict(tuple(fields.column("differs", str)))
    decided, limit_exceeded = fields.maybe_count("decided"), fields.maybe("limit_exceeded", bool)
    success = fields.take("success", bool)
    return Opened(success, None if decided is None else LogIndex(decided), limit_exceeded or False)


def _moved(fields: Fields, rows: int) -> Moved:
    statuses = fields.column("statuses", int)
    if len(statuses) != rows:
        fields.wrong("statuses", f"has {len(statuses)} rows and not {rows}")
    for row, status in enumerate(statuses):
        if status not in ROW_STATUSES:
            fields.wrong(f"statuses[{row}]", f"is {status}, which is no outcome of a row")
    decided = {row: LogIndex(index) for row, index in fields.counts_by_row("decided", rows).items()}
    differs = {row: _texts(fields, row, names) for row, names in fields.by_row("differs", list, rows).items()}
    return Moved(bytes(statuses), decided, fields.by_row("available", int, rows), differs)


def _texts(fields: Fields, row: int, names: list[object]) -> tuple[str, ...]:
    if not all(isinstance(name, str) for name in names):
        fields.wrong(f"differs.{row}", "must be a list of texts")
    return tuple(map(str, names))


def _not_found(fields: Fields) -> NotFound | None:
    if not fields.has("found"):
        return None
    if fields.take("found", bool):
        fields.wrong("found", "can only be false: what is found is said")
    return NotFound()


def _outcome(fields: Fields) -> OutcomeFound:
    status = fields.take("status", int)
    if status not in ROW_STATUSES - {ROW_ID_CONFLICT, ROW_MALFORMED}:
        fields.wrong("status", f"is {status}, which is no recorded outcome")
    return OutcomeFound(
        source=AccountId(fields.take("source", str)),
        target=AccountId(fields.take("target", str)),
        amount=fields.take("amount", int),
        status=status,
        decided=LogIndex(fields.count("decided")),
        available=fields.maybe("available", int),
    )


def _result_fields(result: Result) -> dict[str, object]:
    match result:
        case Opened(success=success, decided=decided, limit_exceeded=limit_exceeded):
            told = {} if decided is None else {"decided": int(decided)}
            return {"success": success, **told, **({"limit_exceeded": True} if limit_exceeded else {})}
        case Moved():
            columns = {"decided": result.decided, "available": result.available, "differs": result.differs}
            return {"statuses": list(result.statuses), **{name: rows for name, rows in columns.items() if rows}}
        case Conflict(differs=differs):
            return {"differs": differs}
        case BalanceFound(balance=balance):
            return {"balance": balance}
        case OutcomeFound():
            told = {"available": result.available} if result.available is not None else {}
            fields = {"status": result.status, "source": result.source, "target": result.target}
            return {**fields, "amount": result.amount, "decided": result.decided, **told}
        case NotFound():
            return {"found": False}
        case Refused(reason=reason):
            return {"refused": reason}
        case _:
            assert_never(result)
