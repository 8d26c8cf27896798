"""Three stages for three real nodes: plain loopback, a fault proxy in every link, a network namespace each."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bankd.client import SyncBankClient
from bankd.errors import BankError
from bankd.local import STATUS_S_MAX, LocalCluster, Process
from bankd.status import NodeStatus
from bankd.types import NodeId
from tests.real.book import ACCOUNTS
from tests.real.load import Load, under_load
from tests.real.namespaces import Namespaces
from tests.real.proxy import Proxies
from tests.real.verdict import judge, open_accounts
from tests.real.waiting import GIVE_UP_S, wait_until

SETTINGS: Final[Mapping[str, str]] = {
    "raft": 'heartbeat = "50ms"\nelection_timeout = "400ms"',
    "storage": 'min_free = "0B"\nsegment_size = "1MiB"',
}
NODES: Final = tuple(NodeId(f"n{number}") for number in (1, 2, 3))
N1, N2, N3 = NODES


class ProxiedCluster(LocalCluster):
    """Every node dials every other one through a link of its own."""

    def __init__(self, directory: Path, proxies: Proxies) -> None:
        super().__init__(directory, settings=SETTINGS)
        self.proxies = proxies
        for (dialler, listener), link in proxies.links.items():
            link.target = self.addresses[listener]
            edit(self.nodes[dialler], f"{listener}={link.target}", f"{listener}={link.address}")


class NetworkedCluster(LocalCluster):
    """Every node runs in a network namespace of its own."""

    def __init__(self, directory: Path, network: Namespaces) -> None:
        settings = {**SETTINGS, "listen": "allow_remote_plaintext = true"}
        super().__init__(directory, settings=settings, addresses=[network.address(node_id) for node_id in NODES])
        self.network = network
        for node_id, node in self.nodes.items():
            node.prefix = network.inside(node_id)


def edit(process: Process, old: str, new: str) -> None:
    """Replace a text in a process's configuration, before it is started."""
    text = process.config_path.read_text()
    assert old in text, f"{process.config_path} does not say {old}"
    process.config_path.write_text(text.replace(old, new))


def keep_data_in(cluster: LocalCluster, node_id: NodeId, path: Path) -> None:
    """Have a node keep its data below another directory."""
    edit(cluster.nodes[node_id], str(cluster.directory / node_id), str(path / node_id))


def follower(cluster: LocalCluster) -> NodeId:
    leader = cluster.wait_leader()
    return next(node_id for node_id in cluster.nodes if node_id != leader)


def wait_other_leader(cluster: LocalCluster, old: NodeId) -> None:
    """Wait until one of the others says that it leads, whatever the old one still believes."""
    wait_until(f"another node than {old} leads", lambda: any(leads(cluster, n) for n in cluster.nodes if n != old))


def leads(cluster: LocalCluster, node_id: NodeId) -> bool:
    status = status_of(cluster, node_id)
    return status is not None and status.role == "leader"


def wait_caught_up(cluster: LocalCluster, node_id: NodeId) -> None:
    """Wait until a node has applied all that is acknowledged now."""
    with cluster.client(timeout_s=GIVE_UP_S) as client:
        index = client.get_balance(ACCOUNTS[0]).index
    wait_until(
        f"{node_id} has applied {index}",
        lambda: (status := status_of(cluster, node_id)) is not None and status.applied_index >= index,
    )


def wait_refilled(cluster: LocalCluster, node_id: NodeId) -> None:
    def counts() -> bool:
        status = status_of(cluster, node_id)
        return status is not None and not status.refilling

    wait_until(f"{node_id} is refilled", counts)
    assert "refilling node=" in cluster.nodes[node_id].log_path.read_text(), "it never was to be refilled"


def status_of(cluster: LocalCluster, node_id: NodeId) -> NodeStatus | None:
    """What a node says of itself; None when it says nothing now."""
    with SyncBankClient(cluster.addresses[node_id], cluster=cluster.name, timeout_s=STATUS_S_MAX) as client:
        try:
            return client.cluster.node_status(cluster.addresses[node_id])
        except BankError:
            return None


@contextmanager
def judged(cluster: LocalCluster, *, seed: int) -> Iterator[Load]:
    """Start a cluster, put it under load, and, once the block has done its harm, hold it to its promises.

    The block begins when all is healthy, and mends what it breaks, except that nodes that have ended are started here.
    """
    cluster.start()
    with cluster.client() as client:
        opened = open_accounts(client)
    with under_load(cluster, seed=seed) as load:
        load.wait_healthy()
        yield load
        start_missing(cluster)
        load.wait_healthy()
    judge(cluster, load, opened)


def start_missing(cluster: LocalCluster) -> None:
    """Start every node that does not run, and wait until all let clients in."""
    for node in cluster.nodes.values():
        if not node.running:
            node.start()
    for node in cluster.nodes.values():
        cluster.wait_answers(node)
