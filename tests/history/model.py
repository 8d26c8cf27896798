"""Make histories that a right bank could have left, from a seed: entries at moments, calls and returns around them.

One loop: an entry takes the writes of a few clients and is applied at one moment; between entries, states are read.
Each call begins some time before its moment and returns some time after it, so calls overlap; some answers are lost, of
those some writes never enter the log, or enter it late; some ids are sent again. What is right here is right because
the moments are in the order of the log: nothing of the checkers is used.
"""

import random
from collections import deque

import attrs

from bankd.history.records import (
    Balance,
    BalanceFound,
    Move,
    Moved,
    NotFound,
    Open,
    Opened,
    Operation,
    OutcomeFound,
    OutcomeOf,
    Record,
    Result,
)
from bankd.types import (
    LINEARIZABLE,
    OPENING_ACCOUNT,
    ROW_ID_CONFLICT,
    AccountId,
    AtLeast,
    LogIndex,
    ReadMode,
    Stale,
    TransferStatus,
    TxId,
)

OK, SHORT, STRANGER = (
    TransferStatus.COMMITTED_OK,
    TransferStatus.COMMITTED_INSUFFICIENT_FUNDS,
    TransferStatus.COMMITTED_INVALID_ACCOUNT,
)
US = 1_000


@attrs.frozen
class Shape:
    """What the histories are like. Odds are of 1."""

    accounts: int = 8
    entry_writes: int = 4  # at most
    rows: int = 1  # of a batch at most
    amount_max: int = 40
    opening: int = 50
    reads: int = 2  # between two entries at most
    lost: float = 0.02  # answers
    dropped: float = 0.5  # of the writes whose answer is lost: they never enter the log
    retried: float = 0.05  # writes that send an earlier id again
    conflicting: float = 0.2  # of those, with another amount
    outcomes: float = 0.2  # of the reads: of a transfer's outcome
    stale: float = 0.2  # of the reads
    patience: int = 300  # microseconds that a call lies around its moment, at most
    indexed: bool = True  # answers name the entry that carried the call


@attrs.frozen
class Outcome:
    """What the model's bank remembers of a transfer."""

    asked: tuple[AccountId, AccountId, int]
    status: int
    index: LogIndex
    available: int | None = None


