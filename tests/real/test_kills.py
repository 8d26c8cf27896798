"""Three real processes under load while they are killed: the promise that the project exists for."""

import pytest

from bankd.local import LocalCluster
from tests.real.clusters import judged, start_missing

KILLS = 10
ANSWERED_BETWEEN = 100

pytestmark = pytest.mark.real


def test_ten_leaders_killed_in_a_row_lose_nothing_and_double_nothing(cluster: LocalCluster) -> None:  # P01, C01, S1, M3
    with judged(cluster, seed=1) as load:
        for _ in range(KILLS):
            leader = cluster.wait_leader()
            cluster.nodes[leader].kill()
            load.wait_answered(ANSWERED_BETWEEN)
            cluster.nodes[leader].start()


def test_majority_killed_again_and_again_answers_nobody_until_it_is_back(cluster: LocalCluster) -> None:  # P01
    with judged(cluster, seed=4) as load:
        for _ in range(3):
            leader = cluster.wait_leader()
            followers = [node_id for node_id in cluster.nodes if node_id != leader]
            for node_id in followers:
                cluster.nodes[node_id].kill()
            start_missing(cluster)
            load.wait_answered(ANSWERED_BETWEEN)


def test_all_nodes_killed_at_once_under_load_come_back_with_every_acknowledged_transfer(
    cluster: LocalCluster,
) -> None:  # P01, D20
    with judged(cluster, seed=2) as load:
        for node in cluster.nodes.values():
            node.kill()
        start_missing(cluster)
        load.wait_answered(ANSWERED_BETWEEN)


def test_leader_asked_to_end_under_load_answers_what_it_took_and_nothing_is_lost(cluster: LocalCluster) -> None:  # P03
    with judged(cluster, seed=3) as load:
        for _ in range(3):
            leader = cluster.wait_leader()
            assert cluster.nodes[leader].terminate() == 0
            load.wait_answered(ANSWERED_BETWEEN)
            cluster.nodes[leader].start()
