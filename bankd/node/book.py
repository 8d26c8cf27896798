"""What this node knows about the others: addresses, and whom it has met under which name."""

import attrs

from bankd.errors import Refusal
from bankd.keeper.acquaintances import Acquaintances
from bankd.types import NodeId


@attrs.define
class Book:
    """`addresses` holds every member of the configuration, this node included.

    `acquaintances` remembers, over restarts too, the data directory that was first met under each name, and how often it was
    started. A voter that lost its disk, or a part of what was on it, has forgotten votes and acknowledgements: let in under
    its old name, it could help to elect a leader without a committed entry (docs/reliability.md, D09, D10).
    """

    addresses: dict[NodeId, str]
    acquaintances: Acquaintances

    def address_of(self, node_id: str | None) -> str:
        """host:port, or an empty string for nobody and for strangers."""
        return self.addresses.get(NodeId(node_id), "") if node_id else ""

    def with_address(self, refusal: Refusal) -> Refusal:
        """The same refusal with the address of the leader that it names."""
        if not refusal.leader_id:
            return refusal
        return attrs.evolve(refusal, leader_address=self.address_of(refusal.leader_id))
