"""Every way in which a long round breaks things, as a context manager: entering breaks, leaving mends.

Inside the block two of three nodes can work together, so progress may be asked for. What stops all
of them is broken and mended on entering. Which node is hit is drawn where it is not the leader.
"""

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import attrs
import pytest

from bankd.errors import BankError, Exit
from bankd.types import NodeId
from tests.real.clusters import N2, N3, NODES, ProxiedCluster, start_missing, wait_other_leader
from tests.real.disks import JournalledDisk, SmallDisk
from tests.real.load import Load
from tests.real.proxy import Link, Way
from tests.real.tracing import tampered, wait_injected
from tests.real.waiting import wait_until

DISK_CALLS: Final = ("fdatasync", "pwrite64")
HANG_US: Final = 60_000_000
SLOW_US: Final = 500_000


@attrs.frozen
class Stage:
    """A cluster under load whose n2 keeps its data on `journalled` and n3 on `small`."""

    cluster: ProxiedCluster
    load: Load
    journalled: JournalledDisk
    small: SmallDisk
    rng: random.Random

    def leader(self) -> NodeId:
        return self.cluster.wait_leader()

    def follower(self) -> NodeId:
        leader = self.leader()
        return self.rng.choice([node_id for node_id in NODES if node_id != leader])

    def links_of(self, node_id: NodeId) -> list[Link]:
        return self.cluster.proxies.between([node_id], [other for other in NODES if other != node_id])


Injector = Callable[[Stage], AbstractContextManager[None]]


# Processes


@contextmanager
def kill_leader(stage: Stage) -> Iterator[None]:
    stage.cluster.nodes[stage.leader()].kill()
    yield
    start_missing(stage.cluster)


@contextmanager
def kill_follower(stage: Stage) -> Iterator[None]:
    stage.cluster.nodes[stage.follower()].kill()
    yield
    start_missing(stage.cluster)


@contextmanager
def kill_majority(stage: Stage) -> Iterator[None]:
    for node_id in stage.rng.sample(NODES, 2):
        stage.cluster.nodes[node_id].kill()
    start_missing(stage.cluster)
    yield


@contextmanager
def kill_all(stage: Stage) -> Iterator[None]:
    for node in stage.cluster.nodes.values():
        node.kill()
    start_missing(stage.cluster)
    yield


@contextmanager
def terminate_leader(stage: Stage) -> Iterator[None]:
    assert stage.cluster.nodes[stage.leader()].terminate() == Exit.OK
    yield
    start_missing(stage.cluster)


@contextmanager
def freeze_leader(stage: Stage) -> Iterator[None]:
    with frozen(stage, [stage.leader()]):
        yield


@contextmanager
def freeze_follower(stage: Stage) -> Iterator[None]:
    with frozen(stage, [stage.follower()]):
        yield


@contextmanager
def freeze_majority(stage: Stage) -> Iterator[None]:
    with (
        frozen(stage, stage.rng.sample(NODES, 2)),
        pytest.raises(BankError),
        stage.cluster.client(timeout_s=1) as client,
    ):
        client.get_balance("acct0")
    yield


@contextmanager
def frozen(stage: Stage, node_ids: list[NodeId]) -> Iterator[None]:
    for node_id in node_ids:
        stage.cluster.nodes[node_id].send(signal.SIGSTOP)
    try:
        yield
    finally:
        for node_id in node_ids:
            stage.cluster.nodes[node_id].send(signal.SIGCONT)


# Links


@contextmanager
def delay_links(stage: Stage) -> Iterator[None]:
    for link in stage.cluster.proxies.links.values():
        link.delay(stage.rng.uniform(0.001, 0.03))
    yield
    stage.cluster.proxies.mend()


@contextmanager
def throttle_leader(stage: Stage) -> Iterator[None]:
    for link in stage.links_of(stage.leader()):
        link.throttle(200_000)
    yield
    stage.cluster.proxies.mend()


@contextmanager
def stop_one_way(stage: Stage) -> Iterator[None]:
    """What the leader sends waits, or what it is sent."""
    way = stage.rng.choice(list(Way))
    for link in stage.links_of(stage.leader()):
        link.stop([way])
    yield
    stage.cluster.proxies.mend()


