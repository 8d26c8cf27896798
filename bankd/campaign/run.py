"""See one run through, and say in a few values what became of it: they cross from a worker's process to the campaign's."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from bankd.history.records import Record
from bankd.sim import swarm, world
from bankd.sim.judges import Judges
from bankd.sim.plan import Plan
from bankd.sim.plan_text import word_of
from bankd.sim.trace import Trace
from bankd.sim.trace_columns import WIDTH

SECONDS: Final = 60  # simulated, of the faults' phase
EVENTS_KEPT: Final = 64  # of each column
NS: Final = 10**9
CRASH: Final = "CRASH"
CRASH_PLACE: Final = re.compile(r"\(([^\s()]+:\d+)(?: < [^\s()]+:\d+)*\)$")  # the innermost, as world.run puts it


@attrs.frozen
class Seed:
    """A run that is drawn. `nodes` None: their number is drawn too."""

    number: int
    nodes: int | None = None
    seconds: int = SECONDS

    def plan(self) -> Plan:
        return swarm.draw(self.number, nodes_count=self.nodes, safety_ns=self.seconds * NS)

    @property
    def shape(self) -> list[str]:
        """The flags that say how it is drawn."""
        nodes = [] if self.nodes is None else ["--nodes", str(self.nodes)]
        return nodes + ([] if self.seconds == SECONDS else ["--seconds", str(self.seconds)])

    @property
    def command(self) -> str:
        """The line that runs it again, event by event."""
        return " ".join(["bankd sim --seed", str(self.number), *self.shape])


@attrs.frozen
class Broken:
    """A violation: which invariant, at which step of the run, and what a person reads first."""

    invariant: str
    text: str
    at_ns: int
    step: int
    report: str

    @property
    def kind(self) -> str:
        """The invariant; for a crash also where the program raised, since two crashes are two bugs."""
        place = CRASH_PLACE.search(self.text) if self.invariant == CRASH else None
        return f"{CRASH} at {place[1]}" if place else self.invariant

    @property
    def sentence(self) -> str:
        return self.text.partition("\n")[0]


@attrs.frozen
class Ran:
    """What became of a run."""

    nodes: int
    faults: Mapping[str, int]  # by kind, as drawn: an armed one may never fire
    simulated_ns: int
    events: int
    acknowledged: int
    elections: int
    operations: int  # in the history, as the witness counts them; 0 when something broke before its end
    unjudged: int  # of them
    digest: str  # of the trace; zeros without one
    broken: Broken | None


def carry_out(plan: Plan, events_kept: int = EVENTS_KEPT, width: int = WIDTH) -> tuple[Ran, Trace, Sequence[Record]]:
    """Run a plan under all judges; also what was noted of it, and its history. `width`: of a report, in characters."""
    trace = Trace(plan.nodes, events_kept)
    outcome = world.run(plan, judges=Judges(plan), trace=trace)
    return _ran(plan, outcome, broken(outcome, trace, width)), trace, outcome.history


def broken(outcome: world.Outcome, trace: Trace, width: int) -> Broken | None:
    violation, step = outcome.violation, outcome.events
    if violation is None:
        return None
    report = trace.report(violation, step, width)
    return Broken(violation.invariant, violation.text, violation.at_ns, step, report)


def run_seed(seed: Seed, width: int = WIDTH) -> Ran:
    """The work of a worker's process. Notes are a fifth of a run's cost, so only one that breaks is run again with them."""
    plan = seed.plan()
    outcome = world.run(plan, judges=Judges(plan))
    return _ran(plan, outcome, None) if outcome.violation is None else carry_out(plan, width=width)[0]


def _ran(plan: Plan, outcome: world.Outcome, broken: Broken | None) -> Ran:
    return Ran(
        nodes=len(plan.nodes),
        faults=Counter(word_of(type(fault)) for fault in plan.faults),
        simulated_ns=outcome.simulated_ns,
        events=outcome.events,
        acknowledged=outcome.acknowledged,
        elections=outcome.elections,
        operations=outcome.operations,
        unjudged=outcome.unjudged,
        digest=f"{outcome.digest:016x}",
        broken=broken,
    )
