"""Random schedules against the invariants: loss, reordering, duplicates, cuts, slow disks, crashes, snapshots, lost logs,
older copies.

Each seed is one run of two phases. In the first anything goes and the judge of `cluster.Cluster` looks
after every step. Then everything is healed, and the cluster must elect a leader, commit on every node
and answer every read within ten election timeouts (V1). Replay one:

    pytest tests/raft/test_random_clusters.py -k "seed-17"
"""

import random
from collections.abc import Callable
from copy import deepcopy

import pytest

from bankd.raft.core import InvalidTransferTarget, NotLeader, ProposalRefused, RaftOptions
from bankd.raft.messages import Configuration, EntryType
from bankd.raft.quorum import has_quorum
from bankd.raft.ready import Role
from bankd.types import NodeId
from tests.raft.cluster import Cluster, Disk, Draws, node_ids

SEEDS = range(100)
STEPS = 3_000
OPTIONS = RaftOptions(
    heartbeat_ticks=1,
    election_ticks=6,
    append_bytes_max=120,  # four entries or so: catching up takes many messages
    inflight_messages_max=3,
    uncommitted_bytes_max=2_000,
    reads_waiting_max=8,
)


class Schedule:
    """One seed's run: draws what happens next."""

    def __init__(self, seed: int, names: list[NodeId], configuration: Configuration | None = None) -> None:
        self.random = random.Random(f"schedule {seed}")
        self.names = names
        self.cluster = Cluster(
            names,
            options=OPTIONS,
            configuration=configuration,
            draws=lambda name: Draws(f"{seed} {name} {self.random.random()}"),
        )
        self.bodies = 0
        self.reads = 0
        self.copies: dict[NodeId, Disk] = {}
        self.actions: list[tuple[int, Callable[[], None]]] = [
            (600, self.deliver),
            (250, self.persist),
            (60, self.tick),
            (80, self.propose),
            (40, self.read),
            (40, self.read_chunks),
            (30, self.install),
            (25, self.take_snapshot),
            (25, self.compact),
            (15, self.lose),
            (15, self.repeat),
            (8, self.crash_or_start),
            (8, self.cut_or_heal),
            (4, self.transfer),
            (4, self.lose_log),
            (4, self.copy_disk),
            (2, self.put_back),
            (20, self.trust),
            (4, self.unreachable),
            (2, self.calm),
        ]

    def run(self, steps: int) -> None:
        weights = [weight for weight, _ in self.actions]
        for _ in range(steps):
            (_, action), *_ = self.random.choices(self.actions, weights)
            action()

    def up(self) -> NodeId:
        return self.random.choice(sorted(self.cluster.nodes))

    def deliver(self) -> None:
        # Mostly in order: a network that only shuffles never lets anyone finish an election.
        network = self.cluster.network
        if network:
            place = 0 if self.random.random() < 0.9 else self.random.randrange(len(network))
            self.cluster.deliver(network.pop(place))

    def lose(self) -> None:
        if self.cluster.network:
            self.cluster.network.pop(self.random.randrange(len(self.cluster.network)))

    def repeat(self) -> None:
        if self.cluster.network:
            self.cluster.network.append(self.random.choice(self.cluster.network))

    def persist(self) -> None:
        self.cluster.persist(self.up(), self.random.randint(1, 4))

    def tick(self) -> None:
        self.cluster.tick(self.up())

    def propose(self) -> None:
        self.bodies += 1
        try:
            self.cluster.propose(self.up(), str(self.bodies).encode() * self.random.randint(1, 4))
        except (NotLeader, ProposalRefused):
            pass

    def read(self) -> None:
        self.reads += 1
        self.cluster.read(self.up(), self.reads)

    def take_snapshot(self) -> None:
        name = self.up()
        applied = len(self.cluster.nodes[name].applied)
        newest = self.cluster.disks[name].snapshot
        if applied > (newest.index if newest is not None else 0):
            self.cluster.take_snapshot(name, applied)

    def compact(self) -> None:
        """As far as may be, or less."""
        name = self.up()
        raft = self.cluster.nodes[name].raft
        self.cluster.compact(name, self.random.randint(raft.base_index, raft.compactable_index))

    def read_chunks(self) -> None:
        self.cluster.read_chunks(self.up())

    def install(self) -> None:
        name = self.up()
        if self.cluster.nodes[name].is_complete:
            self.cluster.install(name)

    def crash_or_start(self) -> None:
        down = sorted(self.names_down())
        if down:
            self.cluster.start(self.random.choice(down))
        elif self.random.random() < 0.5:
            self.cluster.crash(self.up())

    def lose_log(self) -> None:
        """Let a disk lose the end of its log, all but its snapshot, or all."""
        name = self.random.choice(self.names)
        disks = self.cluster.disks
        if not self.others_would_do(name):
            return
        if name in self.cluster.nodes:
            self.cluster.crash(name)
        covered, held = len(disks[name].covered), len(disks[name].entries)
        kept = self.random.choice([0, covered, *[self.random.randint(covered, held)] * 4])
        disks[name].lose(kept)
        self.cluster.start(name)

    def copy_disk(self) -> None:
        name = self.random.choice(self.names)
        self.copies[name] = deepcopy(self.cluster.disks[name])

    def put_back(self) -> None:
        """Put a disk back as it was, term and vote and all. Others tell the node so before it does anything."""
        name = self.random.choice(self.names)
        if name not in self.copies or not self.others_would_do(name):
            return
        if name in self.cluster.nodes:
            self.cluster.crash(name)
        self.cluster.disks[name].put_back(self.copies[name])
        self.cluster.start(name)

    def others_would_do(self, name: NodeId) -> bool:
        """Whether enough disks that have lost nothing are left to vote without this one."""
        sound = [other for other in self.names if other != name and self.cluster.disks[other].lost is None]
        return has_quorum(self.cluster.configuration, sound)

    def trust(self) -> None:
        name = self.up()
        if self.cluster.nodes[name].is_refilled:
            self.cluster.trust(name)

    def names_down(self) -> set[NodeId]:
        return set(self.names) - self.cluster.nodes.keys()

    def cut_or_heal(self) -> None:
        one, other = self.random.sample(self.names, 2)
        match self.random.randrange(4):
            case 0:
                self.cluster.cuts.add((one, other))  # one way
            case 1:
                self.cluster.isolate(one)
            case _:
                self.cluster.cuts.clear()

    def transfer(self) -> None:
        name = self.up()
        try:
            self.cluster.nodes[name].raft.transfer_leadership(self.random.choice([*self.names, None]))
        except (NotLeader, InvalidTransferTarget):
            return
        self.cluster.drain(name)

    def unreachable(self) -> None:
        name = self.up()
        self.cluster.nodes[name].raft.report_unreachable(self.random.choice(self.names))
        self.cluster.drain(name)

    def calm(self) -> None:
        self.cluster.cuts.clear()
        self.cluster.pass_time(OPTIONS.election_ticks)

    def heal(self) -> None:
        self.cluster.cuts.clear()
        for name in sorted(self.names_down()):
            self.cluster.start(name)
        self.cluster.settle()


