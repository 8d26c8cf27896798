"""Histories written by hand: one call after the other unless times are given, each an answer at a log index."""

from collections.abc import Sequence

import attrs

from bankd.history.linearizability import Searched, Verdict, search
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
from bankd.history.witness import check
from bankd.types import LINEARIZABLE, ROW_ID_CONFLICT, AccountId, LogIndex, ReadMode, TransferStatus, TxId

OK = int(TransferStatus.COMMITTED_OK)
SHORT = int(TransferStatus.COMMITTED_INSUFFICIENT_FUNDS)
STRANGER = int(TransferStatus.COMMITTED_INVALID_ACCOUNT)
CONFLICT = ROW_ID_CONFLICT

Times = tuple[int, int] | tuple[int, None]


@attrs.define
class Table:
    """Calls are made at 0, 10, 20 ... and return 5 later; `times` overrides both, None being never."""

    records: list[Record] = attrs.field(factory=list)

    def open(self, account: str, balance: int, at: int, *, success: bool = True, request_id: str | None = None,
             times: Times | None = None) -> None:  # fmt: skip
        operation = Open(AccountId(account), balance, TxId(request_id) if request_id else None)
        self.add(operation, Opened(success, LogIndex(at)), None, times)

    def open_beyond_the_limit(self, account: str, balance: int, at: int) -> None:
        self.add(Open(AccountId(account), balance), Opened(False, LogIndex(at), limit_exceeded=True), None, None)

    def open_conflict(self, account: str, balance: int, request_id: str, *differs: str) -> None:
        self.add(Open(AccountId(account), balance, TxId(request_id)), Conflict(differs), None, None)

    def move(self, tx_id: str, source: str, target: str, amount: int, status: int, at: int | None, *,
             decided: int | None = None, available: int | None = None, differs: Sequence[str] = (),
             times: Times | None = None) -> None:  # fmt: skip
        """`at`: the entry that carried it; `decided`: the one that decided it first, where that is another."""
        result = Moved(
            bytes([status]),
            {} if decided is None else {0: LogIndex(decided)},
            {} if available is None else {0: available},
            {0: tuple(differs)} if differs else {},
        )
        self.add(move_of((tx_id, source, target, amount)), result, at, times)

    def batch(self, rows: Sequence[tuple[str, str, str, int]], statuses: Sequence[int], at: int, *,
              times: Times | None = None) -> None:  # fmt: skip
        self.add(move_of(*rows), Moved(bytes(statuses)), at, times)

    def lost(self, tx_id: str, source: str, target: str, amount: int, *, called: int | None = None) -> None:
        """A transfer of unknown outcome."""
        self.lost_batch((tx_id, source, target, amount), called=called)

    def lost_batch(self, *rows: tuple[str, str, str, int], called: int | None = None) -> None:
        self.records.append(Record(0, move_of(*rows), 10 * len(self.records) if called is None else called))

    def lost_opening(self, account: str, balance: int) -> None:
        self.records.append(Record(0, Open(AccountId(account), balance), 10 * len(self.records)))

    def refused(self, tx_id: str, source: str, target: str, amount: int) -> None:
        self.add(move_of((tx_id, source, target, amount)), Refused("OVERLOADED"), None, None)

    def balance(self, account: str, balance: int | None, at: int, *, mode: ReadMode = LINEARIZABLE,
                times: Times | None = None) -> None:  # fmt: skip
        found = NotFound() if balance is None else BalanceFound(balance)
        self.add(Balance(AccountId(account), mode), found, at, times)

    def outcome(self, tx_id: str, found: tuple[str, str, int, int, int] | None, at: int, *,
                available: int | None = None, mode: ReadMode = LINEARIZABLE, times: Times | None = None) -> None:  # fmt: skip
        """`found`: source, target, amount, status, decided."""
        result: Result = NotFound()
        if found is not None:
            source, target, amount, status, decided = found
            result = OutcomeFound(AccountId(source), AccountId(target), amount, status, LogIndex(decided), available)
        self.add(OutcomeOf(TxId(tx_id), mode), result, at, times)

    def add(self, operation: Operation, result: Result, at: int | None, times: Times | None) -> None:
        called, returned = times or (10 * len(self.records), 10 * len(self.records) + 5)
        answer = (None, None, None) if returned is None else (returned, result, None if at is None else LogIndex(at))
        self.records.append(Record(0, operation, called, *answer))


def move_of(*rows: tuple[str, str, str, int]) -> Move:
    return Move(
        tuple([TxId(row[0]) for row in rows]),
        tuple([AccountId(row[1]) for row in rows]),
        tuple([AccountId(row[2]) for row in rows]),
        tuple([row[3] for row in rows]),
    )


def usual() -> Table:
    """A right history that holds everything: payments, refusals, retries, a conflict, reads. Twenty records."""
    table = Table()
    table.open("a", 100, 1)
    table.open("b", 0, 2, request_id="r")
    table.move("t1", "a", "b", 30, OK, 3)
    table.balance("a", 70, 3)
    table.balance("b", 30, 3)
    table.move("t2", "b", "a", 50, SHORT, 4, available=30)
    table.outcome("t1", ("a", "b", 30, OK, 3), 4)
    table.move("t1", "a", "b", 30, OK, 5, decided=3)
    table.move("t2", "b", "a", 50, SHORT, 6, decided=4, available=30)
    table.move("t1", "a", "b", 31, CONFLICT, 7, decided=3, differs=["amount"])
    table.outcome("t9", None, 7)
    table.balance("@opening", -100, 7)
    table.move("t3", "a", "nobody", 1, STRANGER, 8)
    table.open("a", 5, 9, success=False)
    table.open("b", 0, 2, request_id="r")
    table.open_conflict("b", 1, "r", "initial_balance")
    table.move("t4", "a", "b", 70, OK, 11)
    table.balance("a", 0, 11)
    table.balance("b", 100, 11)
    table.balance("nobody", None, 11)
    return table


def found(records: Sequence[Record]) -> list[str]:
    """The promises that the witness finds broken."""
    return [finding.promise for finding in check(records)]


def searched(records: Sequence[Record]) -> Searched:
    """What the search says, with its answers' indexes taken away first: it must not need them."""
    return search([without_indexes(record) for record in records])


def without_indexes(record: Record) -> Record:
    result = record.result
    if isinstance(result, Moved):
        result = attrs.evolve(result, decided={})
    elif isinstance(result, Opened):
        result = attrs.evolve(result, decided=None)
    elif isinstance(result, OutcomeFound):
        result = attrs.evolve(result, decided=LogIndex(0))
    return attrs.evolve(record, result=result, index=None)


def assert_right(records: Sequence[Record]) -> None:
    assert check(records) == []
    assert searched(records).verdict is Verdict.LINEARIZABLE


def assert_found_by_both(records: Sequence[Record]) -> None:
    assert check(records) != []
    assert searched(records).verdict is Verdict.VIOLATED


def assert_found_by_the_witness_alone(records: Sequence[Record]) -> None:
    """Wrong only in what the indexes say, or in reads that need not be linearizable."""
    assert check(records) != []
    assert searched(records).verdict is Verdict.LINEARIZABLE
