"""The campaign: as many seeds as were asked for, on all cores, until the time is up or somebody has seen enough.

Every failing seed goes to a file at once, as the line that replays it, so that nothing is lost with
the terminal. Ctrl-C, SIGTERM and SIGHUP end it in order: with the table of what was run, and the
command that goes on from there.
"""

import json
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Final, TextIO

import attrs

from bankd.campaign.endings import endings_interrupt, ignore_endings
from bankd.campaign.output import Output, require_writable, show, tell
from bankd.campaign.run import SECONDS, Ran, Seed, run_seed
from bankd.campaign.tally import HOUR_S, Failure, Tally
from bankd.campaign.terminal import CLEAR_LINE, width_of
from bankd.campaign.workers import Done, Lost, Workers
from bankd.errors import Exit

SEED_S_MAX: Final = 300.0  # in which the campaign itself ran: about a hundred times what a run takes
REDRAW_S: Final = 0.2  # the line on a terminal
REPORT_S: Final = 30.0  # a line elsewhere
SEEDS_END: Final = 10**12  # short enough to type


@attrs.frozen
class Order:
    """What to run. `count` None: no end; `hours` None: no limit."""

    first: int
    count: int | None
    hours: float | None
    jobs: int
    failures: Path
    nodes: int | None = None
    seconds: int = SECONDS

    def seeds(self) -> Iterator[Seed]:
        """In order; none is begun after the time is up."""
        deadline_s = None if self.hours is None else time.monotonic() + self.hours * HOUR_S
        for number in islice(count(self.first), self.count):
            if deadline_s is not None and time.monotonic() >= deadline_s:
                return
            yield Seed(number, self.nodes, self.seconds)


class Campaign:
    """One order, being carried out."""

    def __init__(self, order: Order, run: Callable[[Seed], Ran] = run_seed, seed_s_max: float = SEED_S_MAX) -> None:
        self.order = order
        self.tally = Tally()
        self.interrupted = False
        self.all_kept = True  # every failing seed is in the file
        self._run = run
        self._seed_s_max = seed_s_max
        self._open: set[int] = set()  # begun and not ended
        self._next = order.first
        self._began_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    @property
    def resume_at(self) -> int:
        """Every seed below has been run."""
        return min(self._open, default=self._next)

    def carry_out(self, progress: "Progress") -> None:
        """Run the seeds. Returns early, with `interrupted`, on Ctrl-C, SIGTERM and SIGHUP."""
        with (
            endings_interrupt(),
            Workers(self._run, jobs=self.order.jobs, limit_s=self._seed_s_max) as workers,
        ):
            try:
                for came in workers.each(self._begun()):
                    self._take(came, progress)
            except KeyboardInterrupt:
                ignore_endings()
                self.interrupted = True
            finally:
                progress.hide()

    def _begun(self) -> Iterator[Seed]:
        for seed in self.order.seeds():
            self._open.add(seed.number)
            self._next = seed.number + 1
            yield seed

    def _take(self, came: Done[Seed, Ran] | Lost[Seed], progress: "Progress") -> None:
        self._open.discard(came.item.number)
        if isinstance(came, Lost):
            self._record(Failure.lost(came.item, came.why), came.why, progress)
        else:
            self.tally.add(came.result)
            if came.result.broken is not None:
                self._record(Failure.broken(came.item, came.result.broken), came.result.broken.report, progress)
        progress.show(self.tally, self.elapsed_s)

    def _record(self, failure: Failure, report: str, progress: "Progress") -> None:
        self.tally.failures.append(failure)
        # The file first: it is what stays if somebody ends us while we speak.
        try:
            with open(self.order.failures, "a", encoding="utf-8") as file:
                file.write(f"{failure.line}\n")
        except OSError as error:  # the table has it as well
            self.all_kept = False
            progress.say(f"warning: {self.order.failures} cannot be written: {error.strerror}")
        progress.say(f"{report.rstrip()}\n{failure.seed.command}")


class Progress:
    """The state of the campaign: a line that is drawn over on a terminal, a line now and then elsewhere."""

    def __init__(self, stream: TextIO, now_s: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._now_s = now_s
        self._drawn_over = stream.isatty()
        self._pause_s = REDRAW_S if self._drawn_over else REPORT_S
        self._next_s = now_s() + self._pause_s

    def show(self, tally: Tally, elapsed_s: float) -> None:
        if self._now_s() < self._next_s:
            return
        self._next_s = self._now_s() + self._pause_s
        line = tally.progress(elapsed_s)
        # A longer line would wrap, and only its last part be drawn over.
        self._write(f"{CLEAR_LINE}{line[: width_of(self._stream) - 1]}" if self._drawn_over else f"{line}\n")

    def hide(self) -> None:
        if self._drawn_over:
            self._write(CLEAR_LINE)

    def say(self, text: str) -> None:
        self.hide()
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        tell(text, to=self._stream)


def fresh() -> int:
    """Where a campaign of seeds that nobody has run may begin."""
    return secrets.randbelow(SEEDS_END)


def run(order: Order, *, as_json: bool) -> int:
    """Carry out an order, print its table to stdout, and return the exit code.

    Raises:
      FileUnusable: failing seeds could not be kept; nothing was run.
    """
    require_writable(order.failures)
    campaign = Campaign(order, partial(run_seed, width=width_of(sys.stderr)))
    tell(f"seeds from {order.first} on, on {order.jobs} processes (Ctrl-C ends it in order)\n")
    campaign.carry_out(Progress(sys.stderr))
    output = Output()
    output.attempt(show, json.dumps(summary(campaign)) if as_json else table(campaign))
    if campaign.tally.failures and campaign.all_kept:
        tell(f"The failing seeds were added to {order.failures}.\n")
    if campaign.interrupted:
        tell(f"To go on: {continued(campaign)}\n")
        return Exit.INTERRUPTED
    return output.exit_code(Exit.UNHEALTHY if campaign.tally.failures else Exit.OK)


def table(campaign: Campaign) -> str:
    return campaign.tally.table(campaign.elapsed_s, campaign.order.jobs)


def continued(campaign: Campaign) -> str:
    """The command that runs what this one did not."""
    order = campaign.order
    left = [] if order.count is None else ["--count", str(order.first + order.count - campaign.resume_at)]
    hours = [] if order.hours is None else ["--hours", f"{max(order.hours - campaign.elapsed_s / HOUR_S, 0):.2f}"]
    shape = Seed(order.first, order.nodes, order.seconds).shape
    return " ".join(["bankd sim", "--from", str(campaign.resume_at), *left, *hours, "--jobs", str(order.jobs), *shape])


def summary(campaign: Campaign) -> dict[str, object]:
    """The promise of `--json`."""
    tally = campaign.tally
    return {
        "first_seed": str(campaign.order.first),
        "next_seed": str(campaign.resume_at),
        "runs": tally.runs,
        "elapsed_s": round(campaign.elapsed_s, 3),
        "simulated_ns": str(tally.simulated_ns),
        "events": str(tally.events),
        "acknowledged": str(tally.acknowledged),
        "elections": str(tally.elections),
        "operations": str(tally.operations),
        "unjudged": str(tally.unjudged),
        "faults": dict(sorted(tally.faults.items())),
        "violations": [
            {
                "seed": str(failure.seed.number),
                "invariant": failure.invariant,
                "at_ns": None if failure.at_ns is None else str(failure.at_ns),
                "message": failure.sentence,
                "replay": failure.seed.command,
            }
            for failure in tally.failures
        ],
    }