@attrs.define
class Model:
    random: random.Random
    shape: Shape
    records: list[Record] = attrs.field(factory=list)
    now_ns: int = 1_000_000_000
    index: LogIndex = LogIndex(0)
    balances: dict[AccountId, int] = attrs.field(factory=lambda: {OPENING_ACCOUNT: 0})
    outcomes: dict[TxId, Outcome] = attrs.field(factory=dict)
    earlier: deque[tuple[LogIndex, dict[AccountId, int]]] = attrs.field(factory=lambda: deque(maxlen=4))
    late: list[tuple[int, Move]] = attrs.field(factory=list)  # when called, of writes that are still on their way
    asked: list[Move] = attrs.field(factory=list)
    operations: int = 0

    def run(self, operations: int) -> list[Record]:
        for number in range(self.shape.accounts - 1):  # the last one is never opened
            self.entry([Open(AccountId(f"a{number}"), self.shape.opening)])
        while self.operations < operations:
            self.entry([self.make_move() for _ in range(self.random.randint(1, self.shape.entry_writes))])
            for _ in range(self.random.randint(0, self.shape.reads)):
                self.read()
        return self.records

    def account(self) -> AccountId:
        return AccountId(f"a{self.random.randrange(self.shape.accounts)}")

    def make_move(self) -> Move:
        chance, shape = self.random.random, self.shape
        if self.asked and chance() < shape.retried:
            move = self.random.choice(self.asked)
            if chance() < shape.conflicting:
                return attrs.evolve(move, amounts=tuple(amount + 1 for amount in move.amounts))
            return move
        rows = self.random.randint(1, shape.rows)
        sources = tuple(self.account() for _ in range(rows))
        step = self.random.randint(1, shape.accounts - 1)
        targets = tuple(AccountId(f"a{(int(source[1:]) + step) % shape.accounts}") for source in sources)
        amounts = tuple(self.random.randint(1, shape.amount_max) for _ in range(rows))
        tx_ids = tuple(TxId(f"t{self.operations + row}") for row in range(rows))
        self.operations += rows
        move = Move(tx_ids, sources, targets, amounts)
        self.asked.append(move)
        return move

    def entry(self, operations: list[Open | Move]) -> None:
        """One entry with these, and with what comes late. Their order in it is not the order of the records."""
        self.pass_time()
        self.earlier.append((self.index, dict(self.balances)))
        self.index = LogIndex(self.index + 1)
        carried: list[tuple[int, Open | Move, bool]] = []
        for operation in operations:
            called = self.before()
            lost = isinstance(operation, Move) and self.random.random() < self.shape.lost
            if lost:
                self.records.append(Record(self.client(), operation, called))
            if lost and isinstance(operation, Move) and self.random.random() < self.shape.dropped:
                if self.random.random() < 0.5:
                    self.late.append((called, operation))
                continue
            carried.append((called, operation, lost))
        if self.late and self.random.random() < 0.3:
            carried.append((*self.late.pop(), True))
        self.random.shuffle(carried)
        answered = [self.carry(*one) for one in carried]
        self.random.shuffle(answered)
        self.records += [record for record in answered if record is not None]

    def carry(self, called: int, operation: Open | Move, lost: bool) -> Record | None:
        result = self.open(operation) if isinstance(operation, Open) else self.move(operation)
        if lost:
            return None
        index = self.index if self.shape.indexed and isinstance(operation, Move) else None
        return Record(self.client(), operation, called, self.after(), result, index)

    def open(self, operation: Open) -> Opened:
        if operation.account in self.balances:
            return Opened(False, self.index)
        self.balances[operation.account] = operation.balance
        self.balances[OPENING_ACCOUNT] -= operation.balance
        return Opened(True, self.index)

    def move(self, operation: Move) -> Moved:
        statuses: list[int] = []
        decided: dict[int, LogIndex] = {}
        available: dict[int, int] = {}
        differs: dict[int, tuple[str, ...]] = {}
        columns = zip(operation.sources, operation.targets, operation.amounts, strict=True)
        for row, asked in enumerate(columns):
            outcome = self.outcomes.get(operation.tx_ids[row])
            if outcome is None:
                outcome = self.outcomes[operation.tx_ids[row]] = self.decide(asked)
            elif outcome.asked != asked or self.shape.indexed:
                decided[row] = outcome.index
            if outcome.asked != asked:
                names = zip(("from", "to", "amount"), outcome.asked, asked, strict=True)
                differs[row] = tuple(name for name, one, other in names if one != other)
            elif outcome.available is not None:
                available[row] = outcome.available
            statuses.append(ROW_ID_CONFLICT if row in differs else outcome.status)
            if not self.shape.indexed and row not in differs:
                decided[row] = outcome.index
        return Moved(bytes(statuses), decided, available, differs)

    def decide(self, asked: tuple[AccountId, AccountId, int]) -> Outcome:
        source, target, amount = asked
        if source not in self.balances or target not in self.balances:
            return Outcome(asked, STRANGER, self.index)
        if self.balances[source] < amount:
            return Outcome(asked, SHORT, self.index, self.balances[source])
        self.balances[source] -= amount
        self.balances[target] += amount
        return Outcome(asked, OK, self.index)

    def read(self) -> None:
        self.pass_time()
        self.operations += 1
        mode, index, balances = self.state()
        operation: Operation
        result: Result
        if self.asked and self.random.random() < self.shape.outcomes:
            tx_id = self.random.choice(self.asked).tx_ids[0]
            operation, result = OutcomeOf(tx_id, mode), NotFound()
            outcome = self.outcomes.get(tx_id)
            if outcome is not None and outcome.index <= index:
                result = OutcomeFound(*outcome.asked, outcome.status, outcome.index, outcome.available)
        else:
            account = self.account()
            balance = balances.get(account)
            operation, result = Balance(account, mode), NotFound() if balance is None else BalanceFound(balance)
        lost = self.random.random() < self.shape.lost
        answer = (None, None, None) if lost else (self.after(), result, index)
        self.records.append(Record(self.client(), operation, self.before(), *answer))

    def state(self) -> tuple[ReadMode, LogIndex, dict[AccountId, int]]:
        if not self.earlier or self.random.random() >= self.shape.stale:
            return LINEARIZABLE, self.index, self.balances
        index, balances = self.random.choice(self.earlier)
        mode = Stale() if self.random.random() < 0.5 else AtLeast(index)
        return mode, index, balances

    def client(self) -> int:
        return self.random.randrange(8)

    def pass_time(self) -> None:
        self.now_ns += self.random.randint(1, 100) * US

    def before(self) -> int:
        return self.now_ns - self.random.randint(0, self.shape.patience) * US

    def after(self) -> int:
        return self.now_ns + self.random.randint(0, self.shape.patience) * US


def history(seed: int, operations: int, shape: Shape = Shape()) -> list[Record]:
    return Model(random.Random(seed), shape).run(operations)
