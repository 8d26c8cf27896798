"""A network of its own for every node: one network namespace each, joined by a bridge.

        this process ─ veth ─┐
    n1's namespace ─ veth ─ bridge ─ veth ─ n2's namespace ...

The bridge has a namespace too, so that no firewall of this machine sees what passes between nodes.
Clients in this process reach every node, whatever keeps the nodes from each other.

Rules: names and addresses are unique per run; leaving the block takes everything away, in whatever
way it is left. Processes inside must have ended before. Addresses are of the range that RFC 2544
keeps for test networks (198.18.0.0/15). Needs root and iproute2.
"""

import json
import os
import random
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

import attrs

from bankd.types import NodeId

PORT: Final = 7401
HOST_NUMBER: Final = 254  # this process's place in the subnet; the bits of a node's place are its number


def ip(*words: str) -> None:
    """Raises CalledProcessError with what `ip` said."""
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@attrs.frozen
class Namespaces:
    """`prefix` begins the name of everything made; `subnet` is the first three numbers of its addresses."""

    prefix: str
    subnet: str
    nodes: Sequence[NodeId]

    def host(self, node: NodeId) -> str:
        return f"{self.subnet}.{self.nodes.index(node) + 1}"

    def address(self, node: NodeId) -> str:
        return f"{self.host(node)}:{PORT}"

    def namespace(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def inside(self, node: NodeId) -> tuple[str, ...]:
        """What to put before a command to have it run there."""
        return ("ip", "netns", "exec", self.namespace(node))

    def unplug(self, node: NodeId) -> None:
        """Take the link down at the bridge, as a pulled cable would: nothing leaves or arrives, and no FIN is seen."""
        self._at_bridge(node, "down")

    def plug(self, node: NodeId) -> None:
        self._at_bridge(node, "up")

    def drop(self, sender: NodeId, receiver: NodeId) -> None:
        """Lose every packet from one node to another, and no other: one way."""
        ip("-n", self.namespace(sender), "route", "add", "blackhole", f"{self.host(receiver)}/32")

    def pass_on(self, sender: NodeId, receiver: NodeId) -> None:
        ip("-n", self.namespace(sender), "route", "del", "blackhole", f"{self.host(receiver)}/32")

    def _at_bridge(self, node: NodeId, state: str) -> None:
        ip("-n", self.namespace("hub"), "link", "set", f"to-{node}", state)


@contextmanager
def namespaces(nodes: Sequence[NodeId]) -> Iterator[Namespaces]:
    made = Namespaces(f"bank{os.getpid()}x{random.randrange(1000)}", free_subnet(), nodes)
    with ExitStack() as undo:
        _make_hub(made, undo)
        for node in nodes:
            _make_node(made, node, undo)
        yield made


def free_subnet() -> str:
    """Three numbers that begin no address of this machine."""
    interfaces = json.loads(subprocess.check_output(["ip", "-json", "-4", "address"]))
    taken = {address["local"].rpartition(".")[0] for one in interfaces for address in one["addr_info"]}
    every = [f"198.{second}.{third}" for second in (18, 19) for third in range(256)]
    return random.choice([subnet for subnet in every if subnet not in taken])


def _make_hub(made: Namespaces, undo: ExitStack) -> None:
    hub, outside = made.namespace("hub"), f"bank{os.getpid() % 10**7}"  # interface names have 15 letters at most
    ip("netns", "add", hub)
    undo.callback(ip, "netns", "delete", hub)
    ip("-n", hub, "link", "add", "bridge", "type", "bridge")
    ip("-n", hub, "link", "set", "bridge", "up")
    ip("link", "add", outside, "type", "veth", "peer", "name", "to-host", "netns", hub)
    undo.callback(subprocess.run, ["ip", "link", "delete", outside], capture_output=True)
    ip("-n", hub, "link", "set", "to-host", "master", "bridge", "up")
    ip("address", "add", f"{made.subnet}.{HOST_NUMBER}/24", "dev", outside)
    ip("link", "set", outside, "up")


def _make_node(made: Namespaces, node: NodeId, undo: ExitStack) -> None:
    hub, own, port = made.namespace("hub"), made.namespace(node), f"to-{node}"
    ip("netns", "add", own)
    undo.callback(ip, "netns", "delete", own)
    ip("-n", hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", own)
    ip("-n", hub, "link", "set", port, "master", "bridge", "up")
    ip("-n", own, "address", "add", f"{made.host(node)}/24", "dev", "eth0")
    ip("-n", own, "link", "set", "eth0", "up")
    ip("-n", own, "link", "set", "lo", "up")
