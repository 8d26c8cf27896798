"""What load balancers and tools see of the gateway process: health and reflection."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.client.fake_server import FakeServer
from tests.gateway.calls import DEADLINE_S
from tests.gateway.process import GatewayProcess

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
WATCH_SECONDS_MAX = 60  # a probe a second, and a busy machine


def watch(channel: grpc.Channel, service: str = "") -> Iterator[int]:
    """The states as they come."""
    stub = health_pb2_grpc.HealthStub(channel)
    for answer in stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=WATCH_SECONDS_MAX):
        yield answer.status


@pytest.mark.parametrize("service", ["", "bank.v1.BankService", "bank.v1.LedgerService"])
def test_every_service_is_serving_while_a_leader_answers(channel: grpc.Channel, service: str) -> None:
    assert SERVING in watch(channel, service)
    request = health_pb2.HealthCheckRequest(service=service)
    assert health_pb2_grpc.HealthStub(channel).Check(request, timeout=DEADLINE_S).status == SERVING


def test_the_health_of_a_service_that_is_not_ours_is_unknown(channel: grpc.Channel) -> None:
    assert next(watch(channel, "bank.v1.Nobody")) == SERVICE_UNKNOWN
    request = health_pb2.HealthCheckRequest(service="bank.v1.Nobody")
    with pytest.raises(grpc.RpcError) as caught:
        health_pb2_grpc.HealthStub(channel).Check(request, timeout=DEADLINE_S)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_gateway_is_not_serving_before_a_leader_answers_and_after_it_is_lost(tmp_path: Path) -> None:
    node = FakeServer()  # has its address, and does not listen yet
    with GatewayProcess(tmp_path, (node.address,)) as gateway, gateway.channel() as channel:
        states = watch(channel, "bank.v1.BankService")
        seen = [next(states)]
        with node:
            seen.append(next(states))
        seen.append(next(states))
    assert seen == [NOT_SERVING, SERVING, NOT_SERVING]


def test_a_watcher_that_leaves_takes_nothing_from_the_others(tmp_path: Path) -> None:
    node = FakeServer()
    with GatewayProcess(tmp_path, (node.address,)) as gateway, gateway.channel() as channel:
        staying, leaving = watch(channel), watch(channel)
        assert (next(staying), next(leaving)) == (NOT_SERVING, NOT_SERVING)
        leaving.close()  # type: ignore[attr-defined]
        with node:
            assert next(staying) == SERVING


def test_reflection_tells_the_services_and_their_files(channel: grpc.Channel) -> None:
    asked = reflection_pb2.ServerReflectionRequest
    requests = [asked(list_services=""), asked(file_containing_symbol="bank.v1.BankService")]
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    listed, found = stub.ServerReflectionInfo(iter(requests), timeout=DEADLINE_S)
    assert {service.name for service in listed.list_services_response.service} == {
        "bank.v1.BankService",
        "bank.v1.LedgerService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert len(found.file_descriptor_response.file_descriptor_proto) > 0
