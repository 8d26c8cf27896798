"""Plans as text: nothing is lost on the way there and back, and a wrong line is named."""

from typing import get_args

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.sim import plan as plans
from bankd.sim import plan_words as words
from bankd.sim.plan import (
    Balance,
    Crash,
    Fault,
    Link,
    Move,
    NodeTraits,
    Open,
    Operation,
    OutcomeOf,
    Partition,
    Plan,
    ReadKind,
)
from bankd.sim.plan_text import PlanInvalid, dumps, loads
from bankd.types import AccountId, NodeId, TxId

STORY = """\
seed 42
nodes n1 n2 n3
clients 3
safety 40s
product heartbeat=100ms election_timeout=1s segment_bytes=65536 waiting_calls_max=1000 snapshot_every=100000 snapshot_every_bytes=67108864
limits entry_bytes_max=1048576 append_bytes_max=1048576 inflight_messages_max=64 inflight_bytes_max=16777216 uncommitted_bytes_max=67108864 reads_waiting_max=1024 snapshot_chunk_bytes=524288
network delay_min=100us delay_max=5ms loss_max=0ppm duplicate_max=0ppm reorder_max=0ppm
disk write_max=100us sync_max=2ms slow_sync=0ppm
traits n1 drift=-20ppm wall_offset=-3s turn=1ms
traits n2 drift=0ppm wall_offset=0s turn=0s
traits n3 drift=0ppm wall_offset=0s turn=0s
at 0.1s client 1 open a1 1000 open-1
at 0.1s client 2 open a2 0
at 0.3s client 2 move tx-17 a1 a2 500
at 1.25s for 3s partition n1>n2 n2>n1
at 1.300000001s client 1 move tx-18 a1 a2 1 tx-19 a2 a1 2
at 2s for 20ms storm n1>n3 loss=500000ppm duplicate=1ppm delay_max=300ms
at 2.1s for 1.5s crash n3 power
at 2.2s for 1.5s crash n3 operations=7
at 3s clock-jump n1 by=-3600s
at 4s for 1s older-copy n2 taken=2.5s
at 5s for 100ms failing-disk n2 fsync_dir
at 6s for 100ms full-disk n2 noticed
at 7s client 1 balance a1 at_least
at 8s client 2 outcome tx-17 linearizable
stays-down n3
"""


def test_a_plan_reads_as_a_story_in_the_order_of_time() -> None:
    assert dumps(loads(STORY)) == STORY


def test_a_line_says_what_its_class_says() -> None:
    plan = loads(STORY)
    assert plan.faults[0] == Partition(1_250_000_000, 3_000_000_000, ((n(1), n(2)), (n(2), n(1))))
    assert plan.faults[2:4] == (
        Crash(2_100_000_000, 1_500_000_000, n(3), power=True),
        Crash(2_200_000_000, 1_500_000_000, n(3), power=False, operations=7),
    )
    assert plan.operations[1] == Operation(100_000_000, 2, Open(AccountId("a2"), 0, None))
    assert plan.operations[3].request == Move(
        (TxId("tx-18"), TxId("tx-19")), (AccountId("a1"), AccountId("a2")), (AccountId("a2"), AccountId("a1")), (1, 2)
    )
    assert plan.traits[0] == NodeTraits(drift_ppm=-20, wall_offset_ns=-3_000_000_000, turn_ns=1_000_000)
    assert plan.stays_down == {n(3)}


def test_comments_blank_lines_and_defaults_may_be_left_out() -> None:
    text = "# once showed a lost vote\n\n seed 7 # drawn\nnodes n1\nclients 1\nsafety 5s\ntraits n1 turn=3ns\n"
    assert loads(text) == Plan(7, (n(1),), 1, 5_000_000_000, traits=(NodeTraits(turn_ns=3),))


def n(number: int) -> NodeId:
    return NodeId(f"n{number}")


TIMES = [
    (0, "0s", "0s"),
    (1, "1ns", "0.000000001s"),
    (1_500, "1.5us", "0.0000015s"),
    (300_000_000, "300ms", "0.3s"),
    (-300_000_000, "-300ms", "-0.3s"),
    (1_250_000_000, "1.25s", "1.25s"),
    (60_000_000_001, "60.000000001s", "60.000000001s"),
]


@pytest.mark.parametrize(("ns", "short", "in_seconds"), TIMES)
def test_times_take_as_few_digits_as_they_need(ns: int, short: str, in_seconds: str) -> None:
    assert (words.time(ns), words.seconds(ns)) == (short, in_seconds)
    assert words.read_time(short) == words.read_time(in_seconds) == ns


# Every value of every class goes there and back.

NODES = (n(1), n(2), NodeId("n 3>#="), NodeId("power"))
NUMBERS = st.integers(-(2**70), 2**70)
TEXTS = st.text(max_size=8) | st.sampled_from(["", "#", "\\", "\\{41}", "a b", "client", "for", "é", "=", "x=1ppm"])
LINKS = st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), max_size=4).map(tuple)
BY_TYPE: dict[object, st.SearchStrategy[object]] = {
    int: NUMBERS,
    bool: st.booleans(),
    str: TEXTS,
    NodeId: st.sampled_from(NODES),
    tuple[Link, ...]: LINKS,
}
ROWS = st.lists(st.tuples(TEXTS, TEXTS, TEXTS, NUMBERS), max_size=3)


def values(cls: type[attrs.AttrsInstance]) -> st.SearchStrategy[object]:
    return st.builds(cls, **{field.name: BY_TYPE[field.type] for field in attrs.fields(cls)})


def moves() -> st.SearchStrategy[Move]:
    return ROWS.map(lambda rows: Move(*(tuple(row[column] for row in rows) for column in range(4))))  # type: ignore[arg-type]


