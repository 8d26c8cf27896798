"""Make a ledger of an image: fed with its blocks in their order, it goes on exactly as the original would.

    builder = LedgerBuilder()
    for block in blocks: builder.take(block)
    ledger = builder.finish()

Every answer, every retry and every further digest is the original's (S3, C04). Blocks are judged before they are taken,
so that a ledger comes out whose invariants hold, or none. Blocks may be cut in any way, as long as none is empty, and
nothing is allocated on the word of the head.

A block of ROWS_MAX transfers takes about 0.8 ms to take, of accounts and requests 0.3 and 1 (measured on a busy machine).
Where the dicts behind them grow, which they do at a few sizes, it is 10 ms.

Invariant: rows come by kind, in the order of `rows`, and never more than the head announced.
"""

from collections.abc import Sized

import attrs

from bankd.ledger.accounts import OPENING_NUMBER, Accounts
from bankd.ledger.openings import Openings
from bankd.ledger.rows import AccountRows, Block, EntryRows, ImageHead, ImageInvalid, RequestRows, TransferRows
from bankd.ledger.state import Ledger
from bankd.ledger.transfers import Transfers
from bankd.ledger.verify import (
    Moment,
    require,
    verify_accounts,
    verify_entries,
    verify_head,
    verify_requests,
    verify_transfers,
)


@attrs.define(eq=False)
class LedgerBuilder:
    """Owner of the ledger in the making. After an error it is of no use: begin anew, with another image."""

    _head: ImageHead | None = attrs.field(init=False, default=None)
    _missing: dict[type[Block], int] = attrs.field(init=False, factory=dict)  # rows yet to come, by kind, in order
    _accounts: Accounts = attrs.field(init=False, factory=Accounts)
    _transfers: Transfers = attrs.field(init=False)
    _openings: Openings = attrs.field(init=False)
    _balances_sum: int = attrs.field(init=False, default=0)
    _openings_sum: int = attrs.field(init=False, default=0)
    _last_opened: Moment = attrs.field(init=False, default=(0, 0))
    _last_request_index: int = attrs.field(init=False, default=0)
    _last_first_row: int = attrs.field(init=False, default=-1)
    _last_entry: Moment = attrs.field(init=False, default=(0, 0))

    def __attrs_post_init__(self) -> None:
        self._transfers = Transfers(self._accounts.ids)
        self._openings = Openings(self._accounts)

    def take(self, block: Block) -> None:
        """Add one block.

        Raises:
          ImageInvalid: the block is wrong in itself, out of place, or contradicts those before it.
        """
        match block:
            case ImageHead():
                self._take_head(block)
            case AccountRows():
                self._take_accounts(block, self._count(block, block.ids))
            case RequestRows():
                self._take_requests(block, self._count(block, block.ids))
            case EntryRows():
                self._take_entries(block, self._count(block, block.first_rows))
            case TransferRows():
                self._count(block, block.ids)
                self._take_transfers(block)

    def finish(self) -> Ledger:
        """The ledger, once every block is taken. The builder must not be used any more.

        Raises:
          ImageInvalid: rows are missing, or the sums of the whole are wrong.
        """
        head = self._head
        if head is None:
            raise ImageInvalid("no head")
        missing = {kind.__name__: rows for kind, rows in self._missing.items() if rows}
        require(not missing, f"rows that are missing: {missing}")
        require(self._openings_sum + head.opening_balance == 0, "@opening did not pay the opening balances")  # K7
        require(self._balances_sum + head.opening_balance == 0, "the balances do not add up to 0")  # M1
        return Ledger(
            applied_index=head.applied_index,
            last_time_ns=head.last_time_ns,
            digest=head.digest,
            accounts=self._accounts,
            transfers=self._transfers,
            openings=self._openings,
        )

    def _count(self, block: Block, rows: Sized) -> ImageHead:
        """Take rows off those that are due; returns the head."""
        if self._head is None:
            raise ImageInvalid("rows before the head")
        due = next((kind for kind, missing in self._missing.items() if missing), None)
        require(type(block) is due, f"{type(block).__name__} where {due.__name__ if due else 'the end'} is due")
        require(0 < len(rows) <= self._missing[type(block)], f"{len(rows)} {type(block).__name__} at once")
        self._missing[type(block)] -= len(rows)
        return self._head

    def _take_head(self, head: ImageHead) -> None:
        require(self._head is None, "a second head")
        verify_head(head)
        self._head = head
        self._missing = {
            AccountRows: head.accounts,
            RequestRows: head.requests,
            EntryRows: head.entries,
            TransferRows: head.transfers,
        }
        self._accounts.balances[OPENING_NUMBER] = head.opening_balance

    def _take_accounts(self, rows: AccountRows, head: ImageHead) -> None:
        verify_accounts(rows, head, self._last_opened)
        require(self._accounts.extend(rows), "an account id twice")
        self._last_opened = (rows.created_indexes[-1], rows.created_times[-1])
        self._balances_sum += sum(rows.balances)
        self._openings_sum += sum(rows.initial_balances)

    def _take_requests(self, rows: RequestRows, head: ImageHead) -> None:
        verify_requests(rows, head, self._last_request_index, self._accounts)
        require(self._openings.extend(rows), "a request id twice")
        self._last_request_index = rows.indexes[-1]

    def _take_entries(self, rows: EntryRows, head: ImageHead) -> None:
        verify_entries(rows, head, self._last_first_row, self._last_entry)
        self._transfers.extend_entries(rows)
        self._last_first_row = rows.first_rows[-1]
        self._last_entry = (rows.indexes[-1], rows.times[-1])

    def _take_transfers(self, rows: TransferRows) -> None:
        verify_transfers(rows, self._accounts)
        require(self._transfers.extend(rows), "a transfer id twice")
