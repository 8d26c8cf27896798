"""The words of a plan's text: times, odds, counts and ids, each written in one way and read back exactly.

A word holds no blank and no `#`. Ids may hold anything: what would not survive as part of a word is written as
`\\{hex}`, the number of the character, and an empty id as `\\{}`. A time is a decimal number with its unit, and is
exact to the nanosecond.
"""

import re
from collections.abc import Collection
from typing import Final

from bankd.sim.plan import Link
from bankd.types import NodeId

TIME_UNITS: Final = (("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1))
TIME: Final = re.compile(r"(-?)([0-9]{1,30})(?:\.([0-9]{1,30}))?(ns|us|ms|s)")
COUNT: Final = re.compile(r"-?[0-9]{1,60}")
UNSAFE: Final = re.compile(r"[^!-~]|[#\\>=]")
ESCAPED: Final = re.compile(r"\\\{([0-9a-f]{0,6})\}")
CODE_POINT_MAX: Final = 0x10FFFF


class WordWrong(ValueError):
    """A word cannot be read; the message says why. Caught in plan_text alone, which adds the line."""


def one_of(known: Collection[str]) -> str:
    return f" (one of {', '.join(known)})" if known else ""


def seconds(ns: int) -> str:
    """The time in seconds, so that lines can be compared by eye."""
    return in_unit(ns, *TIME_UNITS[0])


def time(ns: int) -> str:
    """The time in the largest unit that it holds once."""
    return in_unit(ns, *next((unit for unit in TIME_UNITS if abs(ns) >= unit[1]), TIME_UNITS[0]))


def in_unit(ns: int, name: str, size: int) -> str:
    whole, rest = divmod(abs(ns), size)
    digits = str(size + rest)[1:].rstrip("0") if rest else ""
    return f"{'-' if ns < 0 else ''}{whole}{'.' if digits else ''}{digits}{name}"


def read_time(word: str) -> int:
    parts = TIME.fullmatch(word)
    if parts is None:
        raise WordWrong(f"{word!r} is not a time such as 1.25s, 300ms, 100us or 7ns")
    sign, whole, decimals, unit = parts[1], parts[2], parts[3] or "", parts[4]
    smallest: int = 10 ** len(decimals)
    ns, finer = divmod(int(whole + decimals) * dict(TIME_UNITS)[unit], smallest)
    if finer:
        raise WordWrong(f"{word!r} is finer than a nanosecond")
    return -ns if sign else ns


def read_ppm(word: str) -> int:
    if not word.endswith("ppm"):
        raise WordWrong(f"{word!r} is not parts per million such as 2500ppm")
    return read_count(word.removesuffix("ppm"))


def read_count(word: str) -> int:
    if COUNT.fullmatch(word) is None:
        raise WordWrong(f"{word!r} is not a whole number")
    return int(word)


def name(text: str) -> str:
    """An id as one word."""
    return UNSAFE.sub(lambda character: f"\\{{{ord(character[0]):x}}}", text) or "\\{}"


def read_name(word: str) -> str:
    if "\\" in ESCAPED.sub("", word) or any(int(code or "0", 16) > CODE_POINT_MAX for code in ESCAPED.findall(word)):
        raise WordWrong(f"{word!r} holds a backslash that begins no \\{{hex}}")
    return ESCAPED.sub(lambda code: chr(int(code[1], 16)) if code[1] else "", word)


def link(pair: Link) -> str:
    return f"{name(pair[0])}>{name(pair[1])}"


def read_link(word: str) -> Link:
    sender, arrow, receiver = word.partition(">")
    if not (sender and arrow and receiver) or ">" in receiver:
        raise WordWrong(f"{word!r} is not a link such as n1>n2")
    return NodeId(read_name(sender)), NodeId(read_name(receiver))
