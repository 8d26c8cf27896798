"""Data directories that were damaged, emptied or put back from a copy while their node was away."""

import shutil

import pytest

from bankd.client import SyncBankClient, TransferRequest
from bankd.local import LocalCluster
from bankd.types import LogIndex, NodeId
from tests.real.book import OPENING
from tests.real.clusters import N1, edit, follower, judged, status_of, wait_refilled
from tests.real.verdict import check_digests, open_accounts
from tests.real.waiting import wait_until

pytestmark = pytest.mark.real

BATCH = 1000
BATCHES = 15  # with their ids 1.7 MiB: behind the first segment of 1 MiB several of 64 KiB


def lengthen_log(client: SyncBankClient) -> None:
    """With transfers that move nothing."""
    for number in range(BATCHES):
        ids = [f"long-{number}-{row}-{'x' * 90}" for row in range(BATCH)]
        client.transfer_many([TransferRequest("acct0", "acct1", 100 * OPENING, tx_id) for tx_id in ids])


def test_node_without_one_of_its_segments_is_refilled_whichever_it_is(cluster: LocalCluster) -> None:  # D07
    node = cluster.nodes[N1]
    edit(node, 'segment_size = "1MiB"', 'segment_size = "64KiB"')
    cluster.start()
    with cluster.client() as client:
        open_accounts(client)
        for place in (0, 2, -1):
            lengthen_log(client)
            check_digests(client, cluster.endpoints)
            node.terminate()
            segments = sorted((cluster.directory / N1 / "wal").glob("*.wal"))
            assert len(segments) > 3
            segments[place].unlink()
            node.start()
            wait_refilled(cluster, N1)
            check_digests(client, cluster.endpoints)
        client.transfer("acct0", "acct1", 1)


def test_voter_with_an_emptied_directory_is_kept_out_by_those_who_knew_it(cluster: LocalCluster) -> None:  # D09
    with judged(cluster, seed=60) as load:
        wiped = follower(cluster)
        node, path = cluster.nodes[wiped], cluster.directory / wiped
        others = [other for node_id, other in cluster.nodes.items() if node_id != wiped]
        node.kill()
        path.rename(path.with_suffix(".kept"))
        node.start()
        wait_until(
            "both others have turned it away",
            lambda: all(f"handshake_refused peer='{wiped}'" in other.log_path.read_text() for other in others),
        )
        load.wait_answered(100)
        with cluster.client() as client:
            status = client.cluster.node_status(cluster.addresses[wiped])
        assert (status.leader_id, status.applied_index) == (None, LogIndex(1)), "it heard from nobody and leads nobody"
        node.kill()
        shutil.rmtree(path)
        path.with_suffix(".kept").rename(path)


def test_directory_put_back_from_an_older_copy_is_refilled_and_nothing_is_lost(cluster: LocalCluster) -> None:  # D10
    """The copy says the same number of starts as the node that it takes the place of."""
    with judged(cluster, seed=61) as load:
        old = follower(cluster)
        node, path = cluster.nodes[old], cluster.directory / old
        node.kill()
        shutil.copytree(path, path.with_suffix(".copy"))
        node.start()
        wait_until("it has met the others in its second start", lambda: is_connected(cluster, old))
        load.wait_answered(100)
        node.kill()
        shutil.rmtree(path)
        path.with_suffix(".copy").rename(path)
        node.start()
        wait_until("it began anew", lambda: f"begins_anew node={old}" in node.log_path.read_text())
        wait_until("it was refilled", lambda: f"refilled node={old}" in node.log_path.read_text())
        load.wait_answered(100)


def is_connected(cluster: LocalCluster, node_id: NodeId) -> bool:
    status = status_of(cluster, node_id)
    return status is not None and all(member.connected for member in status.members)
