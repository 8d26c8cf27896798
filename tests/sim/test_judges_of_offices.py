"""V1 while faults go on: a leader that hears nobody, or whose disk hangs, must not stay one."""

from bankd.raft.messages import HeartbeatResponse
from bankd.raft.ready import Persist
from bankd.replica.effects import Effects
from bankd.replica.events import TICKED, Received
from bankd.types import NodeId
from tests.sim.judged import N1, N2, N3, Judged, unblamed, violated

TICKS_MAX = 40  # two election timeouts of the plan's


def led() -> Judged:
    group = Judged()
    group.elect(N1)
    hear(group, N2)
    return group


def hear(group: Judged, *senders: NodeId) -> None:
    """A tick of the leader's, before which these answered its heartbeat."""
    replica = group.nodes[N1].replica
    answers = [Received(HeartbeatResponse(N1, sender, replica.raft.term)) for sender in senders]
    group.judges.turned(group.now_ns, N1, replica, (*answers, TICKED), Effects())


def test_a_leader_that_hears_nobody_may_stay_for_two_election_timeouts() -> None:
    group = led()
    with unblamed():
        for _ in range(TICKS_MAX - 1):
            group.forge_tick(N1)
    with violated("V1", "leads term 2 on without hearing a majority"):
        group.forge_tick(N1)


def test_one_of_two_others_is_enough_to_be_heard() -> None:
    group = led()
    with unblamed():
        for _ in range(TICKS_MAX):
            hear(group, N2)
        for _ in range(TICKS_MAX):
            hear(group, N3)
        for _ in range(TICKS_MAX - 1):
            group.forge_tick(N1)
    with violated("V1", "without hearing a majority"):
        group.forge_tick(N1)


def test_a_write_that_is_not_finished_for_two_election_timeouts_costs_the_office() -> None:
    group = led()
    group.forge(N1, Effects(persists=(Persist(90, None, (), ()),)))
    group.judges.durable(group.now_ns, N1, 90)
    for _ in range(2 * TICKS_MAX):
        hear(group, N2)
    group.forge(N1, Effects(persists=(Persist(91, None, (), ()), Persist(92, None, (), ()))))
    with unblamed():
        for _ in range(TICKS_MAX):
            hear(group, N2)
    with violated("V1", "leads term 2 on with a disk that hangs"):
        hear(group, N2)


def test_silence_before_an_office_does_not_count_in_it() -> None:
    group = led()
    for _ in range(TICKS_MAX // 2):
        group.forge_tick(N1)
    group.elect(N2)
    group.elect(N1)
    hear(group, N2)
    with unblamed():
        for _ in range(TICKS_MAX - 1):
            group.forge_tick(N1)
