"""`python -m tests.whole SEED [COUNT]`: run drawn worlds, print what broke, and the rate."""

import logging
import sys

from tests.whole.drawn import Outcome, run_seed


def main() -> int:
    first = int(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    logging.disable(logging.CRITICAL if count > 1 else logging.NOTSET)
    outcomes = []
    for seed in range(first, first + count):
        outcomes.append(run_seed(seed))
        _tell(outcomes[-1], in_full=count == 1)
    _sum_up(outcomes)
    return int(any(outcome.failure for outcome in outcomes))


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
        f"acknowledged={sum(outcome.acknowledged for outcome in outcomes)}"
    )


if __name__ == "__main__":
    sys.exit(main())
