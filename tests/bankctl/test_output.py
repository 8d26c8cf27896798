"""The five forms of one result, and what goes to which stream."""

from io import BytesIO, StringIO

import pytest

from bankctl.columns import INT, MICROS, MONEY, TEXT, TIME, YES_NO, Column, Row
from bankctl.errors import Failure
from bankctl.output import TABLE_BLOCK_ROWS, Format, Host, Listing, Printer, Record
from bankd.errors import Code, Exit
from tests.bankctl.harness import Terminal

COLUMNS = (
    Column("name", TEXT),
    Column("amount", MONEY),
    Column("index", INT),
    Column("at", TIME),
    Column("voter", YES_NO),
    Column("rtt_us", MICROS, "RTT"),
    Column("why", TEXT, in_table=False),
)
FULL: Row = {
    "name": "ä,b",
    "amount": 1250,
    "index": 2**63,
    "at": 1_700_000_000_000_000_001,
    "voter": True,
    "rtt_us": 1900,
    "why": "so",
}
BARE: Row = {"name": "c", "voter": False}


def printed(form: Format, rows: list[Row], *, terminal: bool = False) -> str:
    stdout = Terminal() if terminal else StringIO()
    Printer(Host(BytesIO(), stdout, StringIO(), {"NO_COLOR": "1"}), form).listing(Listing("things", COLUMNS, rows))
    return stdout.getvalue()


TABLE = """\
NAME  AMOUNT                INDEX  AT                        VOTER     RTT
ä,b    12.50  9223372036854775808  2023-11-14T22:13:20.000Z  yes    1.9 ms
c          -                    -  -                         no          -
"""


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (Format.TABLE, TABLE),
        (Format.TEXT, "ä,b\t12.50\t9223372036854775808\t2023-11-14T22:13:20.000Z\tyes\t1.9 ms\nc\t-\t-\t-\tno\t-\n"),
        (
            Format.JSON,
            '{"things":[{"name":"ä,b","amount":"1250","index":"9223372036854775808","at":"2023-11-14T22:13:20.000000001Z",'
            '"voter":true,"rtt_us":"1900","why":"so"},{"name":"c","voter":false}]}\n',
        ),
        (
            Format.JSONL,
            '{"name":"ä,b","amount":"1250","index":"9223372036854775808","at":"2023-11-14T22:13:20.000000001Z",'
            '"voter":true,"rtt_us":"1900","why":"so"}\n{"name":"c","voter":false}\n',
        ),
        (
            Format.CSV,
            "name,amount,index,at,voter,rtt_us,why\n"
            '"ä,b",12.50,9223372036854775808,2023-11-14T22:13:20.000000001Z,true,1900,so\nc,,,,false,,\n',
        ),
    ],
)
def test_every_form_shows_the_same_rows_its_own_way(form: Format, text: str) -> None:
    assert printed(form, [FULL, BARE]) == text


def test_text_on_a_terminal_is_a_table() -> None:
    assert printed(Format.TEXT, [FULL, BARE], terminal=True) == TABLE


def test_wide_characters_keep_columns_straight() -> None:
    table = printed(Format.TABLE, [{"name": "账户", "amount": 1}, {"name": "abcd", "amount": 1}]).splitlines()
    assert table[1] == "账户    0.01      -  -   -        -"
    assert table[2] == "abcd    0.01      -  -   -        -"


def test_a_long_table_is_printed_block_by_block() -> None:
    rows: list[Row] = [*[{"name": "x"}] * TABLE_BLOCK_ROWS, {"name": "longer"}]
    lines = printed(Format.TABLE, rows).splitlines()
    assert len(lines) == 1 + len(rows)
    assert lines[1].startswith("x     ")
    assert lines[-1].startswith("longer  ")


def test_an_empty_listing_is_still_a_document() -> None:
    assert printed(Format.JSON, []) == '{"things":[]}\n'
    assert printed(Format.CSV, []) == "name,amount,index,at,voter,rtt_us,why\n"
    assert printed(Format.TABLE, []) == "NAME  AMOUNT  INDEX  AT  VOTER  RTT\n"


FAILURE = Failure(
    Exit.REFUSED, Code.FAILED_PRECONDITION, "NO_LUCK", "it\x1b[31m failed\nbadly", "try again", True, {"id": "7"}
)


def complaint(form: Format, environ: dict[str, str], *, terminal: bool = False, verbose: bool = False) -> str:
    stderr = Terminal() if terminal else StringIO()
    Printer(Host(BytesIO(), StringIO(), stderr, environ), form, verbose=verbose).failure(FAILURE)
    return stderr.getvalue()


def test_an_error_is_one_line_whatever_its_message_holds() -> None:
    assert complaint(Format.TEXT, {}) == "error: NO_LUCK: it [31m failed badly (try again)\n"


def test_an_error_is_an_object_where_json_is_asked_for() -> None:
    assert complaint(Format.JSON, {}) == (
        '{"code":"FAILED_PRECONDITION","reason":"NO_LUCK","message":"it\\u001b[31m failed\\nbadly (try again)",'
        '"retryable":true,"metadata":{"id":"7"}}\n'
    )


def test_verbose_adds_what_the_error_carries() -> None:
    assert complaint(Format.TEXT, {}, verbose=True).splitlines()[1:] == ["  id: 7"]


@pytest.mark.parametrize(
    ("color", "environ", "terminal", "colored"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_color_is_the_flags_then_the_environments_then_the_terminals_affair(
    color: str, environ: dict[str, str], terminal: bool, colored: bool
) -> None:
    stream = Terminal() if terminal else StringIO()
    printer = Printer(Host(BytesIO(), stream, StringIO(), environ), color=color)
    assert printer.colored(stream) is colored
    assert ("\x1b[" in printer.verdict(True)) is colored


def test_notes_are_for_people_only() -> None:
    for form, quiet, told in ((Format.TEXT, False, "note\n"), (Format.TEXT, True, ""), (Format.JSON, False, "")):
        stderr = StringIO()
        Printer(Host(BytesIO(), StringIO(), stderr, {}), form, quiet=quiet).note("note")
        assert stderr.getvalue() == told


def test_one_thing_has_the_same_forms() -> None:
    record = Record(COLUMNS[:2], {"name": "a", "amount": 1}, "a has 0.01")
    texts = {}
    for form in Format:
        stdout = StringIO()
        Printer(Host(BytesIO(), stdout, StringIO(), {}), form).record(record)
        texts[form.value] = stdout.getvalue()
    assert texts == {
        "text": "a has 0.01\n",
        "table": "NAME  AMOUNT\na       0.01\n",
        "json": '{"name":"a","amount":"1"}\n',
        "jsonl": '{"name":"a","amount":"1"}\n',
        "csv": "name,amount\na,0.01\n",
    }
