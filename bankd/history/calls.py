"""What the search works on: calls whose place must be found, in parts that have nothing to do with each other.

A part is what hangs together by accounts and ids. `@opening` pays every opening; that ties them together only where it
shows: where its balance is read, or where the openings of a history could bring it to its limit.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final

import attrs

from bankd.history.bank import ACCOUNT_EXISTED, OPENED, Answer, Fact
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
from bankd.types import (
    BALANCE_MAX,
    OPENING_ACCOUNT,
    ROW_ID_CONFLICT,
    ROW_MALFORMED,
    Lease,
    Linearizable,
    TransferStatus,
)

Name = tuple[str, str]  # ("account", ...), ("transfer", ...), ("request", ...)

_TRANSFER_FIELDS: Final = ("from", "to", "amount")
_OPENING_FIELDS: Final = ("", "account", "initial_balance")


@attrs.frozen(eq=False)
class Call:
    """`number` is the record's place in the history. `result` is None, and `return_ns` too, for an unknown outcome."""

    number: int
    operation: Operation
    call_ns: int
    return_ns: int | None
    result: Result | None
    names: frozenset[Name]
    asked_again: bool = False  # another call carries or asks for one of its ids

    def worth(self, answer: Answer) -> bool:
        """Whether an unknown outcome like this could be seen by anybody."""
        assert isinstance(answer, tuple)
        return self.asked_again or any(fact.status in (TransferStatus.COMMITTED_OK, OPENED) for fact in answer)


@attrs.define(eq=False)
class Part:
    """Calls that hang together, in the order of time. `returns` are those that have one, by it."""

    calls: list[Call]

    @cached_property
    def returns(self) -> list[Call]:
        return sorted(
            [call for call in self.calls if call.return_ns is not None], key=lambda call: (call.return_ns, call.number)
        )

    def under_way(self, number: int) -> list[Call]:
        """Every call made before this return that has none earlier, in the order of the calls."""
        return self._under_way[number]

    def related(self, number: int) -> list[Call]:
        """Of those, what hangs together with the returning one: the others can as well be put in order later.

        Those that return first come first, which is often their order.
        """
        names = set(self.returns[number].names)
        left, related = self.under_way(number), list[Call]()
        while near := [call for call in left if not names.isdisjoint(call.names)]:
            related += near
            left = [call for call in left if names.isdisjoint(call.names)]
            names.update(*(call.names for call in near))
        return sorted(related, key=lambda call: (call.return_ns is None, call.return_ns or call.call_ns, call.number))

    @cached_property
    def _under_way(self) -> list[list[Call]]:
        by_call = sorted(self.calls, key=lambda call: (call.call_ns, call.number))
        current: list[Call] = []
        windows: list[list[Call]] = []
        made = 0
        for returning in self.returns:
            assert returning.return_ns is not None
            while made < len(by_call) and by_call[made].call_ns <= returning.return_ns:
                current.append(by_call[made])
                made += 1
            windows.append(list(current))
            current.remove(returning)
        return windows


def parts_of(records: Sequence[Record]) -> tuple[list[Part], int]:
    """The parts, and how many records have no place in an order: refused, unanswered reads, reads of older states."""
    calls = [call for number, record in enumerate(records) if (call := _call(number, record)) is not None]
    if not _opening_shows(calls):
        shared = frozenset({("account", str(OPENING_ACCOUNT))})
        calls = [attrs.evolve(call, names=call.names - shared) for call in calls]
    return [Part(members) for members in _connected(_asked_again(calls))], len(records) - len(calls)


def _call(number: int, record: Record) -> Call | None:
    operation, result = record.operation, record.result
    if isinstance(result, Refused):
        return None
    if isinstance(operation, Balance | OutcomeOf) and (
        result is None or not isinstance(operation.mode, Linearizable | Lease)
    ):
        return None
    if isinstance(operation, Move) and isinstance(result, Moved) and ROW_MALFORMED in result.statuses:
        operation, result = _well_formed(operation, result)
    return Call(number, operation, record.call_ns, record.return_ns, result, frozenset(_names(operation)))


def _well_formed(operation: Move, result: Moved) -> tuple[Move, Moved]:
    """Without the rows that were judged malformed: they had no effect."""
    rows = [row for row, status in enumerate(result.statuses) if status != ROW_MALFORMED]
    places = {row: place for place, row in enumerate(rows)}
    move = Move(
        tuple([operation.tx_ids[row] for row in rows]),
        tuple([operation.sources[row] for row in rows]),
        tuple([operation.targets[row] for row in rows]),
        tuple([operation.amounts[row] for row in rows]),
    )
    return move, Moved(
        bytes([result.statuses[row] for row in rows]),
        available={places[row]: balance for row, balance in result.available.items() if row in places},
        differs={places[row]: fields for row, fields in result.differs.items() if row in places},
    )


