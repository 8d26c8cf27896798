"""Draw the faults of a run: which kinds, how many of each, when, and how long in election timeouts.

Which kinds a run has is drawn first, one by one; then each kind draws its own faults, from its own stream, so that one
kind less leaves the others as they were.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from typing import Final

import attrs

from bankd.sim.plan import (
    DISK_OPERATIONS,
    ClockJump,
    Clog,
    Crash,
    FailingDisk,
    Fault,
    Freeze,
    FullDisk,
    HandOver,
    HungDisk,
    Link,
    Partition,
    ProductOptions,
    SlowDisk,
    Storm,
)
from bankd.sim.random import PPM, Stream
from bankd.types import NodeId

S: Final = 1_000_000_000

KIND_PPM: Final = 250_000  # of the kinds, in a run
QUIET_RUN_PPM: Final = 50_000  # of the runs have no faults, but for nodes that stay down and disks that lie
FAULTS_MAX: Final = (1, 3, 10, 30)  # of one kind
LENGTHS: Final = (100_000, 500_000, 1_200_000, 3_000_000, 8_000_000)  # at most, in millionths of an election timeout
FOREVER_NS: Final = 3_600 * S

STORM_LOSS_PPM: Final = 500_000
STORM_DUPLICATE_PPM: Final = 300_000
JUMP_NS_MAX: Final = 3_600 * S
CRASH_OPERATIONS_MAX: Final = 40  # a roll takes a dozen
TURMOIL_MAX: Final = 60  # faults in a row
SLEEPERS_MAX: Final = 30


@attrs.define(eq=False)
class Draw:
    """What the faults of one kind are drawn from."""

    stream: Stream
    nodes: Sequence[NodeId]
    timeout_ns: int
    safety_ns: int

    def times(self) -> Iterator[tuple[int, int]]:
        """When the faults begin, and how long they last."""
        length_ns_max = self.timeout_ns * self.stream.pick(LENGTHS) // PPM
        for _ in range(self.stream.between(1, self.stream.pick(FAULTS_MAX))):
            yield self.stream.below(self.safety_ns), self.stream.between(1, length_ns_max)

    def node(self) -> NodeId:
        return self.stream.pick(self.nodes)

    def links(self) -> tuple[Link, ...]:
        """The links of one shape of partition."""
        if len(self.nodes) == 1:
            return ()  # there is nobody to be parted from
        shape = self.stream.pick((isolated, halves, halves, one_way, bridge, some_links))
        return tuple(shape(self.stream.shuffled(self.nodes), self.stream))


# Shapes of partitions, over nodes in a drawn order


def isolated(nodes: Sequence[NodeId], stream: Stream) -> Iterator[Link]:
    return (link for link in permutations(nodes, 2) if nodes[0] in link)


def halves(nodes: Sequence[NodeId], stream: Stream) -> Iterator[Link]:
    one = nodes[: stream.between(1, len(nodes) - 1)]
    return (link for link in permutations(nodes, 2) if (link[0] in one) != (link[1] in one))


def one_way(nodes: Sequence[NodeId], stream: Stream) -> Iterator[Link]:
    one = nodes[: stream.between(1, len(nodes) - 1)]
    return (link for link in permutations(nodes, 2) if link[0] in one and link[1] not in one)


def bridge(nodes: Sequence[NodeId], stream: Stream) -> Iterator[Link]:
    """Two halves that only the first node reaches."""
    return halves(nodes[1:], stream) if len(nodes) > 2 else iter(())


def some_links(nodes: Sequence[NodeId], stream: Stream) -> Iterator[Link]:
    return (link for link in permutations(nodes, 2) if stream.chance(PPM // 3))


# Kinds of faults


def partitions(draw: Draw) -> Iterator[Fault]:
    return (Partition(at_ns, for_ns, draw.links()) for at_ns, for_ns in draw.times())


def flapping(draw: Draw) -> Iterator[Fault]:
    """The same links come and go, each time for one to three election timeouts (N12)."""
    links, at_ns = draw.links(), draw.stream.below(draw.safety_ns)
    for _ in range(draw.stream.between(3, 12)):
        for_ns = draw.stream.between(draw.timeout_ns, 3 * draw.timeout_ns)
        yield Partition(at_ns, for_ns, links)
        at_ns += for_ns + draw.stream.between(draw.timeout_ns, 3 * draw.timeout_ns)


def clogs(draw: Draw) -> Iterator[Fault]:
    return (Clog(at_ns, for_ns, draw.links()) for at_ns, for_ns in draw.times())


def storms(draw: Draw) -> Iterator[Fault]:
    below, timeout_ns = draw.stream.below, draw.timeout_ns
    for at_ns, for_ns in draw.times():
        yield Storm(
            at_ns, for_ns, draw.links(), below(STORM_LOSS_PPM), below(STORM_DUPLICATE_PPM), below(2 * timeout_ns)
        )


def kills(draw: Draw) -> Iterator[Fault]:
    return (Crash(at_ns, for_ns, draw.node(), power=False) for at_ns, for_ns in draw.times())


def power_losses(draw: Draw) -> Iterator[Fault]:
    return (Crash(at_ns, for_ns, draw.node(), power=True) for at_ns, for_ns in draw.times())


def crashes_in_writes(draw: Draw) -> Iterator[Fault]:
    stream = draw.stream
    for at_ns, for_ns in draw.times():
        operations = stream.between(1, CRASH_OPERATIONS_MAX)
        yield Crash(at_ns, for_ns, draw.node(), power=stream.chance(PPM // 2), operations=operations)


def outages(draw: Draw) -> Iterator[Fault]:
    """Everybody loses power at once (D20)."""
    for at_ns, for_ns in draw.times():
        yield from (Crash(at_ns, draw.stream.between(1, for_ns), node, power=True) for node in draw.nodes)


def freezes(draw: Draw) -> Iterator[Fault]:
    return (Freeze(at_ns, for_ns, draw.node()) for at_ns, for_ns in draw.times())


def hand_overs(draw: Draw) -> Iterator[Fault]:
    return (HandOver(at_ns, for_ns, draw.node()) for at_ns, for_ns in draw.times())


def clock_jumps(draw: Draw) -> Iterator[Fault]:
    between = draw.stream.between
    return (ClockJump(at_ns, draw.node(), between(-JUMP_NS_MAX, JUMP_NS_MAX)) for at_ns, _ in draw.times())


def slow_disks(draw: Draw) -> Iterator[Fault]:
    below, timeout_ns = draw.stream.below, draw.timeout_ns
    return (SlowDisk(at_ns, for_ns, draw.node(), below(timeout_ns)) for at_ns, for_ns in draw.times())


def hung_disks(draw: Draw) -> Iterator[Fault]:
    return (HungDisk(at_ns, for_ns, draw.node()) for at_ns, for_ns in draw.times())


def turmoil(draw: Draw) -> Iterator[Fault]:
    """One node after the other is cut off or loses power, at times all: leaders come and go before their logs are one
    again (paper 5.4.2, figure 8). Each fault lasts about as long as an election takes."""
    stream, timeout_ns = draw.stream, draw.timeout_ns
    at_ns = stream.below(draw.safety_ns)
    for _ in range(stream.between(5, TURMOIL_MAX)):
        for_ns = stream.between(timeout_ns // 2, 4 * timeout_ns)
        way = stream.pick(("cut off", "cut off", "cut off", "power", "power", "outage"))
        if way == "cut off":
            yield Partition(at_ns, for_ns, tuple(isolated(stream.shuffled(draw.nodes), stream)))
        else:
            lost = draw.nodes if way == "outage" else [draw.node()]
            yield from (Crash(at_ns, stream.between(1, for_ns), node, power=True) for node in lost)
        at_ns += stream.between(timeout_ns // 4, 2 * timeout_ns)


def sleepers(draw: Draw) -> Iterator[Fault]:
    """One node after the other stands still until the rest have a new leader, and is not told for a while when it goes
    on: it has counted no tick, and may believe that it leads (P02). At times what it hears then are answers to what it
    said long before (R03)."""
    stream, timeout_ns = draw.stream, draw.timeout_ns
    at_ns = stream.below(draw.safety_ns)
    for _ in range(stream.between(5, SLEEPERS_MAX)):
        nodes = stream.shuffled(draw.nodes)
        falls_asleep_ns, for_ns = stream.below(timeout_ns // 2), stream.between(timeout_ns, 4 * timeout_ns)
        cut_off_ns = falls_asleep_ns + for_ns + stream.between(1, timeout_ns)
        yield Freeze(at_ns + falls_asleep_ns, for_ns, nodes[0])
        if stream.chance(PPM // 2):
            yield Partition(at_ns, cut_off_ns, tuple(isolated(nodes, stream)))
        else:
            yield Clog(at_ns, cut_off_ns, tuple((node, nodes[0]) for node in nodes[1:]))
        at_ns += cut_off_ns + stream.between(1, 2 * timeout_ns)


def full_disks(draw: Draw) -> Iterator[Fault]:
    chance = draw.stream.chance
    return (FullDisk(at_ns, for_ns, draw.node(), noticed=chance(PPM // 2)) for at_ns, for_ns in draw.times())


def failing_disks(draw: Draw) -> Iterator[Fault]:
    pick = draw.stream.pick
    return (FailingDisk(at_ns, for_ns, draw.node(), pick(DISK_OPERATIONS)) for at_ns, for_ns in draw.times())


Kind = Callable[[Draw], Iterator[Fault]]

PASSING: Final[tuple[Kind, ...]] = (
    partitions, flapping, clogs, storms, freezes, hand_overs, clock_jumps, slow_disks, hung_disks,
)  # fmt: skip
ENDING: Final[tuple[Kind, ...]] = (kills, power_losses, crashes_in_writes, outages, full_disks, failing_disks)
MEETING: Final[tuple[Kind, ...]] = (turmoil, sleepers)  # what would seldom come together by itself


def draw_faults(
    stream: Stream, nodes: Sequence[NodeId], stays_down: Sequence[NodeId], product: ProductOptions, safety_ns: int
) -> tuple[Fault, ...]:
    """The faults of a run, in the order of their times."""
    faults = list(_leaving(stream, stays_down, safety_ns))
    if stream.chance(QUIET_RUN_PPM):
        return tuple(faults)
    for kind in (*PASSING, *ENDING, *MEETING):
        kind_stream, on = Stream(stream.u64(), kind.__name__), stream.chance(KIND_PPM)
        if on:
            faults += kind(Draw(kind_stream, nodes, product.election_timeout_ns, safety_ns))
    return tuple(sorted((fault for fault in faults if fault.at_ns < safety_ns), key=lambda fault: fault.at_ns))


def _leaving(stream: Stream, stays_down: Sequence[NodeId], safety_ns: int) -> Iterator[Fault]:
    """The nodes that stay down go for good."""
    for node in stays_down:
        yield Crash(stream.below(safety_ns), FOREVER_NS, node, power=stream.chance(PPM // 2))
