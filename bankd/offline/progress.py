"""How far a long reading has come: a line that is drawn over on a terminal, nothing elsewhere."""

import os
import time
from collections.abc import Callable
from typing import Final, TextIO

CLEAR_LINE: Final = "\r\x1b[K"
REDRAW_S: Final = 0.2
MIB: Final = 1 << 20


class Progress:
    def __init__(self, stream: TextIO, total_bytes: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._total_bytes = total_bytes
        self._now_s = now_s
        self._shown = stream.isatty()
        self._next_s = now_s() + REDRAW_S
        self._done_bytes = 0

    def advance(self, doing: str, size: int) -> None:
        """So many bytes more are done."""
        self._done_bytes += size
        if self._shown and self._now_s() >= self._next_s:
            self._next_s = self._now_s() + REDRAW_S
            line = f"{doing} {self._done_bytes // MIB:,} of {self._total_bytes // MIB:,} MiB"
            # A longer line would wrap, and only its last part be drawn over.
            self._write(f"{CLEAR_LINE}{line[: width_of(self._stream) - 1]}")

    def hide(self) -> None:
        if self._shown:
            self._write(CLEAR_LINE)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def width_of(terminal: TextIO) -> int:
    return os.get_terminal_size(terminal.fileno()).columns or 80  # 0: a terminal that was never told its size
