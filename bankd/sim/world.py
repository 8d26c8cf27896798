"""Carry out a plan: the whole cluster, its clients and its faults on one queue of events."""

from collections.abc import Sequence

import attrs

from bankd.history.records import Record


@attrs.frozen
class Outcome:
    """What became of a run. `digest` is that of its trace: equal plans give equal digests, in every process."""

    violation: Exception | None  # a judges.Violation, or None
    simulated_ns: int
    events: int
    acknowledged: int  # calls answered with a result, refusals not counted
    elections: int  # leaders that took office
    digest: int
    history: Sequence[Record]
