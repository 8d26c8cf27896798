"""Which values do not go together, though each is right on its own.

Pure rules over a built Config. A clash names its keys, the one to change first: the fault is shown
at that one's place, and is left out while any of them has a fault of its own.
"""

from collections.abc import Collection, Iterator

import attrs

from bankd.config.kinds import is_loopback, is_unspecified
from bankd.config.settings import Config, Role

# Two lost heartbeats are survivable when three fit into the shortest wait.
HEARTBEATS_PER_ELECTION_TIMEOUT = 3


@attrs.frozen
class Clash:
    keys: tuple[str, ...]
    message: str


def clashes(config: Config, roles: Collection[Role]) -> Iterator[Clash]:
    """Yield every clash of `config`, in the order of the keys."""
    if Role.NODE in roles:
        yield from membership(config)
        yield from addresses(config)
        yield from timing(config)
    if Role.GATEWAY in roles:
        yield from gateway(config)
    if Role.NODE in roles and Role.GATEWAY in roles and config.gateway.listen == config.listen.address:
        yield Clash(
            ("gateway.listen", "listen.address"), "is the node's own listen.address (give the gateway another port)"
        )


def membership(config: Config) -> Iterator[Clash]:
    members = config.cluster.bootstrap
    if config.node.id not in members:
        known = ", ".join(members)
        yield Clash(("node.id", "cluster.bootstrap"), f"{config.node.id} is not in cluster.bootstrap (one of {known})")
    if len(set(members.values())) < len(members):
        yield Clash(("cluster.bootstrap",), "two nodes have the same address (each its own)")


def addresses(config: Config) -> Iterator[Clash]:
    listen, own = config.listen, config.cluster.bootstrap.get(config.node.id)
    if is_unspecified(listen.advertise):
        yield Clash(
            ("listen.advertise", "listen.address"),
            f"others cannot dial {listen.advertise} (give the address that they reach this node by)",
        )
    elif own is not None and listen.advertise != own:
        # Peers dial what cluster.bootstrap says, clients what the node says of itself: two answers
        # to one question are a mistake in one of them.
        yield Clash(
            ("listen.advertise", "listen.address", "cluster.bootstrap", "node.id"),
            f"{listen.advertise} is not what cluster.bootstrap says of {config.node.id} ({own})",
        )
    if not (is_loopback(listen.address) or listen.allow_remote_plaintext):
        yield remote_plaintext("listen.address", listen.address, "listen")


def timing(config: Config) -> Iterator[Clash]:
    raft = config.raft
    if raft.heartbeat_s * HEARTBEATS_PER_ELECTION_TIMEOUT > raft.election_timeout_s:
        yield Clash(
            ("raft.heartbeat", "raft.election_timeout"),
            f"is more than a third of raft.election_timeout "
            f"(at most {raft.election_timeout_s / HEARTBEATS_PER_ELECTION_TIMEOUT * 1000:.0f}ms)",
        )


def gateway(config: Config) -> Iterator[Clash]:
    if not (is_loopback(config.gateway.listen) or config.gateway.allow_remote_plaintext):
        yield remote_plaintext("gateway.listen", config.gateway.listen, "gateway")


def remote_plaintext(key: str, address: str, section: str) -> Clash:
    flag = f"{section}.allow_remote_plaintext"
    return Clash(
        (key, flag), f"{address} is beyond loopback and traffic is not encrypted (to accept that, set {flag} = true)"
    )
