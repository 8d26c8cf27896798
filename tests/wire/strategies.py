"""Random core values for the round trips: everything that the types allow on the wire, edges included."""

from hypothesis import strategies as st

from bankd.errors import Code, Refusal
from bankd.ledger.commands import AccountCreated, AccountRecord, RowDetail, TransferRecord, TransfersDone
from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    Configuration,
    Entry,
    EntryType,
    HeartbeatRequest,
    HeartbeatResponse,
    ReadIndexRequest,
    ReadIndexResponse,
    SnapshotRef,
    SnapshotRequest,
    SnapshotResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from bankd.replica.comparison import DigestNotice
from bankd.replica.digests import DIGEST_BYTES
from bankd.replica.events import PeerMessage
from bankd.status import DigestReport, LeadershipMoved, MemberStatus, NodeStatus, SnapshotTaken
from bankd.types import (
    BALANCE_MAX,
    BALANCE_MIN,
    LINEARIZABLE,
    ROW_ID_CONFLICT,
    ROW_MALFORMED,
    AtLeast,
    Bounded,
    Lease,
    LogIndex,
    NodeId,
    Stale,
    Term,
    TimeNs,
    TransferStatus,
)
from bankd.wire.frames import Frame, FrameKind
from bankd.wire.hello import Endpoint, Hello, PeerRole
from bankd.wire.raft_codec import CONTENT_ID_BYTES_MAX, COUNTER_MAX

SENDER, TO = NodeId("n1"), NodeId("n2")

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
counters = st.integers(0, COUNTER_MAX)
money = st.integers(BALANCE_MIN, BALANCE_MAX)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)  # anything that UTF-8 can say
ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
node_ids = st.sampled_from(["n1", "n2", "n3", "ñ4"]).map(NodeId)
statuses = st.sampled_from([status for status in TransferStatus if status])
read_modes = st.one_of(
    st.just(LINEARIZABLE), st.just(Lease()), st.just(Stale()), st.builds(Bounded, u64), st.builds(AtLeast, u64)
)

frames = st.builds(
    Frame, st.sampled_from(FrameKind), st.integers(0, 255), st.integers(0, 2**16 - 1), u32, u64, st.binary(max_size=60)
)

hellos = st.builds(
    Hello,
    role=st.sampled_from(PeerRole),
    cluster=text,
    cluster_id=u64,
    node_id=text,
    incarnation=u64,
    version_min=u32,
    version_max=u32,
    features=u64,
    credentials=st.binary(max_size=20),
    software=text,
    leader_id=text,
    leader_address=text,
    endpoints=st.lists(st.builds(Endpoint, text, text), max_size=3).map(tuple),
    boots=u64,
    nonces=st.lists(u64, max_size=16).map(tuple),
    refilling=st.booleans(),
    copied=st.booleans(),
)

refusals = st.builds(
    Refusal,
    code=st.sampled_from([code for code in Code if code]),
    reason=text,
    message=text,
    retryable=st.booleans(),
    metadata=st.dictionaries(text, text, max_size=3),
    retry_after_ms=u32,
    leader_id=text,
    leader_address=text,
)


content_ids = st.binary(min_size=1, max_size=CONTENT_ID_BYTES_MAX)


@st.composite
def append_requests(draw: st.DrawFn) -> AppendRequest:
    """Entries in a row, their terms never falling and never above the leader's."""
    prev_index = draw(st.integers(0, COUNTER_MAX - 4))
    terms = sorted(draw(st.lists(st.integers(1, COUNTER_MAX), min_size=2, max_size=6)))
    entries = tuple(
        Entry(
            LogIndex(prev_index + 1 + place), Term(term), draw(st.sampled_from(EntryType)), draw(st.binary(max_size=40))
        )
        for place, term in enumerate(terms[1:-1])
    )
    return AppendRequest(
        TO, SENDER, Term(terms[-1]), LogIndex(prev_index), Term(terms[0]), LogIndex(draw(counters)), entries
    )


