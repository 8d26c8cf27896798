"""The ledger's image as bytes: equal images are equal bytes, and no bytes end in anything but blocks or ImageInvalid."""

import re
from array import array

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bankd.ledger.builder import LedgerBuilder
from bankd.ledger.rows import (
    ROWS_MAX,
    AccountRows,
    Block,
    EntryRows,
    ImageHead,
    ImageInvalid,
    ImageNewer,
    RequestRows,
    TransferRows,
)
from bankd.pb import snapshot_pb2 as pb
from bankd.types import BALANCE_MAX, AccountId, TxId
from bankd.wire.snapshot_rows import BLOCK_BYTES_MAX, decode_blocks, encode_block
from tests.ledger.images import eventful_bank, restored
from tests.wire.strategies import money, text, u32, u64

UNKNOWN_FIELD = b"\xf2\x06\x05newer"  # field 110, a string
LONGEST_ID = "x" * 128

# The image of eventful_bank.
GOLDEN = (
    "0a340a320801100619701700000000000022100c18bc54856316b28f1fbd95e17e81b828ffffffffffffffffff0130043803"
    "400348060a3c123a0a01610a01620a01630a0472696368120c5a0000a6ffffffffffffff7f1a0c643200eafeffffffffffff"
    "7f2204010001012a07e80700e807e8070a291a270a0272310a0272320a02723312016112016112046c6174651a0364070122"
    "030100042a030102030a1322110a0300030112030200011a05d00f00e8070a4f2a4d0a0274310a0274320a0274330a027434"
    "0a0274350a02743612060101010002011a0602020000040422070ae80701013c5a2a0601020303010432015a3a01613a0178"
    "42066e6f626f6479420179"
)


def column(typecode: str, values: st.SearchStrategy[int]) -> st.SearchStrategy["array[int]"]:
    return st.lists(values, max_size=4).map(lambda drawn: array(typecode, drawn))


ascending = st.lists(u64, max_size=4).map(lambda drawn: array("Q", sorted(drawn)))
ids = st.lists(text, max_size=4)
blocks: st.SearchStrategy[Block] = st.one_of(
    st.builds(ImageHead, u64, u64, st.binary(max_size=16), money, u64, u64, u64, u64),
    st.builds(AccountRows, ids, st.lists(money, max_size=4), column("q", money), ascending, ascending),
    st.builds(RequestRows, ids, ids, column("q", money), ascending, st.binary(max_size=4)),
    st.builds(EntryRows, ascending, ascending, ascending),
    st.builds(
        TransferRows,
        ids,
        column("I", u32),
        column("I", u32),
        column("q", money),
        st.binary(max_size=4),
        column("q", money),
        st.lists(st.tuples(text, text), max_size=2),
    ),
)


def image_bytes() -> list[bytes]:
    return [encode_block(block) for block in eventful_bank().ledger.freeze().blocks()]


def sealed(message: pb.Block) -> bytes:
    return pb.Blocks(blocks=[message]).SerializeToString()


@given(st.lists(blocks, max_size=4))
def test_blocks_come_back_as_they_were_in_their_order(drawn: list[Block]) -> None:
    assert list(decode_blocks(b"".join(map(encode_block, drawn)))) == drawn


@given(blocks)
def test_an_encoded_block_is_what_the_published_schema_says(block: Block) -> None:
    [message] = pb.Blocks.FromString(encode_block(block)).blocks
    assert sealed(message) == encode_block(block)


def test_a_ledger_goes_through_bytes_and_comes_back_whole() -> None:
    original = eventful_bank().ledger
    copy = restored(decode_blocks(b"".join(image_bytes())))
    assert list(copy.freeze().blocks()) == list(original.freeze().blocks())


def test_an_image_has_the_same_bytes_in_every_process_and_release() -> None:
    """What this program wrote yesterday, and another node writes now. Bytes that differ are another format."""
    assert b"".join(image_bytes()).hex() == GOLDEN
    assert list(decode_blocks(bytes.fromhex(GOLDEN))) == list(eventful_bank().ledger.freeze().blocks())


