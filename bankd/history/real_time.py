"""Hold the order of the log against the order of real time.

What happened is a *moment*: it has a place in the log, and it happened between a call and a return. If A returned before
B was called, then A's place must come first. Two reads may share a place (they saw one state); two writes of one entry
share a place only if their calls overlapped, for an entry is proposed once, with calls that were there.

Herlihy and Wing, "Linearizability" (1990), 3.1: the order that must be kept is the one of operations that do not overlap.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from bankd.history.evidence import LONG_AGO, Moment
from bankd.history.findings import Finding


def judge(moments: Sequence[Moment]) -> list[Finding]:
    """One finding for each moment that lies behind one which was only called after its return. O(n log n)."""
    found: list[Finding] = []
    latest_call, latest_record = LONG_AGO, -1
    for place, called, returned, record in sorted(moments, key=_order):
        if returned < latest_call:
            found.append(_finding(place, record, latest_record))
        if called > latest_call:
            latest_call, latest_record = called, record
    return found


def _order(moment: Moment) -> tuple[int, int]:
    """By place. Writes of one place are held against each other, so the latest call comes first; reads are not."""
    place, called, _, _ = moment
    return place, called if place & 1 else -called


def _finding(place: int, record: int, later_record: int) -> Finding:
    what = f"what happened at index {place // 2} had been answered before something was called"
    return Finding("R1", f"{what} that the log has no later", (record, later_record))


class FirstIndexes:
    """Says from which log index on something can have happened that was called at a given time."""

    def __init__(self, moments: Sequence[Moment]) -> None:
        by_return = sorted(moments, key=lambda moment: moment[2])
        self._returns = [moment[2] for moment in by_return]
        self._places = list(accumulate((moment[0] for moment in by_return), max))

    def after(self, call_ns: int) -> int:
        """The log index behind all that had returned by then."""
        returned = bisect_left(self._returns, call_ns)
        return self._places[returned - 1] // 2 + 1 if returned else 1
