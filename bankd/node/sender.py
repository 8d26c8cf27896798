"""Send the frames of one connection: the one writer that a trio stream may have.

Anybody may `push`; nobody waits. Frames gather until somebody flushes, and leave in one send. A
flush writes straight to the socket when the kernel has room, which is nearly always: the task
behind it, and a turn of the scheduler, are needed only for what did not fit.

What the other side does not take piles up here, and is bounded three times (docs/reliability.md, N07):
- whoever takes requests in from this connection stops while it is `crowded`: by what waits to be
  sent, and by the answers that are expected for what was taken in already;
- a connection that takes nothing for several rounds is given up by whoever makes the rounds;
- beyond `bytes_max` it is given up at once.

Invariant: bytes reach the stream in the order of the pushes: nothing is written past a send under way.
"""

import os
from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from bankd.node.wake import Wake

CROWDED_BYTES: Final = 1024 * 1024  # far more than a round trip's worth, whatever the path
PIECE_BYTES: Final = 64 * 1024  # of one send by the task: whoever takes that much in a round is not stalled


class FrameSender:
    def __init__(self, stream: trio.abc.SendStream, *, bytes_max: int) -> None:
        self.scope = trio.CancelScope()  # whoever cancels it ends the connection
        self.closed = False
        self.expected_bytes = 0  # of answers to calls that were taken in here, as estimated by who took them in
        self._stream = stream
        self._write_now = direct_writer(stream)
        self._bytes_max = bytes_max
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._wake = Wake()
        self._sending = False  # the task has bytes in its hands
        self._finishing = False
        self._room = Wake()
        self._room_wanted = False  # somebody sleeps until it is no longer crowded
        self._taken = False  # the other side took a piece from the task since the last round
        self._stalled_rounds = 0

    @property
    def pending_bytes(self) -> int:
        """Queued and not yet taken by the kernel."""
        return self._bytes

    @property
    def busy(self) -> bool:
        """Whether there is anything to be sent, or to be answered yet."""
        return self._bytes + self.expected_bytes > 0

    @property
    def crowded(self) -> bool:
        """Whether no more requests should be taken in for now."""
        return self._bytes + self.expected_bytes > CROWDED_BYTES

    def push(self, frame: bytes) -> bool:
        """Queue one frame for the next flush. False when the connection is closed or was just given up for being full."""
        if self.closed:
            return False
        self._frames.append(frame)
        self._bytes += len(frame)
        return self._bytes <= self._bytes_max or self._relieve()

    def flush(self) -> None:
        """Send what is queued, now or as soon as the kernel has room. Never waits."""
        if self._frames and not self._sending and not self.closed:
            chunk = self._take()
            written = self._write_now(chunk)
            self._bytes -= written
            if written < len(chunk):
                self._frames.append(chunk[written:])
                self._wake.set()
        if self._room_wanted:
            self._tell_of_room()

    async def wait_room(self) -> None:
        """Sleep while `crowded`. For one task. Cancellation: nothing is lost."""
        self._room_wanted = True
        try:
            while self.crowded:
                await self._room.wait()
        finally:
            self._room_wanted = False

    def make_round(self) -> int:
        """Tell for how many rounds in a row the other side has taken nothing of what waits for it."""
        stalled = self._sending and not self._taken
        self._taken = False
        self._stalled_rounds = self._stalled_rounds + 1 if stalled else 0
        return self._stalled_rounds

    def close(self) -> None:
        """Give the connection up at once: what is queued is lost."""
        self.closed = True
        self._frames.clear()
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
                    await self._send(memoryview(self._take()))
                if self._finishing:
                    return
                await self._wake.wait()
        finally:
            self.closed = True
            self.scope.cancel()

    async def _send(self, chunk: memoryview) -> None:
        self._sending = True
        for start in range(0, len(chunk), PIECE_BYTES):
            piece = chunk[start : start + PIECE_BYTES]
            await self._stream.send_all(piece)
            self._bytes -= len(piece)
            self._taken = True
            self._tell_of_room()
        self._sending = False

    def _take(self) -> bytes:
        chunk = self._frames.popleft() if len(self._frames) == 1 else b"".join(self._frames)
        self._frames.clear()
        return chunk

    def _relieve(self) -> bool:
        """Beyond the bound only because nobody has flushed yet? If not, give up."""
        self.flush()
        if self._bytes > self._bytes_max:
            self.close()
        return not self.closed

    def _tell_of_room(self) -> None:
        if self._room_wanted and not self.crowded:
            self._room.set()


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
