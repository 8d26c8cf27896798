"""A naive bank that goes on from a ledger's state, so that the rest of a log can be replayed by it."""

from typing import Final

from bankd.ledger.rows import AccountRows, ImageHead, RequestAnswer, RequestRows, TransferRows
from bankd.ledger.state import Ledger
from bankd.types import OPENING_ACCOUNT, TransferStatus
from tests.ledger.naive_bank import NaiveBank

_OPENINGS: Final = {
    RequestAnswer.OPENED: "created",
    RequestAnswer.EXISTED: "exists",
    RequestAnswer.LIMIT_EXCEEDED: "limit exceeded",
}
_DECISIONS: Final = {
    TransferStatus.COMMITTED_OK: "ok",
    TransferStatus.COMMITTED_INVALID_ACCOUNT: "invalid account",
    TransferStatus.COMMITTED_LIMIT_EXCEEDED: "limit exceeded",
}


def bank_of(ledger: Ledger) -> NaiveBank:
    """Everything that the ledger holds, in the bank's words."""
    bank = NaiveBank()
    for block in ledger.freeze().blocks():
        match block:
            case ImageHead(opening_balance=balance):
                bank.balances[OPENING_ACCOUNT] = balance
            case AccountRows(ids=ids, balances=balances):
                bank.balances.update(zip(ids, balances, strict=True))
            case RequestRows():
                _take_requests(bank, block)
            case TransferRows():
                _take_transfers(bank, block)
    return bank


def _take_requests(bank: NaiveBank, rows: RequestRows) -> None:
    for request_id, account, initial, answer in zip(
        rows.ids, rows.accounts, rows.initial_balances, rows.answers, strict=True
    ):
        bank.requests[request_id] = ((account, initial), _OPENINGS[RequestAnswer(answer)])


def _take_transfers(bank: NaiveBank, rows: TransferRows) -> None:
    accounts = list(bank.balances)  # by number: `@opening`, then in the order of the rows
    available, strangers = iter(rows.available), iter(rows.strangers)
    for tx_id, source, target, amount, number in zip(
        rows.ids, rows.sources, rows.targets, rows.amounts, rows.statuses, strict=True
    ):
        status = TransferStatus(number)
        ids = (
            next(strangers)
            if status is TransferStatus.COMMITTED_INVALID_ACCOUNT
            else (accounts[source], accounts[target])
        )
        if status is TransferStatus.COMMITTED_INSUFFICIENT_FUNDS:
            answer = f"insufficient funds: {next(available)}"
        else:
            answer = _DECISIONS[status]
        bank.transfers[tx_id] = ((*ids, amount), answer)
