"""Random reigns against the invariants: leaders that are lost in the midst of replicating, one after the other.

What a leader leaves behind on a few nodes, the next ones find, carry on or replace. It takes some four of
them in the right order until an entry of an older term is on a majority and yet may be replaced (paper,
figure 8); that hardly ever happens to the schedules of `test_random_clusters`, in which leaders last. The
judge of `cluster.Cluster` looks after every step. Replay one:

    pytest tests/raft/test_random_reigns.py -k "seed-17"
"""

import random
from collections.abc import Sequence

import pytest

from bankd.raft.core import RaftOptions
from bankd.raft.ready import Role
from bankd.types import NodeId
from tests.raft.cluster import Cluster, node_ids

SEEDS = range(40)
REIGNS = 250
STEPS_BELOW = 60
NAMES = node_ids(5)
OPTIONS = RaftOptions(
    heartbeat_ticks=1,
    election_ticks=6,
    append_bytes_max=1,  # one entry a message, so that older ones may arrive without the leader's own
    pre_vote=False,
)


def draw_reign(cluster: Cluster, rng: random.Random) -> bool:
    """Have everybody restart and one of a bare majority campaign; whether it led, and was left after some steps."""
    for name in NAMES:
        cluster.crash(name)
        cluster.start(name)
    cluster.network.clear()
    leader, *_ = group = rng.sample(NAMES, len(NAMES) // 2 + 1)
    if not elected(cluster, leader, group):
        return False
    if rng.random() < 0.5:
        cluster.propose(leader, b"x")
    for _ in range(rng.randrange(STEPS_BELOW)):
        if cluster.network and rng.random() < 0.5:
            cluster.deliver(cluster.network.pop(rng.randrange(len(cluster.network))))
        else:
            cluster.persist(rng.choice(group))
    return True


def elected(cluster: Cluster, candidate: NodeId, group: Sequence[NodeId]) -> bool:
    """Let `group`, cut off from the others, vote on a candidate; some of their logs may not allow it."""
    cluster.cuts.clear()
    for name in set(NAMES) - set(group):
        cluster.isolate(name)
    cluster.tick(candidate, OPTIONS.election_ticks)
    while cluster.raft(candidate).role is Role.CANDIDATE and waits(cluster, group):
        for name in group:
            cluster.persist(name)
        waiting, cluster.network = cluster.network, []
        for message in waiting:
            cluster.deliver(message)
    return cluster.raft(candidate).role is Role.LEADER


def waits(cluster: Cluster, group: Sequence[NodeId]) -> bool:
    return bool(cluster.network) or any(cluster.nodes[name].writes for name in group)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed-{seed}")
def test_no_row_of_short_reigns_breaks_an_invariant(seed: int) -> None:  # R01, S4
    rng, cluster = random.Random(f"reigns {seed}"), Cluster(NAMES, options=OPTIONS)
    assert sum(draw_reign(cluster, rng) for _ in range(REIGNS)) > REIGNS // 10
