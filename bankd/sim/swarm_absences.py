"""Draw who is away for long: until the others' logs have gone on without it, and it needs a snapshot to come back.

An absence is a crash or a cut of up to half the faults' time. About when it ends, and the snapshot is sent, something
else may happen: the receiver ends in the midst of an operation on its disk, or that disk is slow or full; senders end one
after the other, or leadership moves; the connection is lost again.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bankd.sim.plan import Crash, Fault, FullDisk, HandOver, Partition, ProductOptions, SlowDisk
from bankd.sim.random import PPM, Stream
from bankd.sim.swarm_faults import CRASH_OPERATIONS_MAX, Draw, isolated
from bankd.types import NodeId

ABSENCES_MAX: Final = 3  # of one run
CUT_OFF_ONLY_PPM: Final = 350_000  # of runs in which somebody is away: no process ends because of that


def draw_absences(
    stream: Stream, nodes: Sequence[NodeId], product: ProductOptions, safety_ns: int
) -> tuple[Fault, ...]:
    """Nodes that are away so long that the others' logs have gone on without them."""
    draw = Draw(stream, nodes, product.election_timeout_ns, safety_ns)
    no_ends = stream.chance(CUT_OFF_ONLY_PPM)
    away = [fault for _ in range(stream.between(1, ABSENCES_MAX)) for fault in _absence(draw, no_ends=no_ends)]
    return tuple(fault for fault in away if fault.at_ns < safety_ns)


def _absence(draw: Draw, *, no_ends: bool) -> Iterator[Fault]:
    """One node is away, and something happens about when it comes back and is sent what it missed."""
    stream, nodes = draw.stream, draw.stream.shuffled(draw.nodes)
    at_ns = stream.below(draw.safety_ns // 2)
    for_ns = stream.between(draw.safety_ns // 6, draw.safety_ns // 2)
    if no_ends or stream.chance(PPM // 2):
        yield Partition(at_ns, for_ns, tuple(isolated(nodes, stream)))
    else:
        yield Crash(at_ns, for_ns, nodes[0], power=stream.chance(PPM // 2))
    meetings = MEETINGS_OF_PEERS if no_ends else MEETINGS_OF_PEERS + MEETINGS_OF_ENDS
    yield from stream.pick(meetings)(draw, nodes, at_ns + for_ns + stream.below(draw.timeout_ns))


Meeting = Callable[[Draw, Sequence[NodeId], int], Iterator[Fault]]  # whoever was away comes first among the nodes


def nothing_else(draw: Draw, nodes: Sequence[NodeId], at_ns: int) -> Iterator[Fault]:
    yield from ()


def leader_changes(draw: Draw, nodes: Sequence[NodeId], at_ns: int) -> Iterator[Fault]:
    yield from (HandOver(at_ns, draw.timeout_ns, node) for node in nodes[1:])


def lost_again(draw: Draw, nodes: Sequence[NodeId], at_ns: int) -> Iterator[Fault]:
    yield Partition(at_ns, draw.stream.between(1, 3 * draw.timeout_ns), tuple(isolated(nodes, draw.stream)))


def slow_again(draw: Draw, nodes: Sequence[NodeId], at_ns: int) -> Iterator[Fault]:
    yield SlowDisk(at_ns, 8 * draw.timeout_ns, nodes[0], draw.stream.below(draw.timeout_ns // 2))


def receiver_ends(draw: Draw, nodes: Sequence[NodeId], at_ns: int) -> Iterator[Fault]:
    """In the midst of some operation on its disk; a snapshot takes a dozen."""
    stream = draw.stream
    operations, for_ns = stream.between(1, CRASH_OPERATIONS_MAX), stream.between(1, 3 * draw.timeout_ns)
    yield Crash(at_ns, for_ns, nodes[0], power=stream.chance(PPM // 2), operations=operations)


def sender_ends(draw: Draw, nodes: Sequence[NodeId], at_ns: int) -> Iterator[Fault]:
    """Whoever it is: one after the other ends."""
    for node in nodes[1:]:
        for_ns = draw.stream.between(1, draw.timeout_ns)
        yield Crash(at_ns, for_ns, node, power=draw.stream.chance(PPM // 2))
        at_ns += for_ns + draw.stream.below(2 * draw.timeout_ns)


def receiver_is_full(draw: Draw, nodes: Sequence[NodeId], at_ns: int) -> Iterator[Fault]:
    for_ns = draw.stream.between(1, 8 * draw.timeout_ns)
    yield FullDisk(at_ns, for_ns, nodes[0], noticed=draw.stream.chance(PPM // 2))


MEETINGS_OF_PEERS: Final[tuple[Meeting, ...]] = (nothing_else, leader_changes, lost_again, slow_again)
MEETINGS_OF_ENDS: Final[tuple[Meeting, ...]] = (receiver_ends, receiver_ends, sender_ends, receiver_is_full)
