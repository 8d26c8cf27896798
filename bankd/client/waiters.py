"""Park a task until someone wakes it: once, and as cheaply as the event loop allows.

A client under load parks and wakes tens of thousands of times a second. An anyio Event finds out
every time which loop runs, and wraps one of its own; a parked task (trio) or a bare future (asyncio)
costs a third of that.

A waiter is woken from the thread of its loop, by at most one waker, for at most one sleeper.
"""

import sys
from asyncio import Future, get_running_loop
from collections.abc import Callable
from typing import Protocol

import attrs


class AioWaiter(Protocol):
    def wake(self) -> None:
        """Let the sleeper go on; a second time, or with nobody asleep any more, does nothing."""

    async def wait(self) -> None:
        """Sleep until woken; at once if it happened already. Cancellation: just ends the sleep."""


@attrs.frozen
class Loop:
    """What the driver needs of the event loop that runs. `now` is in seconds."""

    now: Callable[[], float]
    new_waiter: Callable[[], AioWaiter]


class AsyncioWaiter:
    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: Future[None] = get_running_loop().create_future()

    def wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        await self._future


def running_loop() -> Loop:
    """The loop that the caller runs under: trio, or else asyncio."""
    trio = sys.modules.get("trio")  # a program that never imported trio does not run under it
    if trio is not None and trio.lowlevel.in_trio_run():
        from bankd.client.trio_waiter import TrioWaiter

        return Loop(trio.current_time, TrioWaiter)
    return Loop(get_running_loop().time, AsyncioWaiter)
