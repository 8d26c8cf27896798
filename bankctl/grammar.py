"""What the command line is made of, as values: commands, their arguments, their flags.

`table` writes the whole command line down in these words; `parser`, `help` and `completion` read it,
so the three can't disagree.
"""

from collections.abc import Callable

import attrs

Parse = Callable[[str], object]  # raises ValueError with a sentence


@attrs.frozen
class Argument:
    """A word that a command takes. `name` is the parameter of its function."""

    name: str
    metavar: str
    summary: str
    parse: Parse = str
    required: bool = True
    offers: tuple[str, ...] = ()  # what completion offers
    takes_file: bool = False

    @property
    def typed(self) -> str:
        return self.metavar if self.required else f"[{self.metavar}]"


@attrs.frozen
class Flag:
    """A flag, given as `--word VALUE`; without a metavar it is a switch. `default` is a text, parsed as if typed."""

    word: str
    summary: str
    metavar: str = ""
    parse: Parse = str
    default: str | None = None
    offers: tuple[str, ...] = ()  # what completion offers
    short: str = ""
    env: str = ""

    @property
    def name(self) -> str:
        """The parameter of the command's function."""
        return self.word.removeprefix("--").replace("-", "_")

    @property
    def words(self) -> tuple[str, ...]:
        return (self.short, self.word) if self.short else (self.word,)

    @property
    def typed(self) -> str:
        return " ".join(filter(None, [", ".join(self.words), self.metavar]))


@attrs.frozen
class Command:
    """`path` is what is typed, `run` the function that does it ("module:function", imported when it runs)."""

    path: tuple[str, ...]
    summary: str
    run: str
    examples: tuple[str, str]  # without the leading "bankctl"
    arguments: tuple[Argument, ...] = ()
    flags: tuple[Flag, ...] = ()
    about: str = ""
    timeout_s: float | None = 5.0  # of the whole command, when --timeout is not given; None: no end

    @property
    def typed(self) -> str:
        return " ".join(self.path)


@attrs.frozen
class Group:
    """A word that other commands stand behind; the empty path is the whole program."""

    path: tuple[str, ...]
    summary: str
    examples: tuple[str, str]

    @property
    def typed(self) -> str:
        return " ".join(self.path)


@attrs.frozen
class Grammar:
    commands: tuple[Command, ...]
    groups: tuple[Group, ...]
    global_flags: tuple[Flag, ...]

    @property
    def root(self) -> Group:
        return next(group for group in self.groups if not group.path)

    def members(self, group: Group) -> dict[str, Command | Group]:
        """What may be typed next, by word."""
        depth = len(group.path)
        everything: list[Command | Group] = [*self.commands, *self.groups]
        below = (found for found in everything if len(found.path) == depth + 1 and found.path[:depth] == group.path)
        return {found.path[depth]: found for found in sorted(below, key=lambda found: found.path)}

    def flags_of(self, command: Command) -> tuple[Flag, ...]:
        return (*command.flags, *self.global_flags)

    def every_flag(self) -> tuple[Flag, ...]:
        return (*self.global_flags, *(flag for command in self.commands for flag in command.flags))
