"""What a disk remembers after a crash, and what a process may do after its end: D1 and D2."""

import attrs
import pytest

from bankd.errors import DataDirForeign, DataDirLocked, DataDirUnusable, LogDamaged, NodeError
from bankd.raft.messages import HardState
from bankd.sim.plan import Fault, OlderCopy, Rot, Wipe
from bankd.types import Term
from tests.sim.judged import N1, N2, SECOND, A, B, Judged, move, opening, plan_of, unblamed, violated


def with_two_writes_under_way(*faults: Fault) -> Judged:
    """n2 has entry 3 durable, and two writes under way: entry 4, and entry 5."""
    group = Judged(attrs.evolve(plan_of(), faults=faults))
    group.elect(N1)
    group.ask(N1, opening(A, 10))
    for request in (opening(B), move("t1", 1)):
        group.call(N1, request)
        for message in list(group.messages):
            group.messages.remove(message)
            if message.to == N2:
                group.deliver(message)
    group.crash(N2)
    assert [len(write.entries) for write in group.nodes[N2].writes] == [1, 1]
    return group


@pytest.mark.parametrize("writes_kept", [0, 1, 2])
def test_any_first_writes_under_way_may_survive_a_crash(writes_kept: int) -> None:
    group = with_two_writes_under_way()
    for _ in range(writes_kept):
        group.nodes[N2].complete_write()
    with unblamed():
        group.restart(N2)


def test_a_later_write_without_the_one_before_it_is_named() -> None:
    group = with_two_writes_under_way()
    node = group.nodes[N2]
    both = [*node.entries, *node.writes[0].entries, *node.writes[1].entries]
    with violated("D1", "no prefix of what was written amounts to that"):
        group.start(N2, HardState(Term(2), N1), [*both[:3], attrs.evolve(both[3], body=b"")])


def test_a_durable_entry_that_is_gone_is_named() -> None:
    group = with_two_writes_under_way()
    with violated("D1", "lost 3@2, which was durable; its log ends at 2"):
        group.start(N2, group.nodes[N2].hard_state, group.nodes[N2].entries[:-1])


def test_a_durable_entry_that_changed_is_named() -> None:
    group = with_two_writes_under_way()
    *before, last = group.nodes[N2].entries
    with violated("D1", "has 3@2 where 3@2 was durable"):
        group.start(N2, group.nodes[N2].hard_state, [*before, attrs.evolve(last, body=last.body + b"\0")])


def test_a_forgotten_vote_is_named() -> None:
    group = with_two_writes_under_way()
    with violated("D1", "forgot HardState(term=2, voted_for='n1'), which was durable"):
        group.start(N2, HardState(Term(2)), group.nodes[N2].entries)


def test_a_vote_that_nobody_wrote_is_named() -> None:
    group = with_two_writes_under_way()
    with violated("D1", "no prefix of what was written amounts to that"):
        group.start(N2, HardState(Term(3), N2), group.nodes[N2].entries)


def test_what_a_start_found_is_durable_from_then_on() -> None:
    group = with_two_writes_under_way()
    group.nodes[N2].complete_write()
    group.restart(N2)
    group.crash(N2)
    with violated("D1", "lost 4@2, which was durable; its log ends at 3"):
        group.start(N2, group.nodes[N2].hard_state, group.nodes[N2].entries[:3])


@pytest.mark.parametrize("fault", [OlderCopy(0, 1, N2, 0), Wipe(0, 1, N2)], ids=["older_copy", "wipe"])
def test_a_directory_that_the_plan_put_back_is_believed(fault: Fault) -> None:
    group = with_two_writes_under_way(fault)
    with unblamed():
        group.start(N2, HardState(Term(1)), group.nodes[N2].entries[:1])


def test_a_directory_that_the_plan_puts_back_later_is_not_excused_before() -> None:
    group = with_two_writes_under_way(OlderCopy(SECOND, 1, N2, 0))
    with violated("D1", "forgot HardState(term=2, voted_for='n1')"):
        group.start(N2, HardState(Term(1)), group.nodes[N2].entries[:1])


def test_rot_excuses_no_loss() -> None:
    group = with_two_writes_under_way(Rot(0, 1, N2))
    with violated("D1", "lost 3@2"):
        group.start(N2, group.nodes[N2].hard_state, group.nodes[N2].entries[:-1])


@pytest.mark.parametrize("refusal", [LogDamaged, DataDirForeign, DataDirUnusable, DataDirLocked])
def test_a_refusal_to_start_after_a_mere_crash_is_named(refusal: type[NodeError]) -> None:
    group = with_two_writes_under_way(Rot(0, 1, N1))
    with violated("D1", "refuses a disk that only crashed: damaged"):
        group.judges.refused(group.now_ns, N2, refusal("damaged"))


def test_a_turn_after_the_end_is_named() -> None:
    group = with_two_writes_under_way()
    with violated("D2", "goes on after it ended"):
        group.tick(N2)


def test_a_write_that_completes_after_the_end_is_named() -> None:
    group = with_two_writes_under_way()
    with violated("D2", "completes for a process that has ended"):
        group.complete(N2)
