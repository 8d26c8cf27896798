"""Gather single transfers into columns.

The first transfer goes at once. While BATCHES_UNDER_WAY_MAX requests of gathered transfers are out,
those that arrive wait and then travel together: the busier the callers, the larger the batches, with no
timer and no added wait for a lone caller (the idea of Nagle, RFC 896, one layer up).
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from bankd.client.pending import Call, Request
from bankd.client.results import Transfer
from bankd.client.transfers import TransferRow, gathered, judge_row
from bankd.errors import Refusal
from bankd.ledger.checks import judge_transfers
from bankd.types import BATCH_TRANSFERS_MAX

BATCHES_UNDER_WAY_MAX: Final = 2  # one on its way while the cluster works on another
BATCH_ROWS_MAX: Final = 1024

assert BATCH_ROWS_MAX <= BATCH_TRANSFERS_MAX


class Coalescer:
    """Rows that wait to leave, and how many batches of them are out."""

    def __init__(self) -> None:
        self.rows: list[TransferRow] = []
        self._under_way = 0

    @property
    def ready(self) -> bool:
        """Whether `take` may be called now."""
        return bool(self.rows) and self._under_way < BATCHES_UNDER_WAY_MAX

    def take(self) -> tuple[Request | None, list[tuple[TransferRow, Refusal]]]:
        """The next batch, and the rows that must not travel, with why. Rows of callers that left were removed before."""
        rows = self.rows[:BATCH_ROWS_MAX]
        del self.rows[:BATCH_ROWS_MAX]
        batch, refused = gathered(rows), []
        if judge_transfers(batch.columns) is not None:  # rare: find out which rows, and leave them behind
            refused = [(row, refusal) for row in rows if (refusal := judge_row(row)) is not None]
            faulty = {id(row) for row, _refusal in refused}
            rows = [row for row in rows if id(row) not in faulty]
            if not rows:
                return None, refused
            batch = gathered(rows)
        call, regather = batch.call(), partial(_still_wanted, rows)
        self._under_way += 1
        return Request(call.method, call.body, rows, call.decode, write=True, resend=True, regather=regather), refused

    def ended(self) -> None:
        """A batch was answered or given up."""
        assert self._under_way > 0, "a batch ended that was not out"
        self._under_way -= 1


def _still_wanted(rows: Sequence[TransferRow]) -> tuple[Sequence[TransferRow], Call[list[Transfer]]]:
    """The rows whose callers still wait, and the call that asks for them alone."""
    rows = [row for row in rows if not row.done]
    return rows, gathered(rows).call()
