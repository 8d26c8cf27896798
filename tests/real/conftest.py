"""Clusters of real processes, configured and not started. What a test leaves running ends with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bankd.local import LocalCluster
from tests.needs import needs, needs_root
from tests.real.clusters import NODES, SETTINGS, NetworkedCluster, ProxiedCluster
from tests.real.namespaces import namespaces
from tests.real.proxy import Proxies
from tests.real.verdict import SEARCHED, share_decided


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path / "cluster", settings=SETTINGS) as cluster:
        yield cluster


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[ProxiedCluster]:
    proxies = Proxies(NODES)
    with proxies.running(), ProxiedCluster(tmp_path / "cluster", proxies) as cluster:
        yield cluster


@pytest.fixture
def networked(tmp_path: Path) -> Iterator[NetworkedCluster]:
    needs_root()
    needs("ip", package="iproute2")
    with namespaces(NODES) as network, NetworkedCluster(tmp_path / "cluster", network) as cluster:
        yield cluster


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if SEARCHED:
        terminalreporter.write_line(f"real processes: {share_decided()}")
