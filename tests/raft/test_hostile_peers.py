"""Whatever a peer sends, a node neither raises nor breaks its own promises."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.raft.core import Raft
from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    Entry,
    EntryType,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    ReadIndexRequest,
    ReadIndexResponse,
    SnapshotRef,
    SnapshotRequest,
    SnapshotResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from bankd.types import LogIndex, NodeId, Term
from tests.raft.solo import N1, N2, N3, finish_writes, node, propose, serving_leader, tick

numbers = st.one_of(st.integers(0, 6), st.just(2**64 - 2))
terms = numbers.map(Term)
indexes = numbers.map(LogIndex)
to = st.just(N1)
senders = st.sampled_from([N2, N3, NodeId("n9")])
nonces = st.sampled_from([0, 7, 8])
snapshots = st.builds(SnapshotRef, indexes, terms, numbers, st.just(b"a"))
some_entries = st.lists(st.builds(Entry, indexes, terms, st.sampled_from(EntryType), st.just(b"")), max_size=3).map(
    tuple
)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(VoteRequest, to, senders, terms, indexes, terms, st.booleans(), st.booleans()),
    st.builds(VoteResponse, to, senders, terms, st.booleans(), st.booleans()),
    st.builds(AppendRequest, to, senders, terms, indexes, terms, indexes, some_entries),
    st.builds(AppendResponse, to, senders, terms, st.booleans(), indexes, indexes, terms, nonces),
    st.builds(HeartbeatRequest, to, senders, terms, indexes, numbers, nonces, indexes),
    st.builds(HeartbeatResponse, to, senders, terms, numbers, nonces),
    st.builds(SnapshotRequest, to, senders, terms, snapshots, numbers, st.binary(max_size=3)),
    st.builds(SnapshotResponse, to, senders, terms, st.just(b"a"), numbers, nonces),
    st.builds(ReadIndexRequest, to, senders, terms, numbers),
    st.builds(ReadIndexResponse, to, senders, terms, numbers, indexes, st.booleans()),
    st.builds(TimeoutNow, to, senders, terms),
)


def follower() -> Raft:
    return node(terms=[1, 1])


def candidate() -> Raft:
    raft = node(terms=[1, 1])
    tick(raft, 20)
    return raft


def busy_leader() -> Raft:
    raft = serving_leader(terms=[1])
    propose(raft, b"x")
    raft.request_read(1)
    raft.transfer_leadership(N3)
    raft.ready()
    return raft


def refilling() -> Raft:
    return node(terms=[1, 1], refilling=7)


starts: st.SearchStrategy[Callable[[], Raft]] = st.sampled_from([follower, candidate, busy_leader, refilling])


@settings(max_examples=400, deadline=None)
@given(starts, st.lists(messages, max_size=12))
def test_no_sequence_of_messages_raises_or_takes_anything_back(
    start: Callable[[], Raft], sequence: list[Message]
) -> None:
    raft = start()
    for message in sequence:
        term, commit_index = raft.term, raft.commit_index
        raft.step(message)
        ready = finish_writes(raft)
        tick(raft)
        assert raft.term >= term
        assert raft.commit_index >= commit_index
        assert [entry.index for entry in ready.committed] == list(range(commit_index + 1, raft.commit_index + 1))
