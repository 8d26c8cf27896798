"""Nodes that reach each other through links that fail: the proxied stage."""

import re
from functools import partial

import pytest

from bankd.types import NodeId
from tests.real.clusters import NODES, ProxiedCluster, follower, judged, wait_other_leader
from tests.real.proxy import Link, Way
from tests.real.waiting import wait_until

pytestmark = pytest.mark.real


def others(node_id: NodeId) -> list[NodeId]:
    return [other for other in NODES if other != node_id]


def mentions(cluster: ProxiedCluster, node_id: NodeId, pattern: str) -> int:
    """How often a node's log says something."""
    return len(re.findall(pattern, cluster.nodes[node_id].log_path.read_text()))


def test_nodes_that_know_each_other_by_different_addresses_make_one_cluster(proxied: ProxiedCluster) -> None:
    with judged(proxied, seed=10):
        assert all(link.connected for link in proxied.proxies.links.values())


def test_slow_links_lose_nothing_and_stop_nobody(proxied: ProxiedCluster) -> None:  # N01
    with judged(proxied, seed=11) as load:
        for link in proxied.proxies.links.values():
            link.delay(0.03)
            link.throttle(200_000)
        load.wait_answered(300)
        proxied.proxies.mend()


def test_leader_whose_links_are_all_silent_is_replaced_and_serves_nothing_stale(
    proxied: ProxiedCluster,
) -> None:  # N02, N05, N06, R1
    with judged(proxied, seed=12) as load:
        old = proxied.wait_leader()
        for link in proxied.proxies.between([old], others(old)):
            link.silence()
        wait_other_leader(proxied, old)
        load.wait_answered(100)
        proxied.proxies.mend()


def test_one_way_stop_of_the_leaders_links_leaves_a_leader_that_commits(proxied: ProxiedCluster) -> None:  # N03, N07
    """Either way. What waits comes all at once at the end (N11)."""
    with judged(proxied, seed=13) as load:
        for way in Way:
            leader = proxied.wait_leader()
            for link in proxied.proxies.between([leader], others(leader)):
                link.stop([way])
            load.wait_answered(100)
            proxied.proxies.mend()


def test_peer_that_reads_nothing_for_long_holds_up_nobody(proxied: ProxiedCluster) -> None:  # N07
    with judged(proxied, seed=14) as load:
        leader, slow = proxied.wait_leader(), follower(proxied)
        before = mentions(proxied, leader, f"peer_unreachable peer={slow}")
        proxied.proxies.links[leader, slow].stop()
        load.wait_healthy()
        wait_until(
            "the leader gives the connection up",
            lambda: mentions(proxied, leader, f"peer_unreachable peer={slow}") > before,
        )
        load.wait_healthy()
        proxied.proxies.mend()


def test_half_open_connections_are_noticed_and_made_anew(proxied: ProxiedCluster) -> None:  # N06
    with judged(proxied, seed=15) as load:
        for link in proxied.proxies.links.values():
            link.lose()
        assert not any(link.connected for link in proxied.proxies.links.values())
        wait_until("every link is there again", lambda: all(link.connected for link in proxied.proxies.links.values()))
        load.wait_answered(100)


def test_accidents_on_links_cost_a_connection_each_and_nothing_else(proxied: ProxiedCluster) -> None:  # N08
    with judged(proxied, seed=16) as load:
        for accident in (Link.reset, Link.flip, Link.cut):
            before = dials(proxied)
            for link in proxied.proxies.links.values():
                accident(link)
            wait_until(
                f"every link has been made anew after {accident.__name__}",
                partial(all_anew, proxied, before),
            )
            load.wait_answered(50)
        assert all(node.running for node in proxied.nodes.values())


def all_anew(cluster: ProxiedCluster, before: list[int]) -> bool:
    return all(now > then for now, then in zip(dials(cluster), before, strict=True))


def dials(cluster: ProxiedCluster) -> list[int]:
    """How often each link's dialler has been let in by its listener."""
    return [mentions(cluster, a, f"peer_connected peer={b}") for a, b in cluster.proxies.links]
