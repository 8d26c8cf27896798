"""The bank as one would explain it: one command at a time, each with its answer (docs/contract.md).

Made for a search that tries commands in many orders: a bank is never changed, `after` gives another one. What it holds
are facts, which once known stay (the recorded outcome of an id, an account that is open), and the sums of money that
moved. Little of it is copied each time: a bank lies over an older one and holds what is new, until that is much.

Nothing is shared with bankd.ledger, nor with `decisions`, which judges answers instead of giving them.
"""

from typing import Final

import attrs

from bankd.history.records import Balance, Move, Open, Operation, OutcomeOf
from bankd.types import (
    BALANCE_MAX,
    BALANCE_MIN,
    OPENING_ACCOUNT,
    ROW_ID_CONFLICT,
    AccountId,
    TransferStatus,
)

NEW_FACTS_MAX: Final = 64  # then all are copied once

OPENED: Final = 1001  # beside the statuses of transfers; only here
ACCOUNT_EXISTED: Final = 1002

Key = tuple[str, str]  # ("transfer", tx id), ("request", request id), ("account", account)
Asked = tuple[AccountId, AccountId, int]  # source, target, amount; what opens an account comes from `@opening`


@attrs.frozen
class Fact:
    """What was decided once. `available` is the balance that fell short."""

    asked: Asked
    status: int
    available: int | None = None


# A write is answered with one fact a row, a status of ROW_ID_CONFLICT telling that the recorded one has other fields
# (those are in `asked`); a read of a balance with it, or None; a read of an outcome with the fact, or None.
Answer = tuple[Fact, ...] | Fact | int | None


@attrs.frozen(eq=False)
class Bank:
    _under: "Bank | None" = None
    _facts: dict[Key, Fact] = attrs.field(factory=dict)
    _moved: dict[AccountId, int] = attrs.field(factory=dict)

    def answer(self, operation: Operation) -> tuple[Answer, "Bank"]:
        """What is answered, and the bank after it: this one if nothing became known by it."""
        match operation:
            case Balance(account, _):
                return self.balance(account), self
            case OutcomeOf(tx_id, _):
                return self._fact(("transfer", tx_id)), self
        after = Bank(self._under, dict(self._facts), dict(self._moved))
        facts = after._do(operation)
        return facts, self if len(after._facts) == len(self._facts) else after._compact()

    def balance(self, account: AccountId) -> int | None:
        """None: no such account."""
        if account != OPENING_ACCOUNT and self._fact(("account", account)) is None:
            return None
        return self._moved.get(account, 0) + (self._under._moved.get(account, 0) if self._under else 0)

    def _fact(self, key: Key) -> Fact | None:
        return self._facts.get(key) or (self._under._facts.get(key) if self._under else None)

    def _do(self, operation: Open | Move) -> tuple[Fact, ...]:
        match operation:
            case Open(account, balance, request_id):
                key = None if request_id is None else ("request", request_id)
                return (self._decide(key, (OPENING_ACCOUNT, account, balance)),)
            case Move(tx_ids, sources, targets, amounts):
                rows = zip(tx_ids, zip(sources, targets, amounts, strict=True), strict=True)
                return tuple([self._decide(("transfer", tx_id), asked) for tx_id, asked in rows])

    def _decide(self, key: Key | None, asked: Asked) -> Fact:
        recorded = None if key is None else self._fact(key)
        if recorded is not None:
            return recorded if recorded.asked == asked else Fact(recorded.asked, ROW_ID_CONFLICT)
        decided = self._open(asked) if asked[0] == OPENING_ACCOUNT else self._transfer(asked)
        if key is not None:
            self._facts[key] = decided
        return decided

    def _transfer(self, asked: Asked) -> Fact:
        source, target, amount = asked
        source_balance, target_balance = self.balance(source), self.balance(target)
        if source_balance is None or target_balance is None:
            return Fact(asked, TransferStatus.COMMITTED_INVALID_ACCOUNT)
        if amount > source_balance:
            return Fact(asked, TransferStatus.COMMITTED_INSUFFICIENT_FUNDS, source_balance)
        if target_balance + amount > BALANCE_MAX:
            return Fact(asked, TransferStatus.COMMITTED_LIMIT_EXCEEDED)
        self._move(asked)
        return Fact(asked, TransferStatus.COMMITTED_OK)

    def _open(self, asked: Asked) -> Fact:
        source, account, amount = asked
        if self.balance(account) is not None:
            return Fact(asked, ACCOUNT_EXISTED)
        if (self.balance(source) or 0) - amount < BALANCE_MIN:
            return Fact(asked, TransferStatus.COMMITTED_LIMIT_EXCEEDED)
        self._move(asked)
        self._facts["account", account] = Fact(asked, OPENED)
        return Fact(asked, OPENED)

    def _move(self, asked: Asked) -> None:
        source, target, amount = asked
        self._moved[source] = self._moved.get(source, 0) - amount
        self._moved[target] = self._moved.get(target, 0) + amount

    def _compact(self) -> "Bank":
        if len(self._facts) <= NEW_FACTS_MAX:
            return self
        under = self._under or Bank()
        moved = dict(under._moved)
        for account, amount in self._moved.items():
            moved[account] = moved.get(account, 0) + amount
        return Bank(Bank(None, under._facts | self._facts, moved))
