"""Read one JSON object strictly: every field there and once, of its type, and none that nobody asked for.

Text is UTF-8 and nothing else. Numbers are whole and have a bound, far beyond every time and amount: no sum of them
grows into a number that takes long to write.
"""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Final, NoReturn, TypeVar

T = TypeVar("T")

NUMBER_BITS_MAX: Final = 127  # without the sign

_MISSING: Final = object()
_WORDS: Final[Mapping[type, str]] = {
    int: "a whole number", str: "a text", bool: "true or false", dict: "an object", list: "a list",
}  # fmt: skip
_TOO_LARGE: Final = f"must be smaller than 2**{NUMBER_BITS_MAX} either way"


class FieldWrong(ValueError):
    """What is wrong with the object, in words. Raised here, caught where the line's number is known."""


def value_of(line: str | bytes) -> object:
    """What this JSON says. Raises FieldWrong where it is none, or a name stands twice in one object."""
    try:
        text = line if isinstance(line, str) else line.decode()
        value: object = _DECODER.decode(text)
    except UnicodeDecodeError:
        raise FieldWrong("not UTF-8") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise FieldWrong(f"not JSON: {error}") from None
    except FieldWrong:
        raise
    except ValueError:  # the interpreter reads no number of thousands of digits
        raise FieldWrong(f"holds a number that {_TOO_LARGE}") from None
    return value


class Fields:
    """The fields of one object; each may be taken once. `path` says where in the line the object stands."""

    def __init__(self, value: object, path: str = "") -> None:
        self._path = path
        self._left = dict(_typed(value, dict, path or "the line"))

    def has(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, kind: type[T]) -> T:
        value = self._left.pop(name, _MISSING)
        if value is _MISSING:
            raise FieldWrong(f"{self._path}{name} is missing")
        return _typed(value, kind, self._path + name)

    def maybe(self, name: str, kind: type[T]) -> T | None:
        return self.take(name, kind) if name in self._left else None

    def count(self, name: str) -> int:
        """A number that is 0 or more."""
        return self._counted(name, self.take(name, int))

    def maybe_count(self, name: str) -> int | None:
        return self.count(name) if name in self._left else None

    def column(self, name: str, kind: type[T]) -> list[T]:
        values = self.take(name, list)
        return [_typed(value, kind, f"{self._path}{name}[{row}]") for row, value in enumerate(values)]

    def by_row(self, name: str, kind: type[T], rows: int) -> dict[int, T]:
        """An object whose keys are row numbers, which JSON writes as texts; {} where there is none."""
        found: dict[int, T] = {}
        for key, value in (self.maybe(name, dict) or {}).items():
            row = self._row(name, key, rows)
            found[row] = _typed(value, kind, f"{self._path}{name}.{key}")
        return found

    def counts_by_row(self, name: str, rows: int) -> dict[int, int]:
        return {row: self._counted(f"{name}.{row}", count) for row, count in self.by_row(name, int, rows).items()}

    def inner(self, name: str) -> "Fields":
        return Fields(self.take(name, dict), f"{self._path}{name}.")

    def wrong(self, name: str, sentence: str) -> NoReturn:
        raise FieldWrong(f"{self._path}{name} {sentence}")

    def finish(self) -> None:
        """Refuse what nobody asked for: a newer format, or a mistyped name."""
        for name in self._left:
            raise FieldWrong(f"{self._path}{name} is not known")

    def _counted(self, name: str, number: int) -> int:
        if number < 0:
            self.wrong(name, "must not be negative")
        return number

    def _row(self, name: str, key: str, rows: int) -> int:
        # Its length before its value: the interpreter reads no number of thousands of digits.
        if key.isascii() and key.isdecimal() and len(key) <= len(str(rows)):
            row = int(key)
            if row < rows and str(row) == key:
                return row
        self.wrong(name, f"names {key!r}, which is none of the {rows} rows")


def _typed(value: object, kind: type[T], where: str) -> T:
    # JSON's true is no number here, though Python's True is one.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise FieldWrong(f"{where} must be {_WORDS[kind]}")
    if isinstance(value, int) and value.bit_length() > NUMBER_BITS_MAX:
        raise FieldWrong(f"{where} {_TOO_LARGE}")
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise FieldWrong(f"{twice} stands twice in one object")
    return value


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object)
