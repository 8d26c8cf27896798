"""Decide account openings, and remember those that carried a request id (K7, K8).

In this order:

1. malformed (K5, K6): `Malformed`; nothing is recorded
2. the request id is recorded: the first answer again, or `RequestConflict` if any field differs
3. the account exists: success = false; the first balance stays
4. `@opening` cannot pay the opening balance without leaving int64 (K9): success = false, `limit_exceeded`
5. the account is opened: success = true

With a request id, 3 to 5 are recorded for ever (K10), refusals too: the same request never gets another answer.
Without one nothing is remembered, and a retry of a successful opening finds that the account exists. Request ids and
transfer ids are two namespaces.
"""

from array import array
from struct import pack

import attrs

from bankd.ledger.accounts import OPENING_NUMBER, Accounts
from bankd.ledger.checks import judge_create
from bankd.ledger.commands import AccountCreated, CreateAccount, Malformed, RequestConflict
from bankd.ledger.rows import RequestAnswer, RequestRows
from bankd.types import AccountId, LogIndex, TimeNs, TxId


@attrs.define(eq=False)
class Openings:
    """Owner of the recorded requests: columns, and the row of each by its request id.

    Invariant: rows are dense and in the order in which requests were decided; a row is never changed or removed.
    """

    _accounts: Accounts
    _row_by_id: dict[TxId, int] = attrs.field(factory=dict)
    _ids: list[TxId] = attrs.field(factory=list)
    _named: list[AccountId] = attrs.field(factory=list)  # the account that was to be opened
    _initial_balances: "array[int]" = attrs.field(factory=lambda: array("q"))
    _indexes: "array[int]" = attrs.field(factory=lambda: array("Q"))
    _answers: bytearray = attrs.field(factory=bytearray)

    def __len__(self) -> int:
        return len(self._ids)

    def decide(
        self, command: CreateAccount, index: LogIndex, time_ns: TimeNs, trace: list[bytes]
    ) -> AccountCreated | RequestConflict | Malformed:
        """Open the account or say why not. `trace` takes what the state digest must cover."""
        if judge_create(command) is not None:
            trace.append(b"malformed")
            return Malformed()
        outcome = self._recall(command) or self._decide_fresh(command, index, time_ns)
        self._trace(command, outcome, trace)
        return outcome

    def rows(self, begin: int, end: int) -> RequestRows:
        return RequestRows(
            ids=self._ids[begin:end],
            accounts=self._named[begin:end],
            initial_balances=self._initial_balances[begin:end],
            indexes=self._indexes[begin:end],
            answers=bytes(self._answers[begin:end]),
        )

    def extend(self, rows: RequestRows) -> bool:
        """Put requests behind those that are there. Says whether all their ids were new."""
        first = len(self._ids)
        self._row_by_id.update(zip(rows.ids, range(first, first + len(rows.ids)), strict=True))
        self._ids += rows.ids
        self._named += map(self._accounts.shared, rows.accounts)
        self._initial_balances += rows.initial_balances
        self._indexes += rows.indexes
        self._answers += rows.answers
        return len(self._row_by_id) == len(self._ids)

    def _recall(self, command: CreateAccount) -> AccountCreated | RequestConflict | None:
        row = None if command.request_id is None else self._row_by_id.get(command.request_id)
        if row is None:
            return None
        same = {
            "account": self._named[row] == command.account,
            "initial_balance": self._initial_balances[row] == command.initial_balance,
        }
        differs = tuple(field for field, equal in same.items() if not equal)
        return RequestConflict(differs) if differs else _answer(self._answers[row], self._indexes[row])

    def _decide_fresh(self, command: CreateAccount, index: LogIndex, time_ns: TimeNs) -> AccountCreated:
        answer = self._open(command, index, time_ns)
        if command.request_id is not None:
            self._record(command.request_id, command, answer)
        return answer

    def _record(self, request_id: TxId, command: CreateAccount, answer: AccountCreated) -> None:
        self._row_by_id[request_id] = len(self._ids)
        self._ids.append(request_id)
        self._named.append(self._accounts.shared(command.account))
        self._initial_balances.append(command.initial_balance)
        self._indexes.append(answer.index)
        self._answers.append(_answer_number(answer))

    def _open(self, command: CreateAccount, index: LogIndex, time_ns: TimeNs) -> AccountCreated:
        if command.account in self._accounts.numbers:
            return AccountCreated(success=False, index=index)
        if not self._accounts.can_fund(command.initial_balance):
            return AccountCreated(success=False, index=index, limit_exceeded=True)
        self._accounts.open(command.account, command.initial_balance, index, time_ns)
        return AccountCreated(success=True, index=index)

    def _trace(self, command: CreateAccount, outcome: AccountCreated | RequestConflict, trace: list[bytes]) -> None:
        trace += (
            _traced(outcome),
            command.account.encode(),
            (command.request_id or "").encode(),
            pack("<q", command.initial_balance),
            pack("<q", self._accounts.balance(command.account) or 0),
            pack("<q", self._accounts.balances[OPENING_NUMBER]),
        )


def _traced(outcome: AccountCreated | RequestConflict) -> bytes:
    if isinstance(outcome, RequestConflict):
        return ",".join(outcome.differs).encode()
    return pack("<2?Q", outcome.success, outcome.limit_exceeded, outcome.index)


def _answer_number(answer: AccountCreated) -> RequestAnswer:
    if answer.success:
        return RequestAnswer.OPENED
    return RequestAnswer.LIMIT_EXCEEDED if answer.limit_exceeded else RequestAnswer.EXISTED


def _answer(number: int, index: int) -> AccountCreated:
    return AccountCreated(
        success=number == RequestAnswer.OPENED,
        index=LogIndex(index),
        limit_exceeded=number == RequestAnswer.LIMIT_EXCEEDED,
    )
