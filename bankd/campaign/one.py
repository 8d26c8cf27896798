"""One run in full: what happened, what broke, and a smaller plan in which the same breaks.

Shrinking takes minutes. Ctrl-C, SIGTERM and SIGHUP end it in order: with the smallest plan found until then.
"""

import json
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final

import attrs

from bankd.campaign.endings import endings_interrupt
from bankd.campaign.kept import save_history, save_plan
from bankd.campaign.output import Output, require_writable, show, tell
from bankd.campaign.run import EVENTS_KEPT, NS, Broken, Ran, Seed, carry_out
from bankd.campaign.tally import GAP, witnessed
from bankd.campaign.terminal import CLEAR_LINE, width_of
from bankd.errors import Exit, FileUnusable
from bankd.sim.judges import drift_ppm_max
from bankd.sim.plan import Plan
from bankd.sim.plan_check import checked
from bankd.sim.plan_text import dumps, loads
from bankd.sim.shrink import shrink
from bankd.sim.trace import Trace

ALL_EVENTS: Final = 1_000_000  # more than a run has
RUNS_MAX: Final = 1_000  # of a shrinking
FROM: Final = "# from: "  # in a transcript, before the command that drew the plan


@attrs.frozen
class Wish:
    """What to show of a run."""

    shrink: bool = False
    transcript: Path | None = None  # where the plan goes, as text
    history: Path | None = None  # where the history goes, as JSON lines
    trace: bool = False
    json: bool = False

    @property
    def files(self) -> list[Path]:
        return [file for file in (self.transcript, self.history) if file is not None]


def run_drawn(seed: Seed, wish: Wish) -> int:
    """Raises FileUnusable: a file that is wished for cannot be written; nothing was run."""
    return run(seed.plan(), seed.command, seed.command, wish)


