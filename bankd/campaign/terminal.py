"""What the terminal is like, and how a line on it is drawn over."""

import os
from typing import Final, TextIO

from bankd.sim.trace_columns import WIDTH

CLEAR_LINE: Final = "\r\x1b[K"


def width_of(stream: TextIO) -> int:
    """How many characters go on a line: of a terminal as many as it has columns, `WIDTH` elsewhere."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or WIDTH  # 0: a terminal that was never told its size
    except OSError:
        return WIDTH
