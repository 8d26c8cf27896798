"""A restored ledger goes on exactly as the original would, and no ledger comes out of a wrong image: S3, M1 to M3, C04."""

from array import array
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.ledger.builder import LedgerBuilder
from bankd.ledger.commands import Command
from bankd.ledger.queries import Answer, GetAccount, GetBalance, GetTransfer, ListAccounts
from bankd.ledger.rows import AccountRows, Block, ImageInvalid
from bankd.ledger.state import Ledger
from bankd.types import AccountId, LogIndex, TxId
from tests.ledger.bank import Bank, batch, create
from tests.ledger.images import HISTORY, INT64_MAX, eventful_bank, restored
from tests.ledger.test_naive_bank_agrees import ACCOUNTS, OPENED, TX_IDS, entries

HEAD, ACCOUNT_ROWS, REQUESTS, ENTRIES, TRANSFERS = range(5)
ASKED_ACCOUNTS = [AccountId(account) for account in [*ACCOUNTS, "c", "rich", "late", "nobody"]]
ASKED_IDS = [TxId(tx_id) for tx_id in [*TX_IDS, *(f"t{number}" for number in range(100))]]


def everything_read(ledger: Ledger) -> list[Answer]:
    return [
        *(ledger.read(GetBalance(account)) for account in ASKED_ACCOUNTS),
        *(ledger.read(GetAccount(account)) for account in ASKED_ACCOUNTS),
        *(ledger.read(GetTransfer(tx_id)) for tx_id in ASKED_IDS),
        *(ledger.read(ListAccounts(after, 2, system=True)) for after in ["", *ASKED_ACCOUNTS]),
    ]


def assert_alike(one: Ledger, other: Ledger) -> None:
    assert (one.applied_index, one.last_time_ns, one.digest) == (other.applied_index, other.last_time_ns, other.digest)
    assert (one.account_count, one.transfer_count) == (other.account_count, other.transfer_count)
    assert one.imbalance() == other.imbalance() == 0
    assert everything_read(one) == everything_read(other)


@settings(deadline=None, max_examples=150)
@given(entries, entries)
def test_a_restored_ledger_answers_all_that_follows_like_the_original(
    earlier: list[list[Command]], later: list[list[Command]]
) -> None:
    """The original goes on while its image is read. Then both get the same entries, and everything once more."""
    original = Bank()
    for entry in [OPENED, *earlier]:
        original.apply(*entry)
    blocks = original.ledger.freeze().blocks()
    taken = [next(blocks)]
    outcomes = [original.apply(*entry) for entry in later]
    copy = Bank(restored([*taken, *blocks]))
    assert [copy.apply(*entry) for entry in later] == outcomes
    assert_alike(copy.ledger, original.ledger)
    for entry in [OPENED, *earlier, *later]:
        assert copy.apply(*entry) == original.apply(*entry), "a retry or conflict is answered otherwise"
    assert_alike(copy.ledger, original.ledger)


def test_retries_and_conflicts_of_every_kind_are_answered_as_before() -> None:
    original = eventful_bank()
    copy = Bank(restored(original.ledger.freeze().blocks()))
    retries: list[list[Command]] = [
        *HISTORY,
        [create("a", 8, "r1"), create("other", 7, "r2"), create("late", 0, "r3"), create("late", 0)],
        [batch(("t1", "a", "b", 11), ("t2", "b", "a", 1000), ("t3", "a", "no", 1), ("t4", "x", "a", 1))],
    ]
    for commands in retries:
        assert copy.apply(*commands) == original.apply(*commands)
    assert_alike(copy.ledger, original.ledger)


def sound_blocks() -> list[Block]:
    """Head, accounts a b c rich, requests r1 r2 r3, three entries, transfers t1 to t6: one block each."""
    return list(eventful_bank().ledger.freeze().blocks())


def changed(at: int, **columns: Any) -> list[Block]:
    blocks = sound_blocks()
    blocks[at] = attrs.evolve(blocks[at], **columns)
    return blocks


def q(*numbers: int) -> "array[int]":
    return array("q", numbers)


def big(*numbers: int) -> "array[int]":
    return array("Q", numbers)


def numbers(*numbers: int) -> "array[int]":
    return array("I", numbers)


