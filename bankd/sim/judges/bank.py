"""A bank of the judges' own: what each committed entry must have been answered, and what was whose at each index.

Written to be checked by eye, one command after the other: no columns, no numbers for accounts, no digest. It shares
the shapes of values with the ledger, and how commands look as bytes with the wire, and none of their rules. It is fed
the chain of committed entries (`commits`), so it is as far as anybody can be; the states behind it are kept as a list
of changes an account, since nodes that lag answer from them.

K15 is judged here, where stamps are read: they strictly increase.

Limits: `answer` knows balances and transfers; other queries are not judged.
"""

import unicodedata
from bisect import bisect_right
from typing import Final

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
from bankd.ledger.queries import Answer, BalanceFound, GetBalance, GetTransfer, NotFound, Query, TransferFound
from bankd.raft.messages import Entry, EntryType
from bankd.sim.judges.violation import Violation
from bankd.types import (
    BALANCE_MAX,
    BALANCE_MIN,
    OPENING_ACCOUNT,
    ROW_ID_CONFLICT,
    ROW_MALFORMED,
    AccountId,
    LogIndex,
    TimeNs,
    TransferStatus,
    TxId,
)
from bankd.wire.entries import decode_batch

ID_BYTES: Final = range(1, 129)


@attrs.frozen
class Balances:
    """One account's balance over time: after which index it became how much."""

    indexes: list[LogIndex]
    amounts: list[int]


