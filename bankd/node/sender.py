"""Send the frames of one connection: the one writer that a trio stream may have.

Anybody may `push`; nobody waits. All that gathered while a send was under way leaves in the next
one. What the other side does not take piles up to a bound, and then the connection is given up: a
peer that never reads costs this much memory and no more (FAULTS N07).
"""

from collections import deque

import trio

from bankd.node.wake import Wake


class FrameSender:
    def __init__(self, stream: trio.abc.SendStream, *, bytes_max: int) -> None:
        self._stream = stream
        self._bytes_max = bytes_max
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._wake = Wake()
        self._finishing = False
        self.scope = trio.CancelScope()  # whoever cancels it ends the connection
        self.closed = False

    def push(self, frame: bytes) -> bool:
        """Queue one frame. False when the connection is closed or was just given up for being full."""
        if self.closed:
            return False
        self._bytes += len(frame)
        if self._bytes > self._bytes_max:
            self.close()
            return False
        self._frames.append(frame)
        self._wake.set()
        return True

    def close(self) -> None:
        """Give the connection up at once: what is queued is lost."""
        self.closed = True
        self.scope.cancel()

    def finish(self) -> None:
        """Send what is queued, then end the connection."""
        self._finishing = True
        self._wake.set()

    async def run(self) -> None:
        """Send until closed or finished.

        Raises:
          trio.BrokenResourceError: the other side is gone.

        Cancellation: half a frame may have been sent, so the connection must be closed, and is marked so.
        """
        try:
            while True:
                while self._frames:
                    chunk = self._frames[0] if len(self._frames) == 1 else b"".join(self._frames)
                    self._frames.clear()
                    self._bytes = len(chunk)
                    await self._stream.send_all(chunk)
                    self._bytes -= len(chunk)
                if self._finishing:
                    return
                await self._wake.wait()
        finally:
            self.closed = True
            self.scope.cancel()
