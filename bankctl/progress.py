"""A progress bar on a terminal's stderr; nothing at all elsewhere."""

import time
from collections.abc import Callable
from typing import Final

from bankctl.output import Printer

BAR_CELLS: Final = 30
CLEAR_LINE: Final = "\r\x1b[K"


class Progress:
    """Counts towards `total`, which may be set later. `hide` before printing to the same terminal, `show` after.

    `told` is how a count, or a rate, is written.
    """

    def __init__(self, printer: Printer, total: int = 0, told: Callable[[float], str] = "{:.0f}".format) -> None:
        self.total = total
        self._stream = printer.host.stderr
        self._enabled = self._stream.isatty() and not printer.quiet
        self._told = told
        self._done = 0
        self._started_at = time.monotonic()

    def watch(self, count: int, total: int) -> None:
        """So many more are done, of that total."""
        self.total = total
        self.advance(count)
        self.show()

    def advance(self, count: int) -> None:
        self._done += count

    def show(self) -> None:
        if self._enabled and self.total:
            rate = self._told(self._done / max(time.monotonic() - self._started_at, 0.001))
            filled = BAR_CELLS * self._done // self.total
            bar = "#" * filled + "." * (BAR_CELLS - filled)
            counts = f"{self._told(self._done)}/{self._told(self.total)}"
            self._write(f"{CLEAR_LINE}[{bar}] {counts}  {100 * self._done // self.total}%  {rate}/s")

    def hide(self) -> None:
        if self._enabled:
            self._write(CLEAR_LINE)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
