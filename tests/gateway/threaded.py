"""A gateway on an event loop in a thread, without signals and health probes: every request that a node
receives from it is one that a test made, so a scripted node does what the script says."""

import asyncio
from threading import Condition, Event, Thread
from types import TracebackType
from typing import Self

from bankd.client.aio_driver import AioDriver
from bankd.client.options import ClientOptions
from bankd.errors import Refusal
from bankd.gateway.door import SERVICES, Answers, Door
from bankd.gateway.health import HealthService
from bankd.gateway.serve import make_server, open_port
from bankd.gateway.service import BankGateway
from bankd.wire.methods import Method
from tests.gateway.calls import DEADLINE_S

START_SECONDS_MAX = 120
IN_FLIGHT_MAX = 1000


class Counted:
    """A bank, and how many calls it was asked: gRPC hands calls of one connection over in any order."""

    def __init__(self, bank: Answers, changed: Condition) -> None:
        self.calls = 0
        self._bank = bank
        self._changed = changed

    async def call(self, method: Method, body: bytes, *, timeout_s: float) -> bytes | Refusal:
        with self._changed:
            self.calls += 1
            self._changed.notify_all()
        return await self._bank.call(method, body, timeout_s=timeout_s)


class GatewayThread:
    """Serves between `__enter__` and `__exit__`."""

    def __init__(self, endpoints: tuple[str, ...]) -> None:
        self.address = ""
        self._endpoints = endpoints
        self._listening = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._serve()))
        self._changed = Condition()
        self._bank: Counted
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(START_SECONDS_MAX), "the gateway did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def wait_calls(self, count: int) -> None:
        """Until so many calls reached the bank; the client has each before it takes in any later answer."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._bank.calls >= count, DEADLINE_S), f"{self._bank.calls} calls"

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with AioDriver(ClientOptions(self._endpoints, cluster="main", max_in_flight=IN_FLIGHT_MAX)) as client:
            self._bank = Counted(BankGateway(client), self._changed)
            door = Door(self._bank, in_flight_max=IN_FLIGHT_MAX)
            server = make_server(door, HealthService(tuple(SERVICES)))
            self.address = f"127.0.0.1:{open_port(server, '127.0.0.1:0')}"
            await server.start()
            self._listening.set()
            await self._stop.wait()
            await server.stop(None)
