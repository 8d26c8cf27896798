"""What becomes of calls, decided without a socket: ids, retries, hints, deadlines, late answers."""

import attrs
import pytest

from bankd.client import calls
from bankd.client.link import CONNECT_S_MAX, PING_AFTER_S, SILENCE_S_MAX, LinkState
from bankd.client.pending import Pending
from bankd.client.retry import RetryPolicy
from bankd.errors import (
    BankError,
    Code,
    DeadlineExceeded,
    IdConflict,
    InvalidArgument,
    OutcomeUnknown,
    Overloaded,
    Refusal,
    Unavailable,
)
from bankd.status import LeadershipMoved
from bankd.types import TransferStatus
from bankd.wire.frames import FLAG_HOPPED, FrameKind, encode_frame
from bankd.wire.methods import Method
from tests.client.table import NO_LEADER, Table, leader_is, tx_ids

BUSY = Refusal(Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", "busy", retryable=True, retry_after_ms=500)
BROKEN = Refusal(Code.INTERNAL, "BROKEN", "a bug")
UNKNOWN = Refusal(Code.UNKNOWN, "OUTCOME_UNKNOWN", "the entry was overwritten")


# The plain path


def test_nothing_is_connected_before_the_first_call() -> None:
    table = Table.of()
    table.advance(10.0)
    table.grant()
    assert table.opened == []


def test_call_waits_for_the_greeting_and_is_then_sent_and_answered() -> None:
    table = Table.of()
    pending = table.balance("a")
    link = table.greet()
    [frame] = table.sent(link)
    table.answer(link, frame)
    assert pending.take().balance == 42
    assert table.session.finished == [pending]


def test_deadline_travels_as_milliseconds_left() -> None:
    table = Table.of()
    table.balance(timeout_s=2.0)
    table.advance(0.5)
    assert table.sent(table.greet())[0].deadline_ms == 1500


def test_answers_may_come_in_any_order() -> None:
    table = Table.of()
    first, second = table.balance("a"), table.balance("b")
    link = table.greet()
    frames = table.sent(link)
    table.answer(link, frames[1])
    assert (first.done, second.done) == (False, True)
    table.answer(link, frames[0])
    assert first.take().account == "a"


# Ids and retries


@pytest.mark.parametrize("refusal", [NO_LEADER, BUSY, UNKNOWN, leader_is("n2", "n2:2")])
def test_retry_after_a_refusal_keeps_the_id_and_takes_a_new_call_number(refusal: Refusal) -> None:  # C01, C02
    table = Table.of()
    row = table.transfer()
    link = table.greet()
    [first] = table.sent(link)
    table.refuse(link, first, refusal)
    table.advance(1.0)
    link = table.opening() if table.opening().state is LinkState.READY else table.greet(node_id="n2")
    [second] = table.sent(link)
    assert tx_ids(first) == tx_ids(second) == [row.intent_id]
    assert first.call_id != second.call_id
    table.answer(link, second)
    assert row.take().status is TransferStatus.COMMITTED_OK


def test_lost_connection_is_retried_elsewhere_with_the_same_bytes() -> None:  # C01
    table = Table.of("n1:1", "n2:2")
    row = table.transfer()
    link = table.greet()
    [first] = table.sent(link)
    table.break_off(link)
    table.advance(0.1)
    other = table.greet()
    [second] = table.sent(other)
    assert (link.address, other.address) == ("n1:1", "n2:2")
    assert second.body == first.body
    table.answer(other, second)
    assert row.take().tx_id == row.intent_id


def test_one_intent_has_one_id_however_often_it_is_sent() -> None:  # C02
    table = Table.of("n1:1", "n2:2", "n3:3")
    row = table.transfer(timeout_s=30.0)
    seen = []
    for _ in range(12):
        link = table.greet()
        seen += [id_ for frame in table.sent(link) for id_ in tx_ids(frame)]
        table.break_off(link)
        table.advance(1.0)
    assert seen == [row.intent_id] * len(seen)
    assert len(seen) >= 10


def test_wait_before_a_retry_is_the_backoff() -> None:
    table = Table.of(draw=0xFF)
    table.transfer()
    link = table.greet()
    table.refuse(link, table.sent(link)[0])
    table.advance(0.019)
    assert table.sent(link) == []
    table.advance(0.002)
    assert len(table.sent(link)) == 1


def test_overloaded_node_is_asked_again_when_it_said() -> None:
    table = Table.of("n1:1", "n2:2", draw=0)
    table.transfer()
    link = table.greet()
    table.refuse(link, table.sent(link)[0], BUSY)
    table.advance(0.499)
    assert table.sent(link) == []
    table.advance(0.002)
    assert len(table.sent(link)) == 1


def test_refusal_that_cannot_be_retried_ends_the_call() -> None:
    table = Table.of()
    pending = table.balance()
    link = table.greet()
    table.refuse(link, table.sent(link)[0], BROKEN)
    with pytest.raises(BankError, match="a bug"):
        pending.take()


def test_policy_of_one_try_gives_up_at_the_first_refusal() -> None:
    table = Table.of(retry=RetryPolicy(tries_max=1))
    row = table.transfer()
    link = table.greet()
    table.refuse(link, table.sent(link)[0])
    with pytest.raises(Unavailable):
        row.take()


def test_moving_leadership_is_not_asked_for_twice() -> None:
    table = Table.of("n1:1", "n2:2")
    pending: Pending[LeadershipMoved] = table.session.submit(calls.transfer_leader("n2"), table.now + 5.0, table.now)
    link = table.greet()
    table.sent(link)
    table.break_off(link)
    assert isinstance(pending.error, OutcomeUnknown)


# Leader hints


def test_greeting_that_names_a_leader_moves_the_client_there_before_any_call() -> None:
    table = Table.of("n1:1")
    table.balance()
    follower = table.greet(leader=("n2", "n2:2"))
    assert table.sent(follower) == []
    leader = table.greet(leader=("n2", "n2:2"))
    assert (leader.address, len(table.sent(leader))) == ("n2:2", 1)
    assert follower in table.closed


def test_leader_under_another_name_is_not_left() -> None:
    table = Table.of("localhost:1")
    table.balance()
    link = table.greet(node_id="n1", leader=("n1", "127.0.0.1:1"))
    assert len(table.sent(link)) == 1


def test_answer_that_took_a_hop_makes_the_client_look_for_the_leader_but_not_all_the_time() -> None:
    table = Table.of("n1:1")
    first = table.transfer()
    follower = table.greet()  # greeted while nobody led
    [frame] = table.sent(follower)
    table.answer(follower, frame, flags=FLAG_HOPPED)
    table.grant()
    assert (first.done, follower in table.closed) == (True, True)
    table.transfer()
    again = table.greet(leader=("n2", "n2:2"))
    assert table.opening().address == "n2:2"
    table.break_off(table.opening())  # the leader cannot be reached from here
    again = table.greet(leader=("n2", "n2:2"))
    [frame] = table.sent(again)
    table.answer(again, frame, flags=FLAG_HOPPED)
    table.grant()
    assert again not in table.closed


def test_named_leader_that_is_gone_leaves_the_follower_as_a_way() -> None:
    table = Table.of("n1:1")
    pending = table.balance()
    table.greet(leader=("n2", "n2:2"))
    assert table.opening().address == "n2:2"
    table.break_off(table.opening())
    follower = table.greet(leader=("n2", "n2:2"))
    [frame] = table.sent(follower)
    table.answer(follower, frame)
    assert (follower.address, pending.done) == ("n1:1", True)


def test_hint_in_a_refusal_is_followed_at_once_and_answers_on_the_old_link_still_count() -> None:
    table = Table.of("n1:1")
    moved, kept = table.balance("moved"), table.balance("kept")
    old = table.greet()
    frames = table.sent(old)
    table.refuse(old, frames[0], leader_is("n2", "n2:2"))
    new = table.greet()
    assert (new.address, old.state) == ("n2:2", LinkState.RETIRED)
    table.answer(new, table.sent(new)[0])
    table.answer(old, frames[1])
    assert (moved.done, kept.done, old in [*table.closed]) == (True, True, False)
    table.grant()
    assert old in table.closed  # drained


def test_nodes_that_disagree_send_a_client_around_three_times_and_then_it_waits() -> None:  # X07
    table = Table.of("n1:1", "n2:2", draw=0xFF)
    table.transfer(timeout_s=60.0)
    link, hops_at_once = table.greet(), 0
    while frames := table.sent(link):
        other = "n2:2" if link.address == "n1:1" else "n1:1"
        table.refuse(link, frames[0], leader_is(other[:2], other))
        if table.opening() is link:
            break
        link, hops_at_once = table.greet(), hops_at_once + 1
    assert hops_at_once == 3
    assert table.sent(link) == []
    table.advance(0.5)
    assert len(table.sent(link)) == 1  # after the wait, on the node at hand


def test_node_that_names_itself_under_another_address_is_not_left() -> None:
    table = Table.of("localhost:1")
    table.transfer()
    link = table.greet(node_id="n1")
    table.refuse(link, table.sent(link)[0], leader_is("n1", "127.0.0.1:1"))
    assert (table.opening(), link.state) == (link, LinkState.READY)


def test_node_that_knows_no_leader_is_left_for_the_next_one() -> None:
    table = Table.of("n1:1", "n2:2")
    table.transfer()
    link = table.greet()
    table.refuse(link, table.sent(link)[0], NO_LEADER)
    assert table.opening().address == "n2:2"


def test_pinned_client_never_leaves_its_node() -> None:
    table = Table.of("n1:1", follow_leader=False)
    table.balance()
    link = table.greet(leader=("n2", "n2:2"), members=("n1:1", "n2:2"))
    [frame] = table.sent(link)
    table.refuse(link, frame, leader_is("n2", "n2:2"))
    table.advance(1.0)
    assert len(table.sent(link)) == 1
    assert table.opened == [link]


def test_goaway_lets_the_node_finish_and_takes_new_calls_elsewhere() -> None:
    table = Table.of("n1:1", "n2:2")
    pending = table.balance()
    link = table.greet(members=("n1:1", "n2:2"))
    [frame] = table.sent(link)
    table.receive(link, FrameKind.GOAWAY)
    table.balance("later")
    table.answer(link, frame)
    assert pending.done
    assert len(table.sent(table.greet())) == 1


# Late answers


def test_answer_to_a_forgotten_call_reaches_nobody() -> None:  # C09
    table = Table.of()
    gone, stays = table.balance("gone"), table.balance("stays")
    link = table.greet()
    late, good = table.sent(link)
    table.session.forget(gone, table.now)
    assert [frame.kind for frame in table.frames(link)] == [FrameKind.CANCEL]
    table.answer(link, late)
    table.answer(link, good)
    assert (gone.result, stays.take().account) == (None, "stays")


def test_answer_of_an_earlier_try_is_not_taken_for_the_answer_of_another_call() -> None:  # C09
    table = Table.of("n1:1", "n2:2")
    first = table.balance("first")
    old = table.greet()
    [frame] = table.sent(old)
    table.break_off(old)
    table.advance(0.1)
    new = table.greet()
    [again] = table.sent(new)
    table.receive(new, FrameKind.RESPONSE, frame.call_id, b"")
    assert not first.done
    table.answer(new, again)
    assert first.done


# Deadlines


def test_read_without_an_answer_ends_at_its_deadline() -> None:
    table = Table.of()
    pending = table.balance(timeout_s=0.5)
    table.sent(table.greet())
    table.advance(0.499)
    assert not pending.done
    table.advance(0.001)
    assert isinstance(pending.error, DeadlineExceeded)


def test_write_that_was_sent_ends_in_outcome_unknown_with_its_id() -> None:
    table = Table.of()
    row = table.transfer(timeout_s=0.5)
    table.sent(table.greet())
    table.advance(0.5)
    assert isinstance(row.error, OutcomeUnknown)
    assert row.error.tx_id == row.intent_id


def test_write_that_was_never_sent_surely_had_no_effect() -> None:
    table = Table.of()
    row = table.transfer(timeout_s=0.5)
    table.greet()  # the link stands, but the shell has not asked for the bytes
    table.advance(0.5)
    assert isinstance(row.error, DeadlineExceeded)


def test_write_cut_off_before_its_bytes_left_surely_had_no_effect() -> None:
    table = Table.of(retry=RetryPolicy(tries_max=1))
    pending = table.session.submit(calls.create_account("a", 0, "r1"), table.now + 1.0, table.now)
    table.break_off(table.greet())
    assert isinstance(pending.error, Unavailable)


def test_write_given_up_before_its_bytes_left_never_leaves() -> None:  # K11
    table = Table.of()
    pending = table.session.submit(calls.create_account("a", 0, "r1"), table.now + 0.5, table.now)
    link = table.greet()  # the call is on its way, but the shell has not asked for the bytes
    table.advance(0.5)
    assert isinstance(pending.error, DeadlineExceeded)
    assert table.frames(link) == []


def test_write_that_no_node_could_take_is_unavailable_naming_the_trouble() -> None:
    table = Table.of("n1:1", "n2:2")
    row = table.transfer(timeout_s=1.0)
    for _ in range(40):
        table.grant()
        if not row.done and table.opened[-1].state is LinkState.OPENING:
            table.session.disconnected(table.opened[-1], "connection refused", table.now)
        table.advance(0.05)
    assert isinstance(row.error, Unavailable)
    assert "connection refused" in str(row.error)


def test_refused_write_is_unavailable_at_its_deadline() -> None:
    table = Table.of()
    row = table.transfer(timeout_s=0.3)
    link = table.greet()
    for _ in range(30):
        for frame in table.sent(link):
            table.refuse(link, frame)
        table.advance(0.01)
    assert isinstance(row.error, Unavailable)


def test_doubt_of_an_earlier_try_is_not_lifted_by_a_later_refusal() -> None:  # K11
    table = Table.of("n1:1", "n2:2")
    row = table.transfer(timeout_s=0.5)
    link = table.greet()
    table.sent(link)
    table.break_off(link)  # it may have taken effect
    table.advance(0.1)
    link = table.greet()
    table.refuse(link, table.sent(link)[0], BROKEN)
    assert isinstance(row.error, OutcomeUnknown)


def test_doubt_that_a_node_admits_stays_until_the_bank_answers() -> None:  # K11
    table = Table.of()
    row = table.transfer(timeout_s=0.5)
    link = table.greet()
    table.refuse(link, table.sent(link)[0], UNKNOWN)
    table.advance(0.1)
    table.refuse(link, table.sent(link)[0], NO_LEADER)
    table.advance(0.5)
    assert isinstance(row.error, OutcomeUnknown)


def test_answer_of_the_bank_lifts_every_doubt() -> None:
    conflict = Refusal(Code.ALREADY_EXISTS, "ID_CONFLICT", "other fields", metadata={"differs": "amount"})
    table = Table.of("n1:1", "n2:2")
    pending = table.session.submit(calls.create_account("a", 5, "r1"), table.now + 1.0, table.now)
    link = table.greet()
    table.sent(link)
    table.break_off(link)
    table.advance(0.1)
    link = table.greet()
    table.refuse(link, table.sent(link)[0], conflict)
    assert isinstance(pending.error, IdConflict)
    assert pending.error.differs == ("amount",)


def test_timeout_covers_all_tries() -> None:
    table = Table.of("n1:1", "n2:2")
    row = table.transfer(timeout_s=2.0)
    start = table.now
    while not row.done:
        link = table.greet()
        table.sent(link)
        table.break_off(link)
        table.advance(0.3)
    assert table.now - start == pytest.approx(2.0, abs=0.35)


# Connections that fail


def test_every_node_is_tried_before_the_first_wait() -> None:
    table = Table.of("n1:1", "n2:2", "n3:3")
    table.balance()
    for _ in range(3):
        table.break_off(table.opening())
    table.advance(0.019)
    table.grant()
    assert [link.address for link in table.opened] == ["n1:1", "n2:2", "n3:3"]
    table.advance(0.002)
    assert table.opening().address == "n1:1"


def test_silence_while_connecting_turns_to_the_next_node() -> None:
    table = Table.of("n1:1", "n2:2")
    table.balance()
    silent = table.opening()
    table.session.connected(silent)
    table.advance(CONNECT_S_MAX)
    assert (table.opening().address, silent.state) == ("n2:2", LinkState.CLOSED)


def test_silent_node_is_pinged_and_then_given_up_and_the_call_goes_elsewhere() -> None:  # N06
    table = Table.of("n1:1", "n2:2")
    row = table.transfer(timeout_s=10.0)
    link = table.greet()
    table.sent(link)
    table.advance(PING_AFTER_S)
    assert [frame.kind for frame in table.frames(link)] == [FrameKind.PING]
    table.advance(SILENCE_S_MAX - PING_AFTER_S + 0.1)
    other = table.greet()
    table.advance(0.1)
    assert [tx_ids(frame) for frame in table.sent(other)] == [[row.intent_id]]


def test_bytes_that_make_no_frame_are_no_sign_of_life() -> None:  # N08
    table = Table.of("n1:1", "n2:2")
    row = table.transfer(timeout_s=10.0)
    link = table.greet()
    table.sent(link)
    answer = encode_frame(FrameKind.PONG, Method.NONE, 0)
    table.session.received(link, bytes([answer[0]]) + b"\x40" + answer[2:], table.now)  # a length that was damaged
    for _ in range(10):
        table.advance(SILENCE_S_MAX / 8)
        table.session.received(link, answer, table.now)
    assert link.state is LinkState.CLOSED
    other = table.greet()
    table.advance(0.1)
    assert [tx_ids(frame) for frame in table.sent(other)] == [[row.intent_id]]


def test_node_that_answers_pings_may_take_its_time() -> None:
    table = Table.of("n1:1", "n2:2")
    pending = table.balance(timeout_s=60.0)
    link = table.greet()
    [call] = table.sent(link)
    for _ in range(20):
        table.advance(PING_AFTER_S)
        for frame in table.frames(link):
            table.receive(link, FrameKind.PONG, frame.call_id, frame.body)
    table.answer(link, call)
    assert pending.done


def test_idle_connection_is_left_alone() -> None:
    table = Table.of()
    table.balance()
    link = table.greet()
    table.answer(link, table.sent(link)[0])
    table.advance(3600.0)
    assert (table.frames(link), link.state) == ([], LinkState.READY)


def test_ping_of_the_node_is_answered() -> None:
    table = Table.of()
    table.balance()
    link = table.greet()
    table.sent(link)
    table.receive(link, FrameKind.PING, 9, b"body")
    [pong] = table.frames(link)
    assert (pong.kind, pong.call_id, pong.body) == (FrameKind.PONG, 9, b"body")


def test_garbage_costs_the_connection_and_not_the_call() -> None:
    table = Table.of("n1:1", "n2:2")
    pending = table.balance()
    link = table.greet()
    table.sent(link)
    table.session.received(link, b"HTTP/1.1 400 Bad Request\r\n\r\n", table.now)
    assert link.state is LinkState.CLOSED
    table.advance(0.1)
    other = table.greet()
    table.answer(other, table.sent(other)[0])
    assert pending.done


def test_malformed_answer_costs_the_connection_and_not_the_call() -> None:
    table = Table.of("n1:1", "n2:2")
    pending = table.balance()
    link = table.greet()
    table.receive(link, FrameKind.RESPONSE, table.sent(link)[0].call_id, b"\xff\xff")
    assert (link.state, pending.done) == (LinkState.CLOSED, False)
    table.advance(0.1)
    assert len(table.sent(table.greet())) == 1


def test_wrong_cluster_is_said_at_once_when_no_other_node_is_left() -> None:
    table = Table.of("n1:1", cluster="other")
    row = table.transfer()
    table.greet()
    assert row.error is not None
    assert row.error.reason == "WRONG_CLUSTER"


def test_cluster_that_greeted_first_is_the_one_that_is_meant_from_then_on() -> None:
    table = Table.of("n1:1", "n2:2")
    row = table.transfer()
    link = table.greet(cluster_id=7)
    table.answer(link, table.sent(link)[0])
    assert row.done
    table.break_off(link)
    table.advance(0.1)
    row = table.transfer()
    other = table.greet(cluster_id=8)
    assert (other.state, table.sent(other)) == (LinkState.CLOSED, [])
    assert row.error is not None
    assert row.error.reason == "WRONG_CLUSTER"
    table.advance(1.0)
    row = table.transfer()
    table.advance(0.0)
    assert len(table.sent(table.greet(cluster_id=7))) == 1  # the node that was lost is back


def test_what_the_first_cluster_did_with_a_write_stays_unknown_when_another_has_taken_its_place() -> None:
    table = Table.of("n1:1")
    row = table.transfer()
    link = table.greet(cluster_id=7)
    assert len(table.sent(link)) == 1
    table.break_off(link)
    table.advance(0.5)
    table.greet(cluster_id=8)
    assert isinstance(row.error, OutcomeUnknown)
    assert "n1:1: two clusters are called 'main'" in str(row.error)


# Bounds, forgetting and closing


def test_calls_beyond_the_bound_wait_for_a_place() -> None:
    table = Table.of(max_in_flight=2)
    pendings = [table.balance(str(number)) for number in range(4)]
    link = table.greet()
    frames = table.sent(link)
    assert len(frames) == 2
    table.answer(link, frames[0])
    assert len(table.sent(link)) == 1
    assert [pending.done for pending in pendings] == [True, False, False, False]


def test_place_of_a_forgotten_call_is_free_again() -> None:
    table = Table.of(max_in_flight=1)
    first, second = table.balance("1"), table.balance("2")
    link = table.greet()
    table.sent(link)
    table.session.forget(first, table.now)
    table.session.forget(first, table.now)  # a second time frees nothing more
    assert len(table.sent(link)) == 1
    table.balance("3")
    assert (table.sent(link), second.done) == ([], False)


def test_call_that_never_got_a_place_ends_at_its_deadline() -> None:
    table = Table.of(max_in_flight=1)
    table.balance("1", timeout_s=10.0)
    table.sent(table.greet())
    second = table.transfer(timeout_s=1.0)
    table.advance(1.0)
    assert isinstance(second.error, DeadlineExceeded)


def test_closing_ends_every_call_with_what_is_true_of_it() -> None:
    table = Table.of(max_in_flight=3)
    sent, read = table.transfer(), table.balance()
    table.sent(table.greet())
    gathered, waiting = table.transfer(), table.transfer()
    table.session.close()
    after = table.transfer()
    errors = [type(pending.error) for pending in (sent, read, gathered, waiting, after)]
    assert errors == [OutcomeUnknown, Unavailable, Unavailable, Unavailable, Unavailable]
    table.grant()
    assert table.closed == table.opened


def test_no_call_is_finished_twice() -> None:
    table = Table.of("n1:1", "n2:2")
    row = table.transfer(timeout_s=0.5)
    link = table.greet()
    [frame] = table.sent(link)
    table.answer(link, frame)
    table.answer(link, frame)
    table.break_off(link)
    table.advance(1.0)
    table.session.close()
    assert table.session.finished == [row]
    assert row.error is None


@pytest.mark.parametrize(
    ("reason", "code", "kind"),
    [
        ("AMOUNT_NOT_POSITIVE", Code.INVALID_ARGUMENT, InvalidArgument),
        ("TOO_MANY_CALLS", Code.RESOURCE_EXHAUSTED, Overloaded),
    ],
)
def test_each_caller_of_a_refused_batch_gets_an_exception_of_its_own(
    reason: str, code: Code, kind: type[BankError]
) -> None:
    table = Table.of()
    rows = [table.transfer() for _ in range(2)]
    link = table.greet()
    table.refuse(link, table.sent(link)[0], attrs.evolve(BROKEN, reason=reason, code=code))
    first, second = (row.error for row in rows)
    assert isinstance(first, kind)
    assert first is not second
