"""argv to command, values and options: by table."""

import shlex

import pytest

from bankctl.errors import CommandFailed
from bankctl.parser import HelpAsked, Invocation, parse, wants_json
from bankctl.table import GRAMMAR
from bankd.errors import Exit
from bankd.types import LINEARIZABLE, Stale


def understood(line: str, **environ: str) -> Invocation:
    asked = parse(GRAMMAR, shlex.split(line), environ)
    assert isinstance(asked, Invocation)
    return asked


@pytest.mark.parametrize(
    ("line", "command", "values"),
    [
        ("balance a", "balance", {"account": "a", "read": LINEARIZABLE}),
        ("balance a --read stale", "balance", {"account": "a", "read": Stale()}),
        ("balance --read=stale a", "balance", {"account": "a", "read": Stale()}),
        ("--read stale balance a", "balance", {"account": "a", "read": Stale()}),
        ("balance -- --odd", "balance", {"account": "--odd", "read": LINEARIZABLE}),
        ("balance -", "balance", {"account": "-", "read": LINEARIZABLE}),
        ("transfer a b 12.5", "transfer", {"source": "a", "target": "b", "amount": 1250, "tx_id": None}),
        ("transfer a --tx-id t b 1", "transfer", {"source": "a", "target": "b", "amount": 100, "tx_id": "t"}),
        ("account create a", "account create", {"account": "a", "initial": 0}),
        ("account -q create a --initial 1", "account create", {"account": "a", "initial": 100}),
        ("cluster transfer-leader", "cluster transfer-leader", {"node": None}),
        ("cluster transfer-leader --timeout 9s n2", "cluster transfer-leader", {"node": "n2"}),
        ("batch - --format csv", "batch", {"file": "-", "format": "csv"}),
    ],
)
def test_words_become_a_command_with_values(line: str, command: str, values: dict[str, object]) -> None:
    asked = understood(line)
    assert asked.command.typed == command
    assert asked.values == values


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("balence a", "'balence' is no command; did you mean balance? (see bankctl --help)"),
        ("create a", "'create' is no command; did you mean account create?"),
        ("account crate", "'account crate' is no command; did you mean create? (see bankctl account --help)"),
        ("account", "account needs one of: create, list, show"),
        ("-q", "bankctl needs one of: account, audit, balance, "),
        ("balance", "balance needs ACCOUNT (see bankctl balance --help)"),
        ("transfer a", "transfer needs TO AMOUNT"),
        ("balance a b", "'b' is one word too many"),
        ("balance a --reed stale", "there is no flag --reed; did you mean --read?"),
        ("balance a --rea stale", "there is no flag --rea; did you mean --read?"),
        ("balance a -x", "there is no flag -x"),
        ("version --read stale", "version has no flag --read"),
        ("version --quiet=1", "--quiet takes no value"),
        ("balance a --read", "--read needs a value"),
        ("balance a -o", "-o needs a value"),
        ("balance a -o jsn", "--output: 'jsn' is not one of text, table, json, jsonl, csv; did you mean json?"),
        ("balance a --timeout 5", "--timeout: '5' is not a duration"),
        ("balance a --endpoints host:port:x", "--endpoints: "),
        ("transfer a b 12.345", "AMOUNT: 12.345 has more than 2 digits"),
        ("transfer a b 1e3", "AMOUNT: '1e3' is not an amount"),
        ("transfer a b -5", "AMOUNT: -5 is negative"),
        ("transfer a b ''", "AMOUNT: an amount is missing"),
        ("account create a --initial -5", "--initial: -5 is negative"),
    ],
)
def test_what_cannot_be_understood_is_said_in_one_sentence(line: str, sentence: str) -> None:
    with pytest.raises(CommandFailed) as caught:
        understood(line)
    failure = caught.value.failure
    assert sentence in failure.sentence
    assert failure.exit is Exit.USAGE
    assert "\n" not in failure.sentence


def test_flag_wins_over_environment_and_environment_over_default() -> None:
    assert understood("balance a").options.endpoints == ("127.0.0.1:7401",)
    assert understood("balance a", BANKCTL_ENDPOINTS="h:1,h:2").options.endpoints == ("h:1", "h:2")
    assert understood("balance a --endpoints h:3", BANKCTL_ENDPOINTS="h:1").options.endpoints == ("h:3",)
    assert understood("balance a", BANKCTL_READ="stale").values["read"] == Stale()


def test_a_fault_in_the_environment_names_the_variable() -> None:
    with pytest.raises(CommandFailed, match="BANKCTL_TIMEOUT: 'soon' is not a duration"):
        understood("balance a", BANKCTL_TIMEOUT="soon")


def test_an_empty_variable_is_none() -> None:
    assert understood("balance a", BANKCTL_ENDPOINTS="").options.endpoints == ("127.0.0.1:7401",)


def test_the_time_of_the_whole_command_is_the_commands_own_unless_given() -> None:
    assert understood("balance a").options.timeout == 5.0
    assert understood("batch f.csv").options.timeout is None
    assert understood("batch f.csv --timeout 2s").options.timeout == 2.0


def test_short_flags_stand_in_a_bunch_with_a_value_at_its_end() -> None:
    options = understood("version -qvojson").options
    assert (options.quiet, options.verbose, options.output) == (True, True, "json")


def test_of_a_flag_given_twice_the_last_counts() -> None:
    assert understood("version -o json -o csv").options.output == "csv"


@pytest.mark.parametrize(
    ("line", "subject"),
    [
        ("", ""),
        ("--help", ""),
        ("-h", ""),
        ("account --help", "account"),
        ("--help transfer", "transfer"),
        ("transfer a -h", "transfer"),
    ],
)
def test_help_is_asked_for_anywhere(line: str, subject: str) -> None:
    asked = parse(GRAMMAR, shlex.split(line), {})
    assert isinstance(asked, HelpAsked)
    assert asked.subject.typed == subject


@pytest.mark.parametrize(
    ("line", "environment", "json"),
    [
        ("nonsense -o json", "", True),
        ("nonsense -ojsonl", "", True),
        ("nonsense --output=json", "", True),
        ("nonsense --output", "", False),
        ("nonsense", "json", True),
        ("nonsense -o text", "json", False),
        ("nonsense -o json -o text", "", False),
    ],
)
def test_errors_are_json_when_json_was_asked_for_however_wrong_the_rest(
    line: str, environment: str, json: bool
) -> None:
    assert wants_json(line.split(), {"BANKCTL_OUTPUT": environment}) is json
