"""Worlds, clients and faults as fixtures: a test reads like a sentence, and is run in its own world.

A test that asks for `cluster` begins when the cluster serves, under the mock clock and the seeded scheduler. When it
is over, everything is mended and the world is judged (verdict.py). `@pytest.mark.world(nodes=5)` gives the world
other `Settings`; BANKD_SEED another seed.
"""

import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.whole.client import RecordedClient
from tests.whole.faults import AsyncFault, Fault, Faults
from tests.whole.verdict import judge
from tests.whole.world import ELECTION_TIMEOUT_S, Settings, World, run

HERE: Final = Path(__file__).parent
SEED_DEFAULT: Final = 1


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "world(**settings): what the world of this test is like")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and HERE in item.path.parents and "cluster" in item.fixturenames:
            item.add_marker(pytest.mark.trio(run=partial(run_in_world, item.nodeid)))


def run_in_world(name: str, test: Callable[[], Awaitable[None]], *, clock: object, instruments: object) -> None:
    """Stands in for `trio.run`. `test` holds its fixtures."""
    assert isinstance(test, partial)
    world: World = test.keywords["cluster"]
    faults = _faults_of(test)

    async def scenario(world: World) -> None:
        await world.start()
        await world.wait_leader()
        await trio.sleep(ELECTION_TIMEOUT_S)  # until everybody has heard of the leader
        await test()
        await judge(world, faults)

    try:
        run(world, scenario)
    except Exception as error:
        error.add_note(f"{world.trace.last_lines()}\nreplay: BANKD_SEED={world.settings.seed} pytest '{name}'")
        raise


def _faults_of(test: partial[Awaitable[None]]) -> Faults:
    """The one behind whichever faults the test asked for."""
    for value in test.keywords.values():
        if isinstance(value, Faults):
            return value
        if isinstance(owner := getattr(value, "__self__", None), Faults):
            return owner
    return Faults(test.keywords["cluster"])


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> World:
    marker = request.node.get_closest_marker("world")
    seed = int(os.environ.get("BANKD_SEED", SEED_DEFAULT))
    return World(Settings(seed=seed, **(marker.kwargs if marker else {})))


@pytest.fixture
def client(cluster: World) -> RecordedClient:
    """A client that knows every node; with `another_client`, one of two."""
    return cluster.make_client()


@pytest.fixture
def another_client(cluster: World) -> RecordedClient:
    return cluster.make_client()


@pytest.fixture
def faults(cluster: World) -> Faults:
    """All of them; those below are its methods, for tests that need one or two."""
    return Faults(cluster)


@pytest.fixture
def partition(faults: Faults) -> Fault:
    return faults.partition


@pytest.fixture
def heal(faults: Faults) -> Fault:
    return faults.heal


@pytest.fixture
def delay(faults: Faults) -> Fault:
    return faults.delay


@pytest.fixture
def drop(faults: Faults) -> Fault:
    return faults.drop


@pytest.fixture
def stall(faults: Faults) -> Fault:
    return faults.stall


@pytest.fixture
def cut(faults: Faults) -> Fault:
    return faults.cut


@pytest.fixture
def kill(faults: Faults) -> AsyncFault:
    return faults.kill


@pytest.fixture
def freeze(faults: Faults) -> Fault:
    return faults.freeze


@pytest.fixture
def thaw(faults: Faults) -> AsyncFault:
    return faults.thaw
