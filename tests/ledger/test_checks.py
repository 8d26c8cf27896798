"""What is refused before the log: K1-K6 and K16, fault C07."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.errors import Code
from bankd.ledger import checks
from bankd.ledger.checks import judge_account_id, judge_create, judge_transfers, judge_tx_id
from bankd.ledger.commands import SubmitTransfers
from bankd.types import BATCH_TRANSFERS_MAX, AccountId, TxId
from tests.ledger.bank import Row, batch, create
from tests.ledger.naive_bank import INT64_MAX, good_customer, good_id
from tests.ledger.test_state import any_int, any_text

GOOD_IDS = {
    "one byte": "a",
    "128 bytes": "a" * 128,
    "128 bytes in 64 characters": "é" * 64,
    "128 bytes in 32 characters": "\U0001f3e6" * 32,
    "spaces": " a b ",
    "no-break space": "\u00a0",
    "joined emoji": "\U0001f469\u200d\U0001f4bb",
    "an @ inside": "a@b",
    "last before the C1 controls": "~",
    "first behind the C1 controls": "\u00a1",
    "a character whose UTF-8 holds 0x80": "\u0100",
    "a byte order mark": "\ufeff",
}
BAD_IDS = {
    "empty": "",
    "129 bytes": "a" * 129,
    "129 bytes in 65 characters": "é" * 64 + "a",
    "132 bytes in 33 characters": "\U0001f3e6" * 33,
    "NUL": "a\x00b",
    "newline": "a\n",
    "escape": "\x1b[0m",
    "delete": "\x7f",
    "first C1 control": "\x80",
    "next line": "a\x85",
    "last C1 control": "é\x9f",
    "lone surrogate": "\ud800",
}


@pytest.mark.parametrize("id_", GOOD_IDS.values(), ids=GOOD_IDS)
def test_a_good_id_passes(id_: str) -> None:
    assert judge_account_id(id_, system_allowed=False) is None
    assert judge_tx_id(id_) is None


@pytest.mark.parametrize("id_", BAD_IDS.values(), ids=BAD_IDS)
def test_a_bad_id_is_refused_in_words_that_can_be_sent_and_shown(id_: str) -> None:
    account_refusal = judge_account_id(id_, system_allowed=True)
    tx_refusal = judge_tx_id(id_)
    assert account_refusal is not None
    assert tx_refusal is not None
    assert account_refusal.reason == checks.ACCOUNT_ID_INVALID
    assert tx_refusal.reason == (checks.CLIENT_TX_ID_INVALID if id_ else checks.CLIENT_TX_ID_MISSING)
    for refusal in (account_refusal, tx_refusal):
        assert refusal.code is Code.INVALID_ARGUMENT
        assert not refusal.retryable
        assert refusal.message.isprintable()
        assert all(value.encode() or not id_ for value in refusal.metadata.values())


def test_a_huge_id_is_not_echoed() -> None:
    refusal = judge_account_id("a" * 1_000_000, system_allowed=False)
    assert refusal is not None
    assert len(refusal.message) < 300
    assert len(refusal.metadata["account"]) == 128


def test_a_system_account_may_be_read_but_not_written() -> None:
    assert judge_account_id("@opening", system_allowed=True) is None
    refusal = judge_account_id("@opening", system_allowed=False)
    assert refusal is not None
    assert refusal.reason == checks.SYSTEM_ACCOUNT


@settings(deadline=None, max_examples=500)
@given(st.text(st.characters(max_codepoint=0x2FF) | st.characters(), max_size=140))
def test_an_id_passes_exactly_when_the_naive_bank_says_so(id_: str) -> None:
    assert (judge_tx_id(id_) is None) == good_id(id_)
    assert (judge_account_id(id_, system_allowed=False) is None) == good_customer(id_)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.text(max_size=40), max_size=8))
def test_a_column_of_ids_passes_exactly_when_every_id_does(ids: list[str]) -> None:
    assert checks.ids_well_formed(ids) == all(map(good_id, ids))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("t", "a", "b", 0), checks.AMOUNT_NOT_POSITIVE),
        (("t", "a", "b", -5), checks.AMOUNT_NOT_POSITIVE),
        (("t", "a", "b", INT64_MAX + 1), checks.AMOUNT_OUT_OF_RANGE),
        (("t", "a", "a", 1), checks.SAME_ACCOUNT),
        (("", "a", "b", 1), checks.CLIENT_TX_ID_MISSING),
        (("t\t", "a", "b", 1), checks.CLIENT_TX_ID_INVALID),
        (("t", "", "b", 1), checks.ACCOUNT_ID_INVALID),
        (("t", "a", "b" * 129, 1), checks.ACCOUNT_ID_INVALID),
        (("t", "@opening", "b", 1), checks.SYSTEM_ACCOUNT),
        (("t", "a", "@", 1), checks.SYSTEM_ACCOUNT),
    ],
)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_the_first_faulty_row_is_named_with_its_ids(row: Row, reason: str, place: int) -> None:
    good = [(f"t{number}", "a", "b@c", INT64_MAX) for number in range(place)]
    refusal = judge_transfers(batch(*good, row, ("", "", "", 0)))
    assert refusal is not None
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, reason)
    named = {name: refusal.metadata[name] for name in ("row", "client_tx_id", "from", "to")}
    assert named == {"row": str(place), "client_tx_id": row[0], "from": row[1], "to": row[2][:128]}
    assert refusal.message.startswith(f"row {place}: ")


def test_rows_are_counted_from_where_the_batch_begins() -> None:
    faulty = ("t", "a", "b", 0)
    for rows, number in ((batch(faulty), 7), (batch(("t", "a", "b", 1), faulty), 8)):
        refusal = judge_transfers(rows, first_row=7)
        assert refusal is not None
        assert refusal.metadata["row"] == str(number)
        assert refusal.message.startswith(f"row {number}: ")


def test_a_single_transfer_is_refused_without_talk_of_rows() -> None:
    refusal = judge_transfers(batch(("t", "a", "b", 0)))
    assert refusal is not None
    assert refusal.message == "amount must be 1 or more minor units"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (batch(), checks.BATCH_EMPTY),
        (SubmitTransfers([TxId("t")], [AccountId("a")], [AccountId("b")], []), checks.COLUMNS_UNEQUAL),
        (SubmitTransfers([], [], [], [1]), checks.COLUMNS_UNEQUAL),
        (batch(*[("t", "a", "b", 1)] * (BATCH_TRANSFERS_MAX + 1)), checks.BATCH_TOO_LARGE),
    ],
)
def test_a_batch_of_a_wrong_shape_is_refused(command: SubmitTransfers, reason: str) -> None:
    refusal = judge_transfers(command)
    assert refusal is not None
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, reason)


def test_the_largest_batch_passes_and_a_larger_one_is_told_the_limit() -> None:
    assert judge_transfers(batch(*[("t", "a", "b", 1)] * BATCH_TRANSFERS_MAX)) is None
    refusal = judge_transfers(batch(*[("t", "a", "b", 1)] * (BATCH_TRANSFERS_MAX + 1)))
    assert refusal is not None
    assert str(BATCH_TRANSFERS_MAX) in refusal.message


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(any_text, any_text, any_text, any_int), min_size=1, max_size=4))
def test_a_batch_passes_exactly_when_the_ledger_finds_no_row_malformed(drawn: list[Row]) -> None:
    command = batch(*drawn)
    assert (judge_transfers(command) is None) == (not any(checks.malformed_rows(command)))


@pytest.mark.parametrize(
    ("account", "initial", "request_id", "reason"),
    [
        ("a", -1, None, checks.NEGATIVE_INITIAL_BALANCE),
        ("a", INT64_MAX + 1, None, checks.AMOUNT_OUT_OF_RANGE),
        ("", 0, None, checks.ACCOUNT_ID_INVALID),
        ("@a", 0, None, checks.SYSTEM_ACCOUNT),
        ("a", 0, "", checks.REQUEST_ID_INVALID),
        ("a", 0, "\x00", checks.REQUEST_ID_INVALID),
    ],
)
def test_an_opening_is_refused_for_what_it_says(
    account: str, initial: int, request_id: str | None, reason: str
) -> None:
    refusal = judge_create(create(account, initial, request_id))
    assert refusal is not None
    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, reason)


@pytest.mark.parametrize("initial", [0, 1, INT64_MAX])
@pytest.mark.parametrize("request_id", [None, "r"])
def test_a_good_opening_passes(initial: int, request_id: str | None) -> None:
    assert judge_create(create("a", initial, request_id)) is None