RICH = INT64_MAX - 149
WRONG = [
    (HEAD, {"digest": b"short"}, "a digest of 5 bytes"),
    (HEAD, {"opening_balance": 1}, "@opening holds 1"),
    (HEAD, {"opening_balance": -(2**63) - 1}, "@opening holds"),
    (HEAD, {"opening_balance": -1}, "@opening did not pay"),
    (HEAD, {"applied_index": 2**63}, "log index 9223372036854775808"),
    (HEAD, {"entries": 0}, "0 entries for 6 transfers"),
    (HEAD, {"accounts": -1}, "a negative count"),
    (HEAD, {"accounts": 3}, "4 AccountRows at once"),
    (HEAD, {"accounts": 5}, "RequestRows where AccountRows is due"),
    (HEAD, {"requests": 0}, "RequestRows where EntryRows is due"),
    (HEAD, {"transfers": 7}, "rows that are missing: {'TransferRows': 1}"),
    (HEAD, {"applied_index": 4}, "requests out of log order"),
    (HEAD, {"applied_index": 2}, "log indexes out of order"),
    (HEAD, {"last_time_ns": 2_999}, "stamps out of order"),
    (ACCOUNT_ROWS, {"balances": [90, 0, 0]}, "unequal length"),
    (ACCOUNT_ROWS, {"balances": [90, 1, 0, INT64_MAX - 89]}, "do not add up to 0"),
    (ACCOUNT_ROWS, {"balances": [91, 0, -1, INT64_MAX - 89]}, "a balance outside"),
    (ACCOUNT_ROWS, {"balances": [90, 0, 0, INT64_MAX + 1]}, "a balance outside"),
    (ACCOUNT_ROWS, {"initial_balances": q(100, 51, 0, RICH)}, "@opening did not pay"),
    (ACCOUNT_ROWS, {"initial_balances": q(100, 51, -1, RICH)}, "an opening balance outside"),
    (ACCOUNT_ROWS, {"initial_balances": q(101, 49, 0, RICH)}, "answer 1 to a request"),
    (ACCOUNT_ROWS, {"ids": ["a", "b", "a", "rich"]}, "an account id twice"),
    (ACCOUNT_ROWS, {"ids": ["a", "b", "", "rich"]}, "a malformed id"),
    (ACCOUNT_ROWS, {"ids": ["a", "b", "\ud800", "rich"]}, "a malformed id"),
    (ACCOUNT_ROWS, {"ids": ["a", "b", "@opening", "rich"]}, "a system account"),
    (ACCOUNT_ROWS, {"ids": ["a", "b", "nobody", "rich"]}, None),  # opened after t3 named it: nobody can tell
    (ACCOUNT_ROWS, {"created_indexes": big(0, 1, 2, 3)}, "log indexes out of order"),
    (ACCOUNT_ROWS, {"created_indexes": big(1, 2, 1, 3)}, "log indexes out of order"),
    (ACCOUNT_ROWS, {"created_indexes": big(1, 1, 2, 7)}, "log indexes out of order"),
    (ACCOUNT_ROWS, {"created_indexes": big(2, 2, 2, 3)}, "answer 1 to a request"),
    (ACCOUNT_ROWS, {"created_times": big(1_000, 999, 2_000, 3_000)}, "stamps out of order"),
    (ACCOUNT_ROWS, {"created_times": big(1_000, 1_000, 2_000, 6_001)}, "stamps out of order"),
    (REQUESTS, {"answers": b"\x01\x02"}, "unequal length"),
    (REQUESTS, {"answers": b"\x01\x02\x04"}, "an unknown answer to a request: 04"),
    (REQUESTS, {"answers": b"\x01\x02\x02"}, "answer 2 to a request"),
    (REQUESTS, {"answers": b"\x01\x01\x03"}, "answer 1 to a request"),
    (REQUESTS, {"ids": ["r1", "r1", "r3"]}, "a request id twice"),
    (REQUESTS, {"ids": ["r1", "r\n", "r3"]}, "a malformed id"),
    (REQUESTS, {"accounts": ["b", "a", "late"]}, "answer 1 to a request"),
    (REQUESTS, {"accounts": ["a", "rich", "late"]}, "answer 2 to a request"),
    (REQUESTS, {"accounts": ["a", "a", "@late"]}, "a system account"),
    (REQUESTS, {"accounts": ["a", "a", "l\x7fte"]}, "a malformed id"),
    (REQUESTS, {"initial_balances": q(100, -7, 1)}, "an opening balance outside"),
    (REQUESTS, {"indexes": big(1, 5, 4)}, "requests out of log order"),
    (REQUESTS, {"indexes": big(0, 1, 5)}, "requests out of log order"),
    (ENTRIES, {"times": big(2_000, 2_000)}, "unequal length"),
    (ENTRIES, {"first_rows": big(1, 3, 4)}, "transfers before the first entry"),
    (ENTRIES, {"first_rows": big(0, 4, 4)}, "an entry without transfers"),
    (ENTRIES, {"first_rows": big(0, 4, 3)}, "entries out of order"),
    (ENTRIES, {"first_rows": big(0, 3, 6)}, "entries out of order"),
    (ENTRIES, {"indexes": big(2, 1, 3)}, "log indexes out of order"),
    (ENTRIES, {"indexes": big(2, 2, 7)}, "log indexes out of order"),
    (ENTRIES, {"times": big(2_001, 2_000, 3_000)}, "stamps out of order"),
    (TRANSFERS, {"amounts": q(10)}, "unequal length"),
    (TRANSFERS, {"amounts": q(0, 1000, 1, 1, 60, 90)}, "an amount outside"),
    (TRANSFERS, {"ids": ["t1", "t2", "t3", "t4", "t1", "t6"]}, "a transfer id twice"),
    (TRANSFERS, {"ids": ["t1", "t2", "t3", "t4", "t" * 129, "t6"]}, "a malformed id"),
    (TRANSFERS, {"statuses": b"\x00\x02\x03\x03\x01\x04"}, "an unknown status: 00"),
    (TRANSFERS, {"statuses": b"\x05\x02\x03\x03\x01\x04"}, "an unknown status: 05"),
    (TRANSFERS, {"statuses": b"\x02\x02\x03\x03\x01\x04"}, "1 balances for 2 rows"),
    (TRANSFERS, {"statuses": b"\x01\x02\x03\x01\x01\x04"}, "2 pairs of ids for 1 unknown accounts"),
    (TRANSFERS, {"statuses": b"\x03\x02\x01\x03\x01\x04"}, "do not go with the statuses"),
    (TRANSFERS, {"sources": numbers(5, 1, 1, 0, 2, 1)}, "an account's number outside 0 to 4"),
    (TRANSFERS, {"targets": numbers(2, 2, 0, 0, 4, 5)}, "an account's number outside 0 to 4"),
    (TRANSFERS, {"sources": numbers(0, 1, 1, 0, 2, 1)}, "do not go with the statuses"),
    (TRANSFERS, {"targets": numbers(1, 2, 0, 0, 4, 4)}, "do not go with the statuses"),
    (TRANSFERS, {"targets": numbers(2, 2, 3, 0, 4, 4)}, "do not go with the statuses"),
    (TRANSFERS, {"available": q()}, "0 balances for 1 rows"),
    (TRANSFERS, {"available": q(1000)}, "a refusal for funds that sufficed"),
    (TRANSFERS, {"available": q(-1)}, "a refusal for funds that sufficed"),
    (TRANSFERS, {"strangers": [("a", "nobody")]}, "1 pairs of ids for 2 unknown accounts"),
    (TRANSFERS, {"strangers": [("b", "nobody"), ("x", "y")]}, "do not go with the numbers"),
    (TRANSFERS, {"strangers": [("a", "a"), ("x", "y")]}, "do not go with the numbers"),
    (TRANSFERS, {"strangers": [("a", "@nobody"), ("x", "y")]}, "a system account"),
    (TRANSFERS, {"strangers": [("a", ""), ("x", "y")]}, "a malformed id"),
]


