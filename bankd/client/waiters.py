"""What the driver asks of its event loop, as cheaply as each loop allows: park a task, move bytes.

Every call parks its caller once. An anyio Event looks up which loop runs, and wraps one of its own; a
parked task (trio) or a bare future (asyncio) does without both. Bytes go through anyio's stream on asyncio; on trio, where the socket may be used
beside it, they are read and, for a lone caller, written directly (trio_loop.py).

A waiter is woken from the thread of its loop, by at most one waker, for at most one sleeper.
"""

import sys
from asyncio import Future, get_running_loop
from collections.abc import Callable
from typing import Final, Protocol

import attrs
from anyio.abc import ByteStream

RECEIVE_BYTES_MAX: Final = 256 * 1024


class AioWaiter(Protocol):
    def wake(self) -> None:
        """Let the sleeper go on; a second time, or with nobody asleep any more, does nothing."""

    async def wait(self) -> None:
        """Sleep until woken; at once if it happened already. Cancellation: just ends the sleep."""


class Wire(Protocol):
    """The bytes of one connection: one reader, one writer."""

    async def receive(self) -> bytes:
        """The next bytes. Raises anyio.EndOfStream at the end, OSError or anyio's errors when it broke."""

    async def send(self, data: bytes) -> None:
        """Write all of it. Cancellation: some of it may have been sent."""

    def send_now(self, data: bytes) -> int:
        """Write what the kernel takes at once; how many bytes that was. Not while `send` runs."""


@attrs.frozen
class Loop:
    """What the driver needs of the event loop that runs. `now` is in seconds."""

    now: Callable[[], float]
    new_waiter: Callable[[], AioWaiter]
    new_wire: Callable[[ByteStream], Wire]


class AsyncioWaiter:
    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: Future[None] = get_running_loop().create_future()

    def wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> None:
        await self._future


class StreamWire:
    """anyio's own stream: for loops whose sockets must not be touched beside it, and for streams that are no socket."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def receive(self) -> bytes:
        return await self._stream.receive(RECEIVE_BYTES_MAX)

    async def send(self, data: bytes) -> None:
        await self._stream.send(data)

    def send_now(self, data: bytes) -> int:
        return 0


def running_loop() -> Loop:
    """The loop that the caller runs under: trio, or else asyncio."""
    trio = sys.modules.get("trio")  # a program that never imported trio does not run under it
    if trio is not None and trio.lowlevel.in_trio_run():
        from bankd.client.trio_loop import trio_loop

        return trio_loop()
    return Loop(get_running_loop().time, AsyncioWaiter, StreamWire)
