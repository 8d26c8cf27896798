"""How far a verification has come is told on a terminal, and nowhere else."""

import io
import os

from bankd.offline.progress import CLEAR_LINE, MIB, REDRAW_S, Progress
from tests.campaign.terminals import terminal

END = "end of the test"


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += REDRAW_S
        return self.now_s


def told(columns: int) -> str:
    """What the screen shows; a terminal hands it over piece by piece."""
    with terminal(columns) as (stream, screen):
        progress = Progress(stream, 4000 * MIB, Clock())
        progress.advance("checked", 1500 * MIB)
        progress.advance("replayed", 1500 * MIB)
        progress.hide()
        print(END, end="", file=stream, flush=True)
        shown = ""
        while END not in shown:
            shown += os.read(screen, 1000).decode()
        return shown.removesuffix(END)


def test_line_on_a_terminal_is_drawn_over_and_taken_away() -> None:
    assert told(80).split(CLEAR_LINE) == ["", "checked 1,500 of 4,000 MiB", "replayed 3,000 of 4,000 MiB", ""]


def test_line_never_wraps() -> None:
    assert told(15).split(CLEAR_LINE) == ["", "checked 1,500 ", "replayed 3,000", ""]


def test_elsewhere_nothing_is_told() -> None:
    stream = io.StringIO()
    progress = Progress(stream, MIB, Clock())
    progress.advance("checked", MIB)
    progress.hide()
    assert stream.getvalue() == ""
