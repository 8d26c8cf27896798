"""S1, M3, R1 as clients see them: what one is told is committed, true, and no older than what anybody was told before.

An acknowledged write names the index that it took effect at: it must be in the chain, decided as the client was told.
Answers must be as of an index that is no older than everything that any client knew when the call was made; a batch
of transfers stands in an entry of its own, strictly behind all of that.

That the answers together are linearizable is judged once more at the end, from the history (`bankd.history`).
"""

import attrs

from bankd.errors import Refusal
from bankd.ledger.commands import AccountCreated, Malformed, RequestConflict, TransfersDone
from bankd.ledger.queries import GetBalance, GetTransfer
from bankd.replica.effects import ReadDone, Result
from bankd.sim.judges.answers import Answers
from bankd.sim.judges.bank import Bank
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import Balance, Move, Open, OutcomeOf, ReadKind, Request
from bankd.types import LogIndex

Fault = tuple[str, str] | None  # the invariant and a text


@attrs.frozen
class UnderWay:
    request: Request
    floor: LogIndex  # the highest index that any client knew when the call was made


class Clients:
    def __init__(self, bank: Bank, answers: Answers) -> None:
        self._bank = bank
        self._answers = answers
        self.under_way: dict[tuple[int, int], UnderWay] = {}  # by client and operation
        self.acknowledged = 0  # writes
        self.confirmed = 0  # linearizable reads

    def called(self, now_ns: int, client: int, operation: int, request: Request) -> None:
        self.under_way[client, operation] = UnderWay(request, self._answers.floor)

    def answered(self, now_ns: int, client: int, operation: int, result: Result | None) -> None:
        call = self.under_way.pop((client, operation), None)
        if call is None:
            raise Violation("M3", f"client {client} is answered {operation} twice, or uncalled: {result}", now_ns)
        if result is None or isinstance(result, Refusal):
            return
        fault, index = self._judge(call, result)
        if fault is None and index > self._bank.applied_index:
            fault = "S1", f"is told of entry {index}, and {self._bank.applied_index} are committed"
        if fault is not None:
            raise Violation(fault[0], f"client {client}, operation {operation} {fault[1]}", now_ns)
        self._answers.floor = max(self._answers.floor, index)
        if isinstance(call.request, Open | Move):
            self.acknowledged += 1
        elif call.request.kind is ReadKind.LINEARIZABLE:
            self.confirmed += 1

    def _judge(self, call: UnderWay, result: Result) -> tuple[Fault, LogIndex]:
        """What is wrong with an answer, and the index that it tells its client of (0: none)."""
        match call.request, result:
            case Move() as move, TransfersDone(index=index):
                return self._judge_move(call, move, result), index
            case Open() as opening, AccountCreated(index=index):
                return self._judge_open(opening, result), index
            case Balance(account=account, kind=kind), ReadDone(index=index):
                return self._judge_read(call, GetBalance(account), kind, result), index
            case OutcomeOf(tx_id=tx_id, kind=kind), ReadDone(index=index):
                return self._judge_read(call, GetTransfer(tx_id), kind, result), index
            case Open() | Move(), Malformed() | RequestConflict():
                return None, LogIndex(0)
            case request, _:
                return ("M3", f"asked {request} and is told {result}"), LogIndex(0)

    def _judge_move(self, call: UnderWay, move: Move, done: TransfersDone) -> Fault:
        if done.index <= call.floor:
            return "R1", f"is told of entry {done.index}, and {call.floor} was known when it was called"
        if done.index > self._bank.applied_index or len(done.outcomes) != len(move.tx_ids):
            return "S1", f"is told of {len(done.outcomes)} outcomes in entry {done.index}, which is not there"
        for place, row in enumerate(zip(move.tx_ids, move.sources, move.targets, move.amounts, strict=True)):
            outcome, _ = self._bank.row(*row)
            if outcome != done.outcomes[place]:
                return "M3", f"is told {done.outcomes[place]} of {row}, which is {outcome}"
        return None

    def _judge_open(self, opening: Open, created: AccountCreated) -> Fault:
        index = self._bank.created_index(opening.account)
        if created.success and index != created.index:
            return "S1", f"is told that {opening.account} was opened at {created.index}, and that is {index}"
        if not (created.success or created.limit_exceeded) and (index is None or index > created.index):
            return "M3", f"is told that {opening.account} exists at {created.index}, and that is {index}"
        return None

    def _judge_read(self, call: UnderWay, query: GetBalance | GetTransfer, kind: ReadKind, done: ReadDone) -> Fault:
        expected = self._bank.answer(query, done.index)
        if done.answer != expected:
            return "R1", f"is told {done.answer} of {query} as of {done.index}, and it is {expected}"
        if kind is ReadKind.LINEARIZABLE and done.index < call.floor:
            return "R1", f"reads as of {done.index}, and {call.floor} was known when it was called"
        return None
