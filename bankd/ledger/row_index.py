"""Find the row of a recorded transfer by its id, and the id by its row.

The ids by row are a list: 8 bytes an id, without which a snapshot would have to gather its rows from the dict first.
The rows by id are an append-only dict in shards. One dict would do, but for its growth: CPython copies a dict that is full, which was
measured to stop the node for 0.4 s at the 2.8 millionth id, 0.8 s at the 5.6 millionth and so on, on every node at the
same log index: longer than an election timeout. A shard stops it for a 64th of that. The price is 0.2 us an id.

Which shard an id falls into depends on the process (PYTHONHASHSEED) and is seen by nobody.

Invariant: rows are given out densely from 0, in the order of the claims. `ids[row]` is the id that claimed it.
"""

from collections.abc import Sequence
from itertools import compress
from operator import eq
from typing import Final

import attrs

from bankd.types import TxId

_SHARDS: Final = 64  # a power of two
_SHARD_MASK: Final = _SHARDS - 1


@attrs.define(eq=False, init=False)
class RowIndex:
    ids: list[TxId]
    _shards: tuple[dict[TxId, int], ...]

    def __init__(self) -> None:
        self.ids = []
        self._shards = tuple({} for _ in range(_SHARDS))

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, tx_id: TxId) -> int | None:
        return self._shards[hash(tx_id) & _SHARD_MASK].get(tx_id)

    def claim(self, tx_ids: Sequence[TxId]) -> list[bool] | None:
        """Give every id that has no row the next one. Returns which ids got one, or None where all did.

        The second and later places of an id within `tx_ids` get none.
        """
        first = len(self.ids)
        shards = self._shards
        rows = range(first, first + len(tx_ids))
        found = [shards[hash(id_) & _SHARD_MASK].setdefault(id_, row) for id_, row in zip(tx_ids, rows, strict=True)]
        if found == list(rows):
            self.ids += tx_ids
            return None
        fresh = list(map(eq, found, rows))
        self.ids += compress(tx_ids, fresh)
        self._close_gaps(first)
        return fresh

    def _close_gaps(self, first: int) -> None:
        """Number anew: the places of ids that had a row already left gaps between the new ones."""
        for row, tx_id in enumerate(self.ids[first:], first):
            self._shards[hash(tx_id) & _SHARD_MASK][tx_id] = row
