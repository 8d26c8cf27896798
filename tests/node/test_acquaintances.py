"""What a node remembers of those it met, what it writes of that, and whose word it follows."""

from pathlib import Path

import pytest

from bankd.errors import Code, DiskFailed, MustRefill, Refusal
from bankd.keeper.acquaintances import Acquaintances
from bankd.keeper.work import run_now
from bankd.sim.disk import SimDisk
from bankd.sim.random import Stream
from bankd.storage.peers import Peers
from bankd.types import Incarnation, NodeId, Start
from bankd.wire.hello import Hello, PeerRole

DATA = Path("n1")
N2, N3 = NodeId("n2"), NodeId("n3")
A, B = Incarnation(0xA), Incarnation(0xB)
OURS = Hello(PeerRole.PEER, node_id=NodeId("n1"), boots=4)


def a_disk() -> SimDisk:
    disk = SimDisk(Stream(1, "disk"))
    disk.mkdir(DATA)
    disk.fsync_dir(Path())
    return disk


def acquaintances(
    disk: SimDisk | None = None, heeded: dict[NodeId, int] | None = None, told: list[str] | None = None
) -> Acquaintances:
    words: list[str] = [] if told is None else told
    return Acquaintances(Peers(disk or a_disk(), DATA), {} if heeded is None else heeded, words.append)


def write(known: Acquaintances) -> None:
    """Do the jobs that wait."""
    while (work := known.lane.next_work()) is not None:
        run_now(work)


def older_copy(boots: int) -> Refusal:
    return Refusal(Code.FAILED_PRECONDITION, "OLDER_COPY", "older", metadata={"boots": str(boots)})


@pytest.mark.parametrize(
    ("met", "known"),
    [
        ([Start(A, 1, 1), Start(A, 3, 3)], Start(A, 3, 3)),
        ([Start(A, 3, 3), Start(A, 1, 1)], Start(A, 3, 3)),  # it is refilling, or it had not been let in
        ([Start(A, 3, 3), Start(A, 3, 4)], Start(A, 3, 4)),  # the same, and when it is refilled it is known
        ([Start(A, 3, 3), Start(A)], Start(A, 3, 3)),
        ([Start(A), Start(A, 3, 3)], Start(A, 3, 3)),
    ],
)
def test_highest_count_that_was_met_is_known_at_once_and_after_a_restart(met: list[Start], known: Start) -> None:
    disk = a_disk()
    before = acquaintances(disk)
    for start in met:
        before.met(N2, start)
    assert (before.known(N2), before.known(N3)) == (known, None)
    write(before)
    disk.lose_power(lambda: False)
    after = acquaintances(disk)
    assert (after.known(N2), after.known(N3)) == (known, None)


def test_all_that_were_met_while_a_write_was_under_way_are_written_by_the_next() -> None:
    disk = a_disk()
    before = acquaintances(disk)
    before.met(N2, Start(A, 1, 1))
    under_way = before.lane.next_work()
    assert under_way is not None
    step = next(under_way)
    before.met(N2, Start(A, 2, 2))
    before.met(N3, Start(B, 9, 9))
    assert step is not None
    step()
    run_now(under_way)
    write(before)
    assert Peers(disk, DATA).seen == {N2: Start(A, 2, 2), N3: Start(B, 9, 9)}


def test_meeting_that_finds_no_room_is_said_and_written_with_the_next() -> None:
    disk, told = a_disk(), list[str]()
    before = acquaintances(disk, told=told)
    disk.full = True
    before.met(N2, Start(A, 1, 1))
    write(before)
    assert len(told) == 1
    assert before.known(N2) == Start(A, 1, 1)
    disk.full = False
    before.met(N3, Start(B, 1, 1))
    write(before)
    assert Peers(disk, DATA).seen == {N2: Start(A, 1, 1), N3: Start(B, 1, 1)}


def test_disk_that_fails_under_a_meeting_ends_the_node() -> None:
    disk = a_disk()
    before = acquaintances(disk)
    disk.fail_next("sync")
    before.met(N2, Start(A, 1, 1))
    with pytest.raises(DiskFailed):
        write(before)


def test_each_peer_is_heeded_once_in_the_life_of_a_process() -> None:
    """A peer that calls everybody an older copy does no worse than that."""
    heeded: dict[NodeId, int] = {}
    for peer, boots in ((N2, 7), (N3, 9)):
        with pytest.raises(
            MustRefill, match=f"{peer} has met a start {boots} of this node that its data directory, at start 4,"
        ) as loss:
            acquaintances(heeded=heeded).heed(peer, older_copy(boots), OURS)
        assert not loss.value.state_is_void
        for later in (boots, boots + 100):
            acquaintances(heeded=heeded).heed(peer, older_copy(later), OURS)
    assert heeded == {N2: 7, N3: 9}


def test_other_refusals_and_numbers_that_cannot_be_are_not_heeded() -> None:
    heeded: dict[NodeId, int] = {}
    known = acquaintances(heeded=heeded)
    known.heed(N2, older_copy(3), OURS)
    known.heed(N2, Refusal(Code.FAILED_PRECONDITION, "NODE_ID_REUSED", "", metadata={"boots": "9"}), OURS)
    assert heeded == {}
