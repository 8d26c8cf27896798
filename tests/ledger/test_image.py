"""A frozen ledger stays as it is while the ledger goes on: fault C04, and what equal snapshots rest on (S3)."""

from array import array
from itertools import pairwise

from bankd.ledger.queries import GetAccount
from bankd.ledger.rows import (
    ROWS_MAX,
    AccountRows,
    Block,
    EntryRows,
    ImageHead,
    RequestAnswer,
    RequestRows,
    TransferRows,
)
from bankd.types import AccountId, LogIndex, TimeNs, TxId
from tests.ledger.bank import Bank, batch, create
from tests.ledger.images import HISTORY, INT64_MAX, eventful_bank, restored

KINDS = [ImageHead, AccountRows, RequestRows, EntryRows, TransferRows]


def large_bank() -> Bank:
    """More than two blocks of every kind."""
    bank = Bank()
    for number in range(2 * ROWS_MAX + 2):
        bank.apply(create(f"a{number}", 1_000, f"r{number}"), batch((f"t{number}", f"a{number}", f"a{number - 1}", 1)))
    return bank


def test_an_image_holds_what_the_bank_decided_and_nothing_else() -> None:
    bank = eventful_bank()
    a, b, c, rich, nobody = (AccountId(name) for name in ("a", "b", "c", "rich", "nobody"))
    assert list(bank.ledger.freeze().blocks()) == [
        ImageHead(
            applied_index=LogIndex(6),
            last_time_ns=TimeNs(6_000),
            digest=bank.ledger.digest,
            opening_balance=-(2**63),
            accounts=4,
            requests=3,
            entries=3,
            transfers=6,
        ),
        AccountRows(
            ids=[a, b, c, rich],
            balances=[90, 0, 0, INT64_MAX - 89],
            initial_balances=array("q", [100, 50, 0, INT64_MAX - 149]),
            created_indexes=array("Q", [1, 1, 2, 3]),
            created_times=array("Q", [1_000, 1_000, 2_000, 3_000]),
        ),
        RequestRows(
            ids=[TxId("r1"), TxId("r2"), TxId("r3")],
            accounts=[a, a, AccountId("late")],
            initial_balances=array("q", [100, 7, 1]),
            indexes=array("Q", [1, 1, 5]),
            answers=bytes([RequestAnswer.OPENED, RequestAnswer.EXISTED, RequestAnswer.LIMIT_EXCEEDED]),
        ),
        EntryRows(
            first_rows=array("Q", [0, 3, 4]),
            indexes=array("Q", [2, 2, 3]),
            times=array("Q", [2_000, 2_000, 3_000]),
        ),
        TransferRows(
            ids=[TxId(f"t{number}") for number in range(1, 7)],
            sources=array("I", [1, 1, 1, 0, 2, 1]),
            targets=array("I", [2, 2, 0, 0, 4, 4]),
            amounts=array("q", [10, 1000, 1, 1, 60, 90]),
            statuses=b"\x01\x02\x03\x03\x01\x04",
            available=array("q", [90]),
            strangers=[(a, nobody), (AccountId("x"), AccountId("y"))],
        ),
    ]


def test_the_image_of_an_empty_bank_is_its_head() -> None:
    [head] = Bank().ledger.freeze().blocks()
    assert head == ImageHead(LogIndex(0), TimeNs(0), bytes(16), 0, 0, 0, 0, 0)


def test_blocks_come_by_kind_and_are_full_but_for_the_last_of_each() -> None:
    blocks = list(large_bank().ledger.freeze().blocks())
    assert [type(block) for block in blocks] == [ImageHead, *(kind for kind in KINDS[1:] for _ in range(3))]
    lengths = [len(block.first_rows if isinstance(block, EntryRows) else block.ids) for block in rows_of(blocks)]
    assert lengths == [ROWS_MAX, ROWS_MAX, 2] * 4


def rows_of(blocks: list[Block]) -> list[AccountRows | RequestRows | EntryRows | TransferRows]:
    return [block for block in blocks if not isinstance(block, ImageHead)]


def test_an_image_stays_as_it_was_whatever_is_applied_between_its_blocks() -> None:
    bank = large_bank()
    image = bank.ledger.freeze()
    before = list(image.blocks())
    after: list[Block] = []
    for number, block in enumerate(image.blocks()):
        after.append(block)
        # Each of them changes a balance, and one dict or another that the image reads.
        bank.apply(
            create(f"new{number}", 5, f"rn{number}"),
            batch(
                (f"tn{number}", "a1", "a2", 1), (f"tf{number}", "a3", "a4", 10**9), (f"tx{number}", "a5", "nobody", 1)
            ),
        )
    assert after == before
    assert bank.ledger.freeze().head != image.head


def test_two_images_of_different_moments_live_side_by_side() -> None:
    bank = Bank()
    images = []
    for entry in HISTORY:
        bank.apply(*entry)
        images.append(bank.ledger.freeze())
    ledgers = [restored(image.blocks()) for image in images]
    assert [ledger.applied_index for ledger in ledgers] == [1, 2, 3, 4, 5, 6]
    balances = [ledger.read(GetAccount(AccountId("b"))) for ledger in ledgers]
    assert [one == other for one, other in pairwise(balances)] == [False, False, True, True, True]


def test_equal_logs_give_equal_images_however_the_ledger_came_about() -> None:
    """Also of a ledger that was itself restored, at another index on each node."""
    original = eventful_bank()
    for restored_behind in range(len(HISTORY)):
        bank = Bank()
        for number, entry in enumerate(HISTORY):
            bank.apply(*entry)
            if number == restored_behind:
                bank = Bank(restored(bank.ledger.freeze().blocks()))
        assert list(bank.ledger.freeze().blocks()) == list(original.ledger.freeze().blocks())
