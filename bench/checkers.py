"""How fast histories are judged: `python -m bench.checkers`.

Every figure stands beside the plainest thing that looks at the same operations: a loop that moves the money in a dict
and files the ids in another, and checks nothing. Processor time, median over the rounds; histories are in memory.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import attrs

from bankd.history.json_lines import line_of, read_history
from bankd.history.linearizability import search
from bankd.history.records import Balance, BalanceFound, Move, Moved, Open, Opened, Record
from bankd.history.witness import examine
from bankd.types import TransferStatus
from tests.history.model import Shape, history

LOADED = Shape(accounts=1000, entry_writes=64, opening=50_000, reads=20, lost=0.001, retried=0.01)
SHAPES = {
    "transfers one by one": LOADED,
    "the same, answers without own index": attrs.evolve(LOADED, indexed=False),
    "batches of up to 200": attrs.evolve(LOADED, rows=200, entry_writes=8, lost=0.0001),
}
SEARCHED = Shape(accounts=20, entry_writes=3, opening=5_000, reads=3, lost=0.0005, patience=60)


def plain_replay(records: Sequence[Record]) -> int:
    """The baseline. Returns how many reads it disagrees with, which here means nothing."""
    balances: dict[str, int] = {}
    outcomes: dict[str, int] = {}
    different = 0
    for record in records:
        operation, result = record.operation, record.result
        if isinstance(operation, Move) and isinstance(result, Moved):
            rows = zip(operation.tx_ids, operation.sources, operation.targets, operation.amounts, strict=True)
            for (tx_id, source, target, amount), status in zip(rows, result.statuses, strict=True):
                if outcomes.setdefault(tx_id, status) == TransferStatus.COMMITTED_OK:
                    balances[source] -= amount
                    balances[target] += amount
        elif isinstance(operation, Balance) and isinstance(result, BalanceFound):
            different += balances[operation.account] != result.balance
        elif isinstance(operation, Open) and isinstance(result, Opened):
            balances[operation.account] = operation.balance
    return different


def seconds(judge: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        begin = time.process_time()
        judge()
        taken.append(time.process_time() - begin)
    return statistics.median(taken)


def line(name: str, operations: int, taken_s: float, baseline_s: float) -> str:
    return f"{name:<46}{operations / taken_s:>12,.0f} operations/s {taken_s / baseline_s:>7.1f} x a plain replay's time"


def witness_line(name: str, shape: Shape, operations: int, rounds: int) -> str:
    records = history(1, operations, shape)
    baseline_s = seconds(lambda: plain_replay(records), rounds)
    report = examine(records)
    assert not report.findings, report.findings[0]
    return line(f"witness: {name}", report.operations, seconds(lambda: examine(records), rounds), baseline_s)


def search_line(operations: int, rounds: int) -> str:
    records = history(1, operations, SEARCHED)
    verdict = search(records).verdict.value
    baseline_s = seconds(lambda: plain_replay(records), rounds)
    return line(f"search: {verdict}", operations, seconds(lambda: search(records), rounds), baseline_s)


def reading_line(operations: int, rounds: int) -> str:
    records = history(1, operations, LOADED)
    lines = [line_of(record) for record in records]
    baseline_s = seconds(lambda: plain_replay(records), rounds)
    return line("reading lines", operations, seconds(lambda: list(read_history(lines, "")), rounds), baseline_s)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.checkers")
    parser.add_argument("--operations", type=int, default=200_000, help="of each history (200,000)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is judged (5)")
    options = parser.parse_args(argv)
    for name, shape in SHAPES.items():
        print(witness_line(name, shape, options.operations, options.rounds))
    print(search_line(options.operations // 100, options.rounds))
    print(reading_line(options.operations // 10, options.rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