@st.composite
def snapshot_requests(draw: st.DrawFn) -> SnapshotRequest:
    """A part that fits the whole, of a snapshot no newer than the leader."""
    data = draw(st.binary(max_size=40))
    offset = draw(st.integers(0, COUNTER_MAX - len(data)))
    size_bytes = draw(st.integers(offset + len(data), COUNTER_MAX))
    last_term, term = sorted([draw(st.integers(1, COUNTER_MAX)), draw(st.integers(1, COUNTER_MAX))])
    index = LogIndex(draw(st.integers(1, COUNTER_MAX)))
    snapshot = SnapshotRef(index, Term(last_term), size_bytes, draw(content_ids))
    return SnapshotRequest(TO, SENDER, Term(term), snapshot, offset, data)


def _between(message_class: type[PeerMessage], *fields: st.SearchStrategy[object]) -> st.SearchStrategy[PeerMessage]:
    return st.builds(message_class, st.just(TO), st.just(SENDER), counters, *fields)


messages: st.SearchStrategy[PeerMessage] = st.one_of(
    append_requests(),
    _between(VoteRequest, counters, counters, st.booleans(), st.booleans()),
    _between(VoteResponse, st.booleans(), st.booleans()),
    _between(AppendResponse, st.booleans(), counters, counters, counters, u64),
    _between(HeartbeatRequest, counters, counters, u64, counters, st.booleans()),
    _between(HeartbeatResponse, counters, u64),
    snapshot_requests(),
    _between(SnapshotResponse, content_ids, counters, u64),
    _between(ReadIndexRequest, counters),
    _between(ReadIndexResponse, counters, counters, st.booleans()),
    _between(TimeoutNow),
    _between(DigestNotice, counters, st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES)),
)

configurations = st.builds(
    Configuration,
    voters=st.frozensets(node_ids, min_size=1),
    voters_outgoing=st.frozensets(node_ids),
    learners=st.frozensets(node_ids),
)

row_details = st.builds(
    RowDetail,
    index=u64,
    time_ns=u64,
    available=st.none() | money,
    differs=st.lists(st.sampled_from(["from", "to", "amount"]), unique=True).map(tuple),
)


@st.composite
def transfers_done(draw: st.DrawFn, rows_max: int = 5) -> TransfersDone:
    outcomes = draw(st.lists(statuses | st.sampled_from([ROW_ID_CONFLICT, ROW_MALFORMED]), max_size=rows_max))
    rows = st.integers(0, len(outcomes) - 1) if outcomes else st.nothing()
    details = draw(st.dictionaries(rows, row_details))
    return TransfersDone(LogIndex(draw(u64)), TimeNs(draw(u64)), bytes(outcomes), details)


accounts_created = st.builds(AccountCreated, st.booleans(), u64, st.booleans())
account_records = st.builds(AccountRecord, ids, money, money, u64, u64)
transfer_records = st.builds(TransferRecord, ids, ids, ids, money, statuses, u64, u64, st.none() | money)

member_statuses = st.builds(MemberStatus, text, text, st.booleans(), u64, u64, u64, st.booleans(), st.booleans())
node_statuses = st.builds(
    NodeStatus,
    cluster=text,
    cluster_id=u64,
    node_id=text,
    incarnation=u64,
    role=text,
    term=u64,
    leader_id=st.none() | ids,
    last_index=u64,
    commit_index=u64,
    applied_index=u64,
    digest=st.binary(max_size=16),
    imbalance=money,
    accounts=u64,
    transfers=u64,
    version=text,
    uptime_ms=u64,
    fsync_p99_us=u64,
    waiting_calls=u64,
    members=st.lists(member_statuses, max_size=3).map(tuple),
    refilling=text,
    snapshot_index=u64,
    snapshot_size_bytes=u64,
    snapshot_under_way=st.booleans(),
    log_base_index=u64,
    log_bytes=u64,
    snapshot_bytes=u64,
    disk_free_bytes=u64,
)
digest_reports = st.builds(DigestReport, u64, st.binary(max_size=16), money)
leadership_moves = st.builds(LeadershipMoved, text, u64)
snapshots_taken = st.builds(SnapshotTaken, u64, u64, u64, content_ids, u64)
