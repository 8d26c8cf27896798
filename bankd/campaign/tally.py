"""Sum up the runs of a campaign: a line while it goes on, a table at the end."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import attrs

from bankd.campaign.run import NS, Broken, Ran, Seed

HOUR_S: Final = 3600
GAP: Final = "  "


@attrs.define
class Failure:
    """A seed that must be looked at: an invariant broke, or no result came (`LOST`)."""

    seed: Seed
    invariant: str
    at_ns: int | None
    sentence: str

    @classmethod
    def broken(cls, seed: Seed, broken: Broken) -> "Failure":
        return cls(seed, broken.invariant, broken.at_ns, broken.sentence)

    @classmethod
    def lost(cls, seed: Seed, why: str) -> "Failure":
        return cls(seed, "LOST", None, why.strip().splitlines()[-1])

    @property
    def cells(self) -> tuple[str, ...]:
        at = "-" if self.at_ns is None else f"{self.at_ns / NS:.3f}s"
        return (str(self.seed.number), self.invariant, at, self.sentence)

    @property
    def line(self) -> str:
        """The command that replays it, and why one would."""
        return f"{self.seed.command}  # {self.invariant}: {self.sentence}"


@attrs.define
class Tally:
    """What the runs so far add up to."""

    runs: int = 0
    simulated_ns: int = 0
    events: int = 0
    acknowledged: int = 0
    elections: int = 0
    operations: int = 0  # in histories
    unjudged: int = 0  # of them, by the witness
    faults: Counter[str] = attrs.field(factory=Counter)
    sizes: Counter[int] = attrs.field(factory=Counter)  # runs by number of nodes
    failures: list[Failure] = attrs.field(factory=list)

    def add(self, ran: Ran) -> None:
        self.runs += 1
        self.simulated_ns += ran.simulated_ns
        self.events += ran.events
        self.acknowledged += ran.acknowledged
        self.elections += ran.elections
        self.operations += ran.operations
        self.unjudged += ran.unjudged
        self.faults.update(ran.faults)
        self.sizes[ran.nodes] += 1

    def rates(self, elapsed_s: float) -> str:
        elapsed_s = max(elapsed_s, 0.001)
        return (
            f"{self.runs / elapsed_s:.2f} seeds/s{GAP}{self.simulated_ns / NS / HOUR_S:.2f} simulated hours "
            f"({self.simulated_ns / NS / elapsed_s:,.0f} s a second)"
        )

    def progress(self, elapsed_s: float) -> str:
        """One line, beginning with what may make somebody stop the campaign."""
        faults = GAP.join(f"{kind} {count:,}" for kind, count in sorted(self.faults.items()))
        return (
            f"{self.runs} seeds{GAP}{len(self.failures)} violations{GAP}{self.rates(elapsed_s)}{GAP}{faults}".rstrip()
        )

    def table(self, elapsed_s: float, jobs: int) -> str:
        sizes = ", ".join(f"{count} of {nodes} nodes" for nodes, count in sorted(self.sizes.items()))
        lines = [
            f"{self.runs} seeds in {elapsed_s:.1f} s on {jobs} processes{GAP}{self.rates(elapsed_s)}",
            f"runs: {sizes or 'none'}",
            f"{self.events:,} events{GAP}{self.acknowledged:,} calls acknowledged{GAP}{self.elections:,} leaders elected",
            witnessed(self.operations, self.unjudged),
        ]
        if self.faults:
            rows = [(kind, f"{count:,}") for kind, count in sorted(self.faults.items())]
            lines += ["", *aligned([("FAULT", "DRAWN"), *rows], right=(1,))]
        if self.failures:
            failures = sorted(self.failures, key=lambda failure: failure.seed.number)
            cells = [failure.cells for failure in failures]
            lines += ["", *aligned([("SEED", "BROKE", "AT", "WHAT"), *cells], right=(0, 2)), ""]
            lines += ["To see one of them again:", *(f"  {failure.seed.command}" for failure in failures)]
        else:
            lines += ["", "No invariant broke." if self.runs else "Nothing was run."]
        return "\n".join(lines)


def witnessed(operations: int, unjudged: int) -> str:
    """How much of what clients were told could be judged from the history alone."""
    share = (operations - unjudged) / operations if operations else 0
    return f"{operations:,} operations in histories, {share:.1%} of them judged by the witness".replace("%", " %")


def aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """The rows as lines, with the cells of a column below each other; `right` are the columns of numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        GAP.join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
