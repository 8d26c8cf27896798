"""A crowd of connections that say nothing, before real processes that may open few files."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bankd.client import TransferRequest
from bankd.local import LocalCluster
from tests.real.verdict import check_digests, open_accounts

SETTINGS = {
    "raft": 'heartbeat = "50ms"\nelection_timeout = "400ms"',
    "storage": 'min_free = "0B"\nsegment_size = "64KiB"',
}
OPEN_FILES_MAX = 128
SILENT = 300
BATCHES = 10
BATCH = 2000  # with their ids, more than two segments in all (the first one has 1 MiB)

pytestmark = pytest.mark.real


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path, settings=SETTINGS) as cluster:
        for node in cluster.nodes.values():
            node.prefix = ("sh", "-c", f'ulimit -n {OPEN_FILES_MAX} && exec "$@"', "sh")
        cluster.start()
        yield cluster


def connect_silently(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


def test_silent_connections_cost_neither_the_log_nor_the_clients_their_place(crowded: LocalCluster) -> None:  # N09
    with ExitStack() as crowd, crowded.client() as client:
        open_accounts(client)
        for _ in range(SILENT):
            for address in crowded.addresses.values():
                crowd.enter_context(connect_silently(address))
        for batch in range(BATCHES):
            ids = [f"{'x' * 100}-{batch}-{row}" for row in range(BATCH)]  # the log must open new segments
            client.transfer_many([TransferRequest("acct0", "acct1", 1, tx_id) for tx_id in ids])
        assert all(node.running for node in crowded.nodes.values())
        with crowded.client() as newcomer:
            assert newcomer.get_balance("acct1").balance > 0
        assert client.get_balance("acct0").balance == 0
        check_digests(client, crowded.endpoints)
    for node in crowded.nodes.values():
        assert len(list((crowded.directory / node.name / "wal").glob("*.wal"))) > 2
