"""`python -m tests.whole SEED [COUNT]`: run drawn worlds, print what broke, and the rate.

`--history FILE` keeps what the clients of one run were told, for `bankd check-history`.

A seed that hangs ends the process, with its name and where it hung: the seeds behind it are not run. Ctrl-C ends with
the seed under way, and the sum of those that were run; twice, at once.
"""

import argparse
import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from types import FrameType
from typing import Final

import attrs

from bankd.campaign.kept import save_history
from bankd.cli import COUNT_MAX, SEED_MAX, whole
from bankd.errors import Exit, FileUnusable
from tests.whole.drawn import Outcome, run_seed
from tests.whole.verdict import DRIFT_PPM_MAX

SEED_S_MAX: Final = 300.0  # of real time: about a hundred times what a run takes


def main(words: Sequence[str]) -> int:
    options = _options(words)
    logging.disable(logging.CRITICAL if options.count > 1 else logging.NOTSET)
    outcomes: list[Outcome] = []
    with interruptible() as interrupted:
        while len(outcomes) < options.count and not (outcomes and interrupted()):
            outcome = _run(options.seed + len(outcomes), options)
            outcomes.append(attrs.evolve(outcome, history=()))  # those of many runs would fill the memory
        status = Exit.INTERRUPTED if interrupted() else Exit.OK
    _sum_up(outcomes)
    return 1 if any(outcome.failure for outcome in outcomes) else status


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.whole", description=__doc__)
    parser.add_argument("seed", type=whole(0, SEED_MAX), help="the first one")
    parser.add_argument("count", type=whole(1, COUNT_MAX), nargs="?", default=1, help="how many (default 1)")
    parser.add_argument("--history", metavar="FILE", type=Path, help="of one run: what its clients were told")
    options = parser.parse_args(words)
    if options.history is not None and options.count > 1:
        parser.error("--history is for one run")
    return options


def _run(seed: int, options: argparse.Namespace) -> Outcome:
    with watched(seed, SEED_S_MAX):
        outcome = run_seed(seed)
    _tell(outcome, in_full=options.count == 1)
    if options.history is not None:
        _save(outcome, options.history)
    return outcome


def _save(outcome: Outcome, file: Path) -> None:
    try:
        save_history(file, outcome.history, DRIFT_PPM_MAX)
    except FileUnusable as error:
        sys.exit(f"error: {error}")


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C only asks for the end: in the middle of a run it might pass for a fault. Twice, it is what it was."""
    before = signal.getsignal(signal.SIGINT)
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)

    if before is not signal.SIG_IGN:  # as of a job in the background
        signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


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
        f"operations={sum(outcome.operations for outcome in outcomes)} "
        f"unjudged={sum(outcome.unjudged for outcome in outcomes)} "
        f"acknowledged={sum(outcome.acknowledged for outcome in outcomes)} "
        f"disturbed={sum(outcome.disturbed for outcome in outcomes)} "
        f"disturbed_min={min(outcome.disturbed for outcome in outcomes)}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
