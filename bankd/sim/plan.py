"""What a run does to a cluster, as data: who is in it, what it is like, which faults and calls come when.

A plan is drawn from a seed (`swarm`), or read from a text (`plan_text`); `world` carries it out. What a
plan leaves open (which message is lost, how long a sync takes) is drawn in the run, from streams
named after the seed and the thing drawn for, so that a plan with one fault less is else the same run:
shrinking removes items and tries again.

Times are nanoseconds of the simulated world's own clock, which begins at 0. Odds are parts per million.
Nodes are n1, n2, ...; a link is one direction between two of them.
"""

from enum import Enum, unique
from typing import Final

import attrs

from bankd.types import AccountId, NodeId, TxId

Link = tuple[NodeId, NodeId]  # sender, receiver
DISK_OPERATIONS: Final = ("pwrite", "sync", "rename", "fsync_dir", "truncate", "create", "unlink")  # that can fail


@attrs.frozen
class NetworkOdds:
    """What every link is drawn from, once per run and link: `loss` between 0 and `loss_ppm_max`, and so on."""

    delay_ns_min: int = 100_000
    delay_ns_max: int = 5_000_000  # of the link's typical delay; single messages take up to ten times as long
    loss_ppm_max: int = 0
    duplicate_ppm_max: int = 0
    reorder_ppm_max: int = 0  # of messages that others may overtake; the rest of a link's messages keep their order
    encoded: bool = False  # messages cross as the bytes that they have on a real wire


@attrs.frozen
class DiskOdds:
    write_ns_max: int = 100_000
    sync_ns_max: int = 2_000_000
    slow_sync_ppm: int = 0  # of syncs that take up to a hundred times as long


@attrs.frozen
class NodeTraits:
    """What one node's clocks and program are like."""

    drift_ppm: int = 0  # by how much the monotonic clock runs fast (slow: negative)
    wall_offset_ns: int = 0
    turn_ns: int = 0  # an event waits for others for so long, to be stepped in one turn with them; 0: none does


@attrs.frozen
class ProductOptions:
    """What an operator sets."""

    heartbeat_ns: int = 100_000_000
    election_timeout_ns: int = 1_000_000_000
    segment_bytes: int = 64 * 1024
    waiting_calls_max: int = 1_000
    snapshot_every: int = 100_000
    snapshot_every_bytes: int = 64 << 20


@attrs.frozen
class Limits:
    """What no operator sets: bounds of what waits and of what is on its way, as their owners define them (raft/options.py)."""

    entry_bytes_max: int = 1 << 20  # of the calls that become one entry; a single larger one is one by itself
    append_bytes_max: int = 1 << 20
    inflight_messages_max: int = 64
    inflight_bytes_max: int = 16 << 20
    uncommitted_bytes_max: int = 64 << 20
    reads_waiting_max: int = 1_024
    snapshot_chunk_bytes: int = 512 << 10  # of a snapshot's file in one message


# Faults. `for_ns` is how long one lasts.


@attrs.frozen
class Partition:
    """Messages on these links are lost. Symmetric, one-way and bridge partitions differ in the links alone."""

    at_ns: int
    for_ns: int
    links: tuple[Link, ...]


@attrs.frozen
class Clog:
    """Messages on these links wait, and come all at once at the end."""

    at_ns: int
    for_ns: int
    links: tuple[Link, ...]


@attrs.frozen
class Storm:
    """Messages on these links are lost, doubled and delayed far above the link's own odds."""

    at_ns: int
    for_ns: int
    links: tuple[Link, ...]
    loss_ppm: int
    duplicate_ppm: int
    delay_ns_max: int


@attrs.frozen
class Crash:
    """The process ends without notice and is started again after `for_ns`.

    `power`: the machine lost power, so of what was not synced any part may be gone; otherwise the files are as written.
    `operations`: it ends in the midst of its n-th operation on the disk after `at_ns`; 0: at `at_ns` itself.
    """

    at_ns: int
    for_ns: int
    node: NodeId
    power: bool
    operations: int = 0


