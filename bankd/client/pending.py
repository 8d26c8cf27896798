"""What a caller waits for, and what is sent for it: the two halves of a call under way.

A `Pending` is one caller's wait; a `Request` is one frame's worth of work, kept over every retry with
the same ids. Mostly they come in pairs; coalesced transfers share one request among many.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import attrs

from bankd.errors import BankError, Refusal
from bankd.wire.methods import Method

T = TypeVar("T")


class Waiter(Protocol):
    """How a shell wakes the caller behind a pending result."""

    def wake(self) -> None: ...


@attrs.frozen
class Call(Generic[T]):
    """One call, ready to be sent.

    `decode` turns the response's body into the result; it raises ProtocolError for a malformed one,
    and a BankError where the answer is a no. `intent_id` is a write's id. `resend`: sent twice it takes
    effect once, so a lost connection is no reason to give up.
    """

    method: Method
    body: bytes
    decode: Callable[[bytes], T]
    intent_id: str = ""
    write: bool = False
    resend: bool = True


@attrs.define(eq=False)
class Pending(Generic[T]):
    """One caller's wait, until `deadline` in seconds of the shell's clock.

    Invariant: once `done` (answered, failed or forgotten), nothing here changes any more.
    """

    intent_id: str = ""
    deadline: float = 0.0
    admitted: bool = False  # takes one of the `max_in_flight` places
    done: bool = False
    result: T | None = None
    error: BankError | None = None
    waiter: Waiter | None = None

    def take(self) -> T:
        """The result; raises the error instead when there is one."""
        assert self.done, "nothing to take yet"
        if self.error is not None:
            raise self.error
        assert self.result is not None, "neither result nor error"
        return self.result


AnyPending = Pending[Any]  # the core hands results on and never looks into them


@attrs.define(eq=False)
class Request:
    """One frame's worth of work and its history.

    `on_wire`: bytes of the present try were handed to a socket. `in_doubt`: an earlier try may have taken
    effect, for its answer was lost. Together they decide whether giving up means "no effect" or "unknown".
    """

    method: Method
    body: bytes
    pendings: Sequence[AnyPending]
    decode: Callable[[bytes], Sequence[object]]  # one result for each of `pendings`
    write: bool
    resend: bool
    regather: Callable[[], tuple[Sequence[AnyPending], Call[Any]]] | None = (
        None  # of coalesced callers, who still waits
    )
    call_id: int = 0
    tries: int = 0
    not_before: float = 0.0
    on_wire: bool = False
    in_doubt: bool = False
    refusal: Refusal | None = None  # why the last try was turned away

    @property
    def coalesced(self) -> bool:
        """Whether callers share it who know nothing of each other."""
        return self.regather is not None

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for it any more."""
        return all(pending.done for pending in self.pendings)

    @property
    def deadline(self) -> float:
        """When the last of its callers gives up."""
        return max([pending.deadline for pending in self.pendings])

    @property
    def outcome_unknown(self) -> bool:
        """Whether it may have taken effect although no answer came."""
        return self.write and (self.in_doubt or self.on_wire)

    def leave_out_done(self) -> None:
        """Send nothing more for callers whose wait has ended: they may have been told that nothing was written."""
        if self.regather is not None and any(pending.done for pending in self.pendings):
            self.pendings, call = self.regather()
            self.body, self.decode = call.body, call.decode
