"""`transfer` and `status`: one transfer, sent or asked for."""

from collections.abc import Mapping
from typing import Final

from bankctl.columns import INT, MONEY, TEXT, TIME, Column
from bankctl.errors import CommandFailed, Failure
from bankctl.money import format_money
from bankctl.output import Record
from bankctl.session import Session, Stopwatch, writing
from bankd.client import Transfer
from bankd.errors import Code, Exit
from bankd.types import ReadMode, TransferStatus

COLUMNS: Final = (
    Column("tx_id", TEXT, "TX ID"),
    Column("status", TEXT),
    Column("from", TEXT),
    Column("to", TEXT),
    Column("amount", MONEY),
    Column("index", INT),
    Column("time", TIME),
    Column("available", MONEY),
)
WORDS: Final[Mapping[TransferStatus, str]] = {
    TransferStatus.UNKNOWN: "unknown",
    TransferStatus.COMMITTED_OK: "committed",
    TransferStatus.COMMITTED_INSUFFICIENT_FUNDS: "refused: insufficient funds",
    TransferStatus.COMMITTED_INVALID_ACCOUNT: "refused: invalid account",
    TransferStatus.COMMITTED_LIMIT_EXCEEDED: "refused: limit exceeded",
}


def transfer(session: Session, *, source: str, target: str, amount: int, tx_id: str | None) -> Exit:
    tx_id = tx_id or session.bank.make_tx_id()
    session.printer.detail(f"transfer id {tx_id}")
    stopwatch = Stopwatch()
    with writing(f"transfer {tx_id}", ask=f"bankctl status {tx_id}", metadata={"client_tx_id": tx_id}):
        done = session.bank.transfer(source, target, amount, tx_id=tx_id, timeout_s=session.left_s())
    session.printer.record(Record(COLUMNS, row_of(done), f"{text_of(done)}   {stopwatch}"))
    return Exit.OK


def status(session: Session, *, tx_id: str, read: ReadMode) -> Exit:
    found = session.bank.get_transfer_status(tx_id, read=read, timeout_s=session.left_s())
    if found is None:
        message = f"transfer {tx_id} is not recorded: as of now it has not happened"
        hint = "sending it with the same id is safe"
        raise CommandFailed(
            Failure(Exit.NOT_FOUND, Code.NOT_FOUND, "TRANSFER_NOT_FOUND", message, hint, False, {"client_tx_id": tx_id})
        )
    session.printer.record(Record(COLUMNS, row_of(found), text_of(found)))
    return Exit.OK if found.status is TransferStatus.COMMITTED_OK else Exit.REFUSED


def row_of(done: Transfer) -> dict[str, str | int | None]:
    return {
        "tx_id": done.tx_id,
        "status": done.status.name,
        "from": done.source,
        "to": done.target,
        "amount": done.amount,
        "index": done.index or None,
        "time": done.time_ns or None,
        "available": done.available,
    }


def text_of(done: Transfer) -> str:
    had = "" if done.available is None else f" ({done.source} had {format_money(done.available)})"
    moved = f"{done.source} -> {done.target}  {format_money(done.amount)}"
    return f"{moved}   {WORDS[done.status]}{had}   index {done.index}   id {done.tx_id}"