@attrs.frozen
class Freeze:
    """The process stops and goes on later, none the wiser; what was sent to it waits, but for what does not fit."""

    at_ns: int
    for_ns: int
    node: NodeId


@attrs.frozen
class HandOver:
    """Whoever leads at `at_ns` is told to make `node` the leader, within `for_ns`."""

    at_ns: int
    for_ns: int
    node: NodeId


@attrs.frozen
class ClockJump:
    """The wall clock is set."""

    at_ns: int
    node: NodeId
    by_ns: int


@attrs.frozen
class SlowDisk:
    """Every operation takes `added_ns` longer."""

    at_ns: int
    for_ns: int
    node: NodeId
    added_ns: int


@attrs.frozen
class HungDisk:
    """Operations under way and new ones end only when this does."""

    at_ns: int
    for_ns: int
    node: NodeId


@attrs.frozen
class FullDisk:
    """Whatever needs room fails with ENOSPC. The node is told in time only if `noticed`."""

    at_ns: int
    for_ns: int
    node: NodeId
    noticed: bool


@attrs.frozen
class FailingDisk:
    """The next operation of this kind fails with EIO, and the process with it; it is started again after `for_ns`."""

    at_ns: int
    for_ns: int
    node: NodeId
    operation: str  # one of DISK_OPERATIONS


@attrs.frozen
class Rot:
    """A bit of what is durable flips while the process is down, for `for_ns`."""

    at_ns: int
    for_ns: int
    node: NodeId


@attrs.frozen
class OlderCopy:
    """The process ends, and is started again after `for_ns` on its directory as it was at `taken_ns`."""

    at_ns: int
    for_ns: int
    node: NodeId
    taken_ns: int


@attrs.frozen
class Wipe:
    """The process ends, and is started again after `for_ns` on an empty directory."""

    at_ns: int
    for_ns: int
    node: NodeId


Fault = (
    Partition | Clog | Storm | Crash | Freeze | HandOver | ClockJump | SlowDisk | HungDisk | FullDisk | FailingDisk
    | Rot | OlderCopy | Wipe
)  # fmt: skip


# Calls of clients.


@attrs.frozen
class Open:
    account: AccountId
    balance: int
    request_id: TxId | None


@attrs.frozen
class Move:
    """One transfer, or a batch of them: equally long columns."""

    tx_ids: tuple[TxId, ...]
    sources: tuple[AccountId, ...]
    targets: tuple[AccountId, ...]
    amounts: tuple[int, ...]


@unique
class ReadKind(Enum):
    LINEARIZABLE = "linearizable"
    STALE = "stale"
    BOUNDED = "bounded"
    AT_LEAST = "at_least"  # the highest index that this client has seen


@attrs.frozen
class Balance:
    account: AccountId
    kind: ReadKind


@attrs.frozen
class OutcomeOf:
    tx_id: TxId
    kind: ReadKind


Request = Open | Move | Balance | OutcomeOf


@attrs.frozen
class Operation:
    """A client makes one call at a time, in this order; it waits for `at_ns`, and for the answer before."""

    at_ns: int
    client: int
    request: Request


@attrs.frozen
class Plan:
    """One run. Until `safety_ns`, faults; then all is mended, and the cluster must make progress (V1)."""

    seed: int
    nodes: tuple[NodeId, ...]
    clients: int
    safety_ns: int
    product: ProductOptions = ProductOptions()
    limits: Limits = Limits()
    network: NetworkOdds = NetworkOdds()
    disk: DiskOdds = DiskOdds()
    traits: tuple[NodeTraits, ...] = ()  # one per node
    faults: tuple[Fault, ...] = ()
    operations: tuple[Operation, ...] = ()
    stays_down: frozenset[NodeId] = frozenset()  # not mended at the end: a minority that the rest must do without
