"""A running gateway for the behaviour suites, and what stands behind it.

`test_fixed_behaviour`, `test_decisions`, `test_batches` and `test_other_language` ask for a `bank` and
know nothing of the backend. BACKENDS names the fixtures that stand behind them in turn, each giving the
endpoints of a running cluster called "main"; a further one there runs all of these suites once more.
One gateway process serves the whole session and each backend, so every test uses ids under its own `name`.
"""

from collections.abc import Iterator
from itertools import count

import grpc
import pytest

from bankd.local import LocalCluster
from tests.client.fake_server import FakeBank, FakeServer
from tests.gateway.arrivals import Arrivals
from tests.gateway.calls import Bank
from tests.gateway.process import GatewayProcess

BACKENDS = ("one_fake_node", pytest.param("three_real_nodes", marks=pytest.mark.real))

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def one_fake_node() -> Iterator[tuple[str, ...]]:
    """The real ledger and the real wire format, without consensus or disk."""
    with FakeServer() as server:
        yield (server.address,)


@pytest.fixture(scope="session")
def three_real_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """Processes with logs on disk, one of which leads."""
    with LocalCluster(tmp_path_factory.mktemp("cluster"), name="main") as cluster:
        cluster.start()
        yield tuple(cluster.endpoints)


@pytest.fixture(scope="session", params=BACKENDS)
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    endpoints: tuple[str, ...] = request.getfixturevalue(request.param)
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), endpoints) as process:
        yield process


@pytest.fixture(scope="session")
def channel(gateway: GatewayProcess) -> Iterator[grpc.Channel]:
    with gateway.channel() as channel:
        yield channel


@pytest.fixture(scope="session")
def bank(channel: grpc.Channel) -> Bank:
    return Bank(channel)


@pytest.fixture
def gateway_address(gateway: GatewayProcess, channel: grpc.Channel) -> str:
    """Where it listens; it does, for `channel` is connected."""
    return gateway.address


@pytest.fixture
def name() -> str:
    """An id that no other test uses, and a prefix for more."""
    return f"test-{next(_NUMBERS)}"


# For the tests that script a node


@pytest.fixture
def node() -> Iterator[FakeServer]:
    """A node with 100 on account "a" and nothing on "b"."""
    bank = FakeBank()
    bank.open_account("a", 100)
    bank.open_account("b", 0)
    with FakeServer(bank) as server:
        yield server


@pytest.fixture
def arrivals(node: FakeServer) -> Arrivals:
    return Arrivals(node)
