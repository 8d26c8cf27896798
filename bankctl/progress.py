"""A progress bar on a terminal's stderr; nothing at all elsewhere."""

import time
from typing import Final

from bankctl.output import Printer

BAR_CELLS: Final = 30
CLEAR_LINE: Final = "\r\x1b[K"


class Progress:
    """Counts towards `total`. `hide` before printing to the same terminal, `show` after."""

    def __init__(self, printer: Printer, total: int) -> None:
        self._stream = printer.host.stderr
        self._enabled = self._stream.isatty() and not printer.quiet and total > 0
        self._total = total
        self._done = 0
        self._started_at = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count

    def show(self) -> None:
        if self._enabled:
            rate = self._done / max(time.monotonic() - self._started_at, 0.001)
            filled = BAR_CELLS * self._done // self._total
            bar = "#" * filled + "." * (BAR_CELLS - filled)
            self._write(
                f"{CLEAR_LINE}[{bar}] {self._done}/{self._total}  {100 * self._done // self._total}%  {rate:.0f}/s"
            )

    def hide(self) -> None:
        if self._enabled:
            self._write(CLEAR_LINE)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
