"""An end that somebody asked for: SIGTERM is what Ctrl-C is, KeyboardInterrupt, so that nothing found so far is lost.

A signal that is ignored when the program begins stays ignored, as the shell does it for jobs in the background.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

ENDINGS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def endings_interrupt() -> Iterator[None]:
    """Within, either signal raises KeyboardInterrupt. For the main thread only."""
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
