"""Decide what a quorum has reached, and whether one has agreed.

Pure arithmetic on sets of voters: no roles, no messages, no log. With a joint configuration every
question is asked of both halves and both must say yes (paper section 6), so that no two disjoint
groups can ever decide. Learners count for nothing: nobody here looks at them.

One function, `quorum_index`, serves the commit index (match indexes of the voters) and the read
rounds (newest round that each voter confirmed): both ask "how far has a majority come?".

Sources: Raft paper 5.3 (counting replicas), section 6 (joint consensus).
"""

from collections.abc import Collection, Mapping
from enum import IntEnum, unique

from bankd.raft.messages import Configuration
from bankd.types import NodeId


@unique
class VoteResult(IntEnum):
    PENDING = 1
    WON = 2
    LOST = 3


def majority(size: int) -> int:
    """Return how many of `size` voters are a majority."""
    return size // 2 + 1


def quorum_index(configuration: Configuration, reached: Mapping[NodeId, int]) -> int:
    """Return the highest number that a quorum has reached; a voter not in `reached` stands at 0."""
    index = _majority_index(configuration.voters, reached)
    if configuration.voters_outgoing:
        index = min(index, _majority_index(configuration.voters_outgoing, reached))
    return index


def has_quorum(configuration: Configuration, nodes: Collection[NodeId]) -> bool:
    """Return whether `nodes` hold a majority of each half."""
    return _has_majority(configuration.voters, nodes) and (
        not configuration.voters_outgoing or _has_majority(configuration.voters_outgoing, nodes)
    )


def vote_result(configuration: Configuration, votes: Mapping[NodeId, bool]) -> VoteResult:
    """Return how a campaign stands: won, lost (a win is out of reach), or still open."""
    granted = {node for node, yes in votes.items() if yes}
    if has_quorum(configuration, granted):
        return VoteResult.WON
    refused = votes.keys() - granted
    still_possible = (configuration.voters | configuration.voters_outgoing) - refused
    return VoteResult.PENDING if has_quorum(configuration, still_possible) else VoteResult.LOST


def _majority_index(voters: frozenset[NodeId], reached: Mapping[NodeId, int]) -> int:
    if not voters:
        return 0
    ascending = sorted([reached.get(voter, 0) for voter in voters])
    return ascending[len(ascending) - majority(len(ascending))]


def _has_majority(voters: frozenset[NodeId], nodes: Collection[NodeId]) -> bool:
    return bool(voters) and sum(voter in nodes for voter in voters) >= majority(len(voters))