@contextmanager
def silence_leader(stage: Stage) -> Iterator[None]:
    leader = stage.leader()
    for link in stage.links_of(leader):
        link.silence()
    wait_other_leader(stage.cluster, leader)
    yield
    stage.cluster.proxies.mend()


@contextmanager
def silence_follower(stage: Stage) -> Iterator[None]:
    for link in stage.links_of(stage.follower()):
        link.silence()
    yield
    stage.cluster.proxies.mend()


def on_every_link(name: str, accident: Callable[[Link], None]) -> Injector:
    @contextmanager
    def happen(stage: Stage) -> Iterator[None]:
        for link in stage.cluster.proxies.links.values():
            accident(link)
        yield
        stage.cluster.proxies.mend()

    happen.__name__ = name
    return happen


# System calls


@contextmanager
def fail_sync(stage: Stage) -> Iterator[None]:
    with ended_by(stage, f"fdatasync:error=EIO:when={stage.rng.randint(1, 9)}", Exit.UNHEALTHY):
        yield


@contextmanager
def fail_write(stage: Stage) -> Iterator[None]:
    with ended_by(stage, f"pwrite64:error=EIO:when={stage.rng.randint(1, 9)}", Exit.UNHEALTHY):
        yield


@contextmanager
def kill_in_sync(stage: Stage) -> Iterator[None]:
    with ended_by(stage, f"fdatasync:signal=KILL:when={stage.rng.randint(1, 9)}", -signal.SIGKILL):
        yield


@contextmanager
def kill_in_write(stage: Stage) -> Iterator[None]:
    with ended_by(stage, f"pwrite64:signal=KILL:when={stage.rng.randint(1, 9)}", -signal.SIGKILL):
        yield


@contextmanager
def ended_by(stage: Stage, rule: str, status: int) -> Iterator[None]:
    """The leader, by a system call that goes wrong."""
    node = stage.cluster.nodes[stage.leader()]
    with tampered(node, rule):
        assert node.wait() == status, node.log_tail()
    yield
    start_missing(stage.cluster)


@contextmanager
def hang_disk(stage: Stage) -> Iterator[None]:
    leader, call = stage.leader(), stage.rng.choice(DISK_CALLS)
    with tampered(stage.cluster.nodes[leader], f"{call}:delay_exit={HANG_US}") as trace:
        wait_injected(trace)
        wait_other_leader(stage.cluster, leader)
        yield


@contextmanager
def slow_disk(stage: Stage) -> Iterator[None]:
    call = stage.rng.choice(DISK_CALLS)
    with tampered(stage.cluster.nodes[stage.follower()], f"{call}:delay_exit={SLOW_US}") as trace:
        wait_injected(trace)
        yield


# File systems


@contextmanager
def fill_disk(stage: Stage) -> Iterator[None]:
    node = stage.cluster.nodes[N3]
    stage.small.fill()
    wait_until("n3 has found its disk full", lambda: not node.running)
    assert node.wait() == Exit.UNHEALTHY, node.log_tail()
    yield
    stage.small.free()
    start_missing(stage.cluster)


@contextmanager
def turn_read_only(stage: Stage) -> Iterator[None]:
    node = stage.cluster.nodes[N2]
    stage.journalled.fail()
    assert node.wait() == Exit.UNHEALTHY, node.log_tail()
    yield
    stage.journalled.repair()
    start_missing(stage.cluster)


INJECTORS: Final[tuple[Injector, ...]] = (
    kill_leader,
    kill_follower,
    kill_majority,
    kill_all,
    terminate_leader,
    freeze_leader,
    freeze_follower,
    freeze_majority,
    delay_links,
    throttle_leader,
    stop_one_way,
    silence_leader,
    silence_follower,
    on_every_link("lose_links", Link.lose),
    on_every_link("reset_links", Link.reset),
    on_every_link("flip_links", Link.flip),
    on_every_link("cut_links", Link.cut),
    fail_sync,
    fail_write,
    kill_in_sync,
    kill_in_write,
    hang_disk,
    slow_disk,
    fill_disk,
    turn_read_only,
)
