"""The table, against the code it names and the rules of every command line."""

import inspect
import shlex
from importlib import import_module
from itertools import groupby

import pytest

from bankctl.grammar import Command, Group
from bankctl.help import WIDTH, help_text
from bankctl.parser import HelpAsked, Invocation, parse
from bankctl.table import COMMANDS, GRAMMAR, GROUPS

EVERYTHING: list[Command | Group] = [*COMMANDS, *GROUPS]
IDS = [subject.typed or "bankctl" for subject in EVERYTHING]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.typed)
def test_every_command_names_a_function_that_takes_its_values(command: Command) -> None:
    module, _, name = command.run.partition(":")
    parameters = inspect.signature(getattr(import_module(module), name)).parameters
    takes = [name for name, parameter in parameters.items() if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    given = [argument.name for argument in command.arguments] + [flag.name for flag in command.flags]
    assert sorted(takes) == sorted(given)


@pytest.mark.parametrize("subject", EVERYTHING, ids=IDS)
def test_every_help_ends_in_two_examples_that_work(subject: Command | Group) -> None:
    *_, title, first, second = help_text(GRAMMAR, subject).splitlines()
    assert title == "examples:"
    for line in (first, second):
        program, *argv = shlex.split(line.partition(" > ")[0].partition(" < ")[0].partition(" | ")[0])
        asked = parse(GRAMMAR, argv, {})
        assert program == "bankctl"
        assert isinstance(asked, Invocation)
        assert asked.command.path[: len(subject.path)] == subject.path


@pytest.mark.parametrize("subject", EVERYTHING, ids=IDS)
def test_every_help_fits_a_terminal_and_names_all_its_flags(subject: Command | Group) -> None:
    text = help_text(GRAMMAR, subject)
    assert max(map(len, text.splitlines())) <= WIDTH
    flags = GRAMMAR.flags_of(subject) if isinstance(subject, Command) else GRAMMAR.global_flags
    assert [flag.word for flag in flags if f"  {flag.typed}" not in text] == []


def test_a_flag_means_the_same_arity_wherever_it_stands() -> None:
    flags = sorted(GRAMMAR.every_flag(), key=lambda flag: flag.word)
    for word, same in groupby(flags, key=lambda flag: flag.word):
        assert len({bool(flag.metavar) for flag in same}) == 1, word


def test_every_default_is_understood() -> None:
    for flag in GRAMMAR.every_flag():
        if flag.default is not None:
            flag.parse(flag.default)


def test_bare_bankctl_shows_every_command() -> None:
    asked = parse(GRAMMAR, [], {})
    assert isinstance(asked, HelpAsked)
    text = help_text(GRAMMAR, asked.subject)
    assert [command.typed for command in COMMANDS if f"\n  {command.typed} " not in text] == []
