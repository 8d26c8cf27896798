"""Draw whose disks lie: those of one minority of a run, each as often as can be, while the others forget nothing.

    rot            flipped bits in any file: log, snapshots, identity, the copy of term and vote, what is known of peers
    older copies   a directory is put back as it was before the node's last start but one, or earlier
    wipes          a directory is emptied

A run has one of these kinds mostly. Where a directory is put back or emptied, its node must not be let in as if nothing
had happened, and that rests on the memory of the others: so in such a run nothing else goes wrong for a while, in which
all meet all, and those whose directories will be put back are started once more. What cannot be noticed
(docs/reliability.md, D09 and D10) is what happens before that, or with a copy of the last start; it is not drawn.

The minority is drawn once a run: whatever is lost there, a majority holds what was acknowledged, and refills the others.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import attrs

from bankd.sim.plan import Crash, Fault, OlderCopy, Rot, Wipe
from bankd.sim.random import PPM, Stream
from bankd.types import NodeId

ROTS_MAX: Final = 10  # of one node: most bits of a log stand where any reader would notice
SOON: Final = 10  # a start follows within this part of the run
REPLACED_MAX: Final = 3  # times that one directory is put back, or emptied
ACQUAINTANCE: Final = 4  # all have met all after this part of the run


@attrs.frozen
class Damage:
    """`faults`, and nothing else before `quiet_ns`."""

    faults: tuple[Fault, ...] = ()
    quiet_ns: int = 0

    def among(self, others: Iterable[Fault]) -> tuple[Fault, ...]:
        """All the faults of the run, in the order of their times."""
        every = [*self.faults, *(fault for fault in others if fault.at_ns >= self.quiet_ns)]
        return tuple(sorted(every, key=lambda fault: fault.at_ns))


Kind = Callable[[Stream, NodeId, int], Iterator[Fault]]  # of one node, in a run of so many nanoseconds


def rots(stream: Stream, node: NodeId, safety_ns: int) -> Iterator[Fault]:
    for _ in range(stream.between(1, ROTS_MAX)):
        yield Rot(stream.below(safety_ns), stream.below(safety_ns // SOON), node)


def older_copies(stream: Stream, node: NodeId, safety_ns: int) -> Iterator[Fault]:
    """Taken while the node runs, or lies down before its next start."""
    quiet_ns = safety_ns // ACQUAINTANCE
    at_ns, for_ns = stream.between(quiet_ns // 4, quiet_ns // 2), stream.between(1, quiet_ns // 4)
    yield Crash(at_ns, for_ns, node, power=stream.chance(PPM // 2))
    for _ in range(stream.between(1, REPLACED_MAX)):
        taken_ns = at_ns + stream.below(for_ns) if stream.chance(PPM // 2) else stream.below(at_ns)
        put_back_ns = stream.between(quiet_ns, safety_ns - 1)
        yield OlderCopy(put_back_ns, stream.below(safety_ns // SOON), node, taken_ns)


def wipes(stream: Stream, node: NodeId, safety_ns: int) -> Iterator[Fault]:
    for _ in range(stream.between(1, REPLACED_MAX)):
        at_ns = stream.between(safety_ns // ACQUAINTANCE, safety_ns - 1)
        yield Wipe(at_ns, stream.below(safety_ns // SOON), node)


KINDS: Final[tuple[tuple[Kind, ...], ...]] = (
    (rots,),
    (rots,),
    (rots,),
    (older_copies,),
    (wipes,),
    (rots, older_copies),
)


def draw_damage(stream: Stream, minority: Sequence[NodeId], safety_ns: int) -> Damage:
    """What becomes of these nodes' disks."""
    kinds = stream.pick(KINDS)
    faults = tuple(fault for node in minority for kind in kinds for fault in kind(stream, node, safety_ns))
    rests_on_memory = kinds != (rots,)
    return Damage(faults, safety_ns // ACQUAINTANCE if rests_on_memory else 0)
