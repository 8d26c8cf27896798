"""Draw a plan from a seed: every run gets its own mix.

Swarm testing (Groce et al., "Swarm Testing", ISSTA 2012): a run in which everything goes wrong at once finds less
than runs of which each leaves most things alone and overdoes some. So every kind of fault is on or off, every
range is drawn from a few very different ones, and all that depends on the election timeout is measured by it.

What is drawn is what the product promises to survive (docs/reliability.md). Disks that lie (`swarm_disks`), and nodes
that stay down, are those of one minority of a run. Of `OlderCopy` and `Wipe` only what the others can notice is drawn:
they have met the node in a start that its directory does not know of (D09, D10).

In most runs snapshots are taken, many of them as often as no operator would want, so that logs lose their beginnings
and nodes that were away need a snapshot to come back.

After healing, delays and slow syncs go on; they are bounded so that ten election timeouts are enough (V1).
So is what a node may have to catch up with where the limits of replication are *tight*: in such a run a follower is
sent little more than an entry at a time, so there are few calls, and messages are fast and seldom lost.
"""

from collections.abc import Sequence
from typing import Final

import attrs

from bankd.sim.plan import DiskOdds, Limits, NetworkOdds, NodeTraits, Plan, ProductOptions
from bankd.sim.random import PPM, Stream
from bankd.sim.swarm_absences import draw_absences
from bankd.sim.swarm_calls import draw_operations
from bankd.sim.swarm_disks import Damage, draw_damage
from bankd.sim.swarm_faults import draw_faults
from bankd.types import NodeId

US: Final = 1_000
MS: Final = 1_000_000
S: Final = 1_000_000_000

SAFETY_NS: Final = 60 * S

NODES: Final = (3, 3, 3, 4, 5, 5, 6, 7)
HEARTBEATS_NS: Final = (20 * MS, 50 * MS, 100 * MS, 100 * MS, 100 * MS, 300 * MS)
HEARTBEATS_PER_TIMEOUT: Final = (3, 5, 10, 10, 20)
SEGMENTS_BYTES: Final = (4 << 10, 16 << 10, 64 << 10, 64 << 10, 1 << 20)
WAITING_CALLS_MAX: Final = (1, 4, 30, 1_000, 1_000, 1_000, 10_000)
ENTRIES_BYTES_MAX: Final = (1, 2_000, 1 << 20, 1 << 20, 1 << 20)
UNCOMMITTED_BYTES_MAX: Final = (1, 5_000, 100_000, 64 << 20, 64 << 20)
READS_WAITING_MAX: Final = (1, 3, 1_024, 1_024)
APPENDS_BYTES_MAX: Final = (2_000, 10_000, 1 << 20, 1 << 20)
WINDOWS_MESSAGES_MAX: Final = (8, 64, 64)
WINDOWS_BYTES_MAX: Final = (50_000, 16 << 20)
TIGHT_PPM: Final = 150_000  # of runs
TIGHT_APPENDS_BYTES_MAX: Final = (1, 1, 200, 1_000)  # the first cuts every append after its first entry
TIGHT_WINDOWS_MESSAGES_MAX: Final = (1, 1, 2, 5, 64)
TIGHT_WINDOWS_BYTES_MAX: Final = (1, 1_000, 16 << 20)
TIGHT_LOSS_PPM_MAX: Final = 20_000
TIGHT_OPERATIONS_MAX: Final = 150

ODDS_PPM: Final = (0, 0, 0, 1_000, 20_000, 100_000)
DRIFTS_PPM: Final = (0, 0, 200, 10_000, 100_000)
TURNS_NS: Final = (0, 100 * US, 2 * MS, 20 * MS)
WALL_OFFSETS_NS: Final = (0, 0, 50 * MS, 3_600 * S)
SYNCS_NS_MAX: Final = (200 * US, 2 * MS, 2 * MS, 20 * MS)
SLOW_SYNCS_PPM: Final = (0, 0, 2_000, 50_000)
SLOW_SYNC_FACTOR_MAX: Final = 100  # the disk's (DiskOdds)

ENCODED_PPM: Final = 125_000  # of runs whose messages cross as bytes
PROMPT_PPM: Final = 250_000  # of nodes, which take a turn for every event
SNAPSHOTS_PPM: Final = 670_000  # of runs that take any
SNAPSHOTS_EVERY: Final = (3, 10, 30, 100, 300)
SNAPSHOTS_EVERY_AWAY: Final = (3, 10, 30)
SNAPSHOTS_EVERY_BYTES: Final = (64 << 10, 64 << 20)
SNAPSHOT_CHUNKS_BYTES: Final = (500, 4_000, 512 << 10)
ABSENCES_PPM: Final = 750_000  # of runs that take snapshots: somebody is away for long
DAMAGED_PPM: Final = 350_000  # of runs in which the disks of a minority lie
STAYING_DOWN_PPM: Final = 300_000  # of runs after which a minority stays down


