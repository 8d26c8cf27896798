"""The door's own promises: which calls there are, how many at once, and what a bug in one of them costs."""

import asyncio
import logging

import pytest

from bankd.errors import Code, Refusal
from bankd.gateway.door import SERVICES, Door
from bankd.pb import bank_pb2, ledger_pb2
from bankd.wire.methods import Method
from tests.gateway.calls import DEADLINE_S


class SlowBank:
    """Answers when it is told to, and says when `full_at` calls wait; a request that is not empty makes it fail."""

    def __init__(self, full_at: int = 0) -> None:
        self.full = asyncio.Event()
        self.release = asyncio.Event()
        self._full_at = full_at
        self._waiting = 0

    async def call(self, method: Method, body: bytes, *, timeout_s: float) -> bytes | Refusal:
        if body:
            raise ZeroDivisionError
        self._waiting += 1
        if self._waiting == self._full_at:
            self.full.set()
        await self.release.wait()
        return b"done"


def test_every_call_of_both_services_is_served() -> None:
    published = [
        (service.full_name, method.name)
        for file in (bank_pb2.DESCRIPTOR, ledger_pb2.DESCRIPTOR)
        for service in file.services_by_name.values()
        for method in service.methods
    ]
    assert [(service, method) for service, methods in SERVICES.items() for method in methods] == published
    assert len({method for methods in SERVICES.values() for method in methods.values()}) == len(published)


def test_a_call_beyond_the_bound_is_refused_and_finds_room_later() -> None:  # K13, B1
    async def scenario() -> tuple[bytes | Refusal, list[bytes | Refusal]]:
        bank = SlowBank(full_at=2)
        door = Door(bank, in_flight_max=2)
        under_way = [asyncio.create_task(door.answer(Method.TRANSFER, b"", 1.0)) for _ in range(2)]
        await bank.full.wait()
        beyond = await asyncio.wait_for(door.answer(Method.TRANSFER, b"", 1.0), DEADLINE_S)
        bank.release.set()
        return beyond, [*await asyncio.gather(*under_way), await door.answer(Method.TRANSFER, b"", 1.0)]

    beyond, answered = asyncio.run(scenario())
    assert isinstance(beyond, Refusal)
    assert (beyond.code, beyond.reason, beyond.retryable) == (Code.RESOURCE_EXHAUSTED, "OVERLOADED", True)
    assert beyond.retry_after_ms > 0
    assert answered == [b"done"] * 3


def test_a_bug_costs_its_own_call_and_is_logged_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> bytes | Refusal:
        return await Door(SlowBank(), in_flight_max=1).answer(Method.TRANSFER, b"x", 1.0)

    with caplog.at_level(logging.ERROR, "bankd.gateway.door"):
        answer = asyncio.run(scenario())
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.reason) == (Code.INTERNAL, "INTERNAL")
    assert "ZeroDivisionError" in caplog.text
