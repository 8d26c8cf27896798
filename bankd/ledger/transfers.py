"""Remember every transfer that was decided, whatever the outcome, for ever (K10).

A recorded transfer is a row: a place in a few columns, found by its id through an index. There is no object per
transfer, so the garbage collector has nothing to walk. Measured with 36-character ids: 175 to 200 bytes of memory a
transfer (181 MB for the first million): the id string 96, the row's number 32, the dict that leads from one to the other
20 to 40, the list that leads back 8, the columns 18. A run of rows with an index and a stamp of its own takes 24 more.

Invariants
- Rows are dense and in the order in which transfers were decided; a row is never changed or removed.
- Rows of one entry lie together, so index and stamp are kept once per entry and found by bisection.
- `NO_ACCOUNT` in a column stands for an id that no account had when the row was decided; both ids of such a row are
  kept in `_strangers`. An account opened later under that id does not change the row.

Limits: a column takes 2**32 accounts.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from bankd.ledger.accounts import OPENING_NUMBER
from bankd.ledger.commands import TransferRecord
from bankd.ledger.row_index import RowIndex
from bankd.ledger.rows import EntryRows, TransferRows
from bankd.types import AccountId, LogIndex, TimeNs, TransferStatus, TxId

# No transfer can name `@opening` (K5), which leaves its number free to say "no such account" in a transfer's column.
NO_ACCOUNT: Final = OPENING_NUMBER

_INSUFFICIENT_FUNDS: Final = int(TransferStatus.COMMITTED_INSUFFICIENT_FUNDS)
_INVALID_ACCOUNT: Final = int(TransferStatus.COMMITTED_INVALID_ACCOUNT)


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

    @property
    def entry_count(self) -> int:
        """How many runs of rows with an index and a stamp of their own there are."""
        return len(self._entry_indexes)

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

    def entry_rows(self, begin: int, end: int) -> EntryRows:
        return EntryRows(
            first_rows=self._entry_first_rows[begin:end],
            indexes=self._entry_indexes[begin:end],
            times=self._entry_times[begin:end],
        )

    def rows(self, begin: int, end: int) -> TransferRows:
        statuses = bytes(self._statuses[begin:end])
        return TransferRows(
            ids=self._row_index.ids[begin:end],
            sources=self._sources[begin:end],
            targets=self._targets[begin:end],
            amounts=self._amounts[begin:end],
            statuses=statuses,
            available=array("q", (self._available[begin + place] for place in places(statuses, _INSUFFICIENT_FUNDS))),
            strangers=[self._strangers[begin + place] for place in places(statuses, _INVALID_ACCOUNT)],
        )

    def extend_entries(self, rows: EntryRows) -> None:
        """Put entries of an image behind those that are there. Their rows follow by `extend`."""
        self._entry_first_rows += rows.first_rows
        self._entry_indexes += rows.indexes
        self._entry_times += rows.times

    def extend(self, rows: TransferRows) -> bool:
        """Put transfers of an image behind those that are there. Says whether all their ids were new."""
        first = len(self._statuses)
        self._sources += rows.sources
        self._targets += rows.targets
        self._amounts += rows.amounts
        self._statuses += rows.statuses
        refused = (first + place for place in places(rows.statuses, _INSUFFICIENT_FUNDS))
        self._available.update(zip(refused, rows.available, strict=True))
        refused = (first + place for place in places(rows.statuses, _INVALID_ACCOUNT))
        self._strangers.update(zip(refused, rows.strangers, strict=True))
        return self._row_index.claim(rows.ids) is None

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


def places(statuses: bytes, status: int) -> Iterator[int]:
    """Where in the column this status stands, in order."""
    place = statuses.find(status)
    while place >= 0:
        yield place
        place = statuses.find(status, place + 1)
