"""The gateway as a process: start, orderly end, and what a killed one leaves behind."""

import signal
from pathlib import Path
from socket import create_connection
from threading import Event
from time import monotonic

import grpc
import pytest

from bankd.errors import Exit
from bankd.pb import bank_pb2
from bankd.wire.methods import Method
from tests.client.fake_server import FakeServer, Hold, NeverAnswer
from tests.gateway.arrivals import Arrivals
from tests.gateway.calls import DEADLINE_S, Bank, transfer_request, unpack
from tests.gateway.process import GatewayProcess
from tests.gateway.test_health import NOT_SERVING, watch

# More steps than requests come: health probes take some of them, so every request gets the same treatment.
PLENTY = 1000
LONG_DRAIN = '[limits]\ndrain_timeout = "5m"'
SHORT_DRAIN = '[limits]\ndrain_timeout = "200ms"'


def start_transfer(channel: grpc.Channel, arrivals: Arrivals) -> grpc.Future:
    """A transfer of 60 under way, received by the node; its own deadline is beyond every wait of a test."""
    call = Bank(channel).bank.Transfer.future(transfer_request("a", "b", 60, "t1"), timeout=100 * DEADLINE_S)
    arrivals.wait(Method.SUBMIT_TRANSFERS)
    return call


def begin_to_drain(gateway: GatewayProcess, channel: grpc.Channel, number: signal.Signals = signal.SIGTERM) -> None:
    """Send the signal, and return once it was heeded: then the watches of the health end."""
    states = watch(channel)
    next(states)
    gateway.signal(number)
    assert [NOT_SERVING, *states][-1] == NOT_SERVING


def wait_until_closed(address: str) -> None:
    """Until nobody accepts connections there: gRPC closes its port a moment after it was told to."""
    host, port = address.split(":")
    give_up_at = monotonic() + DEADLINE_S
    while True:
        try:
            create_connection((host, int(port))).close()
        except ConnectionRefusedError:
            return
        assert monotonic() < give_up_at, f"{address} still accepts connections"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_terminated_gateway_finishes_what_is_under_way_and_exits_0(
    tmp_path: Path, node: FakeServer, arrivals: Arrivals, number: signal.Signals
) -> None:
    release = Event()
    node.script(*[Hold(release)] * PLENTY)
    with GatewayProcess(tmp_path, (node.address,), settings=LONG_DRAIN) as gateway, gateway.channel() as channel:
        call = start_transfer(channel, arrivals)
        begin_to_drain(gateway, channel, number)
        release.set()
        assert call.result(DEADLINE_S).status == bank_pb2.COMMITTED_OK
        assert gateway.wait_exit() == Exit.OK


def test_a_draining_gateway_takes_no_new_calls(tmp_path: Path, node: FakeServer, arrivals: Arrivals) -> None:
    node.script(*[NeverAnswer()] * PLENTY)
    with GatewayProcess(tmp_path, (node.address,), settings=LONG_DRAIN) as gateway, gateway.channel() as channel:
        start_transfer(channel, arrivals)
        begin_to_drain(gateway, channel)
        wait_until_closed(gateway.address)
        with grpc.insecure_channel(gateway.address) as late, pytest.raises(grpc.RpcError) as caught:
            Bank(late).transfer("a", "b", 1, "t2")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert node.tx_id_counts["t2"] == 0


def test_a_call_that_outlasts_the_drain_gets_a_truthful_answer(
    tmp_path: Path, node: FakeServer, arrivals: Arrivals
) -> None:
    node.script(*[NeverAnswer()] * PLENTY)
    with GatewayProcess(tmp_path, (node.address,), settings=SHORT_DRAIN) as gateway, gateway.channel() as channel:
        call = start_transfer(channel, arrivals)
        gateway.signal(signal.SIGTERM)
        assert unpack(call.exception(DEADLINE_S)).reason == "OUTCOME_UNKNOWN"
        assert gateway.wait_exit() == Exit.OK


def test_a_second_signal_ends_the_drain_at_once(tmp_path: Path, node: FakeServer, arrivals: Arrivals) -> None:
    node.script(*[NeverAnswer()] * PLENTY)
    with GatewayProcess(tmp_path, (node.address,), settings=LONG_DRAIN) as gateway, gateway.channel() as channel:
        call = start_transfer(channel, arrivals)
        begin_to_drain(gateway, channel)
        gateway.signal(signal.SIGTERM)
        assert unpack(call.exception(DEADLINE_S)).reason == "OUTCOME_UNKNOWN"
        assert gateway.wait_exit() == Exit.OK


def test_a_transfer_of_a_killed_gateway_is_learned_through_the_next_one(  # X04
    tmp_path: Path, node: FakeServer, arrivals: Arrivals
) -> None:
    node.script(*[NeverAnswer(apply=True)] * PLENTY)
    with GatewayProcess(tmp_path, (node.address,)) as first, first.channel() as channel:
        call = start_transfer(channel, arrivals)
        first.signal(signal.SIGKILL)
        assert call.exception(DEADLINE_S) is not None
    with FakeServer(node.bank) as healthy, GatewayProcess(tmp_path, (healthy.address,)) as second:
        assert_paid_once(second)


def assert_paid_once(gateway: GatewayProcess) -> None:
    """The transfer of `start_transfer`, sent again, has its first outcome and no further effect."""
    with gateway.channel() as channel:
        bank = Bank(channel)
        assert bank.transfer("a", "b", 60, "t1").status == bank_pb2.COMMITTED_OK
        assert (bank.balance("a").balance, bank.balance("b").balance) == (40, 60)


def test_a_taken_port_is_one_line_and_its_exit_code(tmp_path: Path, gateway: GatewayProcess, bank: Bank) -> None:
    with GatewayProcess(tmp_path, ("127.0.0.1:1",), address=gateway.address) as second:
        assert second.wait_exit() == Exit.UNAVAILABLE
    assert second.stderr.splitlines() == [
        f"error: ADDRESS_UNUSABLE: cannot listen on {gateway.address}: Address already in use "
        "(set gateway.listen to a free address)"
    ]
