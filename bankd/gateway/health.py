"""Tell load balancers whether calls would be answered: grpc.health.v1.

All services share one state, because they share one cluster: SERVING while a leader answers a
linearizable read, NOT_SERVING otherwise, at the start and while the gateway drains.

The servicer is our own: the library's asyncio one forgets every watcher of a service when one of them
leaves, and its watches would hold up a draining server.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Final

import grpc
from grpc_health.v1 import health_pb2

from bankd.client.aio_driver import AioDriver
from bankd.client.calls import get_balance
from bankd.errors import AccountNotFound, BankError
from bankd.types import LINEARIZABLE, OPENING_ACCOUNT

PROBE_INTERVAL_S: Final = 1.0
PROBE_TIMEOUT_S: Final = 1.0  # a healthy cluster answers in milliseconds; an election takes longer, and shows

SERVICE_NAME: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

_log = logging.getLogger(__name__)


class HealthService:
    """Serves Check and Watch. Owned by one event loop.

    Invariant: once closed, the state is NOT_SERVING for ever and every watch has ended or is about to.
    """

    def __init__(self, services: tuple[str, ...]) -> None:
        self._services = ("", *services)  # "" is the whole server
        self._status = health_pb2.HealthCheckResponse.NOT_SERVING
        self._changed = asyncio.Event()  # set once, at the next change; then replaced
        self._closed = False

    def set_serving(self, serving: bool) -> None:
        """Change the state and tell the watchers. Does nothing once closed."""
        known = health_pb2.HealthCheckResponse
        status = known.SERVING if serving else known.NOT_SERVING
        if self._closed or status == self._status:
            return
        self._status = status
        self._wake_watchers()
        _log.info("health_changed serving=%s", str(serving).lower())

    def close(self) -> None:
        """Turn NOT_SERVING for good and end the watches. A second time does nothing."""
        self.set_serving(False)
        self._closed = True
        self._wake_watchers()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"service {request.service!r} is not served here")
        return health_pb2.HealthCheckResponse(status=self._status)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The state now and at every change; changes in quick succession may show as one."""
        known = request.service in self._services
        last = None
        while True:
            changed = self._changed
            status = self._status if known else health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            if status != last:
                last = status
                yield health_pb2.HealthCheckResponse(status=status)
            if self._closed:
                return
            if changed is self._changed:
                await changed.wait()

    def _wake_watchers(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def keep_probing(client: AioDriver, health: HealthService) -> None:
    """Follow the cluster's health until cancelled. Writes nothing to the log."""
    while True:
        health.set_serving(await leader_answers(client))
        await asyncio.sleep(PROBE_INTERVAL_S)


async def leader_answers(client: AioDriver) -> bool:
    """Whether a linearizable read succeeds within PROBE_TIMEOUT_S; an empty bank is an answer too."""
    try:
        await client.run(get_balance(OPENING_ACCOUNT, LINEARIZABLE), PROBE_TIMEOUT_S)
    except AccountNotFound:
        return True
    except BankError:
        return False
    return True
