"""The words that every layer shares: ids, money, read modes, outcome numbers.

Ids are plain strings and ints at run time (NewType), so the hot path pays nothing for their names.
This module knows no layer above it and does nothing.
"""

from enum import IntEnum, unique
from typing import Final, NewType

import attrs

NodeId = NewType("NodeId", str)  # unique in a cluster, stable for the life of a data directory
ClusterId = NewType("ClusterId", int)  # u64, the same on every node of a cluster
Incarnation = NewType("Incarnation", int)  # u64, drawn when a data directory is made
Term = NewType("Term", int)
LogIndex = NewType("LogIndex", int)  # the first entry has index 1; 0 is "before the log"
AccountId = NewType("AccountId", str)
TxId = NewType("TxId", str)  # a client's id for one intended write
TimeNs = NewType("TimeNs", int)  # nanoseconds since 1970 UTC, stamped by a leader

# Amounts and balances are ints of minor units ("cents"); balances stay inside a signed 64-bit word.
BALANCE_MAX: Final = 2**63 - 1
BALANCE_MIN: Final = -(2**63)

ID_BYTES_MAX: Final = 128  # K5
BATCH_TRANSFERS_MAX: Final = 8192  # K16: rows of one SubmitTransfers call, about 1 MiB with long ids

OPENING_ACCOUNT: Final = AccountId("@opening")  # K7: pays every opening balance, may go negative


@unique
class TransferStatus(IntEnum):
    """The recorded outcome of a transfer; the numbers are those of bank.v1 and are never reused."""

    UNKNOWN = 0  # never sent
    COMMITTED_OK = 1
    COMMITTED_INSUFFICIENT_FUNDS = 2
    COMMITTED_INVALID_ACCOUNT = 3
    COMMITTED_LIMIT_EXCEEDED = 4


# Row outcomes that are not recorded statuses, in the same byte column. They are counted down from
# 255 so that new statuses never meet them.
ROW_ID_CONFLICT: Final = 255  # K3: the id is recorded with other fields
ROW_MALFORMED: Final = 254  # K14: a row that no node lets into the log; refused alike everywhere


@attrs.frozen
class Start:
    """One start of a node, as it tells its peers: of which data directory, how often that has been started, this time
    included, and a number drawn for this one time.

    Two processes of one directory share neither of the numbers; one of a directory and one of its older copy may share
    the first. `boots` 0: not said.
    """

    incarnation: Incarnation
    boots: int = 0
    nonce: int = 0


@attrs.frozen
class Starts:
    """What a data directory remembers of its own starts: how many there were, the present one included, and the nonces of
    the latest of them, the present one's first."""

    boots: int = 0
    nonces: tuple[int, ...] = ()

    @property
    def nonce(self) -> int:
        """That of the present start."""
        return self.nonces[0]


NO_STARTS: Final = Starts()


@attrs.frozen
class Linearizable:
    """The answer reflects every write acknowledged before the read was asked for (ReadIndex)."""


@attrs.frozen
class Lease:
    """Leader only, under a clock-drift bound that the operator sets; refused unless configured."""


@attrs.frozen
class Bounded:
    """Any node that heard from a quorum-confirmed leader within `max_age_ms` milliseconds."""

    max_age_ms: int


@attrs.frozen
class AtLeast:
    """Any node, once it has applied `index`: read your writes, across nodes."""

    index: LogIndex


@attrs.frozen
class Stale:
    """Any node, at once; the answer says its index and age."""


ReadMode = Linearizable | Lease | Bounded | AtLeast | Stale

LINEARIZABLE: Final = Linearizable()
