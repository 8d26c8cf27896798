"""What a failed command says, and the code it ends with: one table.

`Failure` is a value; `CommandFailed` carries one from wherever a command gives up to `cli`, the one
place that prints it. `judge` turns what the client raises into a Failure. The message says what
happened, `hint` what to do next.
"""

from collections.abc import Mapping
from typing import Final

import attrs

from bankctl.money import format_money
from bankd import errors
from bankd.errors import BankError, Code, Exit, NodeError


@attrs.frozen
class Failure:
    exit: Exit
    code: Code
    reason: str  # UPPER_SNAKE_CASE
    message: str
    hint: str = ""
    retryable: bool = False
    metadata: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def sentence(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def as_json(self) -> dict[str, object]:
        """The shape promised for `-o json`."""
        return {
            "code": self.code.name,
            "reason": self.reason,
            "message": self.sentence,
            "retryable": self.retryable,
            "metadata": dict(self.metadata),
        }


class CommandFailed(Exception):
    """Ends the command. Raised by commands and the parser, caught in `cli.run` alone."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def usage(message: str, hint: str = "see bankctl --help") -> CommandFailed:
    """What was typed cannot be understood. Nothing was sent."""
    return CommandFailed(Failure(Exit.USAGE, Code.INVALID_ARGUMENT, "USAGE", message, hint))


# From the special to the general: the first class that fits gives the code.
EXITS: Final[tuple[tuple[type[BankError], Exit], ...]] = (
    (errors.TransferRefused, Exit.REFUSED),
    (errors.AccountExists, Exit.REFUSED),
    (errors.InvalidArgument, Exit.USAGE),
    (errors.AccountNotFound, Exit.NOT_FOUND),
    (errors.SnapshotNotFound, Exit.NOT_FOUND),
    (errors.NotAllowed, Exit.NOT_ALLOWED),
    (errors.IdConflict, Exit.ID_CONFLICT),
    (errors.OutcomeUnknown, Exit.OUTCOME_UNKNOWN),
    (errors.Unavailable, Exit.UNAVAILABLE),
    (errors.Overloaded, Exit.UNAVAILABLE),
    (errors.DeadlineExceeded, Exit.UNAVAILABLE),
)
# Errors without a class of their own: this node cannot serve this as things are (wrong cluster, too old, ...).
EXITS_BY_CODE: Final[Mapping[Code, Exit]] = {
    Code.FAILED_PRECONDITION: Exit.UNAVAILABLE,
    Code.OUT_OF_RANGE: Exit.UNAVAILABLE,
    Code.UNIMPLEMENTED: Exit.UNAVAILABLE,
    Code.DATA_LOSS: Exit.UNHEALTHY,
}


def exit_code(error: BankError) -> Exit:
    by_code = EXITS_BY_CODE.get(error.code, Exit.INTERNAL)
    return next((code for kind, code in EXITS if isinstance(error, kind)), by_code)


# What to do next, by exit code, where nothing more exact is known.
HINTS: Final[Mapping[Exit, str]] = {
    Exit.UNAVAILABLE: "nothing was changed; check --endpoints and --cluster, then try again",
    Exit.NOT_ALLOWED: "check your credentials",
    Exit.ID_CONFLICT: "the first outcome stands; use a new id for another transfer",
    Exit.INTERNAL: "this is a fault of the server; please report it",
}


def judge(error: BankError) -> Failure:
    """The Failure of a client's error."""
    code = exit_code(error)
    return Failure(
        exit=code,
        code=error.code,
        reason=error.reason,
        message=message_of(error),
        hint=hint_of(error, code),
        retryable=error.retryable,
        metadata=error.metadata,
    )


def judge_local(error: NodeError) -> Failure:
    """The Failure of what went wrong on this machine, with its files; the message says what to do next."""
    code = Code.INVALID_ARGUMENT if error.exit_code is Exit.USAGE else Code.FAILED_PRECONDITION
    return Failure(error.exit_code, code, error.reason, str(error))


def message_of(error: BankError) -> str:
    metadata = error.metadata
    if isinstance(error, errors.InsufficientFunds) and {"from", "available", "needed"} <= metadata.keys():
        return f"{metadata['from']} has {format_money(error.available)}, {format_money(error.needed)} needed"
    return str(error)


def hint_of(error: BankError, code: Exit) -> str:
    tx_id = error.metadata.get("client_tx_id", "")
    if tx_id and isinstance(error, errors.TransferRefused):
        return f"transfer {tx_id} is recorded as refused; use a new id to try again"
    if isinstance(error, errors.AccountExists) and "account" in error.metadata:
        return f"see: bankctl account show {error.metadata['account']}"
    return HINTS.get(code, "")


def interrupted(message: str, hint: str = "", metadata: Mapping[str, str] | None = None) -> CommandFailed:
    """Ctrl-C. With `metadata` a write was under way, whose outcome nobody here knows."""
    reason = "OUTCOME_UNKNOWN" if metadata else "INTERRUPTED"
    return CommandFailed(Failure(Exit.INTERRUPTED, Code.CANCELLED, reason, message, hint, False, metadata or {}))
