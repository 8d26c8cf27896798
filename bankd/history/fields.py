"""Read one JSON object strictly: every field there, of its type, and none that nobody asked for."""

from collections.abc import Mapping
from typing import Final, NoReturn, TypeVar

T = TypeVar("T")

_MISSING: Final = object()
_WORDS: Final[Mapping[type, str]] = {
    int: "a whole number", str: "a text", bool: "true or false", dict: "an object", list: "a list",
}  # fmt: skip


class FieldWrong(ValueError):
    """What is wrong with the object, in words. Raised here, caught where the line's number is known."""


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

    def column(self, name: str, kind: type[T]) -> list[T]:
        values = self.take(name, list)
        return [_typed(value, kind, f"{self._path}{name}[{row}]") for row, value in enumerate(values)]

    def by_row(self, name: str, kind: type[T], rows: int) -> dict[int, T]:
        """An object whose keys are row numbers, which JSON writes as texts; {} where there is none."""
        found: dict[int, T] = {}
        for key, value in (self.maybe(name, dict) or {}).items():
            if not (key.isascii() and key.isdecimal() and int(key) < rows and str(int(key)) == key):
                raise FieldWrong(f"{self._path}{name} names {key!r}, which is none of the {rows} rows")
            found[int(key)] = _typed(value, kind, f"{self._path}{name}.{key}")
        return found

    def inner(self, name: str) -> "Fields":
        return Fields(self.take(name, dict), f"{self._path}{name}.")

    def wrong(self, name: str, sentence: str) -> NoReturn:
        raise FieldWrong(f"{self._path}{name} {sentence}")

    def finish(self) -> None:
        """Refuse what nobody asked for: a newer format, or a mistyped name."""
        for name in self._left:
            raise FieldWrong(f"{self._path}{name} is not known")


def _typed(value: object, kind: type[T], where: str) -> T:
    # JSON's true is no number here, though Python's True is one.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise FieldWrong(f"{where} must be {_WORDS[kind]}")
    return value
