import pytest

from bankctl.values import parse_count, parse_duration, parse_read_mode, read_name
from bankd.types import LINEARIZABLE, AtLeast, Bounded, LogIndex, ReadMode, Stale


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("2s", 2.0), ("1.5m", 90.0), ("1h", 3600.0)])
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "0s", "0.0s", "-1s", "1 s", "1d", "1e9s", "s", "9" * 400 + "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_a_count_is_a_whole_number_of_one_or_more() -> None:
    assert parse_count("64") == 64
    for text in ("0", "-1", "1.5", "", "x", "1" * 30):
        with pytest.raises(ValueError, match="is not a whole number"):
            parse_count(text)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("linearizable", LINEARIZABLE),
        ("stale", Stale()),
        ("bounded:500ms", Bounded(500)),
        ("at-least:4182", AtLeast(LogIndex(4182))),
    ],
)
def test_a_read_mode_is_named_as_it_is_typed(text: str, mode: ReadMode) -> None:
    assert parse_read_mode(text) == mode
    assert read_name(mode) == text.partition(":")[0]


@pytest.mark.parametrize(
    "text",
    ["", "fresh", "stale:1", "linearizable:", "bounded", "bounded:5", "at-least:", "at-least:x", f"at-least:{2**64}"],
)
def test_what_is_no_read_mode_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a read mode"):
        parse_read_mode(text)
