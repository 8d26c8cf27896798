"""The event loop as the driver sees it, on trio: a parked task, a socket, and nothing between.

Imported only under trio.
"""

import socket

import trio
from anyio import EndOfStream
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from trio.lowlevel import (
    Abort,
    RaiseCancelT,
    Task,
    current_task,
    reschedule,
    wait_readable,
    wait_task_rescheduled,
)

from bankd.client.waiters import RECEIVE_BYTES_MAX, Loop, StreamWire, Wire


class TrioWaiter:
    __slots__ = ("_sleeper", "_woken")

    def __init__(self) -> None:
        self._sleeper: Task | None = None
        self._woken = False

    def wake(self) -> None:
        self._woken = True
        sleeper, self._sleeper = self._sleeper, None
        if sleeper is not None:
            reschedule(sleeper)

    async def wait(self) -> None:
        if self._woken:
            return
        self._sleeper = current_task()
        await wait_task_rescheduled(self._abort)

    def _abort(self, _raise_cancel: RaiseCancelT) -> Abort:
        self._sleeper = None
        return Abort.SUCCEEDED


class TrioWire:
    """The socket behind anyio's stream. Bytes land in one buffer that is kept: a small answer costs a small object."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._socket: socket.socket = stream.extra(SocketAttribute.raw_socket)
        self._buffer = bytearray(RECEIVE_BYTES_MAX)
        self._view = memoryview(self._buffer)

    async def receive(self) -> bytes:
        while True:
            await wait_readable(self._socket)
            try:
                size = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                continue  # the kernel woke us for nothing
            if not size:
                raise EndOfStream
            return bytes(self._view[:size])

    async def send(self, data: bytes) -> None:
        await self._stream.send(data)

    def send_now(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except OSError:  # no room, or broken: the writer will find out which
            return 0


def new_wire(stream: ByteStream) -> Wire:
    return TrioWire(stream) if isinstance(stream, SocketStream) else StreamWire(stream)


def trio_loop() -> Loop:
    clock = trio.lowlevel.current_clock()  # trio.current_time would look it up every time
    return Loop(clock.current_time, TrioWaiter, new_wire)
