"""Nodes that stop without ending, as a stalled machine would make them, and go on later."""

import signal

import pytest

from bankd.client import SyncBankClient
from bankd.errors import BankError
from bankd.local import LocalCluster
from bankd.types import NodeId
from tests.real.clusters import follower, judged
from tests.real.verdict import check_digests, open_accounts

pytestmark = pytest.mark.real


@pytest.fixture
def running(cluster: LocalCluster) -> LocalCluster:
    """Started, with open accounts, at rest."""
    cluster.start()
    with cluster.client() as client:
        open_accounts(client)
    return cluster


def test_frozen_leader_loses_its_office_and_serves_nothing_stale_when_it_wakes(
    running: LocalCluster,
) -> None:  # P02, R1
    old = running.leader()
    assert old is not None
    running.nodes[old].send(signal.SIGSTOP)
    others = [address for node_id, address in running.addresses.items() if node_id != old]
    with SyncBankClient(others, cluster=running.name, timeout_s=30) as client:
        after = client.transfer("acct0", "acct1", 250, tx_id="while-frozen")  # acknowledged by the two others alone
    running.nodes[old].send(signal.SIGCONT)
    # Its very first answers: it may believe for a moment that it still leads.
    with SyncBankClient(running.addresses[old], cluster=running.name, timeout_s=30) as client:
        balance = client.get_balance("acct1")
    assert balance.balance == 1250, "a read that began after an acknowledged write must see it"
    assert balance.index >= after.index
    with running.client(timeout_s=30) as client:
        again = client.transfer("acct0", "acct1", 250, tx_id="while-frozen")
        assert again.index == after.index, "the first outcome, not a second transfer"
        check_digests(client, running.endpoints)


def test_frozen_follower_catches_up_and_changes_no_leader(running: LocalCluster) -> None:  # P02, thesis 9.6
    leader = running.leader()
    assert leader is not None
    follower = next(NodeId(node_id) for node_id in running.nodes if node_id != leader)
    running.nodes[follower].send(signal.SIGSTOP)
    with running.client(timeout_s=30) as client:
        for number in range(50):
            client.transfer("acct0", "acct1", 1, tx_id=f"t{number}")
        before = client.cluster.node_status(running.addresses[leader])
        running.nodes[follower].send(signal.SIGCONT)
        check_digests(client, running.endpoints)
        after = client.cluster.node_status(running.addresses[leader])
    assert (after.role, after.term) == (before.role, before.term)


def test_majority_that_is_frozen_answers_nobody_and_goes_on_when_it_wakes(running: LocalCluster) -> None:  # S1
    leader = running.leader()
    assert leader is not None
    frozen = [node_id for node_id in running.nodes if node_id != leader]
    for node_id in frozen:
        running.nodes[node_id].send(signal.SIGSTOP)
    with (
        SyncBankClient(running.addresses[leader], cluster=running.name, timeout_s=2) as client,
        pytest.raises(BankError),
    ):
        client.transfer("acct0", "acct1", 10, tx_id="no-quorum")
    for node_id in frozen:
        running.nodes[node_id].send(signal.SIGCONT)
    with running.client(timeout_s=30) as client:
        client.transfer("acct0", "acct1", 10, tx_id="no-quorum")
        assert client.get_balance("acct1").balance == 1010
        check_digests(client, running.endpoints)


def test_each_node_frozen_in_turn_under_load_loses_nothing(cluster: LocalCluster) -> None:  # P02, S1, R1
    with judged(cluster, seed=20) as load:
        for node in cluster.nodes.values():
            node.send(signal.SIGSTOP)
            load.wait_answered(100)
            node.send(signal.SIGCONT)


def test_majority_frozen_under_load_goes_on_where_it_was(cluster: LocalCluster) -> None:  # P02, S1, R1
    with judged(cluster, seed=21) as load:
        leader = cluster.wait_leader()
        for node_id in [leader, follower(cluster)]:
            cluster.nodes[node_id].send(signal.SIGSTOP)
        with pytest.raises(BankError), cluster.client(timeout_s=1) as client:
            client.get_balance("acct0")
        for node in cluster.nodes.values():
            node.send(signal.SIGCONT)
        load.wait_answered(100)
