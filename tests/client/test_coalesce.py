"""Single transfers travel together, and nobody can tell."""

import attrs
import pytest

from bankd.client.coalesce import BATCH_ROWS_MAX, BATCHES_UNDER_WAY_MAX
from bankd.client.link import Link
from bankd.errors import (
    IdConflict,
    InsufficientFunds,
    InvalidAccount,
    InvalidArgument,
    LimitExceeded,
    OutcomeUnknown,
    Unavailable,
)
from bankd.pb import ledger_pb2
from bankd.types import ROW_ID_CONFLICT, TransferStatus
from bankd.wire.frames import FrameKind
from tests.client.table import NO_LEADER, Table, tx_ids


def ready(table: Table) -> Link:
    """A link that has just answered one transfer."""
    table.transfer()
    link = table.greet()
    table.answer(link, table.sent(link)[0])
    return link


def test_lone_transfer_goes_at_once() -> None:
    table = Table.of()
    link = ready(table)
    row = table.transfer()
    assert table.session.has_output(link)
    assert [tx_ids(frame) for frame in table.sent(link)] == [[row.intent_id]]


def test_transfers_made_before_the_shell_writes_share_one_request() -> None:
    table = Table.of()
    link = ready(table)
    rows = [table.transfer() for _ in range(5)]
    [frame] = table.sent(link)
    assert tx_ids(frame) == [row.intent_id for row in rows]


def test_transfers_gather_while_enough_batches_are_out_and_then_leave_together() -> None:
    table = Table.of()
    link = ready(table)
    out = []
    for _ in range(BATCHES_UNDER_WAY_MAX):
        table.transfer()
        out += table.sent(link)
    rows = [table.transfer() for _ in range(3)]
    assert not table.session.has_output(link)
    assert table.sent(link) == []
    table.answer(link, out[0])
    assert [tx_ids(frame) for frame in table.sent(link)] == [[row.intent_id for row in rows]]


def test_batch_is_bounded() -> None:
    table = Table.of(max_in_flight=10_000)
    link = ready(table)
    for _ in range(BATCH_ROWS_MAX + 1):
        table.transfer()
    assert [len(tx_ids(frame)) for frame in table.sent(link)] == [BATCH_ROWS_MAX, 1]


def test_each_row_gets_its_own_outcome() -> None:
    table = Table.of()
    link = ready(table)
    rows = [table.transfer(amount=9) for _ in range(5)]
    [frame] = table.sent(link)
    detail = ledger_pb2.TransferDetail
    response = ledger_pb2.SubmitTransfersResponse(
        index=8,
        time_ns=80,
        outcomes=bytes([1, 2, 3, 4, ROW_ID_CONFLICT]),
        details=[
            detail(row=0, index=3, time_ns=30),  # a retry: decided before
            detail(row=1, index=8, time_ns=80, available=4),
            detail(row=4, index=2, time_ns=20, differs=["to", "amount"]),
        ],
    )
    table.receive(link, FrameKind.RESPONSE, frame.call_id, response.SerializeToString())
    results = [row.take() for row in rows]
    assert [(result.status, result.index) for result in results] == [
        (TransferStatus.COMMITTED_OK, 3),
        (TransferStatus.COMMITTED_INSUFFICIENT_FUNDS, 8),
        (TransferStatus.COMMITTED_INVALID_ACCOUNT, 8),
        (TransferStatus.COMMITTED_LIMIT_EXCEEDED, 8),
        (TransferStatus.UNKNOWN, 2),
    ]
    errors = [result.error for result in results]
    kinds = [type(error) for error in errors]
    assert kinds == [type(None), InsufficientFunds, InvalidAccount, LimitExceeded, IdConflict]
    assert isinstance(errors[1], InsufficientFunds)
    assert (errors[1].available, errors[1].needed) == (4, 9)
    assert isinstance(errors[4], IdConflict)
    assert errors[4].differs == ("to", "amount")


