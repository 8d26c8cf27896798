"""Gather from a history what is known of every id and every log index.

One pass over the records; after `gather` everything is filed by log index, ready to be replayed:

- `groups`: what was decided at an index, each id once, however often it was told. Answers that contradict each other
  (one id at two indexes, or with two outcomes) are findings already.
- `reads`: what was read at an index.
- `moments`: for the real-time order, when the things that have one place in the log can have happened.
- `loose`: writes that may have taken effect at an index that no answer tells.

Rows of one call were decided in their order, but for a row whose id another call carried too: which of the two decided
it, no answer tells. Such a decision gets a number of its own in the place of its record's (`record_of`).

The place of a decision of log index i is 2i, that of a read of its state 2i+1: a state is read whole.

An answer to a retry says where the id was decided first. When *that* was lies between the first call that carried
the id, answered or not, and the first return of an answer that told it.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from bankd.history.decisions import (
    ACCOUNT_EXISTED,
    BALANCE_READ,
    NO_ACCOUNT_READ,
    OPENED,
    OPENING_LIMIT_EXCEEDED,
    Decision,
    described,
)
from bankd.history.findings import Finding
from bankd.history.moments import LONG_AGO, NEVER, Moments
from bankd.history.records import (
    Balance,
    BalanceFound,
    Conflict,
    Move,
    Moved,
    NotFound,
    Open,
    Opened,
    OutcomeFound,
    OutcomeOf,
    Record,
    Refused,
)
from bankd.types import (
    OPENING_ACCOUNT,
    ROW_ID_CONFLICT,
    ROW_MALFORMED,
    AccountId,
    AtLeast,
    Bounded,
    LogIndex,
    ReadMode,
    Stale,
    TxId,
)

NS_PER_MS: Final = 1_000_000

Key = TxId | tuple[str, object]  # a tx id; ("request", its id); ("open", number of the record) where it has none
Asked = tuple[AccountId, AccountId, int]  # source, target, amount

TRANSFER_FIELDS: Final = ("from", "to", "amount")
OPENING_FIELDS: Final = ("", "account", "initial_balance")  # what pays is always `@opening`


@attrs.frozen
class Loose:
    """A write that may have taken effect, at an index that nobody told: any from `earliest_index` on, or never."""

    key: Key
    asked: Asked
    call_ns: int
    index_min: int  # of what is known of the id alone; the real-time order may say more

    @property
    def opens(self) -> bool:
        return self.asked[0] == OPENING_ACCOUNT


@attrs.define
class Told:
    """When an id was decided, as far as answers tell that do not name their own place in the log."""

    called_min: int = NEVER
    returned_min: int = NEVER
    record: int = -1


@attrs.frozen
class Contradiction:
    """An answer that said: this id is recorded with other fields."""

    key: Key
    asked: Asked
    differs: tuple[str, ...]
    record: int


@attrs.define(eq=False)
class Evidence:
    """`drift_ppm_max`: by how much a node's clock may run apart from the history's, which matters to bounded reads."""

    drift_ppm_max: int
    findings: list[Finding] = attrs.field(factory=list)
    groups: dict[int, list[Decision]] = attrs.field(factory=dict)
    reads: dict[int, list[Decision]] = attrs.field(factory=dict)
    moments: Moments = attrs.field(factory=Moments)
    loose: list[Loose] = attrs.field(factory=list)
    operations: int = 0
    unjudged: int = 0
    record_of: dict[int, int] = attrs.field(factory=dict)
    _records: Sequence[Record] = ()
    _decided: dict[Key, Decision] = attrs.field(factory=dict)
    _told: dict[Key, Told] = attrs.field(factory=dict)
    _tries: dict[Key, list[tuple[Asked, int]]] = attrs.field(factory=dict)  # what was asked, and when
    _carriers: dict[Key, list[int]] = attrs.field(factory=dict)  # calls that may have decided it, the one told not
    _absent: dict[Key, int] = attrs.field(factory=dict)  # the highest index as of which an id was not there
    _absences: list[tuple[Key, int, int]] = attrs.field(factory=list)  # id, index of the state, record
    _contradictions: list[Contradiction] = attrs.field(factory=list)

    def gather(self, records: Sequence[Record]) -> None:
        self._records = records
        for number, record in enumerate(records):
            operation = record.operation
            if type(operation) is Move:  # nearly always
                self._move(number, record, operation)
            elif type(operation) is Balance:
                self._balance(number, record, operation)
            elif type(operation) is Open:
                self._open(number, record, operation)
            elif type(operation) is OutcomeOf:
                self._outcome(number, record, operation)
        self._conclude()

    # Writes

    def _move(self, number: int, record: Record, operation: Move) -> None:
        result, index = record.result, record.index
        rows = len(operation.tx_ids)
        self.operations += rows
        if type(result) is not Moved:
            if result is None:
                for row in range(rows):
                    self._try(operation.tx_ids[row], _asked(operation, row), record.call_ns)
                    self._carry(operation.tx_ids[row], number)
            return
        if index is not None:
            self.moments.note(2 * index, record.call_ns, record.return_ns, number)
        if index is None or result.decided or result.available or result.differs:
            for row in range(rows):
                self._row(number, record, operation, result, row)
        else:
            self._plain_rows(number, operation, result.statuses, index)

    def _plain_rows(self, number: int, operation: Move, statuses: bytes, index: int) -> None:
        """All of them decided at this index, with nothing more to say. The hot path, hence inline."""
        group = self.groups.get(index)
        if group is None:
            group = self.groups[index] = []
        file = self._decided.setdefault
        for tx_id, source, target, amount, status in zip(
            operation.tx_ids, operation.sources, operation.targets, operation.amounts, statuses, strict=True
        ):
            if status == ROW_MALFORMED:
                continue
            decision = (source, target, amount, status, None, number, index)
            if file(tx_id, decision) is decision:
                group.append(decision)
            else:
                self._compare(tx_id, decision)
                self._tell(tx_id, self._records[number], number, carried=True)
                self._carry(tx_id, number)

    def _row(self, number: int, record: Record, operation: Move, result: Moved, row: int) -> None:
        key, asked, status = operation.tx_ids[row], _asked(operation, row), result.statuses[row]
        if status == ROW_MALFORMED:
            return
        if status == ROW_ID_CONFLICT:
            self._contradict(key, asked, result.differs.get(row, ()), number)
            return
        decided = result.decided.get(row, record.index)
        if decided is None:
            self.unjudged += 1
            self._try(key, asked, record.call_ns)
            return
        known = key in self._decided  # somebody was told of it before
        self._file(key, (*asked, status, result.available.get(row), number, decided))
        if known or row in result.decided:
            self._tell(key, record, number, carried=True)
            self._carry(key, number)
        if row in result.decided:
            self._not_after(decided, record.index, number, f"transfer {key}")

    def _open(self, number: int, record: Record, operation: Open) -> None:
        self.operations += 1
        key: Key = ("open", number) if operation.request_id is None else ("request", operation.request_id)
        asked = (OPENING_ACCOUNT, operation.account, operation.balance)
        match record.result:
            case Opened(decided=int(decided)) as opened:
                self._file(key, (*asked, _opening_status(opened), None, number, decided))
                self._tell(key, record, number, carried=True)
            case Conflict(differs=differs):
                self._contradict(key, asked, differs, number)
            case None | Opened():
                self.unjudged += record.result is not None
                self._try(key, asked, record.call_ns)
            case _:
                assert type(record.result) is Refused, record.result

    def _try(self, key: Key, asked: Asked, call_ns: int) -> None:
        self._tries.setdefault(key, []).append((asked, call_ns))

    def _carry(self, key: Key, number: int) -> None:
        self._carriers.setdefault(key, []).append(number)

    def _contradict(self, key: Key, asked: Asked, differs: tuple[str, ...], number: int) -> None:
        self._contradictions.append(Contradiction(key, asked, differs, number))

    def _file(self, key: Key, decision: Decision) -> None:
        if self._decided.setdefault(key, decision) is decision:
            self.groups.setdefault(decision[6], []).append(decision)
        else:
            self._compare(key, decision)

    def _compare(self, key: Key, decision: Decision) -> None:
        """An id that is known was told of again."""
        first = self._decided[key]
        if first[:4] != decision[:4] or first[6] != decision[6] or _unequal(first[4], decision[4]):
            told = [f"{described(one)} at index {one[6]}" for one in (first, decision)]
            self._find("M3", f"{_named(key)} has two outcomes: {told[0]}, and {told[1]}", first[5], decision[5])

    def _tell(self, key: Key, record: Record, number: int, *, carried: bool) -> None:
        """`record` told of a decision; `carried`: it also asked for it."""
        told = self._told.setdefault(key, Told())
        if carried:
            told.called_min = min(told.called_min, record.call_ns)
        if record.return_ns is not None and record.return_ns < told.returned_min:
            told.returned_min, told.record = record.return_ns, number

    # Reads

    def _balance(self, number: int, record: Record, operation: Balance) -> None:
        self.operations += 1
        result, index = record.result, record.index
        if result is None or type(result) is Refused:
            return
        if index is None:
            self.unjudged += 1
            return
        self._read_moment(number, record, operation.mode, index)
        account = operation.account
        if type(result) is BalanceFound:
            decision = (account, account, result.balance, BALANCE_READ, None, number, index)
        else:
            decision = (account, account, 0, NO_ACCOUNT_READ, None, number, index)
        reads = self.reads.get(index)
        if reads is None:
            self.reads[index] = [decision]
        else:
            reads.append(decision)

    def _outcome(self, number: int, record: Record, operation: OutcomeOf) -> None:
        self.operations += 1
        result, index, key = record.result, record.index, operation.tx_id
        if result is None or type(result) is Refused:
            return
        if index is None:
            self.unjudged += 1
        else:
            self._read_moment(number, record, operation.mode, index)
        if isinstance(result, OutcomeFound):
            asked = (result.source, result.target, result.amount)
            self._file(key, (*asked, result.status, result.available, number, result.decided))
            self._tell(key, record, number, carried=False)
            self._not_after(result.decided, index, number, f"transfer {key}")
        elif type(result) is NotFound and index is not None:
            self._absences.append((key, index, number))

    def _read_moment(self, number: int, record: Record, mode: ReadMode, index: int) -> None:
        called = record.call_ns
        if type(mode) is Bounded:
            called -= mode.max_age_ms * NS_PER_MS * (1_000_000 + self.drift_ppm_max) // 1_000_000
        elif type(mode) is Stale or type(mode) is AtLeast:
            called = LONG_AGO
            if type(mode) is AtLeast and index < mode.index:
                self._find("R1", f"a state of index {index} was read where at least {mode.index} was asked for", number)
        self.moments.note(2 * index + 1, called, record.return_ns, number)

    def _not_after(self, decided: int, index: LogIndex | None, number: int, what: str) -> None:
        if index is not None and decided > index:
            self._find("R1", f"{what} was answered from index {index}, but decided later, at {decided}", number)

    # What can only be said at the end

    def _conclude(self) -> None:
        for key, index, number in self._absences:
            self._judge_absence(key, index, number)
        for contradiction in self._contradictions:
            self._judge_contradiction(contradiction)
        for key, told in self._told.items():
            self._place_told(key, told)
        for key, tries in self._tries.items():
            if key not in self._decided:
                self._loosen(key, tries)
        for key, carriers in self._carriers.items():
            if key in self._decided:
                self._untie(key, carriers)

    def _judge_absence(self, key: Key, index: int, number: int) -> None:
        decision = self._decided.get(key)
        if decision is None:
            self._absent[key] = max(index, self._absent.get(key, 0))
        elif decision[6] <= index:
            text = f"{_named(key)} was not there as of index {index}, but was decided at {decision[6]}"
            self._find("S1", text, decision[5], number)

    def _judge_contradiction(self, contradiction: Contradiction) -> None:
        """The fields named must be those that differ from what is recorded, or else may be."""
        key, record = contradiction.key, contradiction.record
        fields = OPENING_FIELDS if isinstance(key, tuple) else TRANSFER_FIELDS
        decision = self._decided.get(key)
        known = [asked for asked, _ in self._tries.get(key, ())] if decision is None else [decision[:3]]
        if set(contradiction.differs) not in [_differing(asked, contradiction.asked, fields) for asked in known]:
            named = ", ".join(contradiction.differs) or "nothing"
            recorded = "nothing that was asked with it" if decision is None else described(decision)
            numbers = (record,) if decision is None else (decision[5], record)
            self._find("M3", f"{_named(key)}: told to differ in {named}, recorded is {recorded}", *numbers)
        elif decision is not None:
            self._tell(key, self._records[record], record, carried=False)

    def _place_told(self, key: Key, told: Told) -> None:
        decision = self._decided[key]
        first = self._records[decision[5]]
        calls = [call_ns for asked, call_ns in self._tries.get(key, ()) if asked == decision[:3]]
        if type(first.operation) is not OutcomeOf:
            calls.append(first.call_ns)
        called = min([told.called_min, *calls])
        if called == NEVER:
            self._find("M3", f"{_named(key)}, {described(decision)}, was never asked for", told.record)
            return
        self.moments.note(2 * decision[6], called, told.returned_min, told.record)

    def _untie(self, key: Key, carriers: Iterable[int]) -> None:
        """Have this decision come at any place among the rows of its record, if other calls than tries of that one
        carried the id."""
        decision = self._decided[key]
        rows = _ids(self._records[decision[5]])
        if len(rows) > 1 and any(_ids(self._records[carrier]) != rows for carrier in carriers):
            own = len(self._records) + len(self.record_of)
            self.record_of[own] = decision[5]
            group = self.groups[decision[6]]
            group[group.index(decision)] = (*decision[:5], own, decision[6])

    def _loosen(self, key: Key, tries: Iterable[tuple[Asked, int]]) -> None:
        first_calls: dict[Asked, int] = {}
        for asked, call_ns in tries:
            first_calls[asked] = min(call_ns, first_calls.get(asked, NEVER))
        self.loose += [
            Loose(key, asked, call_ns, self._absent.get(key, 0) + 1) for asked, call_ns in first_calls.items()
        ]

    def _find(self, promise: str, text: str, *records: int) -> None:
        self.findings.append(Finding(promise, text, records))


def _asked(operation: Move, row: int) -> Asked:
    return operation.sources[row], operation.targets[row], operation.amounts[row]


def _ids(record: Record) -> Sequence[TxId]:
    return record.operation.tx_ids if type(record.operation) is Move else ()


def _opening_status(opened: Opened) -> int:
    if opened.success:
        return OPENED
    return OPENING_LIMIT_EXCEEDED if opened.limit_exceeded else ACCOUNT_EXISTED


def _differing(one: Asked, other: Asked, fields: tuple[str, ...]) -> set[str]:
    return {field for field, mine, its in zip(fields, one, other, strict=True) if mine != its}


def _unequal(one: int | None, other: int | None) -> bool:
    """None: not told."""
    return one is not None and other is not None and one != other


def _named(key: Key) -> str:
    return f"transfer {key}" if isinstance(key, str) else f"{key[0]} {key[1]}"
