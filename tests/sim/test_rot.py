"""What becomes of a node when a bit flips in each of its files, in a whole simulated cluster, before all judges."""

from collections.abc import Sequence
from typing import TypeVar

import attrs
import pytest

from bankd.sim.plan import Fault, Partition, Rot
from bankd.sim.random import Stream
from bankd.sim.world import World
from tests.sim.test_snapshots import Snapshots, busy, watched
from tests.sim.worlds import N2, NODES, S

SEEDS = range(3)  # of the bits
T = TypeVar("T")
ALONE = Partition(4 * S, 12 * S, tuple((a, b) for a in NODES for b in NODES if a != b and N2 in (a, b)))


class Aimed(Stream):
    """Draws among things alone that have this in their names."""

    def __init__(self, seed: int, name: str) -> None:
        super().__init__(seed, f"aimed at {name}")
        self._name = name

    def pick(self, sequence: Sequence[T]) -> T:
        return super().pick([one for one in sequence if self._name in str(one)])


def rotten(*rots: str, seed: int, faults: tuple[Fault, ...] = ()) -> Snapshots:
    """n2 is killed at 5 s, 7 s and so on, each time for a second, and bits flip in files with the next of these names."""
    sound = attrs.evolve(busy(*faults), seed=seed)
    known = tuple(Rot((5 + 2 * number) * S, S, N2) for number in range(len(rots)))

    def spoil(world: World) -> None:
        for rot, names in zip(known, rots, strict=True):
            world.around.queue.at(rot.at_ns, flip, world, names.split(), seed)

    return watched(sound, spoil, judged_as=attrs.evolve(sound, faults=(*faults, *known)))


def flip(world: World, names: Sequence[str], seed: int) -> None:
    node = world._nodes[N2]
    node.end("killed", power=False, for_ns=S)
    for number, name in enumerate(names):
        found = node.disk.flip_durable_bit(Aimed(100 * seed + number, name))
        assert found is not None
        for watcher in world.around.watchers:
            watcher.rotted(world.around.queue.now_ns, N2, found)


@pytest.mark.parametrize("seed", SEEDS)
def test_node_whose_identity_is_damaged_does_not_start(seed: int) -> None:
    notes = rotten("META", seed=seed)
    assert notes.of(N2, "boot") == [0]
    assert notes.of(N2, "DATA_DIR_UNUSABLE") != []


@pytest.mark.parametrize("name", ["PEERS", "STATE", ".snap"])
@pytest.mark.parametrize("seed", SEEDS)
def test_node_does_without_what_it_has_twice_or_can_forget(seed: int, name: str) -> None:
    notes = rotten(name, seed=seed)
    assert notes.of(N2, "boot") == [0, 6 * S]
    assert notes.of(N2, "refilling") == []


@pytest.mark.parametrize("seed", SEEDS)
def test_node_that_has_lost_the_count_of_its_starts_is_taken_for_an_older_copy_and_refilled(seed: int) -> None:
    """The second start has made STATE anew, with one slot, and nobody has voted since."""
    notes = rotten("PEERS", "STATE", seed=seed)
    assert notes.of(N2, "boot")[:3] == [0, 6 * S, 8 * S]
    assert notes.of(N2, "refilling") == notes.of(N2, "boot")[3:]
    assert len(notes.of(N2, "refilled")) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_node_whose_log_is_damaged_is_refilled(seed: int) -> None:
    notes = rotten(".wal", seed=seed)
    assert notes.of(N2, "refilling") == notes.of(N2, "boot")[1:] == [6 * S]
    assert len(notes.of(N2, "refilled")) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_node_with_no_sound_snapshot_is_refilled(seed: int) -> None:
    notes = rotten(" ".join([".snap"] * 8), seed=seed)
    assert notes.of(N2, "refilling") == notes.of(N2, "boot")[1:] == [6 * S]
    assert len(notes.of(N2, "refilled")) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_node_that_lost_its_log_and_the_copy_of_its_vote_does_not_start(seed: int) -> None:
    notes = rotten(".wal STATE STATE STATE STATE", seed=seed)
    assert notes.of(N2, "boot") == [0]
    assert notes.of(N2, "LOG_DAMAGED") != []


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_mark_still_marks(seed: int) -> None:
    """n2 meets nobody who could refill it before the second bit flips."""
    notes = rotten(".wal", "REFILL", seed=seed, faults=(ALONE,))
    assert notes.of(N2, "refilling") == notes.of(N2, "boot")[1:] == [6 * S, 8 * S]
    assert min(notes.of(N2, "refilled")) > 16 * S
