"""Real terminals of any width, with nobody before them."""

import os
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def terminal(columns: int) -> Iterator[tuple[TextIO, int]]:
    """A stream to write to, and a descriptor from which to read what the screen would show."""
    screen, line = os.openpty()
    termios.tcsetwinsize(line, (24, columns))
    with open(line, "w") as stream, open(screen, "rb"):
        yield stream, screen