REQUESTS = (
    st.builds(Open, TEXTS, NUMBERS, st.none() | TEXTS)
    | moves()
    | st.builds(Balance, TEXTS, st.sampled_from(ReadKind))
    | st.builds(OutcomeOf, TEXTS, st.sampled_from(ReadKind))
)
PLANS = st.builds(
    Plan,
    seed=NUMBERS,
    nodes=st.just(NODES),
    clients=NUMBERS,
    safety_ns=NUMBERS,
    product=values(plans.ProductOptions),
    limits=values(plans.Limits),
    network=values(plans.NetworkOdds),
    disk=values(plans.DiskOdds),
    traits=st.just(()) | st.tuples(*[values(NodeTraits)] * len(NODES)),
    faults=st.lists(st.one_of([values(fault) for fault in get_args(Fault)]), max_size=6).map(tuple),
    operations=st.lists(st.builds(Operation, NUMBERS, NUMBERS, REQUESTS), max_size=6).map(tuple),
    stays_down=st.frozensets(st.sampled_from(NODES)),
)


@settings(max_examples=300)
@given(PLANS)
def test_every_plan_comes_back_as_it_was(plan: Plan) -> None:
    text = dumps(plan)
    assert loads(text) == plan
    assert dumps(loads(text)) == text
    assert len(text.splitlines()) == len(text.split("\n")) - 1, "an id broke its line"


# What is wrong is named.

HEAD = "seed 1\nnodes n1 n2\nclients 1\nsafety 1s\n"
WRONG = [
    ("at 1s for 1s crsh n1", "there is no fault 'crsh' (one of partition, clog,"),
    ("at 1s crash n1", "crash needs `for`, how long it lasts"),
    ("at 1s for 2s clock-jump n1 by=1s", "clock-jump has no `for`, how long it lasts"),
    ("at 1s for 1s crash", "crash needs node"),
    ("at 1s for 1s crash n3", "n3 is not one of the nodes (n1 n2)"),
    ("at 1s for 1s crash n1 n2", "crash takes no 'n2' (one of power)"),
    ("at 1s for 1s crash n1 power power", "crash takes no 'power' (one of power)"),
    ("at 1s for 1s crash n1 speed=3", "crash takes no 'speed' (one of operations)"),
    ("at 1s for 1s crash n1 operations=3 operations=4", "crash takes no second 'operations' (one of operations)"),
    ("at 1s for 1s crash n1 operations=many", "'many' is not a whole number"),
    ("at 1s for 1s slow-disk n1", "slow-disk needs added"),
    ("at 1s for 1s slow-disk n1 added=5", "'5' is not a time such as 1.25s, 300ms, 100us or 7ns"),
    ("at 1s for 1s partition n1-n2", "'n1-n2' is not a link such as n1>n2"),
    ("at 1s for 1s partition n1>n2>n1", "'n1>n2>n1' is not a link such as n1>n2"),
    ("at 1s for 1s partition n1>n9", "n9 is not one of the nodes (n1 n2)"),
    ("at 1s for 1s storm n1>n2 loss=5 duplicate=1ppm delay_max=1s", "'5' is not parts per million such as 2500ppm"),
    ("at soon client 1 balance a1 stale", "'soon' is not a time such as 1.25s, 300ms, 100us or 7ns"),
    ("at 0.0000000001s client 1 balance a1 stale", "'0.0000000001s' is finer than a nanosecond"),
    ("at 1s client one balance a1 stale", "'one' is not a whole number"),
    ("at 1s client 1 balance a1 fresh", "'fresh' is no kind of read (one of linearizable, stale, bounded, at_least)"),
    ("at 1s client 1 close a1", "a client makes no call 'close' (one of open, move, balance, outcome)"),
    ("at 1s client 1 open a1", "the words of the call are: open ACCOUNT BALANCE [REQUEST-ID]"),
    ("at 1s client 1 move t a b", "the words of the call are: move TX-ID SOURCE TARGET AMOUNT, and so on for each row"),
    (r"at 1s client 1 balance a\b stale", r"'a\\b' holds a backslash that begins no \{hex}"),
    (r"at 1s client 1 balance \{110000} stale", r"'\\{110000}' holds a backslash that begins no \{hex}"),
    ("seed 2", "seed stands above already"),
    ("traits n1\ntraits n1", "the traits of n1 stand above already"),
    ("disk sync_max=1ms sync=2ms", "disk takes no 'sync' (one of write_max, sync_max, slow_sync)"),
    ("disk fast", "disk takes no 'fast'"),
    ("stays-down n7", "n7 is not one of the nodes (n1 n2)"),
    ("crash n1", "no line begins with 'crash'"),
    ("at", "no line begins with 'at'"),
]


@pytest.mark.parametrize(("lines", "sentence"), WRONG)
def test_a_wrong_line_is_named_with_what_is_wrong(lines: str, sentence: str) -> None:
    number = len((HEAD + lines).splitlines())
    with pytest.raises(PlanInvalid) as caught:
        loads(f"{HEAD}{lines}\n")
    assert str(caught.value).startswith(f"line {number}: {sentence}")


def test_what_every_plan_has_must_be_said() -> None:
    with pytest.raises(PlanInvalid, match=r"^the text ends without clients and safety$"):
        loads("seed 1\nnodes n1\n")
    with pytest.raises(PlanInvalid, match=r"^line 1: n1 is not one of the nodes \(which must come first\)$"):
        loads("traits n1\n")
    with pytest.raises(PlanInvalid, match=r"^line 1: seed takes one word, not 2$"):
        loads("seed 1 2\n")
