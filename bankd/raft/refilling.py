"""Let a voter back in that has lost what it once acknowledged: what such a node knows of its own refill.

A quorum's word that an entry is on its disks holds only while no disk forgets. A node that knows of its loss starts
`refilling`, with a nonce: a number drawn for that one start, other than 0.

    node, nonce 7                             leader of the term
    any answer, refilling=7          ------>  never met 7: what this node acknowledged before is forgotten,
                                              and the barrier is fixed: my last index now
                                     <------  appends, snapshots, and heartbeats of a new round, as for anybody
                                              a quorum without this node has answered that round:
                                     <------  heartbeat, refilling=7, barrier=40
    answers, refilling=7             ------>
    my log matches this leader's up to 40, durably: Refilled. The driver forgets the loss on disk, then `Raft.trust`
    answers, without a nonce         ------>  counts like any other from its next acknowledgement on

Until then it adopts terms, follows, writes and answers, but neither votes nor campaigns, and the leader counts it in
no quorum: not for a commit, not for a read round, not for its own office.

Why this loses nothing. Call an acknowledgement of before the loss old.
1. An old one may still be on its way, and may commit its entry. So the barrier is the leader's last index, which no
   old acknowledgement to this leader is beyond, and not its commit index. Until the node holds that entry again it
   gives no vote, so nobody without the entry is elected by its help.
2. Old acknowledgements to leaders of earlier terms: this leader was elected without a vote of this node since the
   loss, and every vote from before it was given by the whole log. So its log has every entry that they can ever
   commit (5.4.3, leader completeness).
3. Another leader knows nothing of the first one's barrier, and may not have its entries: a new term voids the barrier
   and what was found to match.
4. No leader of a later term had been elected when the node was first heard: a quorum elected it, and of each quorum
   somebody else than this node answered the round in this term. So there is no old acknowledgement to a later leader. A
   leader that was deposed and does not know it fixes barriers, and never tells them.
5. The nonce says which start is meant, so that a barrier fixed for an earlier loss does not end this refill. For the
   leader no nonce is one like any other: a late answer of before the loss makes it begin anew with the follower, and
   so does the next one of the refilling node, which gets a later barrier. That costs messages, never an entry.

Term and vote must be certain, or the node could vote twice. They are not if its directory is an older copy (`copied`):
then it may have voted in a later term for somebody who is no leader yet. So it waits until *every* other voter has answered
that round: whoever it voted for did not stand in a later term then, and those who stand later have no old vote.

Rules for the driver: it says `copied` where term and vote may be old; no nonce is used twice; the node stays refilling over
restarts, each with a new nonce, until the loss is forgotten on disk.

Limits: while a quorum of the voters is refilling nobody can be elected. Of one or two voters one that is refilling stays
so for ever: the other is no quorum, and the driver must refuse to start. An older copy is not trusted again while another
voter is away.

Sources: Raft paper 5.4.3; Liskov and Cowling, "Viewstamped Replication Revisited" (2012), 4.3 (nonce, abstention);
Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage" (FAST 2018).
"""

import attrs

from bankd.raft.messages import HeartbeatRequest
from bankd.types import LogIndex, Term


@attrs.define(eq=False)
class Refill:
    """How far a refilling node has come.

    Invariant: the match and the barrier were learnt in `_term`, from its one leader; in another they say nothing.
    """

    nonce: int
    copied: bool = False  # term and vote may be old, too
    is_done: bool = False
    _term: Term = Term(0)
    _match_index: LogIndex = LogIndex(0)
    _barrier_index: LogIndex = LogIndex(0)  # 0: not told yet

    def matched(self, term: Term, index: LogIndex) -> None:
        """Learn that the log equals that of the leader of `term` up to `index`; maybe not durably yet."""
        self._enter(term)
        self._match_index = max(self._match_index, index)

    def heard(self, message: HeartbeatRequest) -> None:
        """Learn the barrier, if the leader fixed it for this start and enough voters stand behind it."""
        if message.refilling == self.nonce and (message.unanimous or not self.copied):
            self._enter(message.term)
            self._barrier_index = message.barrier_index

    def match_index(self, term: Term) -> LogIndex:
        """Up to where the log is known to equal that of the leader of `term`."""
        return self._match_index if term == self._term else LogIndex(0)

    def finish(self, term: Term, stable_index: LogIndex) -> LogIndex | None:
        """Return the barrier, once, when it is reached in `term` and the log is durable up to it."""
        barrier_index = self._barrier_index
        if self.is_done or not 0 < barrier_index <= min(self.match_index(term), stable_index):
            return None
        self.is_done = True
        return barrier_index

    def _enter(self, term: Term) -> None:
        if term != self._term:
            self._term = term
            self._match_index = self._barrier_index = LogIndex(0)
