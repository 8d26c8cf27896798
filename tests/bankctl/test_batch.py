"""`batch`: the file, the ids, the result lines, and what happens when the world fails in the middle."""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankctl.batchfile import BatchInvalid, read_batch
from bankctl.commands.batch import CHUNK_ROWS
from bankd.errors import Code, Exit, Refusal
from tests.bankctl.conftest import Ask
from tests.client.fake_server import Answer, DropAfter, FakeServer, NeverAnswer, Refuse

GOOD = b"from,to,amount,tx_id\nacct1,acct2,2.00,\nacct1,acct2,3.00,own\n"


def faults(content: bytes, form: str) -> Sequence[tuple[int, str]]:
    with pytest.raises(BatchInvalid) as caught:
        read_batch(content, form)
    return [(fault.line, fault.sentence) for fault in caught.value.faults]


def ids(content: bytes, form: str = "csv") -> list[str | None]:
    return [row.request.tx_id for row in read_batch(content, form)]


def test_the_same_bytes_give_the_same_ids() -> None:
    first, own = ids(GOOD)
    assert [first, own] == ids(GOOD)
    assert own == "own"
    assert first is not None
    assert first.startswith("batch-")
    assert first.endswith("-1")
    assert ids(GOOD + b"\n")[0] != first


def test_equal_rows_are_different_transfers() -> None:
    assert len(set(ids(b"from,to,amount\na,b,1\na,b,1\n"))) == 2


def test_both_forms_mean_the_same() -> None:
    lines = b'{"from":"acct1","to":"acct2","amount":200}\n\n{"tx_id":"own","amount":"300","to":"acct2","from":"acct1"}'
    csv_rows, json_rows = read_batch(GOOD, "csv"), read_batch(lines, "jsonl")
    assert [(row.number, row.request.source, row.request.target, row.request.amount) for row in csv_rows] == [
        (row.number, row.request.source, row.request.target, row.request.amount) for row in json_rows
    ]


def test_csv_may_come_from_a_spreadsheet() -> None:
    content = '\ufeffamount,"to",from\r\n1.00,"b, c",a\r\n\r\n2.00,d,"e""f"\r\n'.encode()
    assert [(row.request.source, row.request.target, row.request.amount) for row in read_batch(content, "csv")] == [
        ("a", "b, c", 100),
        ('e"f', "d", 200),
    ]


def test_every_fault_of_a_csv_file_is_found_with_its_line() -> None:
    content = b"from,to,amount,tx_id\na,b,1.234,\n\na,b,1\na,a,1,\na,b,1,x\na,b,1,x\n,b,1,\na,b,,\na,@b,1,\n"
    assert [(line, sentence.split(":")[0]) for line, sentence in faults(content, "csv")] == [
        (2, "1.234 has more than 2 digits behind the point"),
        (4, "3 fields, and 4 columns"),
        (5, "a transfer needs two accounts, and 'a' is both"),
        (7, "tx_id 'x' is that of line 6"),
        (8, "account id '' must be 1 to 128 bytes of UTF-8 without control characters"),
        (9, "an amount is missing"),
        (10, "account '@b' is the system's"),
    ]


@pytest.mark.parametrize(
    "row",
    [
        "nonsense",
        "[]",
        '"a"',
        '{"from":"a","to":"b"}',
        '{"from":"a","to":"b","amount":1,"txid":"t"}',
        '{"from":"a","to":"b","amount":12.5}',
        '{"from":"a","to":"b","amount":1.0}',
        '{"from":"a","to":"b","amount":1e2}',
        '{"from":"a","to":"b","amount":true}',
        '{"from":"a","to":"b","amount":null}',
        '{"from":"a","to":"b","amount":"1.00"}',
        '{"from":"a","to":"b","amount":0}',
        '{"from":"a","to":"b","amount":-1}',
        '{"from":"a","to":"b","amount":9223372036854775808}',
        '{"from":"a","to":"b","amount":' + "9" * 5000 + "}",
        '{"from":1,"to":"b","amount":1}',
        '{"from":"a","from":"c","to":"b","amount":1}',
        '{"from":"a","to":"b","amount":1,"tx_id":""}',
        '{"from":"a","to":"b","amount":1,"tx_id":7}',
        '{"from":"\\ud800","to":"b","amount":1}',
        "[" * 100_000,
    ],
)
def test_a_json_row_that_is_no_transfer_is_a_fault(row: str) -> None:
    good = '{"from":"a","to":"b","amount":1}'
    assert [line for line, _ in faults(f"{good}\n{row}\n{good}\n".encode(), "jsonl")] == [2]


