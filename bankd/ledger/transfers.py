"""Remember every transfer that was decided, whatever the outcome, for ever (K10).

A recorded transfer is a row: a place in a few columns, found by its id through an index. There is no object per
transfer, so the garbage collector has nothing to walk. Measured with 36-character ids: 175 to 190 bytes of memory a
transfer (190 MB a million), of which the columns take 17, the id string 96, and the index the rest.

Invariants
- Rows are dense and in the order in which transfers were decided; a row is never changed or removed.
- Rows of one entry lie together, so index and stamp are kept once per entry and found by bisection.
- `NO_ACCOUNT` in a column stands for an id that no account had when the row was decided; both ids of such a row are
  kept in `_strangers`. An account opened later under that id does not change the row.

Limits: a column takes 2**32 accounts.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import attrs

from bankd.ledger.accounts import OPENING_NUMBER
from bankd.ledger.commands import TransferRecord
from bankd.ledger.row_index import RowIndex
from bankd.types import AccountId, LogIndex, TimeNs, TransferStatus, TxId

# No transfer can name `@opening` (K5), which leaves its number free to say "no such account" in a transfer's column.
NO_ACCOUNT: Final = OPENING_NUMBER


@attrs.define(eq=False)
class Decided:
    """Rows about to be recorded, as columns. The dicts are by place in these columns, and hold what few rows have."""

    sources: "array[int]"
    targets: "array[int]"
    amounts: "array[int]"
    statuses: bytearray
    available: dict[int, int]  # funds were insufficient: the balance found
    strangers: dict[int, tuple[AccountId, AccountId]]  # source or target was unknown: the ids of both


@attrs.define(eq=False)
class Transfers:
    """Owner of the recorded transfers. `account_ids` is the accounts' column of ids by number, shared to be read."""

    _account_ids: Sequence[AccountId]
    _row_index: RowIndex = attrs.field(factory=RowIndex)
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
        """Take the next rows for the ids that are not recorded. Returns which ids those are, or None where all are.

        The second and later places of an id within `tx_ids` count as recorded. The caller must record the claimed
        rows, in order, before anything else is asked.
        """
        return self._row_index.claim(tx_ids)

    def record(self, decided: Decided, index: LogIndex, time_ns: TimeNs) -> None:
        """Fill the rows that were claimed."""
        if not decided.statuses:
            return  # every row was a retry: an entry without rows would only lengthen the bisection
        first = len(self._statuses)
        self._entry_first_rows.append(first)
        self._entry_indexes.append(index)
        self._entry_times.append(time_ns)
        self._sources += decided.sources
        self._targets += decided.targets
        self._amounts += decided.amounts
        self._statuses += decided.statuses
        for place, balance in decided.available.items():
            self._available[first + place] = balance
        for place, ids in decided.strangers.items():
            self._strangers[first + place] = ids
        claimed = len(self._row_index)
        assert len(self._statuses) == claimed, f"{claimed} rows claimed, {len(self._statuses)} recorded"

    def find(self, tx_id: TxId) -> TransferRecord | None:
        row = self._row_index.find(tx_id)
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
