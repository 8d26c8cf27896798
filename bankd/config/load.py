"""Read a configuration from its four sources and report every fault at once.

`--set key=value` > environment (BANKD_RAFT__HEARTBEAT) > file > default. A fault is one line:
`place key: what is wrong (what would be right)`, where the place is `file:line`, the variable or
the flag. Nothing is raised before everything was looked at, so that one run is enough to repair a
file; only broken TOML hides what else there may be.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

import attrs

from bankd.config.checks import Clash, clashes
from bankd.config.kinds import Unfit, quoted
from bankd.config.lines import key_lines
from bankd.config.settings import SETTINGS, Config, Role, build
from bankd.errors import ConfigInvalid

ENVIRON_PREFIX: Final = "BANKD_"
SECTIONS: Final = frozenset(key.partition(".")[0] for key in SETTINGS)


@attrs.frozen
class LoadedConfig:
    """A checked configuration, and by key: the value as TOML text, and where it came from."""

    config: Config
    literals: Mapping[str, str]
    origins: Mapping[str, str]


@attrs.frozen
class Given:
    """What somebody gave for a key, not judged yet. `line` is None outside the file."""

    key: str
    value: object
    origin: str
    line: int | None = None


@attrs.frozen
class Fault:
    line: int | None
    text: str


@attrs.frozen
class Source:
    """The file: what it gives, and where in it each key stands."""

    path: str
    table: Mapping[str, object]
    lines: Mapping[str, int]

    @classmethod
    def read(cls, path: str) -> "Source":
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
            return cls(path, tomllib.loads(text), key_lines(text))
        except OSError as error:
            raise ConfigInvalid(
                [f"{path}: cannot be read: {error.strerror} (`bankd init` writes a file to start from)"]
            ) from None
        except UnicodeDecodeError as error:
            raise ConfigInvalid([f"{path}: byte {error.start} is not UTF-8 (TOML files are UTF-8)"]) from None
        except (ValueError, RecursionError) as error:  # also what tomllib lets through: endless numbers, deep nesting
            raise ConfigInvalid([broken_toml(path, str(error), lines=text.count("\n") + 1)]) from None

    def given(self) -> Iterator[Given]:
        for section, body in self.table.items():
            if not isinstance(body, dict) or not body:
                yield self.found(section, body)
            else:
                yield from (self.found(f"{section}.{name}", value) for name, value in body.items())

    def found(self, key: str, value: object) -> Given:
        line = self.lines.get(key) or self.lines.get(key.partition(".")[0])
        return Given(key, value, f"{self.path}:{line}" if line else self.path, line)

    def place(self, key: str) -> Given:
        """Where `key` would stand if it were there: at its section's header."""
        return self.found(key.partition(".")[0], None)


def load_config(
    path: str, *, overrides: Sequence[str] = (), environ: Mapping[str, str], role: Role | None = Role.NODE
) -> LoadedConfig:
    """Read, merge and check the configuration at `path`.

    `overrides` are `key=value` as given to --set. `role` is the process that it is for, which decides
    what is required; None takes every role that the values speak of.

    Raises:
      ConfigInvalid: with every fault found, those of the file first, in the order of its lines.
    """
    source = Source.read(path)
    faults: list[Fault] = []
    given = known([*source.given(), *from_environ(environ), *from_overrides(overrides, faults)], faults)
    roles = {role} if role is not None else roles_of(given)
    absent = [key for key, setting in SETTINGS.items() if setting.required_by & roles and key not in given]
    faults += [missing(source.place(key), key) for key in absent]

    values = parse(given, faults)
    config = with_advertise(build(values))
    unsettled = {*absent, *(given.keys() - values.keys())}
    settled = (clash for clash in clashes(config, roles) if unsettled.isdisjoint(clash.keys))
    faults += [clashing(clash, given, source) for clash in settled]
    if faults:
        in_order = sorted(faults, key=lambda fault: (fault.line is None, fault.line or 0))
        raise ConfigInvalid([fault.text for fault in in_order])
    return LoadedConfig(
        config, literals(given), {key: given[key].origin if key in given else "default" for key in SETTINGS}
    )


