"""Two checkers that share no rule of the bank, held against each other on histories with random faults in them."""

import random
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankd.history.linearizability import Verdict
from bankd.history.records import BalanceFound, Moved, NotFound, OutcomeFound, Record
from bankd.history.witness import check, examine
from bankd.types import LogIndex
from tests.history.model import Shape, history
from tests.history.table import OK, SHORT, searched

SMALL = Shape(accounts=4, entry_writes=2, opening=30, reads=3, lost=0.1, patience=60)


def balance_changed(record: Record, chance: random.Random) -> Record | None:
    if not isinstance(record.result, BalanceFound):
        return None
    return attrs.evolve(record, result=BalanceFound(record.result.balance + chance.choice([-1, 1, 30])))


def status_changed(record: Record, chance: random.Random) -> Record | None:
    if not isinstance(record.result, Moved) or record.result.statuses not in (bytes([OK]), bytes([SHORT])):
        return None
    other = bytes([SHORT]) if record.result.statuses == bytes([OK]) else bytes([OK])
    return attrs.evolve(record, result=attrs.evolve(record.result, statuses=other, available={}))


def forgotten(record: Record, chance: random.Random) -> Record | None:
    return attrs.evolve(record, result=NotFound()) if isinstance(record.result, OutcomeFound) else None


def payload_changed(record: Record, chance: random.Random) -> Record | None:
    if not isinstance(record.result, OutcomeFound):
        return None
    return attrs.evolve(record, result=attrs.evolve(record.result, amount=record.result.amount + 1))


def index_changed(record: Record, chance: random.Random) -> Record | None:
    if record.index is None:
        return None
    return attrs.evolve(record, index=LogIndex(max(1, record.index + chance.choice([-2, -1, 1, 2]))))


FAULTS: list[Callable[[Record, random.Random], Record | None]] = [
    balance_changed, status_changed, forgotten, payload_changed, index_changed,
]  # fmt: skip


def spoilt(records: list[Record], seed: int) -> list[Record]:
    """With one to three answers changed, if they can be."""
    chance, records = random.Random(seed), list(records)
    for _ in range(chance.randint(1, 3)):
        number = chance.randrange(len(records))
        wrong = [one for fault in FAULTS if (one := fault(records[number], chance)) is not None]
        records[number] = chance.choice(wrong) if wrong else records[number]
    return records


@given(st.integers(0, 2**32), st.integers(10, 60))
@settings(deadline=None, max_examples=100)
def test_right_history_is_right_to_both(seed: int, operations: int) -> None:
    records = history(seed, operations, SMALL)
    assert check(records) == []
    assert searched(records).verdict is not Verdict.VIOLATED


@given(st.integers(0, 2**32), st.integers(10, 60))
@settings(deadline=None, max_examples=200)
def test_what_the_search_refutes_the_witness_refutes_or_could_not_judge(seed: int, operations: int) -> None:
    """The indexes claim one certain order; if there is no order at all, that one is wrong too."""
    records = spoilt(history(seed, operations, SMALL), seed)
    if searched(records).verdict is Verdict.VIOLATED:
        report = examine(records)
        assert report.findings or report.unjudged


def test_the_faults_are_not_all_harmless() -> None:
    """Without this the comparison could be empty: most of these are wrong by the indexes, many of them by any order."""
    histories = [spoilt(history(seed, 40, SMALL), seed) for seed in range(60)]
    assert sum(bool(check(records)) for records in histories) > 40
    assert sum(searched(records).verdict is Verdict.VIOLATED for records in histories) > 20


def test_search_goes_through_a_long_history_to_its_end() -> None:
    records = history(1, 1_000, attrs.evolve(SMALL, accounts=10, opening=500, lost=0, patience=40))
    assert searched(records).verdict is Verdict.LINEARIZABLE
    number = max(number for number, record in enumerate(records) if isinstance(record.result, BalanceFound))
    records[number] = balance_changed(records[number], random.Random(1)) or records[number]
    assert searched(records).verdict is Verdict.VIOLATED


@pytest.mark.parametrize("shape", [
    Shape(rows=5), Shape(lost=0.2), Shape(indexed=False), Shape(accounts=3, opening=20, entry_writes=8),
    Shape(accounts=3, opening=20, rows=3, lost=0.1, dropped=0.9, retried=0, outcomes=0),
], ids=["batches", "many lost", "no own index", "hot accounts", "never told"])  # fmt: skip
def test_right_history_of_another_shape_is_right(shape: Shape) -> None:
    for seed in range(10):
        assert check(history(seed, 120, shape)) == []