@pytest.mark.parametrize("steps", [(1, 1, 1), (300, 0, 2**40), (2**63, 2**63 - 1, 0)])
def test_columns_that_ascend_are_written_as_steps(steps: tuple[int, int, int]) -> None:
    first, second, third = steps
    values = array("Q", [first, first + second, first + second + third])
    [block] = pb.Blocks.FromString(encode_block(EntryRows(values, values, values))).blocks
    assert tuple(block.entries.index_steps) == steps


def test_the_largest_block_of_each_kind_stays_below_its_bound() -> None:
    """Every id and every number as long as it gets, every transfer refused for accounts that nobody has."""
    tx_ids, accounts = [TxId(LONGEST_ID)] * ROWS_MAX, [AccountId(LONGEST_ID)] * ROWS_MAX
    most = array("q", [BALANCE_MAX]) * ROWS_MAX
    rising = array("Q", [n << 52 for n in range(ROWS_MAX)])
    number = array("I", [2**32 - 1]) * ROWS_MAX
    largest: list[Block] = [
        AccountRows(accounts, list(most), most, rising, rising),
        RequestRows(tx_ids, accounts, most, rising, bytes(ROWS_MAX)),
        EntryRows(rising, rising, rising),
        TransferRows(tx_ids, number, number, most, bytes(ROWS_MAX), most, [(accounts[0], accounts[0])] * ROWS_MAX),
    ]
    sizes = [len(encode_block(block)) for block in largest]
    assert max(sizes) < BLOCK_BYTES_MAX
    assert max(sizes) > BLOCK_BYTES_MAX * 3 // 4, "the bound says nothing"


def test_fields_unknown_here_are_left_unread() -> None:
    bodies = []
    for body in image_bytes():
        [message] = pb.SealedBlocks.FromString(body).blocks
        kind = pb.Block.FromString(message)
        inner = getattr(kind, kind.WhichOneof("kind") or "")
        inner.MergeFromString(UNKNOWN_FIELD)
        bodies.append(sealed(kind) + UNKNOWN_FIELD)
        assert len(bodies[-1]) > len(body) + len(UNKNOWN_FIELD)
    assert list(decode_blocks(b"".join(bodies))) == list(decode_blocks(b"".join(image_bytes())))


def test_a_newer_version_is_told_apart_from_damage() -> None:
    with pytest.raises(ImageNewer, match="version 2"):
        list(decode_blocks(sealed(pb.Block(head=pb.Head(version=2)))))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\xff\xff", "2 bytes that are no SealedBlocks"),
        (b"\x0a\x02\x0a\xff", "2 bytes that are no Block"),
        (sealed(pb.Block()), "unknown kind of block None"),
        (pb.SealedBlocks(blocks=[UNKNOWN_FIELD]).SerializeToString(), "unknown kind of block None"),
        (sealed(pb.Block(head=pb.Head())), "version 0"),
        (sealed(pb.Block(entries=pb.Entries(index_steps=[2**64 - 1, 1]))), "leaves 64 bits"),
        (sealed(pb.Block(transfers=pb.Transfers(unknown_sources=["x"]))), "not in pairs"),
    ],
)
def test_what_is_no_block_is_refused_in_words(body: bytes, words: str) -> None:
    with pytest.raises(ImageInvalid, match=re.escape(words)) as refused:
        list(decode_blocks(body))
    assert not isinstance(refused.value, ImageNewer)


def test_blocks_are_opened_one_at_a_time() -> None:
    """What comes before a faulty one is given out first, so nothing is decoded ahead of need."""
    decoded = decode_blocks(image_bytes()[0] + sealed(pb.Block()))
    assert isinstance(next(decoded), ImageHead)
    with pytest.raises(ImageInvalid):
        next(decoded)


@settings(deadline=None, max_examples=300)
@given(st.integers(0), st.binary(max_size=3), st.integers(0, 3))
@example(0, b"", 0)
def test_damaged_bytes_are_refused_or_give_a_ledger_that_holds_them(at: int, noise: bytes, cut: int) -> None:
    body = b"".join(image_bytes())
    at %= len(body)
    damaged = body[:at] + noise + body[at + cut :]
    builder = LedgerBuilder()
    taken = []
    try:
        for block in decode_blocks(damaged):
            builder.take(block)
            taken.append(block)
        ledger = builder.finish()
    except ImageInvalid:
        return
    assert list(ledger.freeze().blocks()) == taken
    assert ledger.imbalance() == 0
