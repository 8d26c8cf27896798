"""Every error that leaves the process or crosses a layer, in one tree.

Three families, never mixed: results of the bank are values (`types.TransferStatus`), what the
world did is an exception from here, our own bugs are asserts.

`BankError` is what a caller of a client sees. It carries what both doors carry: a gRPC code, a
reason in UPPER_SNAKE_CASE, a message for people, whether the same request may be sent again, and
metadata with the ids concerned. `NodeError` is what ends a node process with one line and an exit
code.
"""

from collections.abc import Mapping
from enum import IntEnum, unique
from typing import ClassVar

import attrs


@unique
class Code(IntEnum):
    """gRPC status codes; the numbers are gRPC's."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


@attrs.frozen
class Refusal:
    """An error as a value: what a node answers instead of a result, on either door.

    `retryable`: the same request, with the same id, may be sent again. `retry_after_ms`: not before
    that long; 0 is at once. `leader_id` and `leader_address` name who leads as far as the node
    knows, or are empty.
    """

    code: Code
    reason: str
    message: str
    retryable: bool = False
    metadata: Mapping[str, str] = attrs.field(factory=dict)
    retry_after_ms: int = 0
    leader_id: str = ""
    leader_address: str = ""


class BankError(Exception):
    """A call that did not bring a result. Raised by the clients; `code` and `reason` are for programs."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal

    @property
    def code(self) -> Code:
        return self.refusal.code

    @property
    def reason(self) -> str:
        return self.refusal.reason

    @property
    def retryable(self) -> bool:
        return self.refusal.retryable

    @property
    def metadata(self) -> Mapping[str, str]:
        return self.refusal.metadata


class InvalidArgument(BankError):
    """The request can be judged wrong without looking at the ledger. Never retried; burns no id."""


class AccountNotFound(BankError):
    """A read named an account that does not exist as of its index."""


class AccountExists(BankError):
    """The account was opened before, by another request."""


class IdConflict(BankError):
    """The id is recorded with other fields. `differs` names them; the first outcome stands."""

    @property
    def differs(self) -> tuple[str, ...]:
        return tuple(filter(None, self.metadata.get("differs", "").split(",")))


class TransferRefused(BankError):
    """The ledger said no and recorded it: this id is burned, a new try needs a new one."""


class InsufficientFunds(TransferRefused):
    """The source held `available`; `needed` was asked for (both in minor units)."""

    @property
    def available(self) -> int:
        return int(self.metadata["available"])

    @property
    def needed(self) -> int:
        return int(self.metadata["needed"])


class InvalidAccount(TransferRefused):
    """One of the two accounts does not exist."""


class LimitExceeded(TransferRefused):
    """A balance would have left the signed 64-bit range."""


class SnapshotNotFound(BankError):
    """The node asked holds no such snapshot, or no more: newer ones have replaced it."""


class Unavailable(BankError):
    """No node could take the call, and it surely took no effect. Safe to send again."""


class Overloaded(BankError):
    """The node refused before logging, for want of room. Safe to send again, after `refusal.retry_after_ms`."""


class DeadlineExceeded(BankError):
    """The time ran out and the call surely took no effect (reads, or writes that were never sent)."""


class OutcomeUnknown(BankError):
    """A write was sent and its answer lost: it may have taken effect. Ask `get_transfer_status(tx_id)`,
    or send it again with the same id: it takes effect at most once."""

    @property
    def tx_id(self) -> str:
        return self.metadata.get("client_tx_id", "")


class NotAllowed(BankError):
    """Not authenticated, or not allowed. Nothing else is revealed."""


class ProtocolError(Exception):
    """The other side broke the framed protocol. Raised by wire/, caught where the connection is owned:
    that connection is closed, nothing else happens."""


class HandshakeRefused(Exception):
    """The other side's Hello was refused, or ours was. `refusal` says why, in words."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@unique
class Exit(IntEnum):
    """Process exit codes, shared by bankd and bankctl."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    UNAVAILABLE = 5
    OUTCOME_UNKNOWN = 6
    ID_CONFLICT = 7
    UNHEALTHY = 8
    INTERNAL = 10
    INTERRUPTED = 130


class NodeError(Exception):
    """What ends a node with one line. Raised at start-up or by the disk, caught in cli.py alone.

    `reason` is UPPER_SNAKE_CASE; the message says what happened and what to do next.
    """

    reason: ClassVar[str] = "NODE_FAILED"
    exit_code: ClassVar[Exit] = Exit.UNHEALTHY


class ConfigInvalid(NodeError):
    """The configuration cannot be used. `faults` lists every fault found, one line each."""

    reason = "CONFIG_INVALID"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class FileUnusable(NodeError):
    """A file named on the command line cannot be read or written."""

    reason = "FILE_UNUSABLE"
    exit_code: ClassVar[Exit] = Exit.USAGE


class AddressUnusable(NodeError):
    """The listening address is taken or not ours."""

    reason = "ADDRESS_UNUSABLE"
    exit_code = Exit.UNAVAILABLE


class DataDirLocked(NodeError):
    """Another process holds the data directory."""

    reason = "DATA_DIR_LOCKED"


class DataDirForeign(NodeError):
    """A data directory, or a snapshot, belongs to another node or cluster, or to a newer format."""

    reason = "DATA_DIR_FOREIGN"


class DataDirUnusable(NodeError):
    """The data directory cannot be created, read or written (permissions, not a directory, read-only)."""

    reason = "DATA_DIR_UNUSABLE"


class LogDamaged(NodeError):
    """The log holds damage that no unfinished write explains; it is left as it is."""

    reason = "LOG_DAMAGED"


class MustRefill(NodeError):
    """A running node found out that it lost what it acknowledged, or that its state is wrong. Raised by whoever drives
    its replica, and caught where the node was started: it ends, and begins anew as refilling."""

    reason = "MUST_REFILL"

    def __init__(self, message: str, *, state_is_void: bool, copied: bool = False) -> None:
        """`copied`: the data directory is an older copy, so that its term and vote may be old, too."""
        super().__init__(message)
        self.state_is_void = state_is_void
        self.copied = copied


class UnknownEntryVersion(NodeError):
    """A committed entry is newer than this program understands; it must not be skipped (K14)."""

    reason = "ENTRY_VERSION_UNKNOWN"


class DiskFailed(NodeError):
    """A write or fsync failed. What is on the disk is unknown: the process must end, never retry."""

    reason = "DISK_FAILED"


class DiskFull(DiskFailed):
    """The disk ran full in the middle of a write. Nothing of that write was acknowledged."""

    reason = "DISK_FULL"
