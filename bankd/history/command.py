"""Judge a history file for people or programs: what `bankd check-history` prints, and its exit code."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from bankd.errors import Exit
from bankd.history.findings import Report
from bankd.history.linearizability import Searched, Verdict, search
from bankd.history.records import Record
from bankd.history.text import plain
from bankd.history.witness import examine

SHOWN_MAX: Final = 20  # findings for people; a program gets all

_EXITS: Final = {Verdict.VIOLATED: Exit.UNHEALTHY, Verdict.UNDECIDED: Exit.OUTCOME_UNKNOWN}


@attrs.frozen
class Judgement:
    """What the checkers that were asked said; None for one that was not."""

    report: Report | None
    searched: Searched | None

    @property
    def exit_code(self) -> Exit:
        """A violation found by either counts; else an undecided search does."""
        if self.report is not None and self.report.findings:
            return Exit.UNHEALTHY
        return Exit.OK if self.searched is None else _EXITS.get(self.searched.verdict, Exit.OK)


def judge(records: Sequence[Record], checker: str, *, drift_ppm_max: int) -> Judgement:
    """`checker`: "witness", "search" or "both"; `drift_ppm_max`: for the witness."""
    report = None if checker == "search" else examine(records, drift_ppm_max=drift_ppm_max)
    return Judgement(report, None if checker == "witness" else search(records))


def as_text(judgement: Judgement) -> str:
    """Printable ASCII: names are the history's, and a finding must not be lost to the terminal it is shown on."""
    lines = [] if judgement.report is None else list(_report_lines(judgement.report))
    if judgement.searched is not None:
        lines += _searched_lines(judgement.searched)
    return "\n".join(map(plain, lines))


def as_json(judgement: Judgement) -> str:
    shown: dict[str, object] = {}
    if judgement.report is not None:
        shown["witness"] = attrs.asdict(judgement.report)
    if judgement.searched is not None:
        shown["search"] = attrs.asdict(judgement.searched) | {"verdict": judgement.searched.verdict.value}
    return json.dumps(shown)


def _report_lines(report: Report) -> Iterator[str]:
    verdict = f"{len(report.findings):,} wrong" if report.findings else "nothing wrong"
    yield f"witness: {verdict} in {report.operations:,} operations, of which {report.unjudged:,} could not be judged"
    for finding in report.findings[:SHOWN_MAX]:
        records = ", ".join(map(str, finding.records[:SHOWN_MAX]))
        yield f"  {finding.promise}: {finding.text} (records {records})"
    if len(report.findings) > SHOWN_MAX:
        yield f"  and {len(report.findings) - SHOWN_MAX:,} more"


def _searched_lines(searched: Searched) -> Iterator[str]:
    yield f"search: {searched.verdict.value}, {searched.passed_over:,} records passed over"
    yield from (f"  {line}" for line in searched.window)
