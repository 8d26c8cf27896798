"""Data directories with a known content, made by the parts that a node makes them with."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from bankd.ledger.rows import Block
from bankd.ledger.state import Ledger
from bankd.pb import bank_pb2, ledger_pb2
from bankd.raft.messages import Configuration, Entry, EntryType, HardState
from bankd.storage.data_dir import DataDir
from bankd.storage.disk import OsDisk
from bankd.storage.records import Base, Write
from bankd.storage.snapshot_format import SnapshotHeader
from bankd.storage.snapshot_names import file_name
from bankd.storage.snapshot_store import SnapshotStore
from bankd.storage.wal import Wal, WalOptions
from bankd.types import ClusterId, LogIndex, NodeId, Term, TimeNs
from bankd.wire.entries import decode_batch, encode_batch_head, encode_configuration, wrap_command
from bankd.wire.methods import Method
from bankd.wire.snapshot_rows import encode_block

CLUSTER_ID = ClusterId(0x7F3A9C2055D1E804)

TIME_NS = 1_770_000_000_000_000_000  # of the first entry with commands; each has its index in seconds more


def tiny() -> WalOptions:
    """Segments of four sectors: a header, two batches, a seal; nonces that can be foretold."""
    nonces = count(0x1111)
    return WalOptions(segment_bytes=2048, short_segment_bytes=2048, new_nonce=lambda: next(nonces))


def opening(account: str, balance: int) -> bytes:
    request = bank_pb2.CreateAccountRequest(account=bank_pb2.AccountId(id=account), initial_balance=balance)
    return wrap_command(Method.CREATE_ACCOUNT, request.SerializeToString())


def transfers(*rows: tuple[str, str, str, int]) -> bytes:
    """Of id, source, target, amount."""
    ids, sources, targets, amounts = zip(*rows, strict=True)
    request = ledger_pb2.SubmitTransfersRequest(client_tx_ids=ids, sources=sources, targets=targets, amounts=amounts)
    return wrap_command(Method.SUBMIT_TRANSFERS, request.SerializeToString())


def commands(index: int, term: int, *wrapped: bytes) -> Entry:
    head = encode_batch_head(TimeNs(TIME_NS + index * 10**9))
    return Entry(LogIndex(index), Term(term), EntryType.COMMANDS, head + b"".join(wrapped))


def noop(index: int, term: int) -> Entry:
    return Entry(LogIndex(index), Term(term), EntryType.NOOP, b"")


def configuration(index: int, term: int = 1) -> Entry:
    members = {NodeId("n1"): "127.0.0.1:7401", NodeId("n2"): "127.0.0.1:7411", NodeId("n3"): "127.0.0.1:7421"}
    body = encode_configuration(Configuration(voters=frozenset(members)), members)
    return Entry(LogIndex(index), Term(term), EntryType.CONFIG, body)


def vote(term: int, voted_for: str | None = None) -> HardState:
    return HardState(Term(term), NodeId(voted_for) if voted_for else None)


def small_history() -> list[list[Write]]:
    """A bank with two accounts, and a leader of term 3 that replaced what one of term 2 had written."""
    return [
        [(vote(1, "n1"), [configuration(1)])],
        [(None, [noop(2, 1), commands(3, 1, opening("alice", 10_000), opening("bob", 0))])],
        [(None, [commands(4, 1, transfers(("t1", "alice", "bob", 1_250), ("t2", "bob", "alice", 9_999)))])],
        [(vote(2, "n2"), [noop(5, 2), commands(6, 2, transfers(("t3", "alice", "bob", 1)))])],
        [(vote(3, "n3"), [noop(5, 3)])],
        [(None, [commands(6, 3, transfers(("t4", "bob", "alice", 250)))])],
    ]


def make(path: Path, history: Sequence[Sequence[Write]], options: WalOptions | None = None) -> Path:
    """Make a data directory whose log was written batch by batch. Nobody uses it on return."""
    options = options or tiny()
    opened = DataDir.open_or_create(
        path,
        cluster="main",
        cluster_id=CLUSTER_ID,
        node_id=NodeId("n1"),
        new_incarnation=lambda: 0xABCDEF,
        wal_options=options,
    )
    wal, _ = Wal.open(OsDisk(), opened.wal_dir, opened.identity, options, LogIndex(2**62))
    for batch in history:
        wal.write(batch)
        wal.sync()
    wal.close()
    opened.close()
    return path


def prune(path: Path, covered: int) -> None:
    opened = DataDir.open_or_create(
        path, cluster="main", cluster_id=CLUSTER_ID, node_id=NodeId("n1"), new_incarnation=lambda: 0
    )
    wal, _ = Wal.open(OsDisk(), opened.wal_dir, opened.identity, tiny())
    assert wal.prune(LogIndex(covered))
    wal.close()
    opened.close()


def final_entries(history: Sequence[Sequence[Write]]) -> list[Entry]:
    """The entries that no later one replaced, from index 1 on."""
    log: list[Entry] = []
    for batch in history:
        for _, entries in batch:
            for entry in entries:
                assert isinstance(entry, Entry)
                log[entry.index - 1 :] = [entry]
    return log


def ledger_after(entries: Sequence[Entry], index: int) -> Ledger:
    ledger = Ledger()
    for entry in entries[:index]:
        if entry.type is EntryType.COMMANDS:
            batch = decode_batch(entry.body)
            ledger.apply(entry.index, batch.time_ns, batch.commands)
        else:
            ledger.skip(entry.index)
    return ledger


def save(path: Path, header: SnapshotHeader, blocks: Sequence[Block]) -> Path:
    """Add a snapshot to the data directory `path`, one chunk a block."""
    store = SnapshotStore.open(OsDisk(), path / "snap", header.cluster_id)
    writer = store.begin(header)
    for block in blocks:
        writer.add(encode_block(block))
    writer.seal()
    return path / "snap" / file_name(header.index, header.term)


def header_of(entries: Sequence[Entry], ledger: Ledger) -> SnapshotHeader:
    last = entries[ledger.applied_index - 1]
    members = [entry.body for entry in entries[: ledger.applied_index] if entry.type is EntryType.CONFIG]
    return SnapshotHeader(CLUSTER_ID, last.index, last.term, ledger.last_time_ns, ledger.digest, members[-1])


def take_snapshot(path: Path, history: Sequence[Sequence[Write]], index: int) -> Path:
    """Add the snapshot that a node with this history takes after the entry at `index`."""
    entries = final_entries(history)
    ledger = ledger_after(entries, index)
    return save(path, header_of(entries, ledger), list(ledger.freeze().blocks()))


def long_history() -> list[list[Write]]:
    """The small one, and two entries more."""
    return [
        *small_history(),
        [(None, [commands(7, 3, transfers(("t5", "alice", "bob", 7)))])],
        [(None, [commands(8, 3, opening("carol", 5))])],
    ]


def compacted(path: Path) -> Path:
    """A directory with snapshots of index 4 and 6, whose log begins at 4 and goes on to 8."""
    make(path, long_history())
    take_snapshot(path, long_history(), 4)
    take_snapshot(path, long_history(), 6)
    prune(path, 4)
    return path


def installed(path: Path, *, with_base: bool = True) -> Path:
    """A directory into which the snapshot of index 6 was installed from a leader, and its log begun anew behind it:
    where that was not interrupted before."""
    history = long_history()
    make(path, history[:2])
    take_snapshot(path, history, 6)
    if with_base:
        make(path, [[(vote(3), [Base(LogIndex(6), Term(3)), history[6][0][1][0]])]])
    return path