def run_file(file: Path, wish: Wish) -> int:
    """Run the plan of a text.

    Raises:
      FileUnusable: it cannot be read, or a file that is wished for cannot be written; nothing was run.
      PlanInvalid: it is no plan.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileUnusable(f"{file} cannot be read: {getattr(error, 'strerror', error)}") from None
    command = f"bankd sim --plan {shlex.quote(str(file))}"
    is_replaced = wish.transcript is not None and wish.transcript.resolve() == file.resolve()
    return run(checked(loads(text)), command, (origin(text) if is_replaced else None) or command, wish)


def origin(text: str) -> str | None:
    """The command that the plan of a text came from, if the text says so."""
    lines = (line.removeprefix(FROM) for line in text.splitlines() if line.startswith(FROM))
    return next(lines, None)


def run(plan: Plan, command: str, came_from: str, wish: Wish) -> int:
    """Run a plan and print what came of it; returns the exit code. A violation is reported in full.

    `command` runs the plan again; `came_from`: the command that the transcript names.
    """
    for file in wish.files:
        require_writable(file)
    output = Output()
    ran, trace, history = carry_out(plan, ALL_EVENTS if wish.trace else EVENTS_KEPT, width_of(sys.stdout))
    if wish.history is not None:
        output.attempt(save_history, wish.history, history, drift_ppm_max(plan))
    if not wish.json:
        output.attempt(show, "\n".join(told(plan, ran, trace, command, wish)))
    shrinking = shrunk(plan, ran.broken) if ran.broken is not None and wish.shrink else None
    text = transcript(plan, ran.broken, shrinking, came_from)
    is_kept = wish.transcript is not None and output.attempt(save_plan, wish.transcript, text)
    if wish.json:
        output.attempt(show, json.dumps(summary(ran, command) | shrunk_summary(shrinking, text)))
    elif shrinking is not None and not is_kept:
        output.attempt(show, f"\n{text}", end="")  # minutes of work, not to be lost with the file
    return output.exit_code(judged(ran, shrinking))


def judged(ran: Ran, shrinking: "Shrinking | None") -> Exit:
    if shrinking is not None and shrinking.end is End.INTERRUPTED:
        return Exit.INTERRUPTED
    return Exit.OK if ran.broken is None else Exit.UNHEALTHY


def told(plan: Plan, ran: Ran, trace: Trace, command: str, wish: Wish) -> Sequence[str]:
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(ran.faults.items()))
    return [
        *([*trace.lines(width_of(sys.stdout)), ""] if wish.trace else []),
        *([ran.broken.report.rstrip(), ""] if ran.broken is not None else []),
        f"seed {plan.seed}{GAP}{ran.nodes} nodes{GAP}{len(plan.operations)} calls{GAP}faults: {faults or 'none'}",
        f"{ran.simulated_ns / NS:.3f} s simulated{GAP}{ran.events:,} events{GAP}{ran.acknowledged:,} calls acknowledged"
        f"{GAP}{ran.elections:,} leaders elected{GAP}trace {ran.digest}",
        *([witnessed(ran.operations, ran.unjudged)] if ran.operations else []),
        *verdict(ran.broken, command),
    ]


def verdict(broken: Broken | None, command: str) -> Sequence[str]:
    """The last lines: what broke is said once more, since a report may be longer than a terminal is high."""
    if broken is None:
        return ["No invariant broke."]
    return [f"{broken.invariant} broke: {broken.sentence}", f"To see it again: {command}"]


class End(Enum):
    """Why a shrinking ended, as it is told."""

    MINIMAL = "nothing more can go"
    RUNS_SPENT = "the runs are used up, and more may go"
    INTERRUPTED = "it was interrupted, and more may go"


class Shrinking:
    """A search for the smallest plan in which the same breaks, and what it has come to."""

    def __init__(self, plan: Plan, broken: Broken) -> None:
        self.best = plan
        self.broken = broken  # what the best plan shows
        self.runs = 1
        self.end = End.INTERRUPTED
        self._kind = broken.kind
        self._found: Broken | None = None  # in the last run

    def carry_out(self) -> None:
        """Search to the end, or until somebody has seen enough."""
        with endings_interrupt(), suppress(KeyboardInterrupt):
            found = shrink(self.best, self._breaks, runs_max=RUNS_MAX, report=self._take)
            assert found is not None, f"{self._kind} broke once and not again: the run depends on more than its plan"
            self.end = End.MINIMAL if found.minimal else End.RUNS_SPENT

    def _breaks(self, candidate: Plan) -> str | None:
        self._found = carry_out(candidate)[0].broken
        return self._found.kind if self._found is not None else None

    def _take(self, runs: int, best: Plan) -> None:
        self.runs = runs
        if best is not self.best:
            assert self._found is not None, "the best plan breaks nothing"
            self.best, self.broken = best, self._found
        if sys.stderr.isatty():
            tell(f"{CLEAR_LINE}{runs} runs: {sizes(best)} are left")


def shrunk(plan: Plan, broken: Broken) -> Shrinking:
    """Shrink the plan, and say to what."""
    shrinking = Shrinking(plan, broken)
    shrinking.carry_out()
    was = f"{len(plan.nodes)} nodes, {len(plan.faults)} faults, {len(plan.operations)} calls"
    became = f"{was} became {sizes(shrinking.best)} in {shrinking.runs} runs; {shrinking.end.value}"
    hidden = CLEAR_LINE if sys.stderr.isatty() else ""
    tell(f"{hidden}{became}\n")
    return shrinking


def sizes(plan: Plan) -> str:
    return f"{len(plan.nodes)}, {len(plan.faults)} and {len(plan.operations)}"


def transcript(plan: Plan, broken: Broken | None, shrinking: Shrinking | None, came_from: str) -> str:
    """The smallest plan there is as text, with what it shows and where it came from."""
    if shrinking is not None:
        plan, broken = shrinking.best, shrinking.broken
    lines = [] if broken is None else [f"# {broken.invariant}: {broken.sentence}"]
    lines.append(f"{FROM}{came_from}")
    if shrinking is not None and shrinking.end is not End.MINIMAL:
        lines.append(f"# shrunk in {shrinking.runs} runs; {shrinking.end.value}")
    return "\n".join([*lines, dumps(plan)])


def shrunk_summary(shrinking: Shrinking | None, text: str) -> dict[str, object]:
    """What `--shrink` adds to the promise of `--json`."""
    return {} if shrinking is None else {"shrunk": text, "minimal": shrinking.end is End.MINIMAL}


def summary(ran: Ran, command: str) -> dict[str, object]:
    """The promise of `--json`."""
    broken = ran.broken
    return {
        "nodes": ran.nodes,
        "faults": dict(sorted(ran.faults.items())),
        "simulated_ns": str(ran.simulated_ns),
        "events": str(ran.events),
        "acknowledged": str(ran.acknowledged),
        "elections": str(ran.elections),
        "operations": str(ran.operations),
        "unjudged": str(ran.unjudged),
        "trace": ran.digest,
        "replay": command,
        "violation": broken
        and {
            "invariant": broken.invariant,
            "at_ns": str(broken.at_ns),
            "step": str(broken.step),
            "message": broken.text,
        },
    }
