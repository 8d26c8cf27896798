"""What others can cause neither forges lines in the log nor fills the disk with them."""

import logging

import pytest

from bankd.node.causes import TEXT_CHARS_MAX, innermost, quoted, told
from bankd.node.logs import RATIONED_LINES_MAX, RationedLog


def test_line_break_and_length_of_foreign_words_stay_inside_their_quotes() -> None:
    assert "\n" not in quoted("n2\nERROR disk_failed")
    assert len(quoted("x" * 10_000)) <= TEXT_CHARS_MAX + len("'...'")


def test_first_cause_of_nested_groups_is_told() -> None:
    group = ExceptionGroup("a", [ExceptionGroup("b", [ValueError("no\nway"), OSError("late")])])
    assert isinstance(innermost(group), ValueError)
    assert told(group) == repr("ValueError: no\nway")


def test_flood_of_warnings_is_cut_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 5.0
    rationed = RationedLog(logging.getLogger("test"), lambda: now_s)
    for number in range(1000):
        rationed.warning("handshake_refused number=%d", number)
    assert len(caplog.messages) == RATIONED_LINES_MAX
    now_s = 6.0
    rationed.warning("handshake_refused number=%d", 1000)
    held_back = 1000 - RATIONED_LINES_MAX
    assert caplog.messages[RATIONED_LINES_MAX:] == [
        f"lines_held_back count={held_back}",
        "handshake_refused number=1000",
    ]
