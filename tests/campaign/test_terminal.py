"""How wide a page is: a terminal says so, of anything else a common width is taken."""

import io
import os
from pathlib import Path

import pytest

from bankd.campaign.many import Progress
from bankd.campaign.tally import Tally
from bankd.campaign.terminal import CLEAR_LINE, width_of
from bankd.sim.trace_columns import WIDTH
from tests.campaign.terminals import terminal


@pytest.mark.parametrize(("columns", "width"), [(80, 80), (211, 211), (0, WIDTH)])
def test_a_terminal_is_as_wide_as_it_says_if_it_says_so(columns: int, width: int) -> None:
    with terminal(columns) as (stream, _):
        assert width_of(stream) == width


def test_files_and_texts_have_a_common_width(tmp_path: Path) -> None:
    with open(tmp_path / "file", "w") as file:
        assert (width_of(file), width_of(io.StringIO())) == (WIDTH, WIDTH)


def test_the_progress_of_a_campaign_stays_on_one_line_of_its_terminal() -> None:
    with terminal(40) as (stream, screen):
        Progress(stream, iter([0.0, 1.0, 1.0]).__next__).show(Tally(runs=5), 2.0)
        shown = os.read(screen, 1_000).decode()
    assert shown == f"{CLEAR_LINE}5 seeds  0 violations  2.50 seeds/s  0."
