"""Compare state digests with the other nodes, and find out whether this node's own state is wrong.

Equal log index, equal state digest, on every node (S3). What breaks that is a bug, or memory or a snapshot that
changed by itself; only the other nodes can tell.

1. Every few seconds the leader names the index that it has applied, if that moved, and its digest there.
2. Whoever hears of it from the leader of its term tells all others its own digest there, once it has applied the
   index. It keeps the newest index that it was asked for, and no other.
3. Every node judges itself alone: it has *diverged* where a majority of the voters, itself not among them, agree on
   one digest and its own is another. With a joint configuration that takes a majority of each half.

What that can decide: of three voters one that differs finds itself, if it hears both others; of four, if it hears
all three; of five, two that differ find themselves, whether they agree or not, for three others do. With fewer heard,
or one or two voters in all, it can't be told who is wrong: nodes report that digests differ, and nobody is
quarantined. A learner judges itself by the voters, and counts for nobody.

Rules
- A notice is no message of Raft: it changes no term and no role, and shows nobody to be alive.
- It counts in its own term alone, and from a member alone. What is older than the sender's last is left aside.

Invariant: of each member one notice is held at most, of this term.
Invariant: at most one digest can outvote a node, for two majorities share a voter.

Limits: a lost notice is not sent again, and an index is compared once in a term: the next comparison makes up for it,
which in an idle cluster is the next write. Whoever lags behind by more than one comparison is compared once it has
caught up. A balance that changed by itself shows when an entry moves it next. Two nodes that took over one wrong
snapshot agree with each other.
"""

from collections.abc import Callable
from typing import Protocol

import attrs

from bankd.raft.messages import Configuration
from bankd.raft.quorum import has_quorum
from bankd.types import LogIndex, NodeId, Term


@attrs.frozen
class DigestNotice:
    """The state digest of `sender` right after `index`; from a leader also the question for everybody else's."""

    to: NodeId
    sender: NodeId
    term: Term
    index: LogIndex
    digest: bytes


@attrs.frozen
class DigestsDiffer:
    """The state of `nodes` right after `index` is not this node's. Whose is wrong is not said."""

    index: LogIndex
    nodes: tuple[NodeId, ...]


@attrs.frozen
class Diverged:
    """This node's state right after `index` is wrong: its digest is `own`, and a majority of the others has `theirs`."""

    index: LogIndex
    own: bytes
    theirs: bytes


class Standing(Protocol):
    """What is to be known of consensus."""

    @property
    def node_id(self) -> NodeId: ...
    @property
    def term(self) -> Term: ...
    @property
    def leader_id(self) -> NodeId | None: ...
    @property
    def configuration(self) -> Configuration: ...


class Comparison:
    """One node's side of it. `digest_at`: its own digest after an index; None: not applied yet, or forgotten."""

    def __init__(self, standing: Standing, digest_at: Callable[[LogIndex], bytes | None]) -> None:
        self.diverged: Diverged | None = None  # never taken back
        self.has_news = False  # there is something to take, or the verdict is new
        self.is_awaiting = False  # an index that was asked for is not applied here
        self._standing = standing
        self._digest_at = digest_at
        self._term = standing.term
        self._newest: dict[NodeId, tuple[LogIndex, bytes]] = {}  # of each member in this term, this node included
        self._reported: DigestsDiffer | None = None
        self._notices: list[DigestNotice] = []
        self._events: list[DigestsDiffer] = []

    def begin(self, applied_index: LogIndex) -> None:
        """Compare at this index, which this node has applied as the leader, unless that was done."""
        self._enter_term()
        if self._index_of(self._standing.node_id) < applied_index:
            self._tell(applied_index)

    def hear(self, notice: DigestNotice) -> None:
        """Take a notice from a peer."""
        self._enter_term()
        if notice.term != self._term or notice.sender not in self._others():
            return
        if notice.index <= self._index_of(notice.sender):
            return  # repeated, or overtaken by a newer one
        self._newest[notice.sender] = notice.index, notice.digest
        self.follow()

    def follow(self) -> None:
        """Tell of the index that the leader asked for last, if it is applied by now, and judge by what was heard."""
        self._enter_term()
        leader_id, node_id = self._standing.leader_id, self._standing.node_id
        if leader_id is None or leader_id not in self._newest:
            return
        asked = self._index_of(leader_id)
        if self._index_of(node_id) < asked:
            self._tell(asked)
        else:
            self._judge(*self._newest[node_id])

    def take_news(self) -> tuple[tuple[DigestNotice, ...], tuple[DigestsDiffer, ...]]:
        """Hand out the notices to be sent and the events since the last call."""
        news = tuple(self._notices), tuple(self._events)
        self._notices.clear()
        self._events.clear()
        self.has_news = False
        return news

    def _enter_term(self) -> None:
        """Forget what was heard in an older term."""
        if self._term != self._standing.term:
            self._term = self._standing.term
            self._newest.clear()
            self.is_awaiting = False

    def _index_of(self, node: NodeId) -> LogIndex:
        held = self._newest.get(node)
        return LogIndex(-1) if held is None else held[0]

    def _others(self) -> list[NodeId]:
        configuration = self._standing.configuration
        members = configuration.voters | configuration.voters_outgoing | configuration.learners
        return sorted(members - {self._standing.node_id})

    def _tell(self, index: LogIndex) -> None:
        """Tell all others of this node's digest after `index`, if it has one."""
        node_id, digest = self._standing.node_id, self._digest_at(index)
        self.is_awaiting = digest is None
        if digest is None:
            return
        self._newest[node_id] = index, digest
        self._notices += [DigestNotice(other, node_id, self._term, index, digest) for other in self._others()]
        self.has_news = True
        self._judge(index, digest)

    def _judge(self, index: LogIndex, own: bytes) -> None:
        """Hold this node's digest after `index` against all that were heard for it."""
        differing = {node: theirs for node, (at, theirs) in self._newest.items() if at == index and theirs != own}
        for theirs in differing.values():
            if has_quorum(self._standing.configuration, [node for node in differing if differing[node] == theirs]):
                self.diverged = Diverged(index, own, theirs)
                self.has_news = True
                return
        event = DigestsDiffer(index, tuple(sorted(differing)))
        if differing and event != self._reported:
            self._reported = event
            self._events.append(event)
            self.has_news = True
