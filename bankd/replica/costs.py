"""Estimate what work costs, so that one `ready()` can be cut to length without reading a clock.

A replica works in slices: while a long log is replayed, or many pages are read, the driver must get
back in time to tick and to send heartbeats (P05). Slices are cut by these estimates. They hold within
a third for transfers, in entries of 1 to 1,000 commands of 1 to 1,000 rows, on one core of about 3 GHz;
a slower or a busy machine gets longer slices in proportion, and a third of a heartbeat leaves room for it.

Limits: one entry, one page and one digest are never cut, and the largest entry takes about 90 ms.
"""

from typing import Final

from bankd.ledger.queries import AccountsPage
from bankd.replica.effects import ReadDone, Result
from bankd.status import DigestReport

APPLY_NS_MAX: Final = 30_000_000  # applying in one ready(): a third of a heartbeat
ANSWER_NS_MAX: Final = 10_000_000  # answering reads, on top of it

ENTRY_NS: Final = 20_000  # an entry of a single transfer takes 26 us: 20 for the entry, 4 for the command, 2 by size
COMMAND_NS: Final = 4_000
BYTE_NS: Final = 25  # a row of 65 bytes takes about 1.6 us, decoding included

READ_NS: Final = 5_000
PAGE_ACCOUNT_NS: Final = 3_500  # found, and written into the response behind the replica
DIGEST_ACCOUNT_NS: Final = 5  # a digest's report sums up all balances


def applying_ns(body_bytes: int, commands: int) -> int:
    """Of one entry."""
    return ENTRY_NS + COMMAND_NS * commands + BYTE_NS * body_bytes


def answering_ns(result: Result, account_count: int) -> int:
    """Of one read whose answer is `result`, at a ledger of `account_count` accounts."""
    if isinstance(result, ReadDone) and isinstance(result.answer, AccountsPage):
        return READ_NS + PAGE_ACCOUNT_NS * len(result.answer.records)
    if isinstance(result, DigestReport):
        return READ_NS + DIGEST_ACCOUNT_NS * account_count
    return READ_NS