class Bank:
    def __init__(self) -> None:
        self.applied_index = LogIndex(0)
        self.time_ns = TimeNs(0)  # stamp of the last entry with commands
        self.outcomes: dict[LogIndex, list[Outcome]] = {}  # of entries with commands
        self.touched: dict[LogIndex, list[AccountId]] = {}
        self.accounts: dict[AccountId, Balances] = {}
        self.transfers: dict[TxId, TransferRecord] = {}
        self.entries_bytes = [0]  # by index: of the bodies up to there
        self._configurations: list[tuple[LogIndex, bytes]] = []
        self._requests: dict[TxId, tuple[AccountId, int, AccountCreated]] = {}
        self._good_ids: set[str] = set()
        self._touching: list[AccountId] = []
        self._set(OPENING_ACCOUNT, 0)

    # The chain

    def apply(self, now_ns: int, entry: Entry) -> None:
        """Apply the next committed entry.

        Raises UnknownEntryVersion: so would every node (K14).
        """
        self.applied_index = entry.index
        self.entries_bytes.append(self.entries_bytes[-1] + len(entry.body))
        if entry.type is EntryType.CONFIG:
            self._configurations.append((entry.index, entry.body))
        if entry.type is not EntryType.COMMANDS:
            return
        batch = decode_batch(entry.body)
        if batch.time_ns <= self.time_ns:
            text = f"entry {entry.index} is stamped {batch.time_ns}, not after {self.time_ns}"
            raise Violation("K15", text, now_ns)
        self.time_ns = batch.time_ns
        self._touching = self.touched[entry.index] = []
        self.outcomes[entry.index] = [self._decide(command) for command in batch.commands]

    # Reads

    def balance(self, account: AccountId, index: LogIndex) -> int | None:
        """The balance after `index`; None: there was no such account."""
        balances = self.accounts.get(account)
        place = bisect_right(balances.indexes, index) if balances else 0
        return balances.amounts[place - 1] if balances and place else None

    def configuration(self, index: LogIndex) -> bytes | None:
        """The newest up to `index`, as the body of its entry."""
        place = bisect_right(self._configurations, index, key=lambda known: known[0])
        return self._configurations[place - 1][1] if place else None

    def created_index(self, account: AccountId) -> LogIndex | None:
        balances = self.accounts.get(account)
        return balances.indexes[0] if balances else None

    def answer(self, query: Query, index: LogIndex) -> Answer | None:
        """What this query must be answered after `index`; None: a kind that is not judged."""
        match query:
            case GetBalance(account):
                balance = self.balance(account, index)
                return NotFound() if balance is None else BalanceFound(balance)
            case GetTransfer(tx_id):
                record = self.transfers.get(tx_id)
                return TransferFound(record) if record is not None and record.index <= index else NotFound()
            case _:
                return None

    # Rules

    def row(self, tx_id: TxId, source: AccountId, target: AccountId, amount: int) -> tuple[int, RowDetail | None]:
        """What a transfer that was decided must be answered, whenever it is asked for again."""
        if not self._is_good_row(tx_id, source, target, amount):
            return ROW_MALFORMED, None
        first = self.transfers[tx_id]
        fields = {"from": first.source == source, "to": first.target == target, "amount": first.amount == amount}
        differs = tuple(field for field, same in fields.items() if not same)
        if differs:
            return ROW_ID_CONFLICT, RowDetail(first.index, first.time_ns, differs=differs)
        return first.status, RowDetail(first.index, first.time_ns, first.available)

    def _decide(self, command: Command) -> Outcome:
        match command:
            case CreateAccount():
                return self._create(command)
            case SubmitTransfers():
                return self._submit(command)
            case _:
                return Malformed()

    def _submit(self, command: SubmitTransfers) -> TransfersDone | Malformed:
        columns = (command.tx_ids, command.sources, command.targets, command.amounts)
        if len({len(column) for column in columns}) > 1:
            return Malformed()
        outcomes = bytearray()
        details: dict[int, RowDetail] = {}
        for place, fields in enumerate(zip(*columns, strict=True)):
            outcome, detail = self._transfer(*fields)
            outcomes.append(outcome)
            if detail is not None:
                details[place] = detail
        return TransfersDone(self.applied_index, self.time_ns, bytes(outcomes), details)

    def _transfer(self, tx_id: TxId, source: AccountId, target: AccountId, amount: int) -> tuple[int, RowDetail | None]:
        if tx_id in self.transfers or not self._is_good_row(tx_id, source, target, amount):
            return self.row(tx_id, source, target, amount)
        index, time_ns = self.applied_index, self.time_ns
        status = self._move(source, target, amount)
        short = status is TransferStatus.COMMITTED_INSUFFICIENT_FUNDS
        available = self._now(source) if short else None
        self.transfers[tx_id] = TransferRecord(tx_id, source, target, amount, status, index, time_ns, available)
        return status, RowDetail(index, time_ns, available) if short else None

    def _move(self, source: AccountId, target: AccountId, amount: int) -> TransferStatus:
        if source not in self.accounts or target not in self.accounts:
            return TransferStatus.COMMITTED_INVALID_ACCOUNT
        self._touching += (source, target)
        if amount > self._now(source):
            return TransferStatus.COMMITTED_INSUFFICIENT_FUNDS
        if self._now(target) + amount > BALANCE_MAX:
            return TransferStatus.COMMITTED_LIMIT_EXCEEDED
        self._set(source, self._now(source) - amount)
        self._set(target, self._now(target) + amount)
        return TransferStatus.COMMITTED_OK

    def _create(self, command: CreateAccount) -> AccountCreated | RequestConflict | Malformed:
        account, initial, request_id = command.account, command.initial_balance, command.request_id
        if not self._is_customer(account) or not 0 <= initial <= BALANCE_MAX:
            return Malformed()
        if request_id is None:
            return self._open(account, initial)
        if not self._is_id(request_id):
            return Malformed()
        first = self._requests.get(request_id)
        if first is None:
            answer = self._open(account, initial)
            self._requests[request_id] = (account, initial, answer)
            return answer
        fields = {"account": first[0] == account, "initial_balance": first[1] == initial}
        differs = tuple(field for field, same in fields.items() if not same)
        return RequestConflict(differs) if differs else first[2]

    def _open(self, account: AccountId, initial: int) -> AccountCreated:
        self._touching += (account, OPENING_ACCOUNT)
        if account in self.accounts:
            return AccountCreated(False, self.applied_index)
        if self._now(OPENING_ACCOUNT) - initial < BALANCE_MIN:
            return AccountCreated(False, self.applied_index, limit_exceeded=True)
        self._set(OPENING_ACCOUNT, self._now(OPENING_ACCOUNT) - initial)
        self._set(account, initial)
        return AccountCreated(True, self.applied_index)

    def _is_good_row(self, tx_id: TxId, source: AccountId, target: AccountId, amount: int) -> bool:
        good_ids = self._is_id(tx_id) and self._is_customer(source) and self._is_customer(target)
        return good_ids and source != target and 1 <= amount <= BALANCE_MAX

    def _is_customer(self, account: str) -> bool:
        return self._is_id(account) and not account.startswith("@")

    def _is_id(self, text: str) -> bool:
        if text in self._good_ids:
            return True
        good = len(text.encode()) in ID_BYTES and not any(unicodedata.category(letter) == "Cc" for letter in text)
        if good:
            self._good_ids.add(text)
        return good

    def _now(self, account: AccountId) -> int:
        return self.accounts[account].amounts[-1]

    def _set(self, account: AccountId, amount: int) -> None:
        balances = self.accounts.setdefault(account, Balances([], []))
        balances.indexes.append(self.applied_index)
        balances.amounts.append(amount)
