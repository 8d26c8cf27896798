"""One run in full: what happened, what broke, and a smaller plan in which the same breaks."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from bankd.campaign.run import EVENTS_KEPT, NS, Broken, Ran, Seed, carry_out
from bankd.campaign.tally import CLEAR_LINE, GAP
from bankd.errors import Exit, FileUnusable
from bankd.sim.plan import Plan
from bankd.sim.plan_text import dumps, loads
from bankd.sim.shrink import shrink
from bankd.sim.trace import Trace

ALL_EVENTS: Final = 1_000_000  # more than a run has
RUNS_MAX: Final = 1_000  # of a shrinking


@attrs.frozen
class Wish:
    """What to show of a run."""

    shrink: bool = False
    transcript: Path | None = None  # where the plan goes, as text
    trace: bool = False
    json: bool = False


def run_drawn(seed: Seed, wish: Wish) -> int:
    return show(seed.plan(), seed.command, wish)


def run_file(file: Path, wish: Wish) -> int:
    """Run the plan of a text.

    Raises:
      FileUnusable: it cannot be read.
      PlanInvalid: it is no plan.
    """
    try:
        plan = loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FileUnusable(f"{file} cannot be read: {getattr(error, 'strerror', error)}") from None
    return show(plan, f"bankd sim --plan {file}", wish)


def show(plan: Plan, command: str, wish: Wish) -> int:
    """Run a plan and print what came of it; returns the exit code. A violation is reported in full."""
    ran, trace = carry_out(plan, ALL_EVENTS if wish.trace else EVENTS_KEPT)
    if not wish.json:
        print("\n".join(told(plan, ran, trace, command, wish)), flush=True)
    shrunk = smaller(plan, ran.broken) if ran.broken is not None and wish.shrink else None
    text = heading(ran, command) + dumps(shrunk or plan)
    if wish.json:
        print(json.dumps(summary(ran, command) | ({} if shrunk is None else {"shrunk": text})))
    if wish.transcript is not None:
        try:
            save(wish.transcript, text)
        except FileUnusable:
            if shrunk is not None and not wish.json:
                print(f"\n{text}", end="")  # minutes of work, not to be lost with the file
            raise
    elif shrunk is not None and not wish.json:
        print(f"\n{text}", end="")
    return Exit.OK if ran.broken is None else Exit.UNHEALTHY


def told(plan: Plan, ran: Ran, trace: Trace, command: str, wish: Wish) -> Sequence[str]:
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(ran.faults.items()))
    lines = [*trace.lines(), ""] if wish.trace else []
    if ran.broken is not None:
        lines += [ran.broken.report.rstrip(), ""]
    return [
        *lines,
        f"seed {plan.seed}{GAP}{ran.nodes} nodes{GAP}{len(plan.operations)} calls{GAP}faults: {faults or 'none'}",
        f"{ran.simulated_ns / NS:.3f} s simulated{GAP}{ran.events:,} events{GAP}{ran.acknowledged:,} calls acknowledged"
        f"{GAP}{ran.elections:,} leaders elected{GAP}trace {ran.digest}",
        "No invariant broke." if ran.broken is None else f"{ran.broken.invariant} broke. To see it again: {command}",
    ]


def smaller(plan: Plan, broken: Broken) -> Plan:
    """The smallest plan found in which the same breaks."""

    def breaks(candidate: Plan) -> str | None:
        found = carry_out(candidate)[0].broken
        return found.kind if found is not None else None

    def report(runs: int, best: Plan) -> None:
        if sys.stderr.isatty():
            print(f"{CLEAR_LINE}{runs} runs: {sizes(best)} are left", end="", file=sys.stderr, flush=True)

    shrunk = shrink(plan, breaks, runs_max=RUNS_MAX, report=report)
    assert shrunk is not None, f"{broken.kind} broke once and not again: the run depends on more than its plan"
    ended = "nothing more can go" if shrunk.minimal else "the runs are used up"
    was = f"{len(plan.nodes)} nodes, {len(plan.faults)} faults, {len(plan.operations)} calls"
    hidden = CLEAR_LINE if sys.stderr.isatty() else ""
    print(f"{hidden}{was} became {sizes(shrunk.plan)} in {shrunk.runs} runs; {ended}", file=sys.stderr)
    return shrunk.plan


def sizes(plan: Plan) -> str:
    return f"{len(plan.nodes)}, {len(plan.faults)} and {len(plan.operations)}"


def save(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FileUnusable(f"{file} cannot be written: {error.strerror}") from None
    print(f"{file} written (to run it: bankd sim --plan {file})", file=sys.stderr)


def heading(ran: Ran, command: str) -> str:
    showed = "" if ran.broken is None else f"# {ran.broken.invariant}: {ran.broken.sentence}\n"
    return f"{showed}# from: {command}\n"


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
