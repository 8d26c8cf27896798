"""Draw what the clients of a run ask for: few accounts, all of them hot, and ids that come again.

Every account is opened by one client right at the beginning, some once more later. A transfer moves a little, or
more than there is; it may name an account that nobody opened, or what no node lets in. An id is used again at
times, by the same client or another one, with the same fields or with others (C03, M3).
"""

from typing import Final

import attrs

from bankd.sim.plan import Balance, Move, Open, Operation, OutcomeOf, ReadKind, Request
from bankd.sim.random import PPM, Stream
from bankd.types import BALANCE_MAX, BATCH_TRANSFERS_MAX, AccountId, TxId

MS: Final = 1_000_000

CLIENTS: Final = (1, 2, 4, 8)
ACCOUNTS: Final = (2, 3, 6, 20)
OPERATIONS: Final = (50, 300, 1_000, 2_000)
ROWS_MAX: Final = (1, 1, 1, 5, 60)
BALANCES: Final = (0, 100, 10_000, BALANCE_MAX // 3)
OPENING_NS: Final = 200 * MS  # all accounts are asked for by then

OPENS_AGAIN_PPM: Final = 20_000
MOVE_PPM: Final = (300_000, 700_000, 950_000)  # of the operations, by run; the rest are reads
STRANGER_PPM: Final = 20_000
REUSES_ID_PPM: Final = (0, 20_000, 200_000)
SAME_FIELDS_PPM: Final = 500_000

ROWS_KEPT_MAX: Final = 64  # ids to use again
NOBODY: Final = AccountId("nobody")

assert max(ROWS_MAX) <= BATCH_TRANSFERS_MAX

Row = tuple[TxId, AccountId, AccountId, int]


def draw_operations(stream: Stream, safety_ns: int) -> tuple[int, tuple[Operation, ...]]:
    """The number of clients, and their calls in the order of their times."""
    clients = stream.pick(CLIENTS)
    caller = Caller(stream, [AccountId(f"a{number}") for number in range(stream.pick(ACCOUNTS))])
    opens = [
        Operation(stream.below(min(OPENING_NS, safety_ns)), stream.below(clients), caller.opening(account))
        for account in caller.accounts
    ]
    times = [stream.below(safety_ns) for _ in range(stream.pick(OPERATIONS))]
    calls = [Operation(at_ns, stream.below(clients), caller.request()) for at_ns in sorted(times)]
    return clients, tuple(sorted([*opens, *calls], key=lambda operation: operation.at_ns))


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
        fields = self.account(), self.account(), self.amount()
        if self._rows and stream.chance(self.reuses_id_ppm):
            before = stream.pick(self._rows)
            return before if stream.chance(SAME_FIELDS_PPM) else (before[0], *fields)
        row = (self.new_id(), *fields)
        self._keep(row)
        return row

    def account(self) -> AccountId:
        return NOBODY if self.stream.chance(STRANGER_PPM) else self.stream.pick(self.accounts)

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
