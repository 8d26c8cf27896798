"""What is remembered of other nodes: the highest, durably, and nothing made up."""

from pathlib import Path

import pytest

from bankd.errors import DiskFailed
from bankd.pb import storage_pb2
from bankd.sim.disk import PowerLost, SimDisk
from bankd.storage.framed_file import framed
from bankd.storage.peers import NAME, Peers
from bankd.types import Incarnation, NodeId, Start
from tests.storage.histories import LoggedDisk, new_disk
from tests.storage.losses import every_power_loss
from tests.storage.test_state_file import flips

DATA = Path("n1")
N2, N3 = NodeId("n2"), NodeId("n3")
A, B = Incarnation(0xA), Incarnation(0xB)


def directory(disk: SimDisk) -> SimDisk:
    disk.mkdir(DATA)
    disk.fsync_dir(Path())
    return disk


@pytest.mark.parametrize(
    ("met", "remembered"),
    [
        ([], None),
        ([Start(A, 1, 7)], Start(A, 1, 7)),
        ([Start(A, 1, 7), Start(A, 3, 8)], Start(A, 3, 8)),
        ([Start(A, 3, 7), Start(B, 1, 8)], Start(B, 1, 8)),
    ],
)
def test_last_start_that_was_noted_of_each_peer_is_remembered(met: list[Start], remembered: Start | None) -> None:
    disk = directory(new_disk())
    peers = Peers(disk, DATA)
    peers.note({N3: Start(A, 9, 1)})
    for start in met:
        peers.note({N2: start})
    assert peers.seen.get(N2) == remembered
    disk.lose_power(lambda: False)
    found = Peers(disk, DATA)
    assert (found.seen.get(N2), found.seen[N3], found.damage) == (remembered, Start(A, 9, 1), None)


def test_what_is_no_news_costs_nothing() -> None:
    disk = LoggedDisk()
    directory(disk)
    peers = Peers(disk, DATA)
    peers.note({N2: Start(A, 4), N3: Start(B, 1)})
    disk.log.clear()
    peers.note({N2: Start(A, 4)})
    peers.note({})
    assert disk.log == []


def test_every_power_loss_at_every_operation_leaves_the_old_file_or_the_new_one() -> None:
    operation, reached = 0, True
    while reached:
        operation += 1

        def stopped(seed: int, operation: int = operation) -> SimDisk:
            nonlocal reached
            disk = directory(new_disk(seed))
            Peers(disk, DATA).note({N2: Start(A, 1)})
            disk.crash_in(operation)
            try:
                Peers(disk, DATA).note({N2: Start(A, 2)})
            except PowerLost:
                reached = True
            else:
                reached = False
            return disk

        for disk in every_power_loss(stopped):
            found = Peers(disk, DATA)
            assert found.damage is None
            assert found.seen[N2] in ([Start(A, 1), Start(A, 2)] if reached else [Start(A, 2)])
    assert operation > 5


def test_what_could_not_be_written_is_not_remembered() -> None:
    disk = directory(new_disk())
    peers = Peers(disk, DATA)
    disk.fail_next("sync")
    with pytest.raises(DiskFailed):
        peers.note({N2: Start(A, 1)})
    assert peers.seen == {}


def test_any_flipped_bit_or_cut_is_said_and_forgets_instead_of_making_something_up() -> None:
    disk = directory(new_disk())
    Peers(disk, DATA).note({N2: Start(A, 3, 7)})
    sound = disk.copy()[DATA / NAME]
    for damaged in [*flips(sound), *(sound[:size] for size in range(len(sound)))]:
        disk.restore({DATA / NAME: damaged})
        found = Peers(disk, DATA)
        assert found.seen == {}
        assert (found.damage or "").startswith("n1/PEERS: expected ")
    found.note({N2: Start(A, 4, 8)})
    assert (Peers(disk, DATA).seen, Peers(disk, DATA).damage) == ({N2: Start(A, 4, 8)}, None)


def test_file_of_a_newer_format_is_not_believed() -> None:
    disk = directory(new_disk())
    disk.restore({DATA / NAME: framed(storage_pb2.Peers(format_version=2).SerializeToString())})
    assert Peers(disk, DATA).damage == "n1/PEERS: expected format 1, not 2"
