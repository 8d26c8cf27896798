"""A turn that fails, in whatever task and on whatever way, ends the node in the loop's task."""

from collections.abc import Sequence

import pytest
from trio.testing import wait_all_tasks_blocked

from bankd.errors import DiskFailed
from bankd.node.disk import Committer, OnDurable, OnFailed
from bankd.node.loop import ReplicaLoop
from bankd.raft.ready import Persist
from bankd.replica.effects import Effects, ReplicaEvent, Reply
from bankd.replica.events import TICKED, Calls, DigestCall, PeerMessage
from bankd.types import LogIndex, NodeId
from tests.replica.group import ELECTION_TICKS, Group

CALL = Calls((DigestCall("caller", LogIndex(0), deadline_ns=2**62),))  # answered in the very turn that takes it
TICKS = 3 * ELECTION_TICKS  # of a cluster of one, to lead and to write


class Nowhere:
    """Takes effects and drops them; `breaks_on` is the name of the one that fails."""

    def __init__(self, breaks_on: str = "") -> None:
        self.breaks_on = breaks_on
        self.replies: list[Reply] = []
        self.sends = 0

    def send(self, messages: Sequence[PeerMessage]) -> None:
        self.sends += 1
        assert self.breaks_on != "send", "planted"

    def reply(self, replies: Sequence[Reply]) -> None:
        self.replies += replies

    def observe(self, events: Sequence[ReplicaEvent]) -> None:
        assert self.breaks_on != "observe", "planted"

    def keep(self, effects: Effects) -> None:
        assert self.breaks_on != "keep", "planted"


class Quick:
    """Everything is durable at once: on the spot, or by a call-back as if from the thread."""

    def __init__(self, on_durable: OnDurable, on_failed: OnFailed, *, on_the_spot: bool, fails: bool) -> None:
        self._on_durable = on_durable
        self._on_failed = on_failed
        self._on_the_spot = on_the_spot
        self._fails = fails
        self.writes = 0

    def commit_now(self, persist: Persist) -> float | None:
        self.writes += 1
        if not self._on_the_spot:
            return None
        if self._fails:
            raise DiskFailed("planted")
        return 0.0

    def submit(self, persist: Persist) -> None:
        if self._fails:
            self._on_failed(DiskFailed("planted"))
        else:
            self._on_durable(persist.write_seq, 0.0)

    def complete(self, write_seq: int) -> None:
        self._on_durable(write_seq, 0.0)

    def close(self) -> None: ...


def make(outside: Nowhere, *, on_the_spot: bool = True, fails: bool = False) -> tuple[ReplicaLoop, Quick]:
    name = NodeId("n1")
    loop = ReplicaLoop(Group([name]).replicas[name], outside, wall_ns=lambda: 1)
    committers: list[Quick] = []

    def commit(on_durable: OnDurable, on_failed: OnFailed) -> Committer:
        committers.append(Quick(on_durable, on_failed, on_the_spot=on_the_spot, fails=fails))
        return committers[0]

    loop.disk.start(commit)
    return loop, committers[0]


@pytest.mark.parametrize(
    ("outside", "on_the_spot", "fails", "error"),
    [
        (Nowhere("observe"), True, False, AssertionError),
        (Nowhere(), True, True, DiskFailed),
        (Nowhere(), False, True, DiskFailed),
        (Nowhere("send"), True, False, AssertionError),
        (Nowhere("send"), False, False, AssertionError),
    ],
    ids=["in a turn", "in an inline sync", "on the thread", "after an inline sync", "on the way back from the thread"],
)
async def test_failure_is_raised_by_the_loop_and_not_to_whoever_posted(
    outside: Nowhere, on_the_spot: bool, fails: bool, error: type[Exception]
) -> None:
    loop, _ = make(outside, on_the_spot=on_the_spot, fails=fails)
    for _ in range(TICKS):
        loop.post_now([TICKED])
        await wait_all_tasks_blocked()  # what came from the thread
    loop.post_now([CALL])
    assert outside.replies == [], "it went on after its failure"
    with pytest.raises(error):
        await loop.run()


async def test_healthy_replica_of_one_leads_writes_and_answers() -> None:
    outside = Nowhere()
    loop, committer = make(outside)
    for _ in range(TICKS):
        loop.post_now([TICKED])
    loop.post_now([CALL])
    assert loop.replica.leads
    assert committer.writes > 0
    assert [reply.reply_to for reply in outside.replies] == ["caller"]


async def test_write_that_completes_after_the_failure_lets_nothing_leave() -> None:
    outside = Nowhere("observe")
    loop, committer = make(outside)
    for _ in range(TICKS):
        loop.post_now([TICKED])
    before = outside.sends
    committer.complete(1000)
    await wait_all_tasks_blocked()
    assert outside.sends == before
