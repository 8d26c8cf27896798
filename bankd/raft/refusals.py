"""What a node of the cluster cannot do right now, as exceptions.

Raised by `Raft.propose` and `Raft.transfer_leadership` before anything changed, so a retry is always
safe; caught by the replica, which turns them into answers. Peers' messages never raise.
"""

from bankd.types import NodeId


class NotLeader(Exception):
    """Only a leader can do this. `leader_id` is who leads as far as this node knows."""

    def __init__(self, leader_id: NodeId | None) -> None:
        super().__init__(f"not the leader; leader is {leader_id or 'unknown'}")
        self.leader_id = leader_id


class ProposalRefused(Exception):
    """The leader takes no proposals for now. `reason`: "uncommitted_limit" or "leadership_transfer"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidTransferTarget(Exception):
    """Leadership goes to another voter only, and to none that is refilling. `target` None: there is nobody else."""

    def __init__(self, target: NodeId | None, *, is_refilling: bool = False) -> None:
        super().__init__(f"{target or 'nobody'} is {'refilling' if is_refilling else 'not another voter'}")
        self.target = target
