"""One picture of the cluster, from what its nodes said one by one. Pure.

The leader's word counts for what only a leader knows (round trips, when a member was last heard);
where none leads, the node with the highest term speaks. Whether all is well is decided here too.
"""

from collections.abc import Iterable, Sequence

import attrs

from bankctl.money import format_money
from bankd.errors import BankError
from bankd.status import MemberStatus, NodeStatus

Answer = tuple[str, NodeStatus | BankError]  # the address asked, and what came back


@attrs.frozen
class NodeView:
    """A member; `status` is what it said, or `error` why it said nothing."""

    name: str  # the address, where nobody tells the node's id
    address: str
    member: MemberStatus | None
    status: NodeStatus | None
    error: BankError | None

    @property
    def voter(self) -> bool:
        return self.member is not None and self.member.voter

    @property
    def refilling(self) -> str:
        """Why it counts in no quorum until a leader has refilled it, or "". Its own word before the leader's."""
        if self.status is not None:
            return self.status.refilling
        return "says the leader" if self.member is not None and self.member.refilling else ""

    @property
    def applied(self) -> int:
        return self.status.applied_index if self.status else 0


@attrs.frozen
class ClusterView:
    nodes: tuple[NodeView, ...]
    speaker: NodeStatus  # whose word counts

    @property
    def leader(self) -> NodeStatus | None:
        return self.speaker if self.speaker.role == "leader" else None

    @property
    def reached(self) -> list[NodeStatus]:
        return [node.status for node in self.nodes if node.status is not None]

    @property
    def silent(self) -> list[NodeView]:
        return [node for node in self.nodes if node.status is None]

    @property
    def voters(self) -> int:
        return sum(node.voter for node in self.nodes)

    @property
    def voters_reached(self) -> int:
        """Those that count in a quorum."""
        return sum(node.voter and node.status is not None and not node.refilling for node in self.nodes)

    @property
    def imbalance(self) -> int:
        """The worst of all nodes: 0, or something is very wrong."""
        return max((status.imbalance for status in self.reached), key=abs)


def view_of(answers: Sequence[Answer]) -> ClusterView:
    """Raises BankError: no node answered; it is the first one's error."""
    statuses = [status for _, status in answers if isinstance(status, NodeStatus)]
    if not statuses:
        raise next(error for _, error in answers if isinstance(error, BankError))
    speaker = max(statuses, key=lambda status: (status.role == "leader", status.term, status.applied_index))
    members = {member.node_id: member for member in speaker.members}
    ids = {member.address: member.node_id for member in speaker.members}
    nodes: dict[str, NodeView] = {}
    for address, answer in answers:
        status, error = (answer, None) if isinstance(answer, NodeStatus) else (None, answer)
        node_id = status.node_id if status else ids.get(address)
        member = members.get(node_id) if node_id else None
        nodes[node_id or address] = NodeView(
            node_id or address, member.address if member else address, member, status, error
        )
    return ClusterView(tuple(node for _, node in sorted(nodes.items())), speaker)


@attrs.frozen
class Check:
    name: str
    good: bool
    detail: str


def checks_of(view: ClusterView) -> list[Check]:
    """What the nodes' own words prove or disprove."""
    return [*map(check_reached, view.nodes), check_leader(view), check_sum(view), check_digests(view.reached)]


def check_reached(node: NodeView) -> Check:
    if node.status is not None and node.refilling:
        return Check(node.name, False, f"is being refilled, and does not vote: {node.refilling}")
    if node.status is not None:
        return Check(node.name, True, f"answers ({node.status.role}, applied {node.status.applied_index})")
    return Check(node.name, False, silence(node))


def silence(node: NodeView) -> str:
    """Why a node that did not answer is thought not to."""
    heard_ms = node.member.last_heard_ms if node.member else 0
    seen = f", last seen {heard_ms / 1000:.1f} s ago" if heard_ms else ""
    return f"does not answer{seen}: {node.error}"


def check_leader(view: ClusterView) -> Check:
    leader = view.leader
    if leader is None:
        return Check("leader", False, f"none (term {view.speaker.term})")
    others = [
        status.node_id for status in view.reached if (status.leader_id, status.term) != (leader.node_id, leader.term)
    ]
    if others:
        return Check(
            "leader", False, f"{leader.node_id} leads term {leader.term}, but {', '.join(others)} see it otherwise"
        )
    return Check("leader", True, f"{leader.node_id}, term {leader.term}")


def check_sum(view: ClusterView) -> Check:
    return Check("sum", view.imbalance == 0, f"of all balances is {format_money(view.imbalance)}")


def check_digests(statuses: Iterable[NodeStatus]) -> Check:
    """Nodes that have applied the same index must hold the same state (invariant S3)."""
    by_index: dict[int, dict[bytes, str]] = {}
    for status in statuses:
        by_index.setdefault(status.applied_index, {})[status.digest] = status.node_id
    for index, digests in by_index.items():
        if len(digests) > 1:
            return Check("state", False, f"differs at index {index}: {', '.join(sorted(digests.values()))}")
    return Check("state", True, "is the same on all nodes at the same index")
