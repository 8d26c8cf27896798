"""What is read back is what was written, and nothing else passes."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.errors import Exit
from bankd.history.json_lines import ROW_STATUSES, HistoryMalformed, line_of, read_history
from bankd.history.records import (
    Balance,
    BalanceFound,
    Conflict,
    Move,
    Moved,
    NotFound,
    Open,
    Opened,
    Operation,
    OutcomeFound,
    OutcomeOf,
    Record,
    Refused,
    Result,
)
from bankd.history.witness import check
from bankd.types import LINEARIZABLE, AccountId, AtLeast, Bounded, Lease, LogIndex, Stale, TxId

numbers = st.integers(min_value=-(2**70), max_value=2**70)
indexes = st.integers(min_value=1, max_value=2**63).map(LogIndex)
clients = st.integers(min_value=1 - 2**127, max_value=2**127 - 1)
accounts = st.text(max_size=5).map(AccountId)
tx_ids = st.text(max_size=5).map(TxId)
modes = st.sampled_from([LINEARIZABLE, Lease(), Stale(), Bounded(250), AtLeast(LogIndex(7))])
rows = st.lists(st.tuples(tx_ids, accounts, accounts, numbers), min_size=1, max_size=4)
fields_differing = st.lists(st.sampled_from(["from", "to", "amount"]), unique=True).map(tuple)


def move_of(rows: list[tuple[TxId, AccountId, AccountId, int]]) -> Move:
    ids, sources, targets, amounts = zip(*rows, strict=True)
    return Move(ids, sources, targets, amounts)


operations: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Open, accounts, numbers, st.none() | tx_ids),
    rows.map(move_of),
    st.builds(Balance, accounts, modes),
    st.builds(OutcomeOf, tx_ids, modes),
)


def results_of(operation: Operation) -> st.SearchStrategy[Result]:
    refused = st.builds(Refused, st.text(max_size=5))
    match operation:
        case Open():
            opened = st.builds(Opened, st.booleans(), st.none() | indexes, st.booleans())
            return refused | opened | st.builds(Conflict, fields_differing)
        case Move(tx_ids=ids):
            row = st.integers(0, len(ids) - 1)
            statuses = st.lists(st.sampled_from(sorted(ROW_STATUSES)), min_size=len(ids), max_size=len(ids)).map(bytes)
            decided, available = st.dictionaries(row, indexes), st.dictionaries(row, numbers)
            return refused | st.builds(Moved, statuses, decided, available, st.dictionaries(row, fields_differing))
        case Balance():
            return refused | st.just(NotFound()) | st.builds(BalanceFound, numbers)
        case OutcomeOf():
            statuses_recorded = st.integers(1, 4)
            told = (accounts, accounts, numbers, statuses_recorded, indexes, st.none() | numbers)
            return refused | st.just(NotFound()) | st.builds(OutcomeFound, *told)


@st.composite
def any_record(draw: st.DrawFn) -> Record:
    operation, call_ns = draw(operations), draw(numbers)
    if draw(st.booleans()):
        return Record(draw(clients), operation, call_ns)
    return_ns = call_ns + draw(st.integers(min_value=0, max_value=2**40))
    return Record(draw(clients), operation, call_ns, return_ns, draw(results_of(operation)), draw(st.none() | indexes))


@given(st.lists(any_record(), min_size=1, max_size=4))
@settings(deadline=None, max_examples=300)
def test_history_reads_back_equal_from_its_lines(history: list[Record]) -> None:
    lines = [line_of(record) for record in history]
    assert list(read_history(lines, "h")) == history
    assert list(read_history([f"{line}\n".encode() for line in lines], "h")) == history


READ = {"kind": "balance", "account": "a", "read": "stale"}
MOVE = {"kind": "move", "tx_ids": ["t"], "sources": ["a"], "targets": ["b"], "amounts": [1]}
GOOD = {"client": 1, "operation": READ, "call_ns": 5, "return_ns": 6, "result": {"balance": 3}, "index": 9}
MOVED = GOOD | {"operation": MOVE, "result": {"statuses": [1]}}
ASKED = GOOD | {"operation": {"kind": "outcome", "tx_id": "t", "read": "linearizable"}}


def test_the_examples_are_good_before_they_are_spoilt() -> None:
    for example in (GOOD, MOVED, ASKED | {"result": {"found": False}}):
        assert len(list(read_history([json.dumps(example)], "h"))) == 1


WRONG: list[tuple[object, str]] = [
    ([], "the line must be an object"),
    ({}, "client is missing"),
    (GOOD | {"client": "1"}, "client must be a whole number"),
    (GOOD | {"client": True}, "client must be a whole number"),
    (GOOD | {"call_ns": 5.0}, "call_ns must be a whole number"),
    (GOOD | {"client": 2**127}, "client must be smaller than 2**127 either way"),
    (GOOD | {"client": -(2**127)}, "client must be smaller than 2**127 either way"),
    (GOOD | {"index": -1}, "index must not be negative"),
    (GOOD | {"color": 1}, "color is not known"),
    (GOOD | {"return_ns": 4}, "return_ns lies before call_ns"),
    (GOOD | {"return_ns": None}, "return_ns must be a whole number"),
    ({**GOOD, "operation": {}}, "operation.kind is missing"),
    (GOOD | {"operation": {"kind": "pay"}}, "operation.kind is 'pay', which is none of open, move, balance, outcome"),
    (GOOD | {"operation": READ | {"at_least": 3}}, "operation.at_least is not known"),
    (GOOD | {"operation": READ | {"read": "fresh"}}, "operation.read is 'fresh', which is none of linearizable, lease, stale, bounded, at_least"),
    (GOOD | {"operation": READ | {"read": "bounded"}}, "operation.max_age_ms is missing"),
    (GOOD | {"operation": READ | {"read": "bounded", "max_age_ms": -1}}, "operation.max_age_ms must not be negative"),
    (GOOD | {"operation": READ | {"read": "at_least", "at_least": -1}}, "operation.at_least must not be negative"),
    (GOOD | {"\x1b[2J\ud800": 1}, r"\u001b[2J\ud800 is not known"),
    (GOOD | {"result": {}}, "result.balance is missing"),
    (GOOD | {"result": {"found": True}}, "result.found can only be false: what is found is said"),
    (GOOD | {"result": {"balance": 3, "found": False}}, "result.balance is not known"),
    (GOOD | {"result": {"statuses": [1]}}, "result.balance is missing"),
    (MOVED | {"operation": MOVE | {"amounts": []}}, "operation.tx_ids and the other columns must be equally long, and not empty"),
    (MOVED | {"operation": MOVE | {"amounts": [1, 2]}}, "operation.tx_ids and the other columns must be equally long, and not empty"),
    (MOVED | {"operation": MOVE | {"sources": [1]}}, "operation.sources[0] must be a text"),
    (MOVED | {"result": {"statuses": [1, 1]}}, "result.statuses has 2 rows and not 1"),
    (MOVED | {"result": {"statuses": [9]}}, "result.statuses[0] is 9, which is no outcome of a row"),
    (MOVED | {"result": {"statuses": [0]}}, "result.statuses[0] is 0, which is no outcome of a row"),
    (MOVED | {"result": {"statuses": [1], "decided": {"1": 4}}}, "result.decided names '1', which is none of the 1 rows"),
    (MOVED | {"result": {"statuses": [1], "decided": {"00": 4}}}, "result.decided names '00', which is none of the 1 rows"),
    (MOVED | {"result": {"statuses": [1], "decided": {"0": -4}}}, "result.decided.0 must not be negative"),
    (MOVED | {"operation": MOVE | {"amounts": [2**127]}}, "operation.amounts[0] must be smaller than 2**127 either way"),
    (MOVED | {"result": {"statuses": [255], "differs": {"0": [1]}}}, "result.differs.0 must be a list of texts"),
    (ASKED | {"result": {"status": 255, "source": "a", "target": "b", "amount": 1, "decided": 1}}, "result.status is 255, which is no recorded outcome"),
    (ASKED | {"result": {"status": 1, "source": "a", "target": "b", "amount": 1, "decided": -1}}, "result.decided must not be negative"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "sentence"), WRONG)
def test_malformed_line_is_refused_with_file_and_line(value: object, sentence: str) -> None:
    with pytest.raises(HistoryMalformed) as caught:
        list(read_history([json.dumps(GOOD), "\n", json.dumps(value)], "run.jsonl"))
    assert str(caught.value) == f"run.jsonl:3: {sentence}"
    assert caught.value.exit_code is Exit.USAGE


@pytest.mark.parametrize("gone", ["return_ns", "result"])
def test_half_an_unknown_outcome_is_refused(gone: str) -> None:
    line = json.dumps({name: value for name, value in GOOD.items() if name != gone})
    with pytest.raises(HistoryMalformed, match="return_ns and result belong together: an unknown outcome has neither"):
        list(read_history([line], "h"))


@pytest.mark.parametrize("line", ["{", "x", "{} {}", "[" * 100_000, b"{\x00"])
def test_what_is_no_json_is_refused(line: str | bytes) -> None:
    with pytest.raises(HistoryMalformed, match=r"^h:1: not JSON: "):
        list(read_history([line], "h"))


@pytest.mark.parametrize(
    "line", [b"\xff", json.dumps(GOOD).encode("utf-16"), "\ud800".encode("utf-8", "surrogatepass")]
)
def test_what_is_not_utf_8_is_refused_as_such(line: bytes) -> None:
    with pytest.raises(HistoryMalformed, match=r"^h:1: not UTF-8$"):
        list(read_history([line], "h"))


def test_a_row_number_of_thousands_of_digits_is_no_row() -> None:
    line = json.dumps(MOVED | {"result": {"statuses": [1], "decided": {"9" * 5000: 4}}})
    with pytest.raises(HistoryMalformed, match=r"^h:1: result\.decided names '9{5000}', which is none of the 1 rows$"):
        list(read_history([line], "h"))


def test_a_number_of_thousands_of_digits_is_refused_in_our_words() -> None:
    line = json.dumps(GOOD).replace("9", "9" * 5000)
    with pytest.raises(HistoryMalformed, match=r"^h:1: holds a number that must be smaller than 2\*\*127 either way$"):
        list(read_history([line], "h"))


@pytest.mark.parametrize(("once", "name"), [('"client": 1', "client"), ('"balance": 3', "balance")])
def test_a_name_that_stands_twice_in_one_object_is_refused(once: str, name: str) -> None:
    line = json.dumps(GOOD)
    assert once in line
    with pytest.raises(HistoryMalformed, match=rf"^h:1: {name} stands twice in one object$"):
        list(read_history([line.replace(once, f"{once}, {once}")], "h"))


@pytest.mark.parametrize("lines", [[], ["\n"], [b" \n", b"\r\n"]])
def test_a_history_of_no_call_is_refused(lines: list[str | bytes]) -> None:
    with pytest.raises(HistoryMalformed, match=r"^h holds no call$"):
        list(read_history(lines, "h"))


def test_the_lines_in_the_docs_are_a_right_history() -> None:
    page = (Path(__file__).parents[2] / "docs" / "checkers.md").read_text()
    lines = page.partition("```json\n")[2].partition("```")[0].splitlines()
    records = list(read_history(lines, "checkers.md"))
    assert [line_of(record) for record in records] == lines
    assert check(records) == []
