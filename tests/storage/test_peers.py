"""What is remembered of other nodes: the highest, durably, and nothing made up."""

from pathlib import Path

import pytest

from bankd.errors import DiskFailed
from bankd.pb import storage_pb2
from bankd.sim.disk import PowerLost, SimDisk
from bankd.storage.framed_file import framed
from bankd.storage.peers import NAME, Peers, PeerSeen
from bankd.types import Incarnation, NodeId
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
        ([(A, 1)], PeerSeen(A, 1)),
        ([(A, 1), (A, 3)], PeerSeen(A, 3)),
        ([(A, 3), (A, 1)], PeerSeen(A, 3)),
        ([(A, 3), (B, 1)], PeerSeen(B, 1)),
    ],
)
def test_highest_count_of_the_latest_incarnation_is_remembered(
    met: list[tuple[Incarnation, int]], remembered: PeerSeen | None
) -> None:
    disk = directory(new_disk())
    peers = Peers(disk, DATA)
    peers.note(N3, A, 9)
    for incarnation, boots in met:
        peers.note(N2, incarnation, boots)
    assert peers.seen(N2) == remembered
    disk.lose_power(lambda: False)
    found = Peers(disk, DATA)
    assert (found.seen(N2), found.seen(N3), found.damage) == (remembered, PeerSeen(A, 9), None)


def test_what_is_no_news_costs_nothing() -> None:
    disk = LoggedDisk()
    directory(disk)
    peers = Peers(disk, DATA)
    peers.note(N2, A, 4)
    disk.log.clear()
    for boots in (4, 3, 4):
        peers.note(N2, A, boots)
    assert disk.log == []


def test_every_power_loss_at_every_operation_leaves_the_old_file_or_the_new_one() -> None:
    operation, reached = 0, True
    while reached:
        operation += 1

        def stopped(seed: int, operation: int = operation) -> SimDisk:
            nonlocal reached
            disk = directory(new_disk(seed))
            Peers(disk, DATA).note(N2, A, 1)
            disk.crash_in(operation)
            try:
                Peers(disk, DATA).note(N2, A, 2)
            except PowerLost:
                reached = True
            else:
                reached = False
            return disk

        for disk in every_power_loss(stopped):
            found = Peers(disk, DATA)
            assert found.damage is None
            assert found.seen(N2) in ([PeerSeen(A, 1), PeerSeen(A, 2)] if reached else [PeerSeen(A, 2)])
    assert operation > 5


def test_what_could_not_be_written_is_not_remembered() -> None:
    disk = directory(new_disk())
    peers = Peers(disk, DATA)
    disk.fail_next("sync")
    with pytest.raises(DiskFailed):
        peers.note(N2, A, 1)
    assert peers.seen(N2) is None


def test_any_flipped_bit_or_cut_is_said_and_forgets_instead_of_making_something_up() -> None:
    disk = directory(new_disk())
    Peers(disk, DATA).note(N2, A, 3)
    sound = disk.copy()[DATA / NAME]
    for damaged in [*flips(sound), *(sound[:size] for size in range(len(sound)))]:
        disk.restore({DATA / NAME: damaged})
        found = Peers(disk, DATA)
        assert found.seen(N2) is None
        assert (found.damage or "").startswith("n1/PEERS: expected ")
    found.note(N2, A, 4)
    assert (Peers(disk, DATA).seen(N2), Peers(disk, DATA).damage) == (PeerSeen(A, 4), None)


def test_file_of_a_newer_format_is_not_believed() -> None:
    disk = directory(new_disk())
    disk.restore({DATA / NAME: framed(storage_pb2.Peers(format_version=2).SerializeToString())})
    assert Peers(disk, DATA).damage == "n1/PEERS: expected format 1, not 2"