def _names(operation: Operation) -> Iterable[Name]:
    """Accounts and ids: two operations that share none of them cannot tell in which order they came."""
    match operation:
        case Open(account, _, request_id):
            yield from (("account", account), ("account", OPENING_ACCOUNT))
            if request_id is not None:
                yield "request", request_id
        case Move():
            yield from (("account", account) for account in (*operation.sources, *operation.targets))
            yield from (("transfer", tx_id) for tx_id in operation.tx_ids)
        case Balance(account, _):
            yield "account", account
        case OutcomeOf(tx_id, _):
            yield "transfer", tx_id


def _opening_shows(calls: Iterable[Call]) -> bool:
    read = any(isinstance(call.operation, Balance) and call.operation.account == OPENING_ACCOUNT for call in calls)
    return read or sum(call.operation.balance for call in calls if isinstance(call.operation, Open)) > BALANCE_MAX


def _asked_again(calls: Iterable[Call]) -> list[Call]:
    carriers: dict[Name, int] = {}
    for call in calls:
        for name in call.names:
            carriers[name] = carriers.get(name, 0) + 1
    return [
        attrs.evolve(call, asked_again=any(kind != "account" and carriers[kind, id_] > 1 for kind, id_ in call.names))
        for call in calls
    ]


def _connected(calls: Iterable[Call]) -> list[list[Call]]:
    """The calls in parts that share no name; union by the smaller part."""
    parts: dict[Name, list[Call]] = {}
    names: dict[int, set[Name]] = {}  # of a part, by its identity
    for call in calls:
        touched = sorted({id(parts[name]): parts[name] for name in call.names if name in parts}.values(), key=len)
        part = touched.pop() if touched else []
        known = names.setdefault(id(part), set())
        for smaller in touched:
            part += smaller
            joined = names.pop(id(smaller))
            known |= joined
            parts.update(dict.fromkeys(joined, part))
        part.append(call)
        known |= call.names
        parts.update(dict.fromkeys(call.names, part))
    found = {id(part): part for part in parts.values()}
    return [sorted(part, key=lambda call: (call.call_ns, call.number)) for part in found.values()]


def agrees(operation: Operation, result: Result, answer: Answer) -> bool:
    """Whether this is what was answered. Log indexes are not looked at; what an answer does not tell is not held against it."""
    match result:
        case Moved():
            assert isinstance(operation, Move)
            assert isinstance(answer, tuple)
            return all(_row_agrees(operation, result, row, fact) for row, fact in enumerate(answer))
        case Opened(success=success, limit_exceeded=limit_exceeded):
            assert isinstance(answer, tuple)
            refused = TransferStatus.COMMITTED_LIMIT_EXCEEDED if limit_exceeded else ACCOUNT_EXISTED
            return answer[0].status == (OPENED if success else refused)
        case Conflict(differs=differs):
            assert isinstance(operation, Open)
            assert isinstance(answer, tuple)
            asked = (OPENING_ACCOUNT, operation.account, operation.balance)
            return _conflicts(answer[0], asked, differs, _OPENING_FIELDS)
        case BalanceFound(balance=balance):
            return answer == balance
        case OutcomeFound():
            told = Fact((result.source, result.target, result.amount), result.status, result.available)
            return isinstance(answer, Fact) and _fact_agrees(answer, told)
        case NotFound():
            return answer is None
        case Refused():
            raise AssertionError("what was refused has no place in an order")


def _row_agrees(operation: Move, result: Moved, row: int, fact: Fact) -> bool:
    asked = operation.sources[row], operation.targets[row], operation.amounts[row]
    if result.statuses[row] == ROW_ID_CONFLICT:
        return _conflicts(fact, asked, result.differs.get(row, ()), _TRANSFER_FIELDS)
    return _fact_agrees(fact, Fact(asked, result.statuses[row], result.available.get(row)))


def _fact_agrees(fact: Fact, told: Fact) -> bool:
    available = told.available in (None, fact.available)
    return fact.asked == told.asked and fact.status == told.status and available


def _conflicts(fact: Fact, asked: tuple[str, str, int], differs: tuple[str, ...], fields: tuple[str, ...]) -> bool:
    differing = {field for field, one, other in zip(fields, fact.asked, asked, strict=True) if one != other}
    return fact.status == ROW_ID_CONFLICT and differing == set(differs)
