"""Find a small plan that still breaks what a large one broke.

The best plan so far is replaced by a candidate that is plainer in one respect whenever the same invariant breaks in
it. What a plan lists is thinned out by delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating
Failure-Inducing Input", 2002), what it measures is taken towards the plain and the short: `shrink_passes` says
which candidates there are. The passes begin again from the first as long as one of them found something; then no
single step of any pass keeps the violation, unless the runs ran out before.

What makes it work: random streams are named after what they are drawn for, so a plan with one fault less is
otherwise the same run, for as long as it can be (`plan`).

It refuses to know what a run is: `breaks` is asked, and never twice about the same plan.
"""

import attrs

from bankd.sim.plan import Plan
from bankd.sim.shrink_passes import PASSES, Breaks, Report, RunsSpent, Search


@attrs.frozen
class Shrunk:
    """The smallest plan found. `minimal`: no step of any pass keeps the violation; otherwise the runs ran out."""

    plan: Plan
    invariant: str
    runs: int
    minimal: bool


def shrink(plan: Plan, breaks: Breaks, *, runs_max: int, report: Report = lambda runs, best: None) -> Shrunk | None:
    """Look for the smallest plan that breaks what this one breaks, in at most `runs_max` runs; None: it breaks nothing.

    `breaks` runs a plan and names the invariant that broke in it, if any did. `report` hears of every run after the
    first, with the number of runs and the best plan so far.
    """
    assert runs_max > 0, "not even the plan itself may be run"
    invariant = breaks(plan)
    if invariant is None:
        return None
    search = Search(plan, invariant, breaks, report, runs_max)
    before = None
    try:
        while search.best != before:
            before = search.best
            for thin_out in PASSES:
                thin_out(search)
    except RunsSpent:
        return Shrunk(search.best, invariant, search.runs, minimal=False)
    return Shrunk(search.best, invariant, search.runs, minimal=True)
