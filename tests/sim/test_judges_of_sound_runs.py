"""The judges have nothing to say about replicas that do right, whatever happens to them."""

import attrs
import pytest

from bankd.replica.events import TICKED, PeerUnreachable
from bankd.sim.plan import Balance, Limits, Move, Open, OutcomeOf, ReadKind, Request
from bankd.sim.random import Stream
from bankd.types import AccountId, NodeId, TxId
from tests.sim.judged import ELECTION_TICKS, MS, N1, N2, A, B, Judged, balance, move, opening, plan_of

STEPS = 1_500
TIGHT = Limits(
    entry_bytes_max=1,
    append_bytes_max=1,
    inflight_messages_max=2,
    inflight_bytes_max=100,
    uncommitted_bytes_max=200,
    reads_waiting_max=1,
)
FIVE = tuple(NodeId(f"n{number}") for number in range(1, 6))


def test_a_cluster_that_works_passes() -> None:
    group = Judged()
    group.elect(N1)
    group.ask(N1, opening(A, 100))
    group.ask(N1, opening(B))
    for kind in ReadKind:
        group.ask(N2, balance(A, kind))
    group.ask(N1, move("t1", 30))
    group.ask(N1, move("t1", 30))
    group.ask(N1, move("t1", 31))
    group.ask(N1, move("t2", 71))
    group.crash(N1)
    group.judges.healed(group.now_ns)
    group.elect(N2)
    group.ask(N2, move("t3", 70))
    group.restart(N1)
    group.beat(N2)
    group.beat(N2)
    group.judges.finish(group.now_ns)
    assert group.judges.committed == 10
    assert group.judges.elections == 2


@pytest.mark.parametrize("seed", range(40))
def test_a_cluster_under_faults_passes(seed: int) -> None:
    """Messages lost, doubled and overtaken; writes late; crashes that keep some writes; calls to anybody."""
    take_chances(Judged(plan_of(FIVE), seed=seed), seed)


@pytest.mark.parametrize("seed", range(10))
def test_a_cluster_that_keeps_to_tight_limits_passes(seed: int) -> None:
    take_chances(Judged(attrs.evolve(plan_of(FIVE), limits=TIGHT), seed=seed), seed)


@pytest.mark.parametrize("seed", range(20))
def test_a_cluster_that_takes_snapshots_passes(seed: int) -> None:
    group = Judged(plan_of(FIVE, snapshot_every=4), seed=seed)
    take_chances(group, seed)
    assert all(node.base_index for node in group.nodes.values())


def take_chances(group: Judged, seed: int) -> None:
    stream = Stream(seed, "faults")
    for _ in range(STEPS):
        _one_thing(group, stream)
    for name, node in group.nodes.items():
        if not node.running:
            group.restart(name)
    group.judges.healed(group.now_ns)
    group.call(N1, opening(A))
    for _ in range(3 * ELECTION_TICKS):
        for name in group.nodes:
            group.beat(name)
    group.judges.finish(group.now_ns)
    assert group.judges.committed > 10


def _one_thing(group: Judged, stream: Stream) -> None:
    group.now_ns += stream.below(3 * MS)
    name = stream.pick(group.plan.nodes)
    node = group.nodes[name]
    what = stream.below(1_000)
    if not node.running:
        if what < 200:
            group.restart(name)
    elif what < 15:
        group.crash(name, writes_kept=stream.below(3))
    elif what < 400:
        group.step(name, *[TICKED] * stream.between(1, 3))
    elif what < 410:
        group.step(name, PeerUnreachable(stream.pick(group.plan.nodes)))
    elif what < 550:
        group.call(name, _request(stream), client=stream.below(5))
    for _ in range(stream.below(6)):
        _move_something(group, stream)
    if node.running and stream.chance(300_000):
        group.keep(name)


def _move_something(group: Judged, stream: Stream) -> None:
    writing = [name for name, node in group.nodes.items() if node.running and node.writes]
    if writing and stream.chance(400_000):
        group.complete(stream.pick(writing))
    elif group.messages:
        group.messages.rotate(-stream.below(min(4, len(group.messages))))
        message = group.messages.popleft()
        if stream.chance(50_000):
            group.messages.append(message)
        if not stream.chance(50_000):
            group.deliver(message)


def _request(stream: Stream) -> Request:
    accounts = [AccountId(name) for name in "abcd"]
    kind = stream.pick(list(ReadKind))
    match stream.below(5):
        case 0:
            request_id = TxId(f"o{stream.below(20)}") if stream.chance(500_000) else None
            return Open(stream.pick(accounts), 10 * stream.below(10), request_id)
        case 1:
            return Balance(stream.pick(accounts), kind)
        case 2:
            return OutcomeOf(TxId(f"t{stream.below(40)}"), kind)
        case _:
            rows = range(stream.between(1, 3))
            return Move(
                tuple(TxId(f"t{stream.below(40)}") for _ in rows),
                tuple(stream.pick(accounts) for _ in rows),
                tuple(stream.pick([*accounts, AccountId("nobody")]) for _ in rows),
                tuple(stream.between(0, 40) for _ in rows),
            )
