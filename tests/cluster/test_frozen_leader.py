"""A leader that stops without ending, as a hung disk or a stalled machine would make it, and comes back."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bankd.client import SyncBankClient
from bankd.errors import BankError
from bankd.local import LocalCluster
from bankd.types import NodeId
from tests.cluster.load import check_digests, open_accounts

SETTINGS = {"raft": 'heartbeat = "50ms"\nelection_timeout = "400ms"', "storage": 'min_free = "0B"'}

pytestmark = pytest.mark.real


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path, settings=SETTINGS) as cluster:
        cluster.start()
        with cluster.client() as client:
            open_accounts(client)
        yield cluster


def test_frozen_leader_loses_its_office_and_serves_nothing_stale_when_it_wakes(
    cluster: LocalCluster,
) -> None:  # P02, R1
    old = cluster.leader()
    assert old is not None
    cluster.nodes[old].send(signal.SIGSTOP)
    others = [address for node_id, address in cluster.addresses.items() if node_id != old]
    with SyncBankClient(others, cluster=cluster.name, timeout_s=30) as client:
        after = client.transfer("acct0", "acct1", 250, tx_id="while-frozen")  # acknowledged by the two others alone
    cluster.nodes[old].send(signal.SIGCONT)
    # Its very first answers: it may believe for a moment that it still leads.
    with SyncBankClient(cluster.addresses[old], cluster=cluster.name, timeout_s=30) as client:
        balance = client.get_balance("acct1")
    assert balance.balance == 1250, "a read that began after an acknowledged write must see it"
    assert balance.index >= after.index
    with cluster.client(timeout_s=30) as client:
        again = client.transfer("acct0", "acct1", 250, tx_id="while-frozen")
        assert again.index == after.index, "the first outcome, not a second transfer"
        check_digests(client, cluster.endpoints)


def test_frozen_follower_catches_up_and_changes_no_leader(cluster: LocalCluster) -> None:  # P02, thesis 9.6
    leader = cluster.leader()
    assert leader is not None
    follower = next(NodeId(node_id) for node_id in cluster.nodes if node_id != leader)
    cluster.nodes[follower].send(signal.SIGSTOP)
    with cluster.client(timeout_s=30) as client:
        for number in range(50):
            client.transfer("acct0", "acct1", 1, tx_id=f"t{number}")
        before = client.cluster.node_status(cluster.addresses[leader])
        cluster.nodes[follower].send(signal.SIGCONT)
        check_digests(client, cluster.endpoints)
        after = client.cluster.node_status(cluster.addresses[leader])
    assert (after.role, after.term) == (before.role, before.term)


def test_majority_that_is_frozen_answers_nobody_and_goes_on_when_it_wakes(cluster: LocalCluster) -> None:  # S1
    leader = cluster.leader()
    assert leader is not None
    frozen = [node_id for node_id in cluster.nodes if node_id != leader]
    for node_id in frozen:
        cluster.nodes[node_id].send(signal.SIGSTOP)
    with (
        SyncBankClient(cluster.addresses[leader], cluster=cluster.name, timeout_s=2) as client,
        pytest.raises(BankError),
    ):
        client.transfer("acct0", "acct1", 10, tx_id="no-quorum")
    for node_id in frozen:
        cluster.nodes[node_id].send(signal.SIGCONT)
    with cluster.client(timeout_s=30) as client:
        client.transfer("acct0", "acct1", 10, tx_id="no-quorum")
        assert client.get_balance("acct1").balance == 1010
        check_digests(client, cluster.endpoints)
