"""Whole simulated clusters whose logs lose their beginnings: nodes come back by snapshot, whatever meets them there."""

from collections.abc import Callable, Sequence
from functools import cache

import attrs
import pytest

from bankd.raft.messages import SnapshotRequest
from bankd.replica.core import Replica
from bankd.replica.effects import Effects
from bankd.replica.events import Event, SnapshotFailed, SnapshotReceived, SnapshotSealed
from bankd.sim.disk import SimDisk
from bankd.sim.judges import Judges
from bankd.sim.plan import Crash, FailingDisk, Fault, FullDisk, Limits, Partition, Plan, Rot, Storm
from bankd.sim.random import Stream
from bankd.sim.world import Outcome, World
from bankd.storage.snapshot_names import SUFFIX, file_name
from bankd.types import LogIndex, NodeId
from tests.sim.worlds import MS, N1, N2, N3, NODES, Notes, S, judged, plan

EVERY = 10
AWAY = Crash(4 * S, 12 * S, N3, power=False)
TO_AND_FROM = tuple((a, b) for a in NODES for b in NODES if a != b and N3 in (a, b))
CUT_OFF = Partition(4 * S, 12 * S, TO_AND_FROM)


def busy(*faults: Fault, chunk_bytes: int = 512 << 10, every: int = EVERY) -> Plan:
    """A client that moves money all the time, a snapshot every few entries, and n3 among three."""
    base = plan(*faults, calls=300)
    product = attrs.evolve(base.product, snapshot_every=every, segment_bytes=4096)
    return attrs.evolve(base, product=product, limits=Limits(snapshot_chunk_bytes=chunk_bytes))


class Snapshots(Notes):
    """Notes, and when what happened to snapshots: (time in ns, node, what, index)."""

    def __init__(self) -> None:
        super().__init__()
        self.happened: list[tuple[int, NodeId, str, LogIndex]] = []

    def turned(self, now_ns: int, node: NodeId, replica: Replica, events: Sequence[Event], effects: Effects) -> None:
        super().turned(now_ns, node, replica, events, effects)
        for event in events:
            if isinstance(event, SnapshotSealed | SnapshotReceived):
                self.happened.append((now_ns, node, type(event).__name__, event.snapshot.index))
            elif isinstance(event, SnapshotFailed):
                self.happened.append((now_ns, node, "failed", LogIndex(0)))
        for message in effects.send_now:
            if isinstance(message, SnapshotRequest) and message.data:
                self.happened.append((now_ns, node, "chunk", message.snapshot.index))
        for persist in effects.persists:
            if persist.base is not None:
                self.happened.append((now_ns, node, "installed", persist.base.index))
        if effects.snapshot_due is not None:
            self.happened.append((now_ns, node, "begun", effects.snapshot_due.index))

    def times(self, what: str, node: NodeId | None = None) -> list[int]:
        return [at_ns for at_ns, who, noted, _ in self.happened if noted == what and node in (None, who)]


def watched(
    plan: Plan, spoil: Callable[[World], None] = lambda world: None, *, judged_as: Plan | None = None
) -> Snapshots:
    """Run a plan before the judges, who have nothing to say."""
    world, notes, judges = World(plan, None, None), Snapshots(), Judges(judged_as or plan)
    world.around.watchers = (notes, judges)
    spoil(world)
    world.run()
    judges.finish(world.around.queue.now_ns, world.recorder.history)
    return notes


