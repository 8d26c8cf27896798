"""Run seeds under all judges, until one of them finds something. Imports the product: a bug must be installed before."""

import logging
import re
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final

from bankd.campaign.run import Seed
from bankd.sim import world
from bankd.sim.judges import Judges, Violation
from tests.planted.bug import Finding
from tests.whole.drawn import run_seed

NAMED: Final = re.compile(r"AssertionError: ([A-Z]\d+): (.*)")


def search(seeds: Iterable[int], level: int) -> Finding | None:
    """The first finding in these seeds."""
    run = RUN[level]
    return next((finding for finding in map(run, seeds) if finding is not None), None)


def run_simulated(seed: int) -> Finding | None:
    plan = Seed(seed).plan()
    violation = world.run(plan, judges=Judges(plan)).violation
    if violation is None:
        return None
    return Finding(seed, violation.invariant, judge_of(violation), violation.text.partition("\n")[0])


def judge_of(violation: Violation) -> str:
    """The module that raised it; a crash is the product's own judgement."""
    module = _innermost(violation.__traceback__)
    return module.removeprefix("bankd.sim.judges.") if module else "the program itself"


def _innermost(traceback: TracebackType | None) -> str:
    module = ""
    while traceback is not None:
        module = traceback.tb_frame.f_globals["__name__"]
        traceback = traceback.tb_next
    return module


def run_whole(seed: int) -> Finding | None:
    """The failure of a whole world is a text: the story, then the stack, and what was found wrong in its midst."""
    logging.disable()
    failure = run_seed(seed).failure
    if not failure:
        return None
    named = NAMED.search(failure)
    if named is None:
        return Finding(seed, "CRASH", "whole", failure.splitlines()[-1])
    return Finding(seed, named[1], "whole", named[2])


RUN: dict[int, Callable[[int], Finding | None]] = {1: run_simulated, 2: run_whole}
