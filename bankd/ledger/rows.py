"""The blocks of an image: what a snapshot holds of the ledger, cut into columns of bounded length.

    ImageHead · AccountRows ... · RequestRows ... · EntryRows ... · TransferRows ...

Each kind of rows comes in blocks of ROWS_MAX, the last one shorter, in the order in which the bank decided them; a kind
without rows has no block. Cut that way an image is a function of the state alone: equal on every node, whatever
its process, its start and its Python.

Rows of accounts number them: the first one opened is number 1, and `@opening`, number 0, has no row (the head knows
its balance). Rows of transfers name accounts by these numbers, and rows of entries name transfers by their place.

Invariant: columns of one block are equally long, `available` and `strangers` excepted, which hold one value for
each row with the status that calls for it.
"""

from array import array
from enum import IntEnum, unique
from typing import Final

import attrs

from bankd.types import AccountId, LogIndex, TimeNs, TxId

# With the longest ids everywhere a block of this many rows encodes to less than 256 KiB, with usual ones to 25 KB or less.
# Cutting and encoding one takes 0.2 ms: a commit that meets it is hardly late (node/snapshots.py).
ROWS_MAX: Final = 512


class ImageInvalid(ValueError):
    """These blocks, or the bytes that should hold them, are no image of any ledger: damage, or a fault of the program.

    Raised by LedgerBuilder and by wire/; caught by whoever restores a snapshot, which must then come from elsewhere:
    the same bytes fail again.
    """


class ImageNewer(ImageInvalid):
    """A newer version of this program made the image. It is no damage: start the newer program."""


@attrs.frozen
class ImageHead:
    """What identifies the state, and how many rows follow."""

    applied_index: LogIndex
    last_time_ns: TimeNs
    digest: bytes
    opening_balance: int  # of `@opening`: 0 or less
    accounts: int  # customers' accounts
    requests: int
    entries: int  # log entries that recorded transfers; one with account openings between them counts again
    transfers: int


@attrs.frozen
class AccountRows:
    ids: list[AccountId]
    balances: list[int]
    initial_balances: "array[int]"
    created_indexes: "array[int]"
    created_times: "array[int]"


@unique
class RequestAnswer(IntEnum):
    """What a recorded request to open an account was answered. The numbers are those of snapshots, never reused."""

    OPENED = 1
    EXISTED = 2
    LIMIT_EXCEEDED = 3


@attrs.frozen
class RequestRows:
    """Account openings with a request id."""

    ids: list[TxId]
    accounts: list[AccountId]
    initial_balances: "array[int]"
    indexes: "array[int]"  # at which the answer was first decided
    answers: bytes  # one RequestAnswer a row


@attrs.frozen
class EntryRows:
    """Runs of transfers that were decided together, and with them share index and stamp."""

    first_rows: "array[int]"  # of the transfers, counted from 0 over the whole image
    indexes: "array[int]"
    times: "array[int]"


@attrs.frozen
class TransferRows:
    ids: list[TxId]
    sources: "array[int]"  # account numbers; 0 for an id that no account had
    targets: "array[int]"
    amounts: "array[int]"
    statuses: bytes  # one TransferStatus a row
    available: "array[int]"  # of the rows refused for funds, in order: the balance found
    strangers: list[tuple[AccountId, AccountId]]  # of the rows refused for an unknown account: the ids of both


Block = ImageHead | AccountRows | RequestRows | EntryRows | TransferRows
