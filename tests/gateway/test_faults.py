"""What a caller of the gateway sees when nodes misbehave: exactly once, or a truthful error (K11, K13, M3)."""

from collections.abc import Iterator
from threading import Event

import grpc
import pytest

from bankd.errors import Code, Refusal
from bankd.gateway.errors import OUTCOME_UNKNOWN_MESSAGE
from bankd.pb import bank_pb2
from bankd.types import ClusterId
from bankd.wire.methods import Method
from tests.client.fake_server import (
    DropAfter,
    DropBefore,
    FakeBank,
    FakeServer,
    Garbage,
    Hold,
    NeverAnswer,
    Refuse,
    Step,
)
from tests.gateway.arrivals import Arrivals
from tests.gateway.calls import DEADLINE_S, Bank, refused, transfer_request
from tests.gateway.process import free_address
from tests.gateway.threaded import GatewayThread

# For calls that get no answer of the bank. The gateway gives them up by itself, after 5 s: with a deadline of the
# caller's, a busy machine could let that one come first.
NO_DEADLINE = None

OVERLOADED = Refusal(Code.RESOURCE_EXHAUSTED, "OVERLOADED", "no room", retryable=True, retry_after_ms=300)
NO_LEADER = Refusal(Code.UNAVAILABLE, "NO_LEADER", "nobody leads", retryable=True)


@pytest.fixture
def bank(node: FakeServer) -> Iterator[Bank]:
    with GatewayThread((node.address,)) as gateway, grpc.insecure_channel(gateway.address) as channel:
        yield Bank(channel)


@pytest.mark.parametrize(
    "trouble",
    [DropBefore(), DropAfter(), Garbage(), Refuse(NO_LEADER), Refuse(OVERLOADED)],
    ids=["dropped before", "dropped after", "garbage", "no leader", "overloaded"],
)
def test_a_transfer_whose_first_try_fails_is_sent_again_with_its_id_and_applied_once(
    node: FakeServer, bank: Bank, trouble: Step
) -> None:
    node.script(trouble)
    answer = bank.transfer("a", "b", 60, "t1")
    assert answer.status == bank_pb2.COMMITTED_OK
    assert node.tx_id_counts == {"t1": 2}
    assert (bank.balance("a").balance, bank.balance("b").balance) == (40, 60)


def test_an_account_whose_first_answer_is_lost_is_created_all_the_same(node: FakeServer, bank: Bank) -> None:  # K8
    node.script(DropAfter())
    answer = bank.create("c", 5)
    assert (answer.success, answer.message) == (True, "Account created")
    assert list(node.tx_id_counts.values()) == [2]
    again = bank.create("c", 5)
    assert (again.success, again.message) == (False, "Account already exists")


def test_a_transfer_without_an_answer_in_time_has_an_unknown_outcome(node: FakeServer, bank: Bank) -> None:  # K11
    node.script(NeverAnswer(apply=True))
    refusal = refused(lambda: bank.transfer("a", "b", 60, "t1", timeout_s=NO_DEADLINE))
    assert refusal.code in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED)
    assert (refusal.reason, refusal.message) == ("OUTCOME_UNKNOWN", OUTCOME_UNKNOWN_MESSAGE)
    assert refusal.metadata == {"client_tx_id": "t1"}
    assert bank.status("t1").status == bank_pb2.COMMITTED_OK


@pytest.mark.parametrize("request_id", [None, "r1"])
def test_an_opening_without_an_answer_in_time_names_the_callers_own_ids(  # K11, K8
    node: FakeServer, bank: Bank, request_id: str | None
) -> None:
    node.script(NeverAnswer(apply=True))
    refusal = refused(lambda: bank.create("c", 5, request_id=request_id, timeout_s=NO_DEADLINE))
    assert refusal.reason == "OUTCOME_UNKNOWN"
    assert refusal.metadata == ({"account": "c"} if request_id is None else {"account": "c", "request_id": "r1"})
    assert (refusal.retry_delay_ms is None) == (request_id is None)


