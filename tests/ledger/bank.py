"""Drive a real ledger in tests, in few words: entries get the next index and a stamp by themselves."""

from collections.abc import Sequence

import attrs

from bankd.ledger.commands import (
    AccountCreated,
    Command,
    CreateAccount,
    Malformed,
    Outcome,
    RequestConflict,
    RowDetail,
    SubmitTransfers,
    TransferRecord,
    TransfersDone,
)
from bankd.ledger.queries import BalanceFound, GetBalance, GetTransfer, NotFound, TransferFound
from bankd.ledger.state import Ledger
from bankd.types import ROW_ID_CONFLICT, ROW_MALFORMED, AccountId, LogIndex, TimeNs, TransferStatus, TxId

Row = tuple[str, str, str, int]  # tx id, source, target, amount

WORDS = {
    TransferStatus.COMMITTED_OK: "ok",
    TransferStatus.COMMITTED_INSUFFICIENT_FUNDS: "insufficient funds",
    TransferStatus.COMMITTED_INVALID_ACCOUNT: "invalid account",
    TransferStatus.COMMITTED_LIMIT_EXCEEDED: "limit exceeded",
    ROW_ID_CONFLICT: "conflict",
    ROW_MALFORMED: "malformed",
}


def batch(*rows: Row) -> SubmitTransfers:
    return SubmitTransfers(
        [TxId(row[0]) for row in rows],
        [AccountId(row[1]) for row in rows],
        [AccountId(row[2]) for row in rows],
        [row[3] for row in rows],
    )


def create(account: str, initial: int = 0, request_id: str | None = None) -> CreateAccount:
    return CreateAccount(AccountId(account), initial, None if request_id is None else TxId(request_id))


def stamp(index: int) -> TimeNs:
    return TimeNs(1_000 * index)


def said(outcome: Outcome) -> list[str]:
    """What an outcome says, in the naive bank's words: one for each row, or one for the command."""
    match outcome:
        case AccountCreated(success=True):
            return ["created"]
        case AccountCreated(limit_exceeded=True):
            return ["limit exceeded"]
        case AccountCreated():
            return ["exists"]
        case RequestConflict():
            return ["conflict"]
        case Malformed():
            return ["malformed"]
        case TransfersDone(outcomes=outcomes, details=details):
            return [_row_said(byte, details.get(row)) for row, byte in enumerate(outcomes)]


def _row_said(outcome: int, detail: RowDetail | None) -> str:
    found = "" if detail is None or detail.available is None else f": {detail.available}"
    return WORDS[outcome] + found


@attrs.define
class Bank:
    """A ledger with a log of its own."""

    ledger: Ledger = attrs.field(factory=Ledger)

    def apply(self, *commands: Command) -> list[Outcome]:
        index = LogIndex(self.ledger.applied_index + 1)
        return self.ledger.apply(index, stamp(index), commands)

    def create(self, account: str, initial: int = 0, request_id: str | None = None) -> Outcome:
        [outcome] = self.apply(create(account, initial, request_id))
        return outcome

    def transfer(self, tx_id: str, source: str, target: str, amount: int) -> TransfersDone:
        return self.submit((tx_id, source, target, amount))

    def submit(self, *rows: Row) -> TransfersDone:
        [outcome] = self.apply(batch(*rows))
        assert isinstance(outcome, TransfersDone)
        return outcome

    def balance(self, account: str) -> int | None:
        answer = self.ledger.read(GetBalance(AccountId(account)))
        if isinstance(answer, NotFound):
            return None
        assert isinstance(answer, BalanceFound)
        return answer.balance

    def balances(self, accounts: Sequence[str]) -> dict[str, int]:
        found = {account: self.balance(account) for account in accounts}
        return {account: balance for account, balance in found.items() if balance is not None}

    def status(self, tx_id: str) -> TransferRecord | None:
        answer = self.ledger.read(GetTransfer(TxId(tx_id)))
        if isinstance(answer, NotFound):
            return None
        assert isinstance(answer, TransferFound)
        return answer.record
