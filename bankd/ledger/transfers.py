"""Remember every transfer that was decided, whatever the outcome, for ever (K10).

A recorded transfer is a row: a place in a few columns, found by its id through one dict. There is no object per
transfer, so the garbage collector has nothing to walk. Measured with 36-character ids: 196 bytes a transfer, of
which the id string takes 85 and the dict the rest but 17; 196 MB for a million.

Invariants
- Rows are dense and in the order in which transfers were decided; a row is never changed or removed. The first n
  rows are therefore the state as of an earlier moment: to freeze them is to remember n.
- The dict's insertion order is the row order: the id of row n is its n-th key. No column repeats the ids.
- Rows of one entry lie together, so index and stamp are kept once per entry and found by bisection.
- `NO_ACCOUNT` in a column stands for an id that no account had when the row was decided; both ids of such a row are
  kept in `_strangers`. An account opened later under that id does not change the row.

Limits: a dict that grows is copied, which stops the node for about 45 ms at the millionth row and in proportion
beyond; a column takes 2**32 accounts.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import compress, count
from operator import eq
from typing import Final

import attrs

from bankd.ledger.accounts import OPENING_NUMBER
from bankd.ledger.commands import TransferRecord
from bankd.types import AccountId, LogIndex, TimeNs, TransferStatus, TxId

# No transfer can name `@opening` (K5), which leaves its number free to say "no such account" in a transfer's column.
NO_ACCOUNT: Final = OPENING_NUMBER


@attrs.frozen
class Decided:
    """Rows about to be recorded, as columns: account numbers for ids, and the ids of those that have none."""

    sources: "array[int]"
    targets: "array[int]"
    amounts: "array[int]"
    statuses: bytes
    available: dict[int, int]  # by place in these columns: the balance found where funds were insufficient
    strangers: dict[int, tuple[AccountId, AccountId]]  # by place: source and target where one has no account


@attrs.define(eq=False)
class Transfers:
    """Owner of the recorded transfers. `account_ids` is the accounts' column of ids by number, shared to be read."""

    _account_ids: Sequence[AccountId]
    _rows: dict[TxId, int] = attrs.field(factory=dict)
    _sources: "array[int]" = attrs.field(factory=lambda: array("I"))
    _targets: "array[int]" = attrs.field(factory=lambda: array("I"))
    _amounts: "array[int]" = attrs.field(factory=lambda: array("q"))
    _statuses: bytearray = attrs.field(factory=bytearray)
    _available: dict[int, int] = attrs.field(factory=dict)
    _strangers: dict[int, tuple[AccountId, AccountId]] = attrs.field(factory=dict)
    _entry_first_rows: "array[int]" = attrs.field(factory=lambda: array("Q"))
    _entry_indexes: "array[int]" = attrs.field(factory=lambda: array("Q"))
    _entry_times: "array[int]" = attrs.field(factory=lambda: array("Q"))

    def __len__(self) -> int:
        return len(self._statuses)

    def claim(self, tx_ids: Sequence[TxId]) -> list[bool] | None:
        """Give every id that has no row the next one. Returns which ids got one, or None where all did.

        The second and later places of an id within `tx_ids` get none. The caller must record the rows claimed,
        in order, before anything else is asked.
        """
        first = len(self._rows)
        found = list(map(self._rows.setdefault, tx_ids, range(first, first + len(tx_ids))))
        if len(self._rows) == first + len(tx_ids):
            return None
        fresh = list(map(eq, found, count(first)))
        # The places of the others left gaps between the new rows: close them. Keys stay where they are in the order.
        self._rows.update(zip(compress(tx_ids, fresh), count(first), strict=False))
        return fresh

    def record(self, decided: Decided, index: LogIndex, time_ns: TimeNs) -> None:
        """Fill the rows that were claimed."""
        first = len(self._statuses)
        self._entry_first_rows.append(first)
        self._entry_indexes.append(index)
        self._entry_times.append(time_ns)
        self._sources += decided.sources
        self._targets += decided.targets
        self._amounts += decided.amounts
        self._statuses += decided.statuses
        self._available.update((first + place, balance) for place, balance in decided.available.items())
        self._strangers.update((first + place, ids) for place, ids in decided.strangers.items())
        assert len(self._statuses) == len(self._rows), f"{len(self._rows)} claimed, {len(self._statuses)} recorded"

    def find(self, tx_id: TxId) -> TransferRecord | None:
        row = self._rows.get(tx_id)
        return None if row is None else self._record(row, tx_id)

    def _record(self, row: int, tx_id: TxId) -> TransferRecord:
        source, target = self._strangers.get(row) or (
            self._account_ids[self._sources[row]],
            self._account_ids[self._targets[row]],
        )
        entry = bisect_right(self._entry_first_rows, row) - 1
        return TransferRecord(
            tx_id=tx_id,
            source=source,
            target=target,
            amount=self._amounts[row],
            status=TransferStatus(self._statuses[row]),
            index=LogIndex(self._entry_indexes[entry]),
            time_ns=TimeNs(self._entry_times[entry]),
            available=self._available.get(row),
        )
