"""Bring a node's memory back from its disk, or lay the first stone of a new cluster.

A new cluster begins with the same entry on every node: index 1, term 1, the configuration that the
operator's `bootstrap` names. Identical everywhere, it needs no election to be agreed upon. From the
second start on, the log says who the members are; the configuration file only corrects addresses.

The cluster's id is derived from its name, its first members and the backup that it was restored from, if any, so that
nodes that were given different ones find out at their first handshake.

A process and a simulated node start by this same code: disk and chance are handed in, nothing is logged.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

import attrs

from bankd.config import Config
from bankd.ledger.state import Ledger
from bankd.raft.core import Raft, RaftOptions, RandomSource
from bankd.raft.messages import Configuration, Entry, EntryType, HardState
from bankd.replica.core import EntryCodec, Replica
from bankd.replica.writes import ENTRY_BYTES_MAX
from bankd.storage.data_dir import DataDir, Identity
from bankd.storage.disk import Disk
from bankd.storage.identity import restored_cluster_id
from bankd.storage.recovery import Recovered
from bankd.storage.wal import Wal, WalOptions
from bankd.types import ClusterId, LogIndex, NodeId, Term
from bankd.wire.entries import decode_batch, decode_configuration, encode_batch_head, encode_configuration

TICKS_PER_HEARTBEAT: Final = 2  # finer than a heartbeat, so that timeouts are not rounded to whole ones
SHORT_SEGMENT_BYTES_MAX: Final = 1 << 20  # about 1 ms of zeros while a commit waits
FIRST_TERM: Final = Term(1)
FIRST_INDEX: Final = LogIndex(1)


@attrs.frozen
class Opened:
    """What was found on, or laid on, the disk."""

    data_dir: DataDir
    wal: Wal
    recovered: Recovered
    configuration: Configuration
    addresses: Mapping[NodeId, str]

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


def open_disk(config: Config, disk: Disk, new_u64: Callable[[], int]) -> Opened:
    """Open the data directory and read the log; on the first start, make both. Blocks. Nothing stays open if it fails.

    `new_u64` draws what must not repeat: the incarnation, and the nonces of segments.

    Raises:
      NodeError: the directory is locked, foreign, unusable or damaged, or the disk failed.
    """
    segment_bytes = config.storage.segment_size_bytes
    options = WalOptions(segment_bytes, min(segment_bytes, SHORT_SEGMENT_BYTES_MAX), new_u64)
    with ExitStack() as undo:
        data_dir = _open_data_dir(config, disk, options)
        undo.callback(data_dir.close)
        wal, recovered = Wal.open(disk, data_dir.wal_dir, data_dir.identity, options)
        undo.callback(wal.close)
        if recovered.is_empty:
            recovered = _lay_first_entry(wal, config.cluster.bootstrap, recovered)
        configuration, addresses = _members(recovered.entries)
        undo.pop_all()
    # The file knows best where a member is now; it cannot make one.
    current = {node_id: config.cluster.bootstrap.get(node_id, address) for node_id, address in addresses.items()}
    return Opened(data_dir, wal, recovered, configuration, current)


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
    return Recovered(hard_state=hard_state, entries=(entry,), torn=found.torn)


def _members(entries: Sequence[Entry]) -> tuple[Configuration, Mapping[NodeId, str]]:
    """The newest configuration in the log."""
    for entry in reversed(entries):
        if entry.type is EntryType.CONFIG:
            return decode_configuration(entry.body)
    raise AssertionError("a log without a configuration passed recovery")


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
    """The node's mind as of its disk: nothing but the first entry is applied, the next leader says how far to go.

    `random` draws election timeouts: they must only not be in step with those of others. `options` None: `raft_options`.
    """
    raft = Raft(
        node_id=opened.identity.node_id,
        configuration=opened.configuration,
        hard_state=opened.recovered.hard_state,
        entries=opened.recovered.entries,
        commit_index=FIRST_INDEX,  # the first entry was agreed upon by being everybody's
        options=options or raft_options(config),
        random=random,
    )
    ledger = Ledger()
    ledger.skip(FIRST_INDEX)
    codec = EntryCodec(encode_batch_head, decode_batch)
    return Replica(
        raft=raft,
        ledger=ledger,
        codec=codec,
        waiting_calls_max=config.limits.max_in_flight,
        entry_bytes_max=entry_bytes_max,
    )


def tick_s(config: Config) -> float:
    return config.raft.heartbeat_s / TICKS_PER_HEARTBEAT
