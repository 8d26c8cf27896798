"""Receive from a connection: wait until there is something, then take all of it in one read.

A socket's bytes land in one buffer that every connection of the node shares, so that neither a
small frame nor an idle connection costs more than its own size. Streams that are no socket are
asked the ordinary way.

Invariant: nothing is awaited between a read into the buffer and the copy out of it.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Final

import trio

RECEIVE_BYTES: Final = 256 * 1024  # of one read: a burst of small frames, or a good part of a large one

Receive = Callable[[], Awaitable[bytes]]


class ReceiveBuffer:
    def __init__(self) -> None:
        self._buffer = bytearray(RECEIVE_BYTES)

    def receiver(self, stream: trio.abc.ReceiveStream) -> Receive:
        """A function that waits for the next bytes of `stream`; b"" is the end.

        One task may call it at a time. Always a checkpoint. Cancellation: nothing is lost.

        Raises:
          OSError, trio.BrokenResourceError, trio.ClosedResourceError: the connection is gone.
        """
        if not isinstance(stream, trio.SocketStream):
            return lambda: _receive_some(stream)
        socket, buffer = stream.socket, self._buffer
        view, wait_readable = memoryview(buffer), trio.lowlevel.wait_readable

        async def receive() -> bytes:
            while True:
                await wait_readable(socket)
                try:
                    size = os.readv(socket.fileno(), (buffer,))
                except BlockingIOError:
                    continue  # the kernel woke us for nothing
                return bytes(view[:size])

        return receive


async def _receive_some(stream: trio.abc.ReceiveStream) -> bytes:
    return bytes(await stream.receive_some(RECEIVE_BYTES))
