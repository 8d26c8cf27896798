"""Decide when a read may be answered: shared ReadIndex rounds, and waits for an applied index.

1. A linearizable read joins the next *round*. While one round is under way, reads gather for the
   one behind it, so that any number of readers costs one round trip after another and no more.
2. A confirmed round names an index. Once that index is applied, the state is at least as fresh as
   the moment at which the round *began*, by this node's own clock. No other clock is believed.
3. That moment is what `bounded` and `stale` reads measure their age from. A bounded read that finds
   it too old joins a round; a stale read never waits, but starts a round for those who come later.
4. An `at_least` read and a digest wait for their index alone.
5. What may be answered is *ripe*, and is handed out in the order in which it became so.

Invariant: a linearizable read is answered only from a round that began after it was added.
Invariant: at most one round is under way, and at most one waits for its index without a call.
Invariant: `count` is the number of calls held that still await their answer.

Source: Ongaro's thesis (2014), 6.4.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, assert_never

import attrs

from bankd.replica.effects import AGE_UNKNOWN_MS
from bankd.replica.events import DigestCall, ReadCall
from bankd.types import AtLeast, Bounded, Lease, Linearizable, LogIndex, ReadMode, Stale

NS_PER_MS: Final = 1_000_000
REFRESH_AFTER_NS: Final = 100 * NS_PER_MS  # stale reads keep the known age near this, at ten rounds a second

Waiter = ReadCall | DigestCall


@attrs.frozen
class Round:
    read_id: int
    began_ns: int
    calls: list[ReadCall]


@attrs.frozen(order=True)
class IndexWait:
    """What may go on once `index` is applied; `order` keeps equal indexes in the order they came."""

    index: LogIndex
    order: int
    calls: list[Waiter] = attrs.field(order=False)
    began_ns: int | None = attrs.field(order=False, default=None)  # of the round behind it


class Reads:
    def __init__(self) -> None:
        self._gathered: list[ReadCall] = []
        self._round: Round | None = None
        self._waiting: list[IndexWait] = []  # a heap by index; each holds a call
        self._refresh: IndexWait | None = None  # a round whose freshness alone is waited for
        self._ripe: deque[Waiter] = deque()
        self._order = 0
        self._last_read_id = 0
        self._refresh_wanted = False
        self._fresh_as_of_ns: int | None = None
        self.count = 0

    @property
    def any_ready_to_ask(self) -> bool:
        """Whether `next_round` would begin one."""
        return self._round is None and (bool(self._gathered) or self._refresh_wanted)

    @property
    def any_ripe(self) -> bool:
        """Whether `ripe` left some behind."""
        return bool(self._ripe)

    def needs_round(self, mode: ReadMode, now_ns: int) -> bool:
        """Whether a read of this kind, added now, has to ask the leader."""
        match mode:
            case Linearizable():
                return True
            case Bounded(max_age_ms=max_age_ms):
                return not self.is_within(max_age_ms, now_ns)
            case AtLeast() | Stale():
                return False
            case Lease():
                raise AssertionError("lease reads are refused before they get here")
            case _:
                assert_never(mode)

    def add(self, call: Waiter, now_ns: int) -> None:
        self.count += 1
        if isinstance(call, DigestCall):
            self._wait_for(call.index, [call])
        elif self.needs_round(call.mode, now_ns):
            self._gathered.append(call)
        elif isinstance(call.mode, AtLeast):
            self._wait_for(call.mode.index, [call])
        else:
            self._ripe.append(call)
            # A node that lags behind has one such round in waiting: later ones would only be reached later.
            if isinstance(call.mode, Stale) and self._refresh is None:
                self._refresh_wanted |= self.age_ms(now_ns) * NS_PER_MS > REFRESH_AFTER_NS

    def next_round(self, now_ns: int) -> int | None:
        """Begin a round for everything gathered; returns the id to ask consensus about, or None."""
        if not self.any_ready_to_ask:
            return None
        self._last_read_id += 1
        self._round = Round(self._last_read_id, now_ns, self._gathered)
        self._gathered = []
        self._refresh_wanted = False
        return self._last_read_id

    def confirmed(self, read_id: int, index: LogIndex) -> None:
        if self._round is None or self._round.read_id != read_id:
            return  # an answer to a round that was given up
        round_, self._round = self._round, None
        if round_.calls:
            self._wait_for(index, round_.calls, round_.began_ns)
        elif self._refresh is None:
            self._refresh = IndexWait(index, self._order, [], round_.began_ns)

    def refused(self, read_id: int) -> list[ReadCall]:
        """The round cannot be confirmed: hand out its calls."""
        if self._round is None or self._round.read_id != read_id:
            return []
        calls, self._round = self._round.calls, None
        self.count -= len(calls)
        return calls

    def ripe(self, applied: LogIndex) -> Iterator[Waiter]:
        """Take out, one by one, the calls that may be answered from a state that has applied `applied`.

        Whoever stops early finds the others next time.
        """
        while self._waiting and self._waiting[0].index <= applied:
            wait = heapq.heappop(self._waiting)
            self._note_freshness(wait)
            self._ripe.extend(wait.calls)
        if self._refresh is not None and self._refresh.index <= applied:
            self._note_freshness(self._refresh)
            self._refresh = None
        while self._ripe:
            self.count -= 1
            yield self._ripe.popleft()

    def expire(self, now_ns: int) -> list[Waiter]:
        """Take out every call whose deadline has passed. A round under way goes on, for its freshness."""
        return self._take_out(lambda call: call.deadline_ns <= now_ns)

    def abandon(self) -> list[Waiter]:
        """Take out every call: none can be answered here any more."""
        return self._take_out(lambda call: True)

    def _take_out(self, is_over: Callable[[Waiter], bool]) -> list[Waiter]:
        taken: list[Waiter] = []

        def keep(call: Waiter) -> bool:
            if not is_over(call):
                return True
            taken.append(call)
            return False

        self._gathered = [call for call in self._gathered if keep(call)]
        self._ripe = deque([call for call in self._ripe if keep(call)])
        if self._round is not None:
            self._round.calls[:] = [call for call in self._round.calls if keep(call)]
        for wait in self._waiting:
            wait.calls[:] = [call for call in wait.calls if keep(call)]
        if taken:
            self._waiting = [wait for wait in self._waiting if wait.calls]
            heapq.heapify(self._waiting)
        self.count -= len(taken)
        return taken

    def is_within(self, max_age_ms: int, now_ns: int) -> bool:
        """Whether the applied state is surely no older. An age that is not known is within no bound."""
        return self._fresh_as_of_ns is not None and self.age_ms(now_ns) <= max_age_ms

    def age_ms(self, now_ns: int) -> int:
        """How old this node's applied state may be at most, in milliseconds, rounded up."""
        if self._fresh_as_of_ns is None:
            return AGE_UNKNOWN_MS
        return -(-(now_ns - self._fresh_as_of_ns) // NS_PER_MS)

    def _note_freshness(self, wait: IndexWait) -> None:
        if wait.began_ns is not None:
            self._fresh_as_of_ns = max(self._fresh_as_of_ns or 0, wait.began_ns)

    def _wait_for(self, index: LogIndex, calls: Sequence[Waiter], began_ns: int | None = None) -> None:
        self._order += 1
        heapq.heappush(self._waiting, IndexWait(index, self._order, list(calls), began_ns))
