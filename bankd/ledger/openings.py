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
    """Owner of the recorded requests: account, initial balance and answer by request id.

    Invariant: `_ids` are the keys of `_requests` in the order in which they were recorded. A dict that grows cannot be
    walked in slices, a list can.
    """

    _accounts: Accounts
    _requests: dict[TxId, tuple[AccountId, int, AccountCreated]] = attrs.field(factory=dict)
    _ids: list[TxId] = attrs.field(factory=list)

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
        ids = self._ids[begin:end]
        recorded = [self._requests[request_id] for request_id in ids]
        return RequestRows(
            ids=ids,
            accounts=[account for account, _, _ in recorded],
            initial_balances=array("q", (initial_balance for _, initial_balance, _ in recorded)),
            indexes=array("Q", (answer.index for _, _, answer in recorded)),
            answers=bytes(_answer_number(answer) for _, _, answer in recorded),
        )

    def extend(self, rows: RequestRows) -> bool:
        """Put requests of an image behind those that are there. Says whether all their ids were new."""
        accounts = map(self._accounts.shared, rows.accounts)
        answers = map(_answer, rows.answers, rows.indexes)
        recorded = zip(accounts, rows.initial_balances, answers, strict=True)
        self._requests.update(zip(rows.ids, recorded, strict=True))
        self._ids += rows.ids
        return len(self._requests) == len(self._ids)

    def _recall(self, command: CreateAccount) -> AccountCreated | RequestConflict | None:
        if command.request_id is None or command.request_id not in self._requests:
            return None
        account, initial_balance, answer = self._requests[command.request_id]
        same = {"account": account == command.account, "initial_balance": initial_balance == command.initial_balance}
        differs = tuple(field for field, equal in same.items() if not equal)
        return RequestConflict(differs) if differs else answer

    def _decide_fresh(self, command: CreateAccount, index: LogIndex, time_ns: TimeNs) -> AccountCreated:
        answer = self._open(command, index, time_ns)
        if command.request_id is not None:
            self._requests[command.request_id] = (command.account, command.initial_balance, answer)
            self._ids.append(command.request_id)
        return answer

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