def draw(seed: int, *, nodes_count: int | None = None, safety_ns: int = SAFETY_NS) -> Plan:
    """The plan of this seed; the same in every process and for ever, as long as this package stays as it is.

    `nodes_count` None: drawn.
    """
    stream = Stream(seed, "swarm")
    drawn_count = stream.pick(NODES)
    nodes = tuple(NodeId(f"n{number}") for number in range(1, (nodes_count or drawn_count) + 1))
    product, snapshots = draw_product(stream), Stream(seed, "swarm snapshots")
    takes_snapshots = snapshots.chance(SNAPSHOTS_PPM)
    somebody_is_away = takes_snapshots and snapshots.chance(ABSENCES_PPM)
    if takes_snapshots:
        product = draw_snapshots(product, snapshots, SNAPSHOTS_EVERY_AWAY if somebody_is_away else SNAPSHOTS_EVERY)
    tight = stream.chance(TIGHT_PPM)
    minority = draw_minority(nodes, stream)
    stays_down = minority if stream.chance(STAYING_DOWN_PPM) else ()
    disks = Stream(seed, "swarm disks")
    damage = draw_damage(disks, minority, safety_ns) if disks.chance(DAMAGED_PPM) else Damage()
    leaving = () if damage.faults else stays_down
    others = draw_faults(Stream(seed, "swarm faults"), nodes, leaving, product, safety_ns)
    clients, operations = draw_operations(
        Stream(seed, "swarm calls"), safety_ns, damage.among(others), count_max=TIGHT_OPERATIONS_MAX if tight else None
    )
    if somebody_is_away:
        others += draw_absences(Stream(seed, "swarm absences"), nodes, product, safety_ns)
    limits = draw_limits(stream, tight=tight)
    return Plan(
        seed=seed,
        nodes=nodes,
        clients=clients,
        safety_ns=safety_ns,
        product=product,
        limits=attrs.evolve(limits, snapshot_chunk_bytes=snapshots.pick(SNAPSHOT_CHUNKS_BYTES)),
        network=draw_network(product, stream, tight=tight),
        disk=draw_disk(product, stream),
        traits=draw_traits(len(nodes), product, stream),
        faults=damage.among(others),
        operations=operations,
        stays_down=frozenset(stays_down),
    )


def draw_product(stream: Stream) -> ProductOptions:
    heartbeat_ns = stream.pick(HEARTBEATS_NS)
    return ProductOptions(
        heartbeat_ns=heartbeat_ns,
        election_timeout_ns=heartbeat_ns * stream.pick(HEARTBEATS_PER_TIMEOUT),
        segment_bytes=stream.pick(SEGMENTS_BYTES),
        waiting_calls_max=stream.pick(WAITING_CALLS_MAX),
    )


def draw_snapshots(product: ProductOptions, stream: Stream, every: Sequence[int]) -> ProductOptions:
    return attrs.evolve(
        product, snapshot_every=stream.pick(every), snapshot_every_bytes=stream.pick(SNAPSHOTS_EVERY_BYTES)
    )


def draw_limits(stream: Stream, *, tight: bool) -> Limits:
    return Limits(
        entry_bytes_max=stream.pick(ENTRIES_BYTES_MAX),
        append_bytes_max=stream.pick(TIGHT_APPENDS_BYTES_MAX if tight else APPENDS_BYTES_MAX),
        inflight_messages_max=stream.pick(TIGHT_WINDOWS_MESSAGES_MAX if tight else WINDOWS_MESSAGES_MAX),
        inflight_bytes_max=stream.pick(TIGHT_WINDOWS_BYTES_MAX if tight else WINDOWS_BYTES_MAX),
        uncommitted_bytes_max=stream.pick(UNCOMMITTED_BYTES_MAX),
        reads_waiting_max=stream.pick(READS_WAITING_MAX),
    )


def draw_network(product: ProductOptions, stream: Stream, *, tight: bool) -> NetworkOdds:
    # The slowest single message takes ten times its link's typical delay: half an election timeout at most.
    slowest_ns = product.election_timeout_ns // (200 if tight else 20)
    delay_ns_max = min(stream.pick((500 * US, 2 * MS, 5 * MS, 50 * MS)), slowest_ns)
    return NetworkOdds(
        delay_ns_min=delay_ns_max // 10,
        delay_ns_max=delay_ns_max,
        loss_ppm_max=min(stream.pick(ODDS_PPM), TIGHT_LOSS_PPM_MAX if tight else PPM),
        duplicate_ppm_max=stream.pick(ODDS_PPM),
        reorder_ppm_max=stream.pick(ODDS_PPM),
        encoded=stream.chance(ENCODED_PPM),
    )


def draw_disk(product: ProductOptions, stream: Stream) -> DiskOdds:
    slow_sync_ppm = stream.pick(SLOW_SYNCS_PPM)
    sync_ns_max = stream.pick(SYNCS_NS_MAX)
    if slow_sync_ppm:  # the slowest takes half an election timeout at most
        sync_ns_max = min(sync_ns_max, product.election_timeout_ns // (2 * SLOW_SYNC_FACTOR_MAX))
    return DiskOdds(
        write_ns_max=stream.pick((20 * US, 100 * US, 1 * MS)), sync_ns_max=sync_ns_max, slow_sync_ppm=slow_sync_ppm
    )


def draw_traits(count: int, product: ProductOptions, stream: Stream) -> tuple[NodeTraits, ...]:
    drift_ppm_max, wall_ns_max = stream.pick(DRIFTS_PPM), stream.pick(WALL_OFFSETS_NS)
    # An election takes four turns at least, two at each end of a vote and of the question before it.
    turn_ns = min(stream.pick(TURNS_NS), product.election_timeout_ns // 10)
    return tuple(
        NodeTraits(
            drift_ppm=stream.between(-drift_ppm_max, drift_ppm_max),
            wall_offset_ns=stream.between(-wall_ns_max, wall_ns_max),
            turn_ns=0 if stream.chance(PROMPT_PPM) else turn_ns,
        )
        for _ in range(count)
    )


def draw_minority(nodes: tuple[NodeId, ...], stream: Stream) -> tuple[NodeId, ...]:
    """One node if there are enough, and few enough that the rest are a majority."""
    spare = (len(nodes) - 1) // 2
    return tuple(sorted(stream.shuffled(nodes)[: stream.between(min(1, spare), spare)]))
