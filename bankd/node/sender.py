"""Send the frames of one connection: the one writer that a trio stream may have.

Anybody may `push`; nobody waits. Frames gather until somebody flushes, and leave in one send. A
flush writes straight to the socket when the kernel has room, which is nearly always: the task
behind it, and a turn of the scheduler, are needed only for what did not fit.

What the other side does not take piles up to a bound, and then the connection is given up: a peer
that never reads costs this much memory and no more (docs/reliability.md, N07).

Invariant: bytes reach the stream in the order of the pushes: nothing is written past a send under way.
"""

import os
from collections import deque
from collections.abc import Callable

import trio

from bankd.node.wake import Wake


class FrameSender:
    def __init__(self, stream: trio.abc.SendStream, *, bytes_max: int) -> None:
        self._stream = stream
        self._write_now = direct_writer(stream)
        self._bytes_max = bytes_max
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._wake = Wake()
        self._sending = False  # the task has bytes in its hands
        self._finishing = False
        self.scope = trio.CancelScope()  # whoever cancels it ends the connection
        self.closed = False

    @property
    def pending_bytes(self) -> int:
        """Queued and not yet taken by the kernel."""
        return self._bytes

    def push(self, frame: bytes) -> bool:
        """Queue one frame for the next flush. False when the connection is closed or was just given up for being full."""
        if self.closed:
            return False
        self._bytes += len(frame)
        if self._bytes > self._bytes_max:
            self.close()
            return False
        self._frames.append(frame)
        return True

    def flush(self) -> None:
        """Send what is queued, now or as soon as the kernel has room. Never waits."""
        if self._sending or self.closed or not self._frames:
            return
        chunk = self._take()
        written = self._write_now(chunk)
        self._bytes -= written
        if written < len(chunk):
            self._frames.append(chunk[written:])
            self._wake.set()

    def close(self) -> None:
        """Give the connection up at once: what is queued is lost."""
        self.closed = True
        self.scope.cancel()

    def finish(self) -> None:
        """Send what is queued, then end the connection."""
        self._finishing = True
        self._wake.set()

    async def run(self) -> None:
        """Send what flushes left over, until closed or finished.

        Raises:
          trio.BrokenResourceError: the other side is gone.

        Cancellation: half a frame may have been sent, so the connection must be closed, and is marked so.
        """
        try:
            while True:
                while self._frames:
                    chunk = self._take()
                    self._sending = True
                    await self._stream.send_all(chunk)
                    self._sending = False
                    self._bytes -= len(chunk)
                if self._finishing:
                    return
                await self._wake.wait()
        finally:
            self.closed = True
            self.scope.cancel()

    def _take(self) -> bytes:
        chunk = self._frames.popleft() if len(self._frames) == 1 else b"".join(self._frames)
        self._frames.clear()
        return chunk


def direct_writer(stream: trio.abc.SendStream) -> Callable[[bytes], int]:
    """A function that writes what the kernel takes at once and returns how many bytes that was.

    For streams that are no socket it takes nothing, and everything goes through the task. So does what
    fails: the task meets the same error and reports it.
    """
    if not isinstance(stream, trio.SocketStream):
        return lambda _chunk: 0
    fileno = stream.socket.fileno

    def write_now(chunk: bytes) -> int:
        try:
            return os.write(fileno(), chunk)
        except OSError:
            return 0

    return write_now