@pytest.mark.parametrize(
    ("content", "line", "sentence"),
    [
        (b"a,b,1.00\n", 1, "the first line must name the columns"),
        (b"from,to,amount,to\n", 1, "the first line must name the columns"),
        (b"from,to,amount,memo\n", 1, "the first line must name the columns"),
        (b"", 1, "the first line must name the columns"),
        (b'from,to,amount\na,"b"c,1\n', 2, "this is not CSV"),
        (b'from,to,amount\na,b,1\na,"b,1\n', 3, "this is not CSV"),
        (b"from,to,amount\na,\xff,1\n", 2, "this is not UTF-8"),
    ],
)
def test_a_file_that_is_no_table_is_refused_where_it_goes_wrong(content: bytes, line: int, sentence: str) -> None:
    assert [(at, said.split(":")[0]) for at, said in faults(content, "csv")] == [(line, sentence)]


@settings(max_examples=200)
@given(st.binary(max_size=200), st.sampled_from(["csv", "jsonl"]))
def test_any_bytes_are_rows_or_faults(content: bytes, form: str) -> None:
    def read() -> object:
        try:
            return ids(content, form)
        except BatchInvalid as error:
            return error.faults or "neither"

    assert read() == read() != "neither"


def test_every_row_gets_one_line_and_the_worst_gives_the_code(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "payments.csv"
    file.write_bytes(b"from,to,amount,tx_id\nacct1,acct2,2.00,t1\nacct1,acct2,99.00,t2\nacct1,nobody,1.00,t3\n")
    ran = ask(f"batch {file}")
    assert ran.exit is Exit.REFUSED
    assert ran.lines == [
        "1  acct1 -> acct2  2.00  committed  index 3  id t1",
        "2  acct1 -> acct2  99.00  refused: insufficient funds  index 3  id t2",
        "3  acct1 -> nobody  1.00  refused: invalid account  index 3  id t3",
    ]
    assert ran.err == "3 rows: 1 committed, 1 refused: insufficient funds, 1 refused: invalid account\n"


def test_result_rows_in_json(ask: Ask) -> None:
    ran = ask(
        "batch - --format csv -o json", stdin=b"from,to,amount,tx_id\nacct1,acct2,2.00,t1\nacct2,acct1,99.00,t2\n"
    )
    assert ran.out == (
        '{"rows":[{"row":"1","tx_id":"t1","from":"acct1","to":"acct2","amount":"200","status":"COMMITTED_OK","index":"3",'
        '"time":"2023-11-14T22:13:23.000000000Z"},{"row":"2","tx_id":"t2","from":"acct2","to":"acct1","amount":"9900",'
        '"status":"COMMITTED_INSUFFICIENT_FUNDS","index":"3","time":"2023-11-14T22:13:23.000000000Z",'
        '"error":"INSUFFICIENT_FUNDS"}]}\n'
    )
    assert ran.err == ""


def test_the_same_file_again_doubles_nothing(ask: Ask) -> None:
    first = ask("batch - --format csv", stdin=GOOD)
    again = ask("batch - --format csv", stdin=GOOD)
    assert first.exit is Exit.OK
    assert again.out == first.out
    assert ask("balance acct2 -o json").json["balance"] == "500"


def test_nothing_is_sent_when_one_row_is_bad(ask: Ask, server: FakeServer) -> None:
    ran = ask("batch - --format csv -q", stdin=GOOD + b"acct1,acct2,1.234,\nacct1,acct1,1,\n")
    assert ran.exit is Exit.USAGE
    assert ran.err.splitlines() == [
        "-:4: 1.234 has more than 2 digits behind the point: the smallest unit is 0.01",
        "-:5: a transfer needs two accounts, and 'acct1' is both",
        "error: BATCH_INVALID: 2 rows of - cannot be sent (nothing was sent)",
    ]
    assert server.requests == []


def test_bad_rows_in_json_are_in_the_errors_metadata(ask: Ask) -> None:
    ran = ask("batch - --format csv -o json", stdin=b"from,to,amount\na,b,x\n")
    assert ran.error["reason"] == "BATCH_INVALID"
    assert ran.error["metadata"] == {"line 2": "'x' is not an amount: write it as 12.50"}


def test_a_file_that_cannot_be_read_is_a_usage_error(ask: Ask, tmp_path: Path) -> None:
    assert "No such file" in ask(f"batch {tmp_path}/none.csv").err
    assert "add --format" in ask("batch -").err


def many_rows(count: int) -> bytes:
    return b"from,to,amount,tx_id\n" + b"".join(b"acct1,acct2,0.01,t%d\n" % number for number in range(1, count + 1))


def outcomes(lines: list[str]) -> list[tuple[str, int]]:
    """The outcomes of the rows in order, with how many rows in a row had each."""
    return [(outcome, len(list(rows))) for outcome, rows in groupby(line.split("  ")[3] for line in lines)]


def test_rows_are_sent_in_chunks_and_in_order(ask: Ask, server: FakeServer) -> None:
    ran = ask("batch - --format csv -o jsonl", stdin=many_rows(CHUNK_ROWS * 2 + 1))
    assert server.batch_rows == [CHUNK_ROWS, CHUNK_ROWS, 1]
    assert [json.loads(line)["row"] for line in ran.lines] == [str(row) for row in range(1, CHUNK_ROWS * 2 + 2)]


def test_a_lost_answer_is_asked_for_again_under_the_same_ids(ask: Ask, server: FakeServer) -> None:
    server.script(Answer(), DropAfter())
    assert ask("batch - --format csv", stdin=many_rows(CHUNK_ROWS + 1)).exit is Exit.OK
    assert server.tx_id_counts["t1"] == 1
    assert server.tx_id_counts[f"t{CHUNK_ROWS + 1}"] == 2
    assert ask("balance acct2 -o json").json["balance"] == str(CHUNK_ROWS + 1)


def test_after_an_unknown_outcome_nothing_more_is_sent_and_the_file_can_be_sent_again(
    ask: Ask, server: FakeServer
) -> None:
    file = many_rows(CHUNK_ROWS * 2 + 1)
    server.bank.open_account("rich", 100_000)
    server.script(Answer(), NeverAnswer(apply=True))
    ran = ask("batch - --format csv --timeout 2s", stdin=file.replace(b"acct1", b"rich"))
    assert ran.exit is Exit.OUTCOME_UNKNOWN
    assert outcomes(ran.lines) == [("committed", CHUNK_ROWS), ("OUTCOME_UNKNOWN", CHUNK_ROWS), ("NOT_SENT", 1)]
    assert ran.err == (
        "2001 rows: 1000 committed, 1000 outcome unknown, 1 not sent (send the same file again: no row takes effect twice)\n"
    )
    assert ask("batch - --format csv", stdin=file.replace(b"acct1", b"rich")).exit is Exit.OK
    assert ask("balance acct2 -o json").json["balance"] == "2001"


def test_a_cluster_that_says_no_is_not_asked_for_the_rest(ask: Ask, server: FakeServer) -> None:
    server.script(Answer(), Refuse(Refusal(Code.PERMISSION_DENIED, "PERMISSION_DENIED", "not allowed")))
    ran = ask("batch - --format csv", stdin=many_rows(CHUNK_ROWS * 2 + 1))
    assert ran.exit is Exit.NOT_ALLOWED
    assert [count for _, count in outcomes(ran.lines)] == [CHUNK_ROWS, CHUNK_ROWS, 1]
    assert outcomes(ran.lines)[-1] == ("NOT_SENT", 1)
    assert server.batch_rows == [CHUNK_ROWS, CHUNK_ROWS]


def test_progress_is_shown_on_a_terminal_only(ask: Ask) -> None:
    on_terminal = ask("batch - --format csv", stdin=GOOD, terminal=True)
    assert "\r\x1b[K[" in on_terminal.err
    assert ask("batch - --format csv -q", stdin=GOOD, terminal=True).err == ""
    assert "\r" not in ask("batch - --format csv", stdin=GOOD).err
