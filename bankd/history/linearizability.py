"""Judge a history by searching: is there any order in which one bank gives exactly these answers?

No log index is looked at. The order must keep that of real time: what returned before something else was called comes
first. A write of unknown outcome has no return; it comes anywhere behind its call, or nowhere.

The search walks through the calls and returns in time. A *standing* is the bank after some operations, and which of
those that are under way are among them. At a return the operation must be among them: if it is not, operations under
way are put in order just in time, fewest first, until it can be the last of them with the answer it got. Where no way
goes on, the walk goes back to the next way at an earlier return, and never enters a standing twice.

What keeps it short, and loses nothing:
- Parts of the history that share no account and no id are searched apart; so are, at a return, the operations under way.
- An operation that changes nothing and gets its answer now is put in order now.
- Given which operations were put in order, the bank follows from their answers: a standing is remembered by their
  numbers, with the answers only of those whose answer is unknown.

Finding an order is NP-hard, so the work is bounded and there is a third verdict, undecided. Reads that need not be
linearizable (stale, bounded, at least) are passed over and counted.

Sources: Wing and Gong, "Testing and verifying concurrent objects" (1993); Lowe, "Testing for linearizability" (2017):
memory of standings, just-in-time order; Horn and Kroening, "Faster linearizability checking via P-compositionality" (2015).
"""

from collections import deque
from collections.abc import Iterator, Sequence
from enum import Enum, unique
from typing import Final

import attrs

from bankd.history.bank import Answer, Bank
from bankd.history.calls import Call, Part, agrees, parts_of
from bankd.history.records import Record
from bankd.history.window import explained

WORK_MAX: Final = 1_000_000  # operations tried in some bank; 10 us each


@unique
class Verdict(Enum):
    LINEARIZABLE = "linearizable"
    VIOLATED = "violated"
    UNDECIDED = "undecided"


@attrs.frozen
class Searched:
    """`window`: where no order goes on, in lines for people. `passed_over`: records that were not looked at."""

    verdict: Verdict
    window: tuple[str, ...] = ()
    records: tuple[int, ...] = ()
    passed_over: int = 0


@attrs.frozen
class Standing:
    """`ordered` are calls under way, by number, that were put in order; `guessed` the answers of those without one."""

    bank: Bank
    ordered: frozenset[int] = frozenset()
    guessed: frozenset[tuple[int, Answer]] = frozenset()

    @property
    def identity(self) -> tuple[frozenset[int], frozenset[tuple[int, Answer]]]:
        return self.ordered, self.guessed


def search(records: Sequence[Record], *, work_max: int = WORK_MAX) -> Searched:
    """Find an order, or the place where there is none. A violation is proof; of the rest see the header."""
    parts, passed_over = parts_of(records)
    undecided = False
    for part in parts:
        walk = Walk(part, work_max)
        try:
            if not walk.arrives():
                lines, numbers = walk.explanation()
                return Searched(Verdict.VIOLATED, lines, numbers, passed_over)
        except WorkExhausted:
            undecided = True
    return Searched(Verdict.UNDECIDED if undecided else Verdict.LINEARIZABLE, passed_over=passed_over)


class WorkExhausted(Exception):
    """Raised in a walk, caught in `search`: what is left is not searched."""


@attrs.define(eq=False)
class Walk:
    """The search through one part. Its events are calls, with the operations that return one by one."""

    part: Part
    work_left: int
    _left: list[list[Standing]] = attrs.field(factory=list)  # by number of returns passed: entered, and maybe left
    _farthest: int = -1  # the return that was never passed, and the standing before it
    _there: Standing = attrs.field(factory=lambda: Standing(Bank()))
    _calls: dict[int, Call] = attrs.field(factory=dict)

    def arrives(self) -> bool:
        """Whether some way leads past every return. Raises WorkExhausted."""
        returns = self.part.returns
        if not returns:
            return True
        self._calls = {call.number: call for call in self.part.calls}
        ways = [self._ways(0, Standing(Bank()))]
        self._left = [[] for _ in returns]
        while ways:
            standing = next(ways[-1], None)
            if standing is None:
                ways.pop()
            elif len(ways) == len(returns):
                return True
            elif not any(self._leads(left, standing) for left in self._left[len(ways)]):
                self._left[len(ways)].append(standing)
                ways.append(self._ways(len(ways), standing))
        return False

    def _ways(self, number: int, standing: Standing) -> Iterator[Standing]:
        """The standings in which this return can be passed, those that order fewest calls first."""
        call = self.part.returns[number]
        if number > self._farthest:
            self._farthest, self._there = number, standing
        if call.number in standing.ordered:
            yield self._without(call, standing)
            return
        under_way = self.part.related(number)
        tried = {standing.identity}
        queue = deque([standing])
        while queue:
            before = self._idle_ordered(queue.popleft(), under_way)
            last = self._ordered(before, call)
            if last is not None:
                yield self._without(call, last)
            for other in under_way:
                after = None if other is call or other.number in before.ordered else self._ordered(before, other)
                if after is not None and after.bank is not before.bank and after.identity not in tried:
                    tried.add(after.identity)
                    queue.append(after)

    def _leads(self, left: Standing, standing: Standing) -> bool:
        """Whether a standing is another one with more calls put in order. Then all that follows was tried from there.

        Calls are put in order as they come: a yes is sure, a no may be wrong and costs only time.
        """
        if not (left.ordered <= standing.ordered and left.guessed <= standing.guessed):
            return False
        missing = sorted(standing.ordered - left.ordered)
        while missing:
            for number in missing:
                after = self._ordered(left, self._calls[number])
                if after is not None and after.guessed <= standing.guessed:
                    left = after
                    missing.remove(number)
                    break
            else:
                return False
        return True

    def _idle_ordered(self, standing: Standing, under_way: Sequence[Call]) -> Standing:
        """With every call in order that changes nothing and gets its answer here."""
        for call in under_way:
            if call.result is not None and call.number not in standing.ordered:
                after = self._ordered(standing, call)
                if after is not None and after.bank is standing.bank:
                    standing = after
        return standing

    def _ordered(self, standing: Standing, call: Call) -> Standing | None:
        """With this call put in order, if it can be."""
        if call.number in standing.ordered:
            return standing
        self.work_left -= 1
        if self.work_left < 0:
            raise WorkExhausted
        answer, bank = standing.bank.answer(call.operation)
        if call.result is None:
            if not call.worth(answer):
                return None
            return Standing(bank, standing.ordered | {call.number}, standing.guessed | {(call.number, answer)})
        if not agrees(call.operation, call.result, answer):
            return None
        return Standing(bank, standing.ordered | {call.number}, standing.guessed)

    def _without(self, call: Call, standing: Standing) -> Standing:
        """Past its return, a call is in every standing: it need not be remembered."""
        return Standing(standing.bank, standing.ordered - {call.number}, standing.guessed)

    def explanation(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        return explained(self.part, self._farthest, self._there.bank, self._there.ordered)
