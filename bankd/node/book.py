"""What this node knows about the others: addresses, and which data directory answers to which name."""

import attrs

from bankd.errors import Refusal
from bankd.types import Incarnation, NodeId


@attrs.define
class Book:
    """`addresses` holds every member of the configuration, this node included.

    `incarnations` remembers, for the life of this process, the data directory that was first met
    under each name. A voter that lost its disk has forgotten its votes and acknowledgements: let in
    under its old name, it could help to elect a leader without a committed entry (docs/reliability.md, D09).
    """

    addresses: dict[NodeId, str]
    incarnations: dict[NodeId, Incarnation] = attrs.field(factory=dict)

    def address_of(self, node_id: str | None) -> str:
        """host:port, or an empty string for nobody and for strangers."""
        return self.addresses.get(NodeId(node_id), "") if node_id else ""

    def met(self, node_id: NodeId, incarnation: Incarnation) -> None:
        """Note who answered to a name, after the handshake judged it against what was known."""
        self.incarnations.setdefault(node_id, incarnation)

    def with_address(self, refusal: Refusal) -> Refusal:
        """The same refusal with the address of the leader that it names."""
        if not refusal.leader_id:
            return refusal
        return attrs.evolve(refusal, leader_address=self.address_of(refusal.leader_id))
