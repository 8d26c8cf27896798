"""An end that somebody asked for: SIGTERM and SIGHUP are what Ctrl-C is, KeyboardInterrupt, so that nothing found so far is lost.

A signal that is ignored when the program begins stays ignored, as the shell does it for jobs in the background.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last: the terminal was closed


@contextmanager
def endings_interrupt() -> Iterator[None]:
    """Within, each of the signals raises KeyboardInterrupt. For the main thread only."""
    before = {number: signal.getsignal(number) for number in ENDINGS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def ignore_endings() -> None:
    """To be called when one came: it is ending already. Lasts until `endings_interrupt` is left."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