@pytest.mark.parametrize(
    ("source", "target", "amount", "reason"),
    [
        ("a", "b", 0, "AMOUNT_NOT_POSITIVE"),
        ("a", "a", 5, "SAME_ACCOUNT"),
        ("@opening", "b", 5, "SYSTEM_ACCOUNT"),
        ("a", "\ud800", 5, "ACCOUNT_ID_INVALID"),
        ("a", "b", 2**63, "AMOUNT_OUT_OF_RANGE"),
    ],
)
def test_faulty_row_is_refused_alone_and_never_sent(source: str, target: str, amount: int, reason: str) -> None:
    table = Table.of()
    link = ready(table)
    good, bad, also_good = table.transfer(), table.transfer(source, target, amount), table.transfer()
    [frame] = table.sent(link)
    assert tx_ids(frame) == [good.intent_id, also_good.intent_id]
    assert isinstance(bad.error, InvalidArgument)
    assert bad.error.reason == reason


def test_only_faulty_rows_send_nothing_and_leave_the_way_free() -> None:
    table = Table.of()
    link = ready(table)
    for _ in range(BATCHES_UNDER_WAY_MAX + 1):
        assert isinstance(_sent_error(table, link), InvalidArgument)
    table.transfer()
    assert len(table.sent(link)) == 1


def _sent_error(table: Table, link: Link) -> BaseException | None:
    bad = table.transfer(amount=-1)
    assert table.sent(link) == []
    return bad.error


def test_caller_that_leaves_does_not_disturb_the_others() -> None:
    table = Table.of()
    link = ready(table)
    leaves, stays = table.transfer(), table.transfer()
    [frame] = table.sent(link)
    table.session.forget(leaves, table.now)
    assert table.frames(link) == []  # no CANCEL: the batch goes on
    table.answer(link, frame)
    assert stays.take().status is TransferStatus.COMMITTED_OK
    assert leaves.result is None


def test_batch_that_everybody_left_is_cancelled_and_makes_room() -> None:
    table = Table.of()
    link = ready(table)
    for _ in range(BATCHES_UNDER_WAY_MAX):
        row = table.transfer()
        table.sent(link)
        table.session.forget(row, table.now)
        assert [frame.kind for frame in table.frames(link)] == [FrameKind.CANCEL]
    table.transfer()
    assert len(table.sent(link)) == 1


def test_row_that_leaves_before_its_batch_does_is_not_sent() -> None:
    table = Table.of()
    link = ready(table)
    leaves, stays = table.transfer(), table.transfer()
    table.session.forget(leaves, table.now)
    assert [tx_ids(frame) for frame in table.sent(link)] == [[stays.intent_id]]


def test_rows_of_one_batch_have_deadlines_of_their_own() -> None:
    table = Table.of()
    link = ready(table)
    hasty, patient = table.transfer(timeout_s=0.2), table.transfer(timeout_s=1.0)
    [frame] = table.sent(link)
    assert frame.deadline_ms == 1000
    table.advance(0.2)
    assert isinstance(hasty.error, OutcomeUnknown)
    assert hasty.error.tx_id == hasty.intent_id
    table.answer(link, frame)
    assert patient.take().status is TransferStatus.COMMITTED_OK


@pytest.mark.parametrize("retry_after_ms", [0, 200], ids=["handed to the link again", "waiting for its next try"])
def test_row_that_ended_after_a_refusal_is_not_sent_again_with_the_others(retry_after_ms: int) -> None:  # K11
    table = Table.of()
    link = ready(table)
    hasty, patient = table.transfer(timeout_s=0.1), table.transfer(timeout_s=1.0)
    table.refuse(link, table.sent(link)[0], attrs.evolve(NO_LEADER, retry_after_ms=retry_after_ms))
    table.advance(0.1)
    assert isinstance(hasty.error, Unavailable), "it surely had no effect"
    table.advance(0.4)
    [again] = table.sent(link)
    assert tx_ids(again) == [patient.intent_id]
    assert again.deadline_ms == 500
    table.answer(link, again)
    assert patient.take().tx_id == patient.intent_id


def test_window_is_free_again_after_every_kind_of_ending() -> None:
    table = Table.of("n1:1", "n2:2")
    link = ready(table)
    for _ in range(BATCHES_UNDER_WAY_MAX):
        table.transfer(timeout_s=0.2)
        table.sent(link)
    table.break_off(link)
    table.advance(0.3)  # they ended in the queue or on the next link
    table.transfer()
    table.advance(0.1)
    assert len(table.sent(table.greet())) == 1
