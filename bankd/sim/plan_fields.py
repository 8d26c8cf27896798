"""The fields of a plan's classes as words, after their names and types alone: what `plan` gains, the text has.

Ids and links stand alone, in the order of the class; then a switch by its name, if it is on, and numbers as `key=value`
in the unit that the field's name ends in. When a fault begins and how long it lasts stands elsewhere (`plan_text`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from bankd.sim import plan_words as words
from bankd.sim.plan import Link
from bankd.sim.plan_words import WordWrong, one_of

Value = int | str | tuple[Link, ...]
LINKS: Final = tuple[Link, ...]
TIMING: Final = ("at_ns", "for_ns")


def fields_of(value: attrs.AttrsInstance, *, defaults: bool = True) -> Iterator[str]:
    """The words of every field; without `defaults`, of those that are not what they are if nothing is said."""
    for field in attrs.fields(type(value)):
        given = getattr(value, field.name)
        if field.name not in TIMING and (defaults or given != field.default):
            yield from field_words(field.name, given)


def field_words(name: str, value: Value) -> Iterator[str]:
    match value:
        case bool():
            yield from [name] if value else []
        case int():
            yield f"{key_of(name)}={written(name, value)}"
        case str():
            yield words.name(value)
        case tuple():
            yield from map(words.link, value)


def key_of(name: str) -> str:
    """A field's name without its unit, which stands at the value."""
    return "_".join(part for part in name.split("_") if part not in ("ns", "ppm"))


def written(name: str, value: int) -> str:
    if "ns" in name.split("_"):
        return words.time(value)
    return f"{value}ppm" if "ppm" in name.split("_") else str(value)


def read_fields(cls: type[attrs.AttrsInstance], kind: str, rest: Sequence[str]) -> dict[str, Value]:
    """The fields of a class by name: lone words in the order of the class, keyed ones in any."""
    types = {name: field.type for name, field in attrs.fields_dict(cls).items() if name not in TIMING}
    lone = read_lone(types, kind, [word for word in rest if "=" not in word])
    return lone | read_keyed(types, kind, [word for word in rest if "=" in word])


def read_lone(types: Mapping[str, type | None], kind: str, rest: Sequence[str]) -> dict[str, Value]:
    if LINKS in types.values():
        return {name: tuple(map(words.read_link, rest)) for name, type_ in types.items() if type_ == LINKS}
    ids = [name for name, type_ in types.items() if type_ not in (int, bool)]
    given: dict[str, Value] = dict(zip(ids, map(words.read_name, rest), strict=False))
    switches = dict.fromkeys((name for name, type_ in types.items() if type_ is bool), False)
    for word in rest[len(ids) :]:
        if switches.get(word) is not False:
            raise WordWrong(f"{kind} takes no {word!r}{one_of(switches)}")
        switches[word] = True
    return given | switches


def read_keyed(types: Mapping[str, type | None], kind: str, rest: Sequence[str]) -> dict[str, Value]:
    names = {key_of(name): name for name, type_ in types.items() if type_ is int}
    given: dict[str, Value] = {}
    for word in rest:
        key, _, value = word.partition("=")
        if key not in names or names[key] in given:
            raise WordWrong(f"{kind} takes no {'second ' if key in names else ''}{key!r}{one_of(names)}")
        given[names[key]] = read_value(names[key], value)
    return given


def read_value(name: str, word: str) -> int:
    if "ns" in name.split("_"):
        return words.read_time(word)
    return words.read_ppm(word) if "ppm" in name.split("_") else words.read_count(word)


def complete(cls: type[attrs.AttrsInstance], kind: str, given: Mapping[str, Value]) -> Mapping[str, Value]:
    """What was given, if that is enough to make a value of the class."""
    fields = attrs.fields_dict(cls)
    missing = [key_of(name) for name, field in fields.items() if field.default is attrs.NOTHING and name not in given]
    if missing:
        raise WordWrong(f"{kind} needs {' and '.join(missing)}")
    return given
