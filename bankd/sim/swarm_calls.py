"""Draw what the clients of a run ask for: few accounts, all of them hot, and ids that come again.

Every account is opened by one client right at the beginning, some once more later. The other calls come evenly,
or in crowds: many clients at once, so that their writes share an entry and their reads a round. A part of them, drawn
by run, is made while a fault lasts, or soon after: a quiet hour shows nothing. A transfer moves a little, or
more than there is; it may name an account that nobody opened, or what no node lets in. An id is used again at
times, by the same client or another one, with the same fields or with others (C03, M3).
"""

from collections.abc import Sequence
from typing import Final

import attrs

from bankd.sim.plan import Balance, ClockJump, Fault, Move, Open, Operation, OutcomeOf, ReadKind, Request
from bankd.sim.random import PPM, Stream
from bankd.types import BALANCE_MAX, BATCH_TRANSFERS_MAX, AccountId, TxId

MS: Final = 1_000_000

CLIENTS: Final = (1, 2, 4, 8, 30, 100, 100, 100)
ACCOUNTS: Final = (2, 3, 6, 20)
OPERATIONS: Final = (50, 300, 1_000, 2_000)
ROWS_MAX: Final = (1, 1, 1, 5, 60)
BALANCES: Final = (0, 100, 10_000, BALANCE_MAX // 3)
OPENING_NS: Final = 200 * MS  # all accounts are asked for by then
CROWD_PPM: Final = 700_000  # of runs
CROWDS_NS: Final = (MS // 10, 5 * MS, 100 * MS)  # for how long a crowd keeps coming
AT_FAULTS_PPM: Final = (200_000, 500_000, 700_000, 950_000)  # of calls, or crowds, by run
AFTER_FAULT_NS: Final = 500 * MS

OPENS_AGAIN_PPM: Final = 20_000
MOVE_PPM: Final = (300_000, 700_000, 950_000)  # of the operations, by run; the rest are reads
STRANGER_PPM: Final = 20_000
CARELESS_PPM: Final = 50_000  # of calls
REUSES_ID_PPM: Final = (0, 20_000, 200_000)
SAME_FIELDS_PPM: Final = 500_000

ROWS_KEPT_MAX: Final = 64  # ids to use again
NOBODY: Final = AccountId("nobody")

assert max(ROWS_MAX) <= BATCH_TRANSFERS_MAX

Row = tuple[TxId, AccountId, AccountId, int]


def draw_operations(
    stream: Stream, safety_ns: int, faults: Sequence[Fault] = (), count_max: int | None = None
) -> tuple[int, tuple[Operation, ...]]:
    """The number of clients, and their calls in the order of their times.

    `count_max`: at most so many calls, openings at the beginning not counted. None: no limit.
    """
    clients = stream.pick(CLIENTS)
    caller = Caller(stream, [AccountId(f"a{number}") for number in range(stream.pick(ACCOUNTS))])
    opens = [
        Operation(stream.below(min(OPENING_NS, safety_ns)), stream.below(clients), caller.opening(account))
        for account in caller.accounts
    ]
    count = stream.pick(OPERATIONS)
    times = draw_times(stream, min(count, count_max or count), clients, faults, safety_ns)
    calls = [Operation(at_ns, client, caller.request()) for at_ns, client in sorted(times)]
    return clients, tuple(sorted([*opens, *calls], key=lambda operation: operation.at_ns))


def draw_times(
    stream: Stream, count: int, clients: int, faults: Sequence[Fault], safety_ns: int
) -> list[tuple[int, int]]:
    """When who calls: one client or all of them at once, at any time or at the time of faults."""
    at_faults_ppm = stream.pick(AT_FAULTS_PPM) if faults else 0

    def time() -> int:
        return _at_a_fault(stream, faults, safety_ns) if stream.chance(at_faults_ppm) else stream.below(safety_ns)

    if not stream.chance(CROWD_PPM):
        return [(time(), stream.below(clients)) for _ in range(count)]
    times: list[tuple[int, int]] = []
    crowd_ns = stream.pick(CROWDS_NS)
    while len(times) < count:
        begins_ns = time()
        times += [(min(begins_ns + stream.below(crowd_ns), safety_ns - 1), client) for client in range(clients)]
    return times[:count]


def _at_a_fault(stream: Stream, faults: Sequence[Fault], safety_ns: int) -> int:
    fault = stream.pick(faults)
    lasts_ns = 0 if isinstance(fault, ClockJump) else min(fault.for_ns, safety_ns - fault.at_ns)
    return min(fault.at_ns + stream.below(lasts_ns + AFTER_FAULT_NS), safety_ns - 1)


@attrs.define(eq=False)
class Caller:
    """Draws one request after the other."""

    stream: Stream
    accounts: list[AccountId]
    balance_max: int = 0
    rows_max: int = 1
    move_ppm: int = 0
    reuses_id_ppm: int = 0
    _rows: list[Row] = attrs.field(factory=list)  # asked for before
    _ids: int = 0

    def __attrs_post_init__(self) -> None:
        stream = self.stream
        self.balance_max, self.rows_max = stream.pick(BALANCES), stream.pick(ROWS_MAX)
        self.move_ppm, self.reuses_id_ppm = stream.pick(MOVE_PPM), stream.pick(REUSES_ID_PPM)

    def request(self) -> Request:
        stream = self.stream
        if stream.chance(OPENS_AGAIN_PPM):
            return self.opening(stream.pick(self.accounts))
        if stream.chance(self.move_ppm):
            return self.move()
        kind = stream.pick(tuple(ReadKind))
        if stream.chance(PPM // 4) and self._rows:
            return OutcomeOf(stream.pick(self._rows)[0], kind)
        return Balance(self.account(), kind)

    def opening(self, account: AccountId) -> Open:
        request_id = None if self.stream.chance(PPM // 4) else self.new_id()
        return Open(account, self.stream.between(0, self.balance_max), request_id)

    def move(self) -> Move:
        rows = [self.row() for _ in range(self.stream.between(1, self.rows_max))]
        tx_ids, sources, targets, amounts = zip(*rows, strict=True)
        return Move(tx_ids, sources, targets, amounts)

    def row(self) -> Row:
        stream = self.stream
        source = self.account()
        fields = source, self.target(source), self.amount()
        if self._rows and stream.chance(self.reuses_id_ppm):
            before = stream.pick(self._rows)
            return before if stream.chance(SAME_FIELDS_PPM) else (before[0], *fields)
        row = (self.new_id(), *fields)
        self._keep(row)
        return row

    def account(self) -> AccountId:
        return NOBODY if self.stream.chance(STRANGER_PPM) else self.stream.pick(self.accounts)

    def target(self, source: AccountId) -> AccountId:
        """Seldom the same: no node takes in a call with such a row, be the others as good as they may."""
        others = [account for account in self.accounts if account != source]
        return self.account() if self.stream.chance(CARELESS_PPM // self.rows_max) else self.stream.pick(others)

    def amount(self) -> int:
        """Now and then more than there is."""
        return self.stream.between(1, max(1, self.stream.pick((10, self.balance_max // 4, self.balance_max))))

    def new_id(self) -> TxId:
        self._ids += 1
        return TxId(f"t{self._ids}")

    def _keep(self, row: Row) -> None:
        if len(self._rows) < ROWS_KEPT_MAX:
            self._rows.append(row)
        else:
            self._rows[self.stream.below(ROWS_KEPT_MAX)] = row