# Sources beside the file


def from_environ(environ: Mapping[str, str]) -> Iterator[Given]:
    """Variables named BANKD_<SECTION>__<KEY>; other BANKD_ variables are not ours to judge."""
    for name, text in sorted(environ.items()):
        section, separator, key = name.removeprefix(ENVIRON_PREFIX).lower().partition("__")
        if name.startswith(ENVIRON_PREFIX) and separator:
            yield from_text(f"{section}.{key}", text, f"env {name}")


def from_overrides(overrides: Sequence[str], faults: list[Fault]) -> Iterator[Given]:
    for override in overrides:
        key, equals, text = override.partition("=")
        if equals:
            yield from_text(key.strip(), text.strip(), "--set")
        else:
            faults.append(Fault(None, f"--set {override}: has no value (write --set key=value)"))


def from_text(key: str, text: str, origin: str) -> Given:
    setting = SETTINGS.get(key)
    return Given(key, setting.kind.from_text(text) if setting else text, origin)


# Judging


def known(given: Sequence[Given], faults: list[Fault]) -> dict[str, Given]:
    """What was given by key, the last one counting; keys that do not exist become faults."""
    latest: dict[str, Given] = {}
    for item in given:
        if item.key in SETTINGS:
            latest[item.key] = item
        elif item.key not in SECTIONS:
            faults.append(fault(item, f"is no key of this program{suggestion(item.key)}"))
        elif item.value != {}:
            faults.append(fault(item, f"{quoted(item.value)} is not a table (write [{item.key}] and its keys below)"))
    return latest


def suggestion(key: str) -> str:
    same_name = [other for other in SETTINGS if other.endswith(f".{key.rpartition('.')[2]}")]
    similar = same_name or get_close_matches(key, SETTINGS, n=1)
    return f" (did you mean {similar[0]}?)" if similar else " (docs/configuration.md lists them)"


def parse(given: Mapping[str, Given], faults: list[Fault]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, item in given.items():
        try:
            values[key] = SETTINGS[key].kind.parse(item.value)
        except Unfit as unfit:
            faults.append(fault(item, str(unfit)))
    return values


def roles_of(given: Mapping[str, Given]) -> set[Role]:
    """The roles that the values speak of; a node where they speak of none."""
    sections = {key.partition(".")[0] for key in given}
    roles = {Role.GATEWAY} if "gateway" in sections else {Role.NODE}
    return roles | {Role.NODE} if sections & {"node", "listen", "raft", "storage"} else roles


def fault(item: Given, message: str) -> Fault:
    return Fault(item.line, f"{item.origin} {item.key}: {message}")


def missing(place: Given, key: str) -> Fault:
    section, _, name = key.partition(".")
    return fault(attrs.evolve(place, key=key), f"is missing (in [{section}]: {name} = {SETTINGS[key].sample})")


def clashing(clash: Clash, given: Mapping[str, Given], source: Source) -> Fault:
    """Show a clash at the first of its keys that was given; its message is about the first one."""
    place = next((given[key] for key in clash.keys if key in given), source.place(clash.keys[0]))
    return fault(attrs.evolve(place, key=clash.keys[0]), clash.message)


def broken_toml(path: str, message: str, lines: int) -> str:
    """tomllib ends its messages in `(at line L, column C)` or `(at end of document)`."""
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", message, re.DOTALL)
    if found is None:
        return f"{path}: {message} (the file cannot be read as TOML)"
    return f"{path}:{found[2] or lines} {found[1]} (the file is not TOML from here on)"


# Results


def with_advertise(config: Config) -> Config:
    """Give listen.advertise its meaning where it is empty."""
    advertise = config.listen.advertise or config.listen.address
    return attrs.evolve(config, listen=attrs.evolve(config.listen, advertise=advertise))


def literals(given: Mapping[str, Given]) -> dict[str, str]:
    shown = {key: setting.default for key, setting in SETTINGS.items()}
    shown.update((key, quoted(item.value)) for key, item in given.items())
    return {key: literal for key, literal in shown.items() if literal is not None}