def commits_again(cluster: Cluster) -> bool:
    """Propose at the leader, if there is one, and say whether every node applied it."""
    leader = cluster.leader()
    if leader is None or not cluster.raft(leader).can_serve:
        return False
    try:
        index = cluster.nodes[leader].raft.propose([(EntryType.COMMANDS, b"after the storm")])
    except ProposalRefused:
        return False
    cluster.drain(leader)
    cluster.pass_time(2 * OPTIONS.heartbeat_ticks)
    return all(len(node.applied) >= index for node in cluster.nodes.values())


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed-{seed}")
def test_no_schedule_breaks_an_invariant_and_progress_resumes(seed: int) -> None:
    names = node_ids(3 + 2 * (seed % 2))
    schedule = Schedule(seed, names, joint_of(names) if seed % 5 == 0 else None)
    schedule.run(STEPS)
    schedule.heal()
    cluster = schedule.cluster
    for _ in range(10 * OPTIONS.election_ticks):
        cluster.pass_time(1)
        if commits_again(cluster):
            break
    else:
        raise AssertionError("no progress within ten election timeouts of healing")
    cluster.pass_time(OPTIONS.election_ticks)
    assert [node.read_floor for node in cluster.nodes.values()] == [{} for _ in names], "a read was never answered"
    assert sum(node.raft.role is Role.LEADER for node in cluster.nodes.values()) == 1


def joint_of(names: list[NodeId]) -> Configuration:
    """Return a joint configuration in which the halves share all but one voter each."""
    return Configuration(frozenset(names[:-1]), voters_outgoing=frozenset(names[1:]))