@pytest.mark.parametrize(("at", "columns", "words"), WRONG)
def test_a_wrong_block_gives_no_ledger(at: int, columns: dict[str, Any], words: str | None) -> None:
    blocks = changed(at, **columns)
    if words is None:
        assert list(restored(blocks).freeze().blocks()) == blocks
        return
    with pytest.raises(ImageInvalid) as refused:
        restored(blocks)
    assert words in str(refused.value)


def misplaced() -> Iterator[tuple[str, list[Block], str]]:
    blocks = sound_blocks()
    yield "nothing at all", [], "no head"
    yield "no head", blocks[1:], "rows before the head"
    yield "two heads", [blocks[HEAD], *blocks], "a second head"
    yield "accounts last", [blocks[HEAD], *blocks[2:], blocks[ACCOUNT_ROWS]], "AccountRows is due"
    yield "a block too many", [*blocks, blocks[TRANSFERS]], "TransferRows where the end is due"
    yield "the last one missing", blocks[:-1], "rows that are missing: {'TransferRows': 6}"
    empty = AccountRows([], [], q(), big(), big())
    yield "an empty one", [blocks[HEAD], empty, *blocks[1:]], "0 AccountRows at once"


@pytest.mark.parametrize(("blocks", "words"), [pytest.param(*case, id=name) for name, *case in misplaced()])
def test_blocks_out_of_place_give_no_ledger(blocks: list[Block], words: str) -> None:
    with pytest.raises(ImageInvalid) as refused:
        restored(blocks)
    assert words in str(refused.value)


