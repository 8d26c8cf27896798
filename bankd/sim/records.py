"""Write down what clients of a simulated world asked and were told, as a history (bankd/history/records.py)."""

from typing import assert_never

import attrs

from bankd.errors import Refusal
from bankd.history import records
from bankd.history.records import Operation, Record
from bankd.ledger.commands import AccountCreated, Malformed, RequestConflict, TransfersDone
from bankd.ledger.queries import BalanceFound, TransferFound
from bankd.replica.effects import ReadDone, Result
from bankd.sim.plan import Balance, Move, Open, OutcomeOf, Request
from bankd.sim.requests import mode_of
from bankd.types import LogIndex


@attrs.define(eq=False)
class Recorder:
    """One record for each call, in the order of the calls; `history` holds those without an answer as well."""

    history: list[Record] = attrs.field(factory=list)
    _place: dict[int, int] = attrs.field(factory=dict)  # of a call under way, by its number

    def called(self, now_ns: int, client: int, number: int, request: Request, seen_index: LogIndex) -> None:
        self._place[number] = len(self.history)
        self.history.append(Record(client, operation_of(request, seen_index), now_ns))

    def answered(self, now_ns: int, number: int, result: Result | None) -> LogIndex:
        """None: the outcome is unknown. Returns the index that the answer tells of, or 0."""
        place = self._place.pop(number)
        if result is None:
            return LogIndex(0)
        asked = self.history[place]
        index = result.index if isinstance(result, TransfersDone | ReadDone) else None
        answer = answer_of(asked.operation, result)
        self.history[place] = attrs.evolve(asked, return_ns=now_ns, result=answer, index=index)
        return index or LogIndex(0)


def operation_of(request: Request, seen_index: LogIndex) -> Operation:
    match request:
        case Open(account=account, balance=balance, request_id=request_id):
            return records.Open(account, balance, request_id)
        case Move(tx_ids=tx_ids, sources=sources, targets=targets, amounts=amounts):
            return records.Move(tx_ids, sources, targets, amounts)
        case Balance(account=account, kind=kind):
            return records.Balance(account, mode_of(kind, seen_index))
        case OutcomeOf(tx_id=tx_id, kind=kind):
            return records.OutcomeOf(tx_id, mode_of(kind, seen_index))
        case _:
            assert_never(request)


def answer_of(operation: Operation, result: Result) -> records.Result:
    """The same answer in a history's words. A result that answers nothing that a client asks is a bug of the product."""
    match result:
        case Refusal(reason=reason):
            return records.Refused(reason)
        case Malformed():
            return records.Refused("MALFORMED")
        case AccountCreated(success=success, index=index, limit_exceeded=limit_exceeded):
            return records.Opened(success, index, limit_exceeded)
        case RequestConflict(differs=differs):
            return records.Conflict(differs)
        case TransfersDone():
            return _moved(result)
        case ReadDone(answer=BalanceFound(balance=balance)):
            return records.BalanceFound(balance)
        case ReadDone(answer=TransferFound(record=found)):
            return records.OutcomeFound(
                found.source, found.target, found.amount, found.status, found.index, found.available
            )
        case ReadDone():
            return records.NotFound()
        case _:
            raise AssertionError(f"{operation} was answered with {result}")


def _moved(done: TransfersDone) -> records.Moved:
    if not done.details:
        return records.Moved(done.outcomes)
    details = done.details.items()
    return records.Moved(
        done.outcomes,
        decided={row: detail.index for row, detail in details if detail.index != done.index},
        available={row: detail.available for row, detail in details if detail.available is not None},
        differs={row: detail.differs for row, detail in details if detail.differs},
    )