@pytest.mark.parametrize("away", [AWAY, CUT_OFF], ids=["down", "cut off"])
def test_a_node_that_was_away_for_long_comes_back_by_snapshot(away: Fault) -> None:
    notes = watched(busy(away))
    installed = notes.times("installed", N3)
    assert [at_ns // S for at_ns in installed] == [16]
    assert notes.times("installed") == installed


def test_a_node_that_was_away_for_a_moment_comes_back_by_the_log() -> None:
    assert watched(busy(Crash(4 * S, 200 * MS, N3, power=False))).times("installed") == []


@cache
def chunks_sent() -> tuple[list[int], NodeId]:
    """When each part of the snapshot leaves in a quiet run, and who sends it."""
    notes = watched(busy(AWAY, chunk_bytes=200))
    times = notes.times("chunk")
    assert len(times) >= 5
    return times, next(node for _, node, what, _ in notes.happened if what == "chunk")


def test_a_leader_that_ends_in_the_midst_of_sending_is_replaced_and_the_rest_follows() -> None:
    times, sender = chunks_sent()
    ends = Crash(times[2] + 1, 10 * S, sender, power=False)
    notes = watched(busy(AWAY, ends, chunk_bytes=200))
    senders = {node for at_ns, node, what, _ in notes.happened if what == "chunk"}
    assert len(senders) == 2
    assert len(notes.times("installed", N3)) == 1


def test_a_receiver_that_loses_power_between_its_snapshot_and_the_log_behind_it_starts_from_the_snapshot() -> None:
    at_ns = watched(busy(AWAY)).times("SnapshotReceived", N3)[0]
    notes = watched(busy(AWAY, Crash(at_ns - 1, S, N3, power=True)))
    restored = notes.found[N3][-1].restored
    assert restored is not None
    assert notes.found[N3][-1].recovered.base_index == restored.index  # begun anew behind it
    assert not [time for time in notes.times("installed", N3) if time < at_ns + S]


@pytest.mark.parametrize("operations", range(1, 25, 3))
def test_a_receiver_that_ends_in_any_operation_comes_back(operations: int) -> None:
    at_ns = chunks_sent()[0][0]
    notes = watched(busy(AWAY, Crash(at_ns, S, N3, power=True, operations=operations), chunk_bytes=200))
    assert len(notes.of(N3, "end")) == 2


def test_a_log_that_is_cut_while_a_snapshot_is_on_its_way_waits_for_who_receives_it() -> None:
    slow = Storm(16 * S, 4 * S, TO_AND_FROM, 0, 0, 250 * MS)
    notes = watched(busy(AWAY, slow, chunk_bytes=200))
    first, *_, last = notes.times("chunk")
    sealed = [at_ns for at_ns in notes.times("SnapshotSealed") if first < at_ns < last]
    assert len(sealed) >= 4  # two at least of the leader's own
    assert len(notes.times("installed", N3)) == 1  # and nothing was begun anew


def test_a_disk_that_is_full_costs_a_snapshot_and_not_the_next() -> None:
    begun_ns = next(at_ns for at_ns in watched(busy()).times("begun", N2) if at_ns > 5 * S)
    notes = watched(busy(FullDisk(begun_ns, 300 * MS, N2, noticed=False)))
    assert notes.times("failed", N2) or notes.of(N2, "end")
    assert [at_ns for at_ns in notes.times("SnapshotSealed", N2) if at_ns > begun_ns + S]


def test_a_newest_snapshot_that_rotted_is_replaced_by_the_older_one_and_the_log() -> None:
    rots = Rot(10 * S, S, N3)
    starts: list[tuple[str, ...]] = []

    def spoil(world: World) -> None:
        def rot() -> None:
            node = world._nodes[N3]
            node.end("killed", power=False, for_ns=S)
            starts.append(rot_newest(node.disk))

        world.around.queue.at(10 * S, rot)

    notes = watched(busy(), spoil, judged_as=busy(rots))
    restored = notes.found[N3][-1].restored
    newest, older = starts[0]
    assert restored is not None
    assert file_name(restored.index, restored.term) == older < newest
    assert notes.of(N3, "boot")[-1] == 11 * S


def rot_newest(disk: SimDisk) -> tuple[str, ...]:
    """Flip a bit in the newest snapshot; returns its name and that of the older one."""
    files = disk.copy()
    newest, older = sorted((path for path in files if path.name.endswith(SUFFIX)), reverse=True)
    content = bytearray(files[newest])
    content[len(content) // 2] ^= 1
    disk.restore({**files, newest: bytes(content)})
    return newest.name, older.name


def test_files_of_the_log_that_a_received_snapshot_made_needless_are_gone_at_the_next_start() -> None:
    """The judges find those that are left (B1)."""
    at_ns = watched(busy(AWAY, every=30)).times("SnapshotReceived", N3)[0]
    notes = watched(busy(AWAY, Crash(at_ns + 1, S, N3, power=False), every=30))
    assert notes.of(N3, "boot")[-1] == at_ns + 1 + S


# Faults of disks


def test_rot_reaches_snapshots_too() -> None:
    world = World(busy(), None, None)
    world.run()
    disk = world._nodes[N1].disk
    places = [str(disk.flip_durable_bit(Stream(number, "rot"))) for number in range(40)]
    assert any(SUFFIX in place for place in places)
    assert any(".wal" in place for place in places)


@pytest.mark.parametrize("operation", ["create", "unlink", "rename", "truncate"])
def test_operations_of_snapshots_fail_too_and_the_node_comes_back(operation: str) -> None:
    notes = watched(busy(FailingDisk(8 * S, S, N2, operation)))
    assert len(notes.of(N2, "end")) == 1
    assert len(notes.of(N2, "boot")) == 2


def test_runs_are_the_same_again() -> None:
    first, second = (judged(busy(AWAY, chunk_bytes=200)) for _ in range(2))
    assert isinstance(first, Outcome)
    assert first.digest == second.digest