@pytest.mark.parametrize(
    ("trouble", "code", "delay_ms"),
    [
        (NO_LEADER, grpc.StatusCode.UNAVAILABLE, 100),
        (OVERLOADED, grpc.StatusCode.RESOURCE_EXHAUSTED, 300),
    ],
    ids=["no leader", "overloaded"],
)
def test_a_transfer_turned_away_until_the_deadline_was_surely_not_done_and_may_be_sent_again(  # K11, K13
    node: FakeServer, bank: Bank, trouble: Refusal, code: grpc.StatusCode, delay_ms: int
) -> None:
    node.script(*[Refuse(trouble)] * 10_000)
    refusal = refused(lambda: bank.transfer("a", "b", 60, "t1", timeout_s=NO_DEADLINE))
    assert (refusal.code, refusal.reason, refusal.retry_delay_ms) == (code, trouble.reason, delay_ms)
    assert node.bank.ledger.transfer_count == 0


def test_a_cluster_that_cannot_be_reached_is_unavailable() -> None:
    with GatewayThread((free_address(),)) as gateway, grpc.insecure_channel(gateway.address) as channel:
        refusal = refused(lambda: Bank(channel).transfer("a", "b", 1, "t1", timeout_s=NO_DEADLINE))
    assert refusal.code is grpc.StatusCode.UNAVAILABLE
    assert refusal.retry_delay_ms is not None


def test_a_cluster_of_the_same_name_that_took_the_place_of_the_first_is_refused(node: FakeServer, bank: Bank) -> None:
    assert bank.transfer("a", "b", 10, "t1").status == bank_pb2.COMMITTED_OK
    node.cluster_id = ClusterId(node.cluster_id + 1)
    node.drop_connections()
    refusal = refused(lambda: bank.balance("a"))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_CLUSTER")
    assert len(node.requests) == 1


def test_calls_go_on_when_the_leader_dies() -> None:
    shared = FakeBank()
    shared.open_account("a", 100)
    shared.open_account("b", 0)
    with FakeServer(shared, node_id="n1") as first, FakeServer(shared, node_id="n2") as second:
        endpoints = (first.address, second.address)
        with GatewayThread(endpoints) as gateway, grpc.insecure_channel(gateway.address) as channel:
            bank = Bank(channel)
            assert bank.transfer("a", "b", 10, "t1").status == bank_pb2.COMMITTED_OK
            shared.leader_id = "n2"
            first.stop()
            assert bank.transfer("a", "b", 10, "t1").status == bank_pb2.COMMITTED_OK
            assert bank.transfer("a", "b", 5, "t2").status == bank_pb2.COMMITTED_OK
            assert bank.balance("b").balance == 15


def test_transfers_of_many_callers_travel_together(node: FakeServer) -> None:
    release = Event()
    node.script(Hold(release), Hold(release))  # as many requests as a client has under way before it gathers
    requests = [transfer_request("a", "b", 1, f"t{number}") for number in range(100)]
    with GatewayThread((node.address,)) as gateway, grpc.insecure_channel(gateway.address) as channel:
        bank = Bank(channel)
        calls = [bank.bank.Transfer.future(request, timeout=DEADLINE_S) for request in requests]
        gateway.wait_calls(len(requests))
        release.set()
        assert {call.result().status for call in calls} == {bank_pb2.COMMITTED_OK}
        assert sum(node.batch_rows) == 100
        assert len(node.batch_rows) <= 3
        assert bank.balance("b").balance == 100


def test_a_cancelled_read_is_cancelled_on_the_node_too(node: FakeServer, bank: Bank, arrivals: Arrivals) -> None:
    node.script(NeverAnswer())
    request = bank_pb2.GetBalanceRequest(account=bank_pb2.AccountId(id="a"))
    call = bank.bank.GetBalance.future(request, timeout=DEADLINE_S)
    arrivals.wait(Method.GET_BALANCE)
    call.cancel()
    for _ in range(1000):  # the cancellation overtakes one of these calls
        bank.balance("b")
        if node.cancelled:
            break
    assert len(node.cancelled) == 1


def test_a_cancelled_transfer_takes_effect_at_most_once_and_its_id_tells(
    node: FakeServer, bank: Bank, arrivals: Arrivals
) -> None:
    release = Event()
    node.script(Hold(release))
    call = bank.bank.Transfer.future(transfer_request("a", "b", 60, "t1"), timeout=DEADLINE_S)
    arrivals.wait(Method.SUBMIT_TRANSFERS)
    call.cancel()
    release.set()
    assert bank.status("t1").status == bank_pb2.COMMITTED_OK
    assert bank.transfer("a", "b", 60, "t1").status == bank_pb2.COMMITTED_OK
    assert bank.balance("b").balance == 60
