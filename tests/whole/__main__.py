"""`python -m tests.whole SEED [COUNT]`: run drawn worlds, print what broke, and the rate.

A seed that hangs ends the process, with its name and where it hung: the seeds behind it are not run.
"""

import faulthandler
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Final

from tests.whole.drawn import Outcome, run_seed

SEED_S_MAX: Final = 300.0  # of real time: about a hundred times what a run takes


def main() -> int:
    first = int(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    logging.disable(logging.CRITICAL if count > 1 else logging.NOTSET)
    outcomes = []
    for seed in range(first, first + count):
        with watched(seed, SEED_S_MAX):
            outcomes.append(run_seed(seed))
        _tell(outcomes[-1], in_full=count == 1)
    _sum_up(outcomes)
    return int(any(outcome.failure for outcome in outcomes))


@contextmanager
def watched(seed: int, limit_s: float) -> Iterator[None]:
    """End the process if the block takes longer."""
    timer = Timer(limit_s, _give_up, (seed, limit_s))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _give_up(seed: int, limit_s: float) -> None:
    sys.stdout.flush()
    faulthandler.dump_traceback(sys.stdout)
    print(f"it took longer than {limit_s:g} s\nfailed: python -m tests.whole {seed}", flush=True)
    os._exit(1)


def _tell(outcome: Outcome, *, in_full: bool) -> None:
    if outcome.failure:
        print(f"{outcome.failure}\nfailed: python -m tests.whole {outcome.seed}", flush=True)
    elif in_full:
        print(f"seed {outcome.seed} trace {outcome.digest}")


def _sum_up(outcomes: list[Outcome]) -> None:
    simulated_s = sum(outcome.simulated_s for outcome in outcomes)
    took_s = sum(outcome.took_s for outcome in outcomes)
    print(
        f"seeds={len(outcomes)} failed={sum(bool(outcome.failure) for outcome in outcomes)} "
        f"simulated_s={simulated_s:.0f} took_s={took_s:.1f} rate={simulated_s / took_s:.1f} "
        f"calls={sum(outcome.calls for outcome in outcomes)} "
        f"acknowledged={sum(outcome.acknowledged for outcome in outcomes)} "
        f"disturbed={sum(outcome.disturbed for outcome in outcomes)} "
        f"disturbed_min={min(outcome.disturbed for outcome in outcomes)}"
    )


if __name__ == "__main__":
    sys.exit(main())
