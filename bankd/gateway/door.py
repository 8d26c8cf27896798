"""Put the bank behind gRPC methods: raw bytes in, raw bytes or a rich error out.

Handlers take the request unparsed, because gRPC answers bytes that it cannot parse with a bare
UNKNOWN of its own, while ours must be INVALID_ARGUMENT with details (K5). Every call passes through
`Door.answer`, so that each has a deadline and each error its details.

Invariant: at most `in_flight_max` calls are under way; one more is refused before anything is sent (K13).
"""

import logging
from collections.abc import Mapping
from typing import Final, NoReturn, Protocol

import grpc
from grpc_status import rpc_status

from bankd.errors import BankError, Code, Refusal
from bankd.gateway.errors import to_refusal, to_status
from bankd.wire.methods import Method

SERVICES: Final[Mapping[str, Mapping[str, Method]]] = {
    "bank.v1.BankService": {
        "CreateAccount": Method.CREATE_ACCOUNT,
        "GetBalance": Method.GET_BALANCE,
        "Transfer": Method.TRANSFER,
        "GetTransferStatus": Method.GET_TRANSFER_STATUS,
    },
    "bank.v1.LedgerService": {
        "SubmitTransfers": Method.SUBMIT_TRANSFERS,
        "GetAccount": Method.GET_ACCOUNT,
        "ListAccounts": Method.LIST_ACCOUNTS,
    },
}

TIMEOUT_S_DEFAULT: Final = 5.0  # for a caller without a deadline: one failover (1 to 2 s) fits in

# A caller's own gRPC library reports DEADLINE_EXCEEDED at the deadline, without details. Giving up a
# little earlier lets the answer that names the outcome arrive first.
REPLY_SHARE: Final = 0.1  # of the time left
REPLY_MARGIN_S_MAX: Final = 0.25
TIMEOUT_S_MIN: Final = 0.001

OVERLOAD_RETRY_AFTER_MS: Final = 200

_log = logging.getLogger(__name__)


class Answers(Protocol):
    """What the door asks; `service.BankGateway` is it."""

    async def call(self, method: Method, body: bytes, *, timeout_s: float) -> bytes | Refusal: ...


class Door:
    """The unary handlers of both services. Owned by one event loop."""

    def __init__(self, bank: Answers, *, in_flight_max: int) -> None:
        self._bank = bank
        self._in_flight_max = in_flight_max
        self._in_flight = 0

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        return tuple(
            grpc.method_handlers_generic_handler(
                service, {name: grpc.unary_unary_rpc_method_handler(self._handler(m)) for name, m in methods.items()}
            )
            for service, methods in SERVICES.items()
        )

    def _handler(self, method: Method) -> object:
        async def handle(body: bytes, context: grpc.aio.ServicerContext) -> bytes:
            answer = await self.answer(method, body, timeout_s(context.time_remaining()))
            if isinstance(answer, Refusal):
                await abort(context, answer)
            return answer

        return handle

    async def answer(self, method: Method, body: bytes, limit_s: float) -> bytes | Refusal:
        """One call's response or refusal; raises nothing but a cancellation."""
        if self._in_flight >= self._in_flight_max:
            return _overloaded(self._in_flight_max)
        self._in_flight += 1
        try:
            return await self._bank.call(method, body, timeout_s=limit_s)
        except BankError as error:
            return to_refusal(error)
        except Exception:  # one call's supervisor: our bug must not pass for an outcome
            _log.exception("call_failed method=%s", method.name)
            return Refusal(Code.INTERNAL, "INTERNAL", "the gateway failed; its log says why")
        finally:
            self._in_flight -= 1


def timeout_s(left_s: float | None) -> float:
    """How long a call may take whose caller waits for `left_s` more seconds; None: no deadline was given."""
    if left_s is None:
        return TIMEOUT_S_DEFAULT
    return max(left_s - min(left_s * REPLY_SHARE, REPLY_MARGIN_S_MAX), TIMEOUT_S_MIN)


async def abort(context: grpc.aio.ServicerContext, refusal: Refusal) -> NoReturn:
    """End the call with the refusal's rich status. Never returns: gRPC unwinds the handler."""
    status = rpc_status.to_status(to_status(refusal))
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort returned")


def _overloaded(in_flight_max: int) -> Refusal:
    return Refusal(
        Code.RESOURCE_EXHAUSTED,
        "OVERLOADED",
        f"the gateway has {in_flight_max} calls in flight and takes no more",
        retryable=True,
        metadata={"limit": str(in_flight_max)},
        retry_after_ms=OVERLOAD_RETRY_AFTER_MS,
    )
