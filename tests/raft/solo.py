"""One Raft node and hand-made messages: for rules that one message shows."""

from collections.abc import Iterable

from bankd.raft.core import Raft, RaftOptions
from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    Configuration,
    Entry,
    EntryType,
    HardState,
    HeartbeatRequest,
    HeartbeatResponse,
    VoteRequest,
    VoteResponse,
)
from bankd.raft.ready import Ready, Role
from bankd.types import LogIndex, NodeId, Term
from tests.raft.cluster import Zeros, entries_of_terms

N1, N2, N3, N4, N5 = (NodeId(name) for name in ("n1", "n2", "n3", "n4", "n5"))
THREE = Configuration(frozenset({N1, N2, N3}))
QUIET = RaftOptions()


def node(
    *,
    terms: Iterable[int] = (),
    term: int = 0,
    configuration: Configuration = THREE,
    options: RaftOptions = QUIET,
    refilling: int = 0,
) -> Raft:
    """Return n1, a follower with these entry terms on its disk."""
    entries = entries_of_terms(terms)
    last_term = entries[-1].term if entries else 0
    return Raft(
        node_id=N1,
        configuration=configuration,
        hard_state=HardState(Term(max(term, last_term))),
        entries=entries,
        refilling=refilling,
        options=options,
        random=Zeros(),
    )


def leader(*, terms: Iterable[int] = (), configuration: Configuration = THREE, options: RaftOptions = QUIET) -> Raft:
    """Return n1, just elected, its no-op durable nowhere else; the others' answers came by hand."""
    raft = node(terms=terms, configuration=configuration, options=options)
    raft_votes(raft, configuration)
    finish_writes(raft)
    assert raft.role is Role.LEADER
    return raft


def raft_votes(raft: Raft, configuration: Configuration) -> None:
    """Let the node time out, and give it every vote there is."""
    tick(raft, 20)
    others = sorted((configuration.voters | configuration.voters_outgoing) - {N1})
    for other in others:
        raft.step(VoteResponse(N1, other, Term(raft.term + 1), granted=True, pre_vote=True))
    finish_writes(raft)
    for other in others:
        raft.step(VoteResponse(N1, other, raft.term, granted=True))


def serving_leader(
    *, terms: Iterable[int] = (), configuration: Configuration = THREE, options: RaftOptions = QUIET
) -> Raft:
    """Return n1, a leader whose no-op every voter holds."""
    raft = leader(terms=terms, configuration=configuration, options=options)
    for other in sorted((configuration.voters | configuration.voters_outgoing) - {N1}):
        accept(raft, other, raft.last_index)
    assert raft.can_serve
    raft.ready()
    return raft


def role(raft: Raft) -> Role:
    """Return the role as it is now: a property read twice looks constant to a type checker."""
    return raft.role


def tick(raft: Raft, count: int = 1) -> None:
    for _ in range(count):
        raft.tick()


def finish_writes(raft: Raft) -> Ready:
    """Drain the node, complete its write at once, and return the Ready."""
    ready = raft.ready()
    if ready.persist is not None:
        raft.persisted(ready.persist.write_seq)
    return ready


def accept(raft: Raft, sender: NodeId, match_index: int) -> None:
    raft.step(AppendResponse(N1, sender, raft.term, True, LogIndex(match_index)))


def heartbeat_answer(raft: Raft, sender: NodeId, read_round: int = 0) -> None:
    raft.step(HeartbeatResponse(N1, sender, raft.term, read_round))


def propose(raft: Raft, *bodies: bytes) -> LogIndex:
    return raft.propose([(EntryType.COMMANDS, body) for body in bodies])


def append(
    sender: NodeId, term: int, prev: tuple[int, int], entries: tuple[Entry, ...] = (), commit: int = 0
) -> AppendRequest:
    prev_index, prev_term = prev
    return AppendRequest(N1, sender, Term(term), LogIndex(prev_index), Term(prev_term), LogIndex(commit), entries)


def heartbeat(sender: NodeId, term: int, commit: int = 0, read_round: int = 0) -> HeartbeatRequest:
    return HeartbeatRequest(N1, sender, Term(term), LogIndex(commit), read_round)


def vote(
    sender: NodeId, term: int, last: tuple[int, int], *, pre_vote: bool = False, transfer: bool = False
) -> VoteRequest:
    last_index, last_term = last
    return VoteRequest(N1, sender, Term(term), LogIndex(last_index), Term(last_term), pre_vote, transfer)


def entries(*places: tuple[int, int]) -> tuple[Entry, ...]:
    return tuple(
        Entry(LogIndex(index), Term(term), EntryType.COMMANDS, f"{index}@{term}".encode()) for index, term in places
    )
