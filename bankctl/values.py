"""Texts of flags and environment variables to values: durations, counts, endpoints, read modes.

Every parser takes a text and returns a value or raises ValueError with a sentence that says what
would be right; `parser` puts the flag's name before it.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from bankd.types import LINEARIZABLE, AtLeast, Bounded, LogIndex, ReadMode, Stale

UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
INDEX_MAX: Final = 2**64 - 1  # a log index is a u64 on the wire

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,20}", re.ASCII)


def one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    """A parser that takes exactly these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is not one of {', '.join(words)}{suggestion(text, words)}")
        return text

    return parse


def suggestion(word: str, known: Iterable[str]) -> str:
    """The words to add to an error, such as "; did you mean status?", or nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def parse_duration(text: str) -> float:
    """Seconds, more than 0, of a text such as 500ms, 2s, 1.5m, 1h."""
    match = _DURATION.fullmatch(text)
    seconds = float(match[1]) * UNIT_S[match[2]] if match else 0.0
    if not 0.0 < seconds < float("inf"):
        raise ValueError(f"{text!r} is not a duration: write it as 500ms, 2s, 1.5m or 1h")
    return seconds


def parse_count(text: str) -> int:
    """A whole number of 1 or more."""
    count = int(text) if _COUNT.fullmatch(text) else 0
    if count < 1:
        raise ValueError(f"{text!r} is not a whole number of 1 or more")
    return count


def parse_endpoints(text: str) -> tuple[str, ...]:
    """host:port, several separated by commas; judged by the client's own rule."""
    from bankd.client.options import parse_endpoints as parse

    return parse(text)


def parse_read_mode(text: str) -> ReadMode:
    """linearizable, stale, bounded:DURATION or at-least:INDEX."""
    match text.split(":"):
        case ["linearizable"]:
            return LINEARIZABLE
        case ["stale"]:
            return Stale()
        case ["bounded", age] if _DURATION.fullmatch(age):
            return Bounded(max(1, round(parse_duration(age) * 1000)))
        case ["at-least", index] if _COUNT.fullmatch(index) and int(index) <= INDEX_MAX:
            return AtLeast(LogIndex(int(index)))
    raise ValueError(f"{text!r} is not a read mode: linearizable, stale, bounded:500ms or at-least:4182")


def read_name(mode: ReadMode) -> str:
    """The word that `parse_read_mode` takes for it."""
    match mode:
        case Bounded():
            return "bounded"
        case AtLeast():
            return "at-least"
        case _:
            return type(mode).__name__.lower()
