"""Nodes in networks of their own that lose each other: the stage of network namespaces."""

import pytest

from tests.real.clusters import NetworkedCluster, follower, judged, wait_other_leader
from tests.real.waiting import wait_until

pytestmark = pytest.mark.real


def test_leader_and_then_follower_whose_cable_is_pulled_hold_up_nobody_and_come_back(
    networked: NetworkedCluster,
) -> None:  # N02, N06
    """No FIN and no RST is seen by anybody, clients included."""
    with judged(networked, seed=40) as load:
        old = networked.wait_leader()
        networked.network.unplug(old)
        wait_other_leader(networked, old)
        load.wait_answered(100)
        networked.network.plug(old)
        lost = follower(networked)
        networked.network.unplug(lost)
        load.wait_answered(100)
        networked.network.plug(lost)


def test_leader_cut_off_from_its_peers_but_not_from_its_clients_serves_nothing_stale(
    networked: NetworkedCluster,
) -> None:  # N02, N05, R1
    with judged(networked, seed=42) as load:
        old = networked.wait_leader()
        rest = [node_id for node_id in networked.nodes if node_id != old]
        for node_id in rest:
            networked.network.drop(old, node_id)
            networked.network.drop(node_id, old)
        wait_other_leader(networked, old)
        load.wait_answered(100)
        for node_id in rest:
            networked.network.pass_on(old, node_id)
            networked.network.pass_on(node_id, old)


def test_one_way_loss_of_the_leaders_packets_leaves_a_leader_that_commits(networked: NetworkedCluster) -> None:  # N03
    with judged(networked, seed=43) as load:
        old = networked.wait_leader()
        rest = [node_id for node_id in networked.nodes if node_id != old]
        for node_id in rest:
            networked.network.drop(old, node_id)
        wait_other_leader(networked, old)
        load.wait_answered(100)
        for node_id in rest:
            networked.network.pass_on(old, node_id)


def test_cables_pulled_one_after_the_other_until_nobody_is_connected(networked: NetworkedCluster) -> None:  # N02
    with judged(networked, seed=44) as load:
        for node_id in networked.nodes:
            networked.network.unplug(node_id)
        for node_id in networked.nodes:
            networked.network.plug(node_id)
        wait_until("somebody leads again", lambda: networked.leader() is not None)
        load.wait_answered(100)
