"""A bank with two accounts, behind one server, and a bankctl that asks it."""

from collections.abc import Callable, Iterator

import pytest

from tests.bankctl.harness import Ran, bankctl
from tests.client.fake_server import FakeServer

Ask = Callable[..., Ran]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        server.bank.open_account("acct1", 1250)
        server.bank.open_account("acct2", 0)
        yield server


@pytest.fixture
def ask(server: FakeServer) -> Ask:
    def ask(line: str, **process: object) -> Ran:
        return bankctl(*line.split(), environ={"BANKCTL_ENDPOINTS": server.address}, **process)  # type: ignore[arg-type]

    return ask
