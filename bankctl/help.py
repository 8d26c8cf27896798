"""The text of --help, for every command and group: made from the table, for 80 columns, ending in two examples."""

from collections.abc import Iterable, Iterator
from textwrap import fill
from typing import Final

from bankctl.grammar import Command, Flag, Grammar, Group

WIDTH: Final = 80
LEFT_MAX: Final = 24  # a longer left side gets a line of its own


def help_text(grammar: Grammar, subject: Command | Group) -> str:
    parts = command_parts(grammar, subject) if isinstance(subject, Command) else group_parts(grammar, subject)
    return "\n\n".join([*parts, examples(subject)]) + "\n"


def command_parts(grammar: Grammar, command: Command) -> Iterator[str]:
    usage = " ".join(["bankctl", command.typed, *(argument.typed for argument in command.arguments), "[flags]"])
    yield f"{sentence(command.summary)}\n\nusage: {usage}"
    if command.about:
        yield "\n\n".join(fill(paragraph, WIDTH) for paragraph in command.about.split("\n\n"))
    if command.arguments:
        yield section("arguments", ((argument.metavar, argument.summary) for argument in command.arguments))
    if command.flags:
        yield section("flags", map(flag_line, command.flags))
    yield section("flags of every command", map(flag_line, grammar.global_flags))


def group_parts(grammar: Grammar, group: Group) -> Iterator[str]:
    usage = " ".join(filter(None, ["bankctl", group.typed, "COMMAND [flags]"]))
    yield f"{sentence(group.summary)}\n\nusage: {usage}"
    yield section("commands", ((found.typed, found.summary) for found in leaves(grammar, group)))
    yield section("flags of every command", map(flag_line, grammar.global_flags))


def leaves(grammar: Grammar, group: Group) -> Iterator[Command]:
    return (command for command in grammar.commands if command.path[: len(group.path)] == group.path)


def flag_line(flag: Flag) -> tuple[str, str]:
    notes = [f"default {flag.default}" if flag.default else "", flag.env]
    note = ", ".join(filter(None, notes))
    return flag.typed, f"{flag.summary} [{note}]" if note else flag.summary


def section(title: str, lines: Iterable[tuple[str, str]]) -> str:
    return "\n".join([f"{title}:", *(entry(left, right) for left, right in lines)])


def entry(left: str, right: str) -> str:
    indent = " " * (LEFT_MAX + 4)
    if len(left) > LEFT_MAX:
        return f"  {left}\n" + fill(right, WIDTH, initial_indent=indent, subsequent_indent=indent)
    return fill(right, WIDTH, initial_indent=f"  {left:{LEFT_MAX}}  ", subsequent_indent=indent)


def examples(subject: Command | Group) -> str:
    return "\n".join(["examples:", *(f"  bankctl {example}" for example in subject.examples)])


def sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."
