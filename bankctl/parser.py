"""From the words typed to the command they mean, its values, and the options of every command.

GNU habits: flags stand anywhere, `--word VALUE` or `--word=VALUE`, short ones in a bunch (-qv, -ojson),
behind `--` everything is a word, and so is a negative number. No abbreviations, so that a new flag never
changes an old script. Values are read by the table's parsers, from a flag, else the environment, else the
default. What cannot be understood raises `CommandFailed` with exit code 2.

Why not argparse or cyclopts: on Python 3.11 the first can't combine flags anywhere, optional arguments
and `--`; the second adds 35 ms to every start, of the 100 that a command should take.
"""

from collections.abc import Iterator, Mapping, Sequence

import attrs

from bankctl.errors import usage
from bankctl.grammar import Command, Flag, Grammar, Group, Parse
from bankctl.values import suggestion


@attrs.frozen
class Options:
    """What holds for every command; the table's global flags, by name."""

    endpoints: tuple[str, ...]
    cluster: str | None
    timeout: float | None  # seconds, for the whole command; None: no end
    output: str
    color: str
    quiet: bool
    verbose: bool


@attrs.frozen
class Invocation:
    command: Command
    options: Options
    values: Mapping[str, object]  # the keyword arguments of the command's function


@attrs.frozen
class HelpAsked:
    subject: Command | Group


def parse(grammar: Grammar, argv: Sequence[str], environ: Mapping[str, str]) -> Invocation | HelpAsked:
    """Raises CommandFailed (usage): it cannot be understood."""
    known = {word: flag for flag in grammar.every_flag() for word in flag.words}
    given, words = cut(known, argv)
    found, arguments = find_command(grammar, words)
    if "help" in given or not argv:
        return HelpAsked(found)
    if isinstance(found, Group):
        raise usage(f"{found.typed or 'bankctl'} needs one of: {', '.join(grammar.members(found))}", see(found))
    refuse_strangers(grammar, found, given)
    values = argument_values(found, arguments)
    values |= {flag.name: flag_value(found, flag, given, environ) for flag in found.flags}
    options = {flag.name: flag_value(found, flag, given, environ) for flag in grammar.global_flags}
    if options["timeout"] is None:
        options["timeout"] = found.timeout_s
    del options["help"]
    return Invocation(found, Options(**options), values)  # type: ignore[arg-type]  # the table types them


def wants_json(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether an error shall be JSON, judged without understanding the rest: the rest may be what is wrong."""
    asked = environ.get("BANKCTL_OUTPUT", "")
    for word, after in zip(argv, [*argv[1:], ""], strict=True):
        if word in ("-o", "--output"):
            asked = after
        elif word.startswith(("-ojson", "--output=")):
            asked = word.removeprefix("--output=").removeprefix("-o")
    return asked in ("json", "jsonl")


def cut(known: Mapping[str, Flag], argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The text given for each flag, by its name (a switch has ""), and the words that belong to none."""
    given: dict[str, str] = {}
    words: list[str] = []
    rest = iter(argv)
    for word in rest:
        if word == "--":
            words.extend(rest)
        elif word.startswith("--"):
            name, equals, text = word.partition("=")
            take(known, name, text if equals else None, rest, given)
        elif word.startswith("-") and not word[1:2].isdigit() and word != "-":
            cut_bunch(known, word, rest, given)
        else:
            words.append(word)
    return given, words


def cut_bunch(known: Mapping[str, Flag], bunch: str, rest: Iterator[str], given: dict[str, str]) -> None:
    """Short flags in one word; the first that takes a value takes what is left of it."""
    for position in range(1, len(bunch)):
        flag = lookup(known, f"-{bunch[position]}", typed=bunch)
        if flag.metavar:
            take(known, flag.short, bunch[position + 1 :] or None, rest, given)
            return
        given[flag.name] = ""


def take(known: Mapping[str, Flag], word: str, text: str | None, rest: Iterator[str], given: dict[str, str]) -> None:
    """Note a flag with its value: the one attached to it, or else the next word."""
    flag = lookup(known, word, typed=word)
    if flag.metavar and text is None:
        text = next(rest, None)
        if text is None:
            raise usage(f"{word} needs a value: {flag.summary}")
    elif not flag.metavar and text is not None:
        raise usage(f"{word} takes no value")
    given[flag.name] = text or ""


def lookup(known: Mapping[str, Flag], word: str, *, typed: str) -> Flag:
    if word not in known:
        raise usage(f"there is no flag {typed}{suggestion(typed, known)}")
    return known[word]


def find_command(grammar: Grammar, words: Sequence[str]) -> tuple[Command | Group, list[str]]:
    """The command that the first words name (or the group, where they end too early), and the other words."""
    found: Command | Group = grammar.root
    rest = list(words)
    while isinstance(found, Group) and rest:
        found = member(grammar, found, rest.pop(0))
    return found, rest


def member(grammar: Grammar, group: Group, word: str) -> Command | Group:
    members = grammar.members(group)
    if word in members:
        return members[word]
    elsewhere = next((command.typed for command in grammar.commands if word in command.path), None)
    meant = f"; did you mean {elsewhere}?" if elsewhere else suggestion(word, members)
    raise usage(f"{' '.join((*group.path, word))!r} is no command{meant}", see(group))


def refuse_strangers(grammar: Grammar, command: Command, given: Mapping[str, str]) -> None:
    own = {flag.name: flag.word for flag in grammar.flags_of(command)}
    for name in given:
        if name not in own:
            word = f"--{name.replace('_', '-')}"
            raise usage(f"{command.typed} has no flag {word}{suggestion(word, own.values())}", see(command))


def argument_values(command: Command, words: Sequence[str]) -> dict[str, object]:
    missing = [argument.metavar for argument in command.arguments[len(words) :] if argument.required]
    if missing:
        raise usage(f"{command.typed} needs {' '.join(missing)}", see(command))
    if len(words) > len(command.arguments):
        raise usage(f"{words[len(command.arguments)]!r} is one word too many", see(command))
    texts = [*words, *[None] * (len(command.arguments) - len(words))]
    return {
        argument.name: None if text is None else value(command, argument.metavar, argument.parse, text)
        for argument, text in zip(command.arguments, texts, strict=True)
    }


def flag_value(command: Command, flag: Flag, given: Mapping[str, str], environ: Mapping[str, str]) -> object:
    if not flag.metavar:
        return flag.name in given
    if flag.name in given:
        return value(command, flag.word, flag.parse, given[flag.name])
    if flag.env and environ.get(flag.env):
        return value(command, flag.env, flag.parse, environ[flag.env])
    return None if flag.default is None else flag.parse(flag.default)


def value(command: Command, name: str, parse: Parse, text: str) -> object:
    try:
        return parse(text)
    except ValueError as error:
        raise usage(f"{name}: {error}", see(command)) from None


def see(subject: Command | Group) -> str:
    return f"see {' '.join(filter(None, ['bankctl', subject.typed, '--help']))}"
