"""Hold the order of the log against the order of real time.

What happened has a *place* in the log, and happened between a call and a return: the decisions of log index i have place
2i, the reads of its state 2i+1, for a state is read whole. If A returned before B was called, then A's place must come
first. Two reads may share a place (they saw one state); two writes of one entry share theirs only if their calls
overlapped, for an entry is proposed once, with calls that were there.

So of each place only two moments matter: its latest call, and its earliest return.

Herlihy and Wing, "Linearizability" (1990), 3.1: the order that must be kept is the one of operations that do not overlap.
"""

from bisect import bisect_left
from itertools import accumulate
from typing import Final

import attrs

from bankd.history.findings import Finding

LONG_AGO: Final = -(2**100)  # before every call
NEVER: Final = 2**100  # after every return


@attrs.define(eq=False)
class Moments:
    """By place: its latest call and whose that is, its earliest return and whose that is."""

    _by_place: dict[int, list[int]] = attrs.field(factory=dict)

    def note(self, place: int, called: int, returned: int | None, record: int) -> None:
        """This happened. `called` is LONG_AGO for what may be older than its call: a stale read."""
        assert returned is not None, "what did not return has no place"
        known = self._by_place.get(place)
        if known is None:
            self._by_place[place] = [called, record, returned, record]
            return
        if called > known[0]:
            known[0], known[1] = called, record
        if returned < known[2]:
            known[2], known[3] = returned, record

    def judge(self) -> list[Finding]:
        """One finding for each call whose place comes before that of something which had returned by then."""
        found: dict[int, Finding] = {}
        latest_call, caller, caller_place = LONG_AGO, -1, 0
        for place, (called, its_caller, returned, record) in sorted(self._by_place.items()):
            if called > latest_call and not place & 1:  # writes of one place are held against each other
                latest_call, caller, caller_place = called, its_caller, place
            if returned < latest_call and caller not in found:
                found[caller] = _finding(place, record, caller_place, caller)
            if called > latest_call:
                latest_call, caller, caller_place = called, its_caller, place
        return list(found.values())

    def first_indexes(self) -> "FirstIndexes":
        return FirstIndexes([(known[2], place) for place, known in self._by_place.items()])


class FirstIndexes:
    """Says from which log index on something can have happened that was called at a given time."""

    def __init__(self, returns: list[tuple[int, int]]) -> None:
        returns.sort()
        self._returns = [returned for returned, _ in returns]
        self._places = list(accumulate((place for _, place in returns), max))

    def after(self, call_ns: int) -> int:
        """The log index behind all that had returned by then."""
        returned = bisect_left(self._returns, call_ns)
        return self._places[returned - 1] // 2 + 1 if returned else 1


def _finding(place: int, record: int, earlier_place: int, later_record: int) -> Finding:
    what = "read" if place & 1 else "decided"
    text = (
        f"what was {what} at index {place // 2} had returned before a call that has its place at {earlier_place // 2}"
    )
    return Finding("R1", text, (record, later_record))
