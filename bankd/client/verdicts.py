"""Name the error that a call ends with when it got no result.

The rule: say what is surely true. A write of which some try may have taken effect ends in
OutcomeUnknown, whatever else went wrong; everything else ends in what turned it away last. Each
caller gets an exception of its own.
"""

from collections.abc import Callable
from os import strerror
from typing import Final

from bankd.client.pending import Request
from bankd.client.transfers import outcome_unknown
from bankd.errors import BankError, Code, DeadlineExceeded, Refusal, Unavailable
from bankd.wire.refusals import to_error

# Answers of the bank itself, or judgements of the request's own words: true whatever became of earlier tries.
_DEFINITE: Final = frozenset({Code.INVALID_ARGUMENT, Code.ALREADY_EXISTS, Code.NOT_FOUND})

_ASK_AGAIN: Final = "outcome unknown, ask for its status with the same id"


def describe(error: Exception) -> str:
    """An error of the operating system in its own words, whatever a library wrapped around it."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    number = cause.errno if isinstance(cause, OSError) else None
    return strerror(number).lower() if number else str(cause) or type(cause).__name__


def lost(address: str, why: str) -> Refusal:
    """Why a connection came to nothing."""
    return Refusal(Code.UNAVAILABLE, "NO_ENDPOINT", f"{address}: {why}", retryable=True)


def final_error(refusal: Refusal) -> Callable[[Request, str], BankError]:
    """A call that is not tried again after `refusal`."""

    def error_for(request: Request, intent_id: str) -> BankError:
        if request.outcome_unknown and refusal.code not in _DEFINITE:
            return outcome_unknown(intent_id, f"{_ASK_AGAIN}; last: {refusal.message}")
        return to_error(refusal)

    return error_for


def deadline_error(request: Request | None, trouble: Refusal | None, intent_id: str) -> BankError:
    """The time ran out. `request` is None for a call that was still waiting for its turn."""
    if request is not None and request.outcome_unknown:
        return outcome_unknown(intent_id, f"no answer in time: {_ASK_AGAIN}")
    if request is not None and request.refusal is not None:
        return to_error(request.refusal)
    if trouble is not None:
        return to_error(trouble)
    message = "no answer in time; the call had no effect"
    return DeadlineExceeded(Refusal(Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", message, retryable=True))


def unreachable(trouble: Refusal | None) -> Refusal:
    """Why no node could be spoken to."""
    return trouble or Refusal(Code.UNAVAILABLE, "NO_ENDPOINT", "no endpoint could be reached", retryable=True)


def closed_error(request: Request | None, intent_id: str) -> BankError:
    """The client was closed while the call waited, or before."""
    if request is not None and request.outcome_unknown:
        return outcome_unknown(intent_id, f"the client was closed: {_ASK_AGAIN}")
    return Unavailable(Refusal(Code.UNAVAILABLE, "CLIENT_CLOSED", "the client is closed"))