def in_halves() -> list[Block]:
    """The same rows: head, 2 + 2 accounts, 2 + 1 requests, 2 + 1 entries, 3 + 3 transfers."""
    head, *blocks = sound_blocks()
    return [head, *(half for block, at in zip(blocks, (2, 2, 2, 3), strict=True) for half in cut(block, at))]


def cut(block: Block, at: int) -> list[Block]:
    """In two before row `at`. Of `available` and `strangers`, one belongs to the first three transfers."""
    columns = attrs.asdict(block, recurse=False)
    places = {name: 1 if name in ("available", "strangers") else at for name in columns}
    kind: Any = type(block)
    return [
        kind(**{name: column[: places[name]] for name, column in columns.items()}),
        kind(**{name: column[places[name] :] for name, column in columns.items()}),
    ]


def test_blocks_may_be_cut_anywhere() -> None:
    assert list(restored(in_halves()).freeze().blocks()) == sound_blocks()


LATE = [
    (1, {"created_indexes": big(3, 3), "created_times": big(3_000, 3_000)}),
    (3, {"indexes": big(1, 6)}),
    (5, {"first_rows": big(0, 5)}),
    (5, {"indexes": big(4, 4)}),
]


@pytest.mark.parametrize(("at", "columns"), LATE)
def test_a_block_is_held_against_the_one_before(at: int, columns: dict[str, Any]) -> None:
    """Each of these ascends in itself, but too far for the next of its kind."""
    blocks = in_halves()
    blocks[at] = attrs.evolve(blocks[at], **columns)
    with pytest.raises(ImageInvalid, match="out of"):
        restored(blocks)


values = st.integers(0, 7) | st.sampled_from([50, 89, 100, 1_000, 2_000, 3_000, 2**31])
names = st.sampled_from(["a", "b", "nobody", "x", "@opening", "", "t1", "r1", "new"])


@st.composite
def one_value_changed(draw: st.DrawFn) -> list[Block]:
    """Some block with another value at some place, of the type that stood there."""
    blocks = sound_blocks()
    at = draw(st.integers(0, len(blocks) - 1))
    columns = attrs.asdict(blocks[at], recurse=False)
    name = draw(st.sampled_from(sorted(columns.keys() - {"digest", "strangers"})))
    column = columns[name]
    if isinstance(column, int):
        return changed(at, **{name: draw(values)})
    place = draw(st.integers(0, len(column) - 1))
    new: Any = bytearray(column) if isinstance(column, bytes) else column[:]
    if isinstance(column[place], str):
        new[place] = draw(names)
    else:
        new[place] = draw(st.integers(0, 255) if isinstance(column, bytes) else values)
    return changed(at, **{name: bytes(new) if isinstance(column, bytes) else new})


@settings(deadline=None, max_examples=400)
@given(one_value_changed())
def test_what_is_taken_is_kept_as_it_was_given_and_holds_the_invariants(blocks: list[Block]) -> None:
    builder = LedgerBuilder()
    try:
        for block in blocks:
            builder.take(block)
        ledger = builder.finish()
    except ImageInvalid:
        return
    assert list(ledger.freeze().blocks()) == blocks
    assert ledger.imbalance() == 0
    assert all(balance >= 0 for balance in ledger._accounts.balances[1:])
    everything_read(ledger)
    ledger.apply(LogIndex(ledger.applied_index + 1), ledger.last_time_ns, [*HISTORY[0], *HISTORY[1]])
