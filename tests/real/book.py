"""What clients meant, what they were told, and the history of both.

Every intended transfer has one id, kept until its fate is known. What is acknowledged goes into the
book; what is not is sent again under the same id, as a careful caller would. Every call, answered or
not, becomes a record of the history. Many threads write here; each write is one append or one
assignment, which Python makes whole.
"""

import time
from collections.abc import Sequence
from typing import Final

import attrs

from bankd.client import Balance, Transfer
from bankd.errors import BankError, DeadlineExceeded, OutcomeUnknown, Overloaded, Unavailable
from bankd.history import records
from bankd.history.records import Move, Operation, Record, Result
from bankd.types import AccountId, LogIndex, TransferStatus, TxId

ACCOUNTS: Final = [AccountId(f"acct{number}") for number in range(8)]
OPENING: Final = 1000

# What may happen to a transfer while there are faults. Of the first three the product says that they surely had no effect.
NO_EFFECT: Final = (Unavailable, DeadlineExceeded, Overloaded)
NOT_DECIDED: Final = (*NO_EFFECT, OutcomeUnknown)


@attrs.frozen
class Intent:
    """One transfer that a client means to make, whatever it takes."""

    tx_id: TxId
    source: AccountId
    target: AccountId
    amount: int


@attrs.define
class Book:
    """`acknowledged`: what the cluster said became of each intent. `unsettled`: it has not said yet.

    `answered_ns` are the times at which calls that move money were answered.
    """

    acknowledged: dict[TxId, tuple[Intent, Transfer]] = attrs.field(factory=dict)
    unsettled: dict[TxId, Intent] = attrs.field(factory=dict)
    history: list[Record] = attrs.field(factory=list)
    answered_ns: list[int] = attrs.field(factory=list)
    unexpected: list[BankError] = attrs.field(factory=list)

    def meant(self, intents: Sequence[Intent]) -> None:
        self.unsettled.update({intent.tx_id: intent for intent in intents})

    def moved(self, client: int, intents: Sequence[Intent], call_ns: int, rows: Sequence[Transfer]) -> None:
        """Note the answer to one request, which no more rows may have than travel together."""
        return_ns = time.monotonic_ns()
        self.history.append(_record_of_move(client, intents, call_ns, return_ns, rows))
        for intent, row in zip(intents, rows, strict=True):
            if row.status is not TransferStatus.UNKNOWN:
                self.acknowledged.setdefault(intent.tx_id, (intent, row))
                self.unsettled.pop(intent.tx_id, None)
            elif row.error is not None and not isinstance(row.error, NOT_DECIDED):
                self.unexpected.append(row.error)
        if all(row.status is not TransferStatus.UNKNOWN for row in rows):
            self.answered_ns.append(return_ns)

    def read_balance(self, client: int, asked: records.Balance, call_ns: int, answer: Balance) -> None:
        found = records.BalanceFound(answer.balance)
        self._read(client, asked, call_ns, found, LogIndex(answer.index))

    def read_outcome(self, client: int, asked: records.OutcomeOf, call_ns: int, answer: Transfer | None) -> None:
        """The client says of which index a missing transfer was missing only in metadata that it does not hand out."""
        found = records.NotFound() if answer is None else _outcome(answer)
        self._read(client, asked, call_ns, found, None)

    def failed(self, client: int, asked: Sequence[Intent] | Operation, call_ns: int, error: BankError) -> None:
        """A read that brought nothing; a move says so row by row, so that one raises is never expected."""
        if isinstance(asked, records.Balance | records.OutcomeOf) and isinstance(error, NO_EFFECT):
            self.history.append(Record(client, asked, call_ns))
        else:
            self.unexpected.append(error)

    def _read(self, client: int, asked: Operation, call_ns: int, found: Result, index: LogIndex | None) -> None:
        self.history.append(Record(client, asked, call_ns, time.monotonic_ns(), found, index))


def move_of(intents: Sequence[Intent]) -> Move:
    return Move(
        tuple(intent.tx_id for intent in intents),
        tuple(intent.source for intent in intents),
        tuple(intent.target for intent in intents),
        tuple(intent.amount for intent in intents),
    )


def _record_of_move(
    client: int, intents: Sequence[Intent], call_ns: int, return_ns: int, rows: Sequence[Transfer]
) -> Record:
    asked = move_of(intents)
    if all(row.status is not TransferStatus.UNKNOWN for row in rows):
        return Record(client, asked, call_ns, return_ns, _moved(rows))
    refusals = [row.error.reason for row in rows if isinstance(row.error, NO_EFFECT)]
    if len(refusals) == len(rows):
        return Record(client, asked, call_ns, return_ns, records.Refused(refusals[0]))
    return Record(client, asked, call_ns)


def _moved(rows: Sequence[Transfer]) -> records.Moved:
    decided = {number: LogIndex(row.index) for number, row in enumerate(rows)}
    available = {number: row.available for number, row in enumerate(rows) if row.available is not None}
    return records.Moved(bytes(row.status for row in rows), decided, available)


def _outcome(row: Transfer) -> records.OutcomeFound:
    return records.OutcomeFound(
        AccountId(row.source), AccountId(row.target), row.amount, row.status, LogIndex(row.index), row.available
    )
