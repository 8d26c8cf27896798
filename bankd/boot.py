"""Bring a node's memory back from its disk, or lay the first stone of a new cluster.

A new cluster begins with the same entry on every node: index 1, term 1, the configuration that the
operator's `bootstrap` names. Identical everywhere, it needs no election to be agreed upon. From the
second start on, the log says who the members are; the configuration file only corrects addresses.

The cluster's id is derived from its name, its first members and the backup that it was restored from, if any, so that
nodes that were given different ones find out at their first handshake.

From then on the disk holds snapshots and a log. The state is that of the newest sound snapshot, and the log goes on from
there: it reaches the snapshot, or it is begun anew behind it. The second is what a crash leaves between the moment
when a snapshot of the leader's became durable and the one when the log followed.

A process and a simulated node start by this same code: disk and chance are handed in, nothing is logged.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

import attrs

from bankd.config import Config
from bankd.errors import LogDamaged, MustRefill, NodeError
from bankd.keeper.restoring import Restored, restore_newest
from bankd.ledger.state import Ledger
from bankd.raft.core import Raft, RaftOptions, RandomSource
from bankd.raft.messages import Configuration, Entry, EntryType, HardState, SnapshotRef
from bankd.raft.quorum import has_quorum
from bankd.replica.core import Applied, EntryCodec, Replica, SnapshotPolicy
from bankd.replica.writes import ENTRY_BYTES_MAX
from bankd.storage.data_dir import DataDir, Identity
from bankd.storage.disk import Disk
from bankd.storage.identity import restored_cluster_id
from bankd.storage.peers import Peers
from bankd.storage.records import Base
from bankd.storage.recovery import Recovered
from bankd.storage.refill import Refill, marker, resume, set_aside
from bankd.storage.snapshot_store import SnapshotStore
from bankd.storage.state_file import NewStart
from bankd.storage.wal import Wal, WalOptions
from bankd.types import ClusterId, LogIndex, NodeId, Term
from bankd.wire.entries import decode_batch, decode_configuration, encode_batch_head, encode_configuration

TICKS_PER_HEARTBEAT: Final = 2  # finer than a heartbeat, so that timeouts are not rounded to whole ones
SHORT_SEGMENT_BYTES_MAX: Final = 1 << 20  # about 1 ms of zeros while a commit waits
LOG_SHARE: Final = (
    0.5  # of the room that writes of clients may not take: snapshots may take the rest of it, and make room by that
)
FIRST_TERM: Final = Term(1)
FIRST_INDEX: Final = LogIndex(1)


@attrs.frozen
class Opened:
    """What was found on, or laid on, the disk."""

    data_dir: DataDir
    wal: Wal
    store: SnapshotStore
    recovered: Recovered
    configuration: Configuration
    addresses: Mapping[NodeId, str]
    restored: Restored | None  # from the newest sound snapshot
    refill: Refill | None  # why a leader must refill this node before it counts
    peers: Peers

    @property
    def refilling(self) -> int:
        """The nonce of this start, if it is to be refilled, or 0."""
        return 0 if self.refill is None else self.recovered.starts.nonce

    @property
    def copied(self) -> bool:
        """Whether it is to be refilled because its directory is an older copy."""
        return self.refill is not None and self.refill.copied

    @property
    def identity(self) -> Identity:
        return self.data_dir.identity

    def close(self) -> None:
        """Give both back. For whoever has not passed the log on; otherwise its new owner closes it, before the directory."""
        self.wal.close()
        self.data_dir.close()


def cluster_id_of(name: str, members: Sequence[NodeId], origin: bytes = b"") -> ClusterId:
    """The id of the cluster that begins with this name and these members: 64 bits of a hash, never 0.

    `origin`: the content id of the backup that it begins with; empty: it begins with nothing.
    """
    text = "\0".join([name, *sorted(members)])
    digest = hashlib.blake2b(text.encode(), digest_size=8, person=b"bank-cluster").digest()
    return restored_cluster_id(ClusterId(int.from_bytes(digest, "little") or 1), origin)


def open_disk(
    config: Config, disk: Disk, new_u64: Callable[[], int], loss: MustRefill | None = None, boots_seen: int = 0
) -> Opened:
    """Open the data directory and read what it holds; on the first start, make it. Blocks. Nothing stays open if it fails.

    `new_u64` draws what must not repeat: the incarnation, and the nonces of segments and of starts. `loss`: what the
    process before this one, or this one before it began anew, found out; `boots_seen`: how many starts its peers said that
    they know of.

    Raises:
      NodeError: the directory is locked, foreign or unusable, or damaged in a way that no leader can mend, or the
        disk failed.
    """
    segment_bytes = config.storage.segment_size_bytes
    options = WalOptions(segment_bytes, min(segment_bytes, SHORT_SEGMENT_BYTES_MAX), new_u64)
    with ExitStack() as undo:
        data_dir = _open_data_dir(config, disk, options)
        undo.callback(data_dir.close)
        identity = data_dir.identity
        if loss is not None:
            _require_others(config, None, loss)
            is_void, copied = loss.state_is_void, loss.copied
            set_aside(disk, data_dir.path, identity, options, str(loss), state_is_void=is_void, copied=copied)
        refill = resume(disk, data_dir.path, identity, options)
        start = NewStart(new_u64() or 1, boots_seen, refilling=refill is not None)
        store = SnapshotStore.open(
            disk, data_dir.snapshot_dir, identity.cluster_id, int(config.storage.min_free_bytes * LOG_SHARE)
        )
        restored = restore_newest(store)
        covered_index = LogIndex(0) if restored is None else restored.snapshot.index
        try:
            wal, recovered = Wal.open(disk, data_dir.wal_dir, identity, options, covered_index, start)
        except LogDamaged as damage:
            _require_others(config, restored, damage)
            set_aside(disk, data_dir.path, identity, options, str(damage), state_is_void=False)
            refill, start = marker(disk, data_dir.path), attrs.evolve(start, refilling=True)
            wal, recovered = Wal.open(disk, data_dir.wal_dir, identity, options, covered_index, start)
        undo.callback(wal.close)
        if restored is not None:
            recovered = led_on_from(restored.snapshot, wal, recovered)
        elif recovered.is_empty and refill is None:
            recovered = _lay_first_entry(wal, config.cluster.bootstrap, recovered)
        configuration, addresses = _members(config, recovered.entries, restored)
        peers = Peers(disk, data_dir.path)
        undo.pop_all()
    # The file knows best where a member is now; it cannot make one.
    current = {node_id: config.cluster.bootstrap.get(node_id, address) for node_id, address in addresses.items()}
    return Opened(data_dir, wal, store, recovered, configuration, current, restored, refill, peers)


def _require_others(config: Config, restored: Restored | None, damage: NodeError) -> None:
    """Raise the damage, in words, if the other voters are no quorum: then nobody can refill this one."""
    voters = frozenset(config.cluster.bootstrap) if restored is None else restored.state.configuration.voters
    if not has_quorum(Configuration(voters), voters - {config.node.id}):
        who = "is the only voter" if len(voters) == 1 else f"is one of only {len(voters)} voters"
        raise LogDamaged(
            f"{damage}; {config.node.id} {who}, so nobody can refill it "
            "(look with `bankd verify`, and put back a backup with `bankd restore`)"
        ) from damage


def _open_data_dir(config: Config, disk: Disk, options: WalOptions) -> DataDir:
    return DataDir.open_or_create(
        config.node.data_dir,
        cluster=config.cluster.name,
        cluster_id=cluster_id_of(config.cluster.name, list(config.cluster.bootstrap)),
        node_id=config.node.id,
        new_incarnation=lambda: options.new_nonce() or 1,  # 0 stands for "not known"
        disk=disk,
        wal_options=options,
    )


def _lay_first_entry(wal: Wal, bootstrap: Mapping[NodeId, str], found: Recovered) -> Recovered:
    body = encode_configuration(Configuration(voters=frozenset(bootstrap)), bootstrap)
    entry = Entry(FIRST_INDEX, FIRST_TERM, EntryType.CONFIG, body)
    hard_state = HardState(term=FIRST_TERM)
    wal.write([(hard_state, (entry,))])
    wal.sync()
    return attrs.evolve(found, hard_state=hard_state, entries=(entry,))


def led_on_from(snapshot: SnapshotRef, wal: Wal, found: Recovered) -> Recovered:
    """The log as it goes on from a snapshot: as it was found if it reaches it, or else nothing, durably."""
    # At its base a log has no term left to compare, and needs none: what it dropped was committed.
    if found.base_index == snapshot.index or (
        found.base_index < snapshot.index <= found.last_index and found.entry_at(snapshot.index).term == snapshot.term
    ):
        return found
    hard_state = found.hard_state
    if hard_state.term < snapshot.term:
        hard_state = HardState(snapshot.term)
    wal.write([(hard_state, (Base(snapshot.index, snapshot.term),))])
    wal.sync()
    return attrs.evolve(found, hard_state=hard_state, entries=(), base_index=snapshot.index)


def _members(
    config: Config, entries: Sequence[Entry], restored: Restored | None
) -> tuple[Configuration, Mapping[NodeId, str]]:
    """The newest configuration in the log, or that of the snapshot before it; with neither, the file's, until the
    leader that refills this node brings another."""
    for entry in reversed(entries):
        if entry.type is EntryType.CONFIG:
            return decode_configuration(entry.body)
    if restored is not None:
        return restored.state.configuration, restored.state.addresses
    bootstrap = config.cluster.bootstrap
    return Configuration(voters=frozenset(bootstrap)), bootstrap


def raft_options(config: Config) -> RaftOptions:
    """As the operator has it; what no operator sets is as the core has it."""
    return RaftOptions(
        heartbeat_ticks=TICKS_PER_HEARTBEAT,
        election_ticks=round(config.raft.election_timeout_s / tick_s(config)),
    )


def make_replica(
    config: Config,
    opened: Opened,
    random: RandomSource,
    *,
    options: RaftOptions | None = None,
    entry_bytes_max: int = ENTRY_BYTES_MAX,
) -> Replica:
    """The node's mind as of its disk: nothing behind the snapshot, or the first entry, is applied: the next leader
    says how far to go. The restored state is given away.

    `random` draws election timeouts: they must only not be in step with those of others. `options` None: `raft_options`.
    """
    snapshot = None if opened.restored is None else opened.restored.snapshot
    raft = Raft(
        node_id=opened.identity.node_id,
        configuration=opened.configuration,
        hard_state=opened.recovered.hard_state,
        entries=opened.recovered.entries,
        # The first entry was agreed upon by being everybody's. A node that has lost its state begins without it.
        commit_index=min(FIRST_INDEX, opened.recovered.last_index),
        snapshot=snapshot,
        refilling=opened.refilling,
        copied=opened.copied,
        options=options or raft_options(config),
        random=random,
    )
    raft.compact(min(opened.store.covered_index, raft.compactable_index))
    ledger, applied = _state(opened)
    return Replica(
        raft=raft,
        ledger=ledger,
        applied=applied,
        codec=EntryCodec(encode_batch_head, decode_batch),
        waiting_calls_max=config.limits.max_in_flight,
        entry_bytes_max=entry_bytes_max,
        snapshot_policy=SnapshotPolicy(config.storage.snapshot_every, config.storage.snapshot_every_size_bytes),
        snapshot=snapshot,
    )


def _state(opened: Opened) -> tuple[Ledger, Applied]:
    """The state to go on from: the snapshot's, or that after the first entry."""
    restored = opened.restored
    if restored is not None:
        return restored.state.ledger, Applied(restored.snapshot.term, restored.state.header.configuration)
    ledger = Ledger()
    if not opened.recovered.entries:
        return ledger, Applied(Term(0), b"")
    ledger.skip(FIRST_INDEX)
    return ledger, Applied(FIRST_TERM, opened.recovered.entries[0].body)


def tick_s(config: Config) -> float:
    return config.raft.heartbeat_s / TICKS_PER_HEARTBEAT
