"""Find an order for the decisions of one log index, which share it without saying who came first.

An entry carries many commands, and no answer tells its place among them. An order is right if every decision fits the
balances that those before it left. Rows of one record come in their order; else any order will do.

Two things keep the search short. Every answer says whether money moved, so the balances follow from the *set* of
decisions placed so far, whatever their order: each set is looked at once. And a decision that moved nothing and fits
now may be placed now: nothing is lost by it.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

import attrs

from bankd.history.decisions import OPENED, OPENING_LIMIT_EXCEEDED, BalanceOf, Decision, moves
from bankd.history.worlds import World, Worlds
from bankd.types import OPENING_ACCOUNT, AccountId

LOOKS_MAX: Final = 50_000  # at single decisions, in a search for the order of one index, a few 10 ms
EXTENSIONS_MAX: Final = 1_000  # asked of a world, in a search that puts loose writes among the decisions

LOOSE: Final = None  # what ties decisions together whose accounts loose writes touch

Balances = dict[AccountId, int | None]


def place(group: Sequence[Decision], index: int, worlds: Worlds) -> bool | None:
    """Say whether these decisions, sharing accounts, fit in some order; None: too many to try. Their money is not moved.

    Only the worlds in which they do are kept, extended where they must be.
    """
    found: list[World] = []
    for world in worlds.worlds:
        fitting = _fitting(group, index, world, worlds)
        if fitting is None:
            return None
        found += fitting
    return worlds.keep(found)


def misfits(group: Sequence[Decision], worlds: Worlds) -> list[Decision]:
    """What does not fit in the order told, where nothing better is known. No finding: another order may be right."""
    return [decision for world in worlds.worlds for decision in _misfits(group, world, worlds)]


def _misfits(group: Sequence[Decision], world: World, worlds: Worlds) -> Iterator[Decision]:
    balances = _balances(group, worlds.view(world))
    for decision in group:
        if not worlds.fits(decision, balances.__getitem__):
            yield decision
        if moves(decision):
            post(decision, 1, balances)


def _fitting(group: Sequence[Decision], index: int, world: World, worlds: Worlds) -> list[World] | None:
    if next(_misfits(group, world, worlds), None) is None:
        return [world]  # nearly always the order told is right
    ordered = Search(group, worlds).any_order(worlds.view(world))
    if ordered is None:
        return None
    return [world] if ordered else _extended(group, index, world, worlds)


@attrs.define(eq=False, init=False)
class Search:
    """A walk through the sets of decisions placed, depth first. A set is a mask of bits."""

    _group: Sequence[Decision]
    _worlds: Worlds
    _looks_left: int
    _rows: list[deque[int]]  # of each record, what is not placed yet
    _record_of: list[int]  # which of these a decision belongs to
    _placed: int
    _seen: set[int]
    _balances: Balances

    def __init__(self, group: Sequence[Decision], worlds: Worlds) -> None:
        self._group = group
        self._worlds = worlds
        self._looks_left = LOOKS_MAX
        places = {record: place for place, record in enumerate(dict.fromkeys(decision[5] for decision in group))}
        self._record_of = [places[decision[5]] for decision in group]
        self._rows = [deque() for _ in places]
        for number, place_ in enumerate(self._record_of):
            self._rows[place_].append(number)
        self._placed = 0
        self._seen = set()
        self._balances = {}

    def any_order(self, balance_of: BalanceOf) -> bool | None:
        """Whether there is one; None: not found out within LOOKS_MAX."""
        self._balances = _balances(self._group, balance_of)
        everything = (1 << len(self._group)) - 1
        path: list[tuple[int, Iterator[int]]] = []
        choices = self._choices()
        while self._looks_left > 0:
            if self._placed == everything:
                return True
            number = next(choices, None)
            if number is not None:
                self._rows[self._record_of[number]].popleft()
                self._post(number, 1)
                self._seen.add(self._placed)
                path.append((number, choices))
                choices = self._choices()
            elif path:
                number, choices = path.pop()
                self._rows[self._record_of[number]].appendleft(number)
                self._post(number, -1)
            else:
                return False
        return None

    def _choices(self) -> Iterator[int]:
        """What may come next: one decision that moved nothing, if one fits, or else any that fits."""
        moving: list[int] = []
        for rows in self._rows:
            if rows:
                self._looks_left -= 1
                if self._worlds.fits(self._group[rows[0]], self._balances.__getitem__):
                    if not moves(self._group[rows[0]]):
                        return iter((rows[0],))
                    moving.append(rows[0])
        return (number for number in moving if self._placed | 1 << number not in self._seen)

    def _post(self, number: int, sign: int) -> None:
        """Place a decision (1), or take it back (-1)."""
        self._placed ^= 1 << number
        if moves(self._group[number]):
            post(self._group[number], sign, self._balances)


def post(decision: Decision, sign: int, balances: Balances) -> None:
    """Move the money of a decision that did, or with -1 move it back."""
    source, target, amount, status, _, _, _ = decision
    balances[source] = (balances[source] or 0) - sign * amount
    balances[target] = None if status == OPENED and sign < 0 else (balances[target] or 0) + sign * amount


def _balances(group: Sequence[Decision], balance_of: BalanceOf) -> Balances:
    return {account: balance_of(account) for decision in group for account in decision[:2]}


def rows_before(group: Sequence[Decision]) -> list[int]:
    last: dict[int, int] = {}
    before: list[int] = []
    for number, decision in enumerate(group):
        before.append(last.get(decision[5], 0))
        last[decision[5]] = 1 << number
    return before


def _extended(group: Sequence[Decision], index: int, world: World, worlds: Worlds) -> list[World] | None:
    """The smallest extensions of a world in which these fit in some order. None: too many to try."""
    before = rows_before(group)
    everything = (1 << len(group)) - 1
    found: list[World] = []
    seen = {(0, world.added)}
    stack = [(0, world)]
    asked = 0
    while stack:
        placed, tried = stack.pop()
        if placed == everything:
            found.append(tried)
            continue
        view = _view_after(group, placed, worlds.view(tried))
        for number, decision in enumerate(group):
            if placed >> number & 1 or before[number] & ~placed:
                continue
            asked += 1
            extensions = worlds.extensions(tried, [decision], index, view)
            if extensions is None or asked > EXTENSIONS_MAX:
                return None
            fresh = [(placed | 1 << number, extension) for extension in extensions]
            stack += [state for state in fresh if (state[0], state[1].added) not in seen]
            seen |= {(state[0], state[1].added) for state in fresh}
    return found


def _view_after(group: Sequence[Decision], placed: int, balance_of: BalanceOf) -> BalanceOf:
    """The balances once these have been placed."""
    balances = _balances(group, balance_of)
    for number, decision in enumerate(group):
        if placed >> number & 1 and moves(decision):
            post(decision, 1, balances)

    def balance_after(account: AccountId) -> int | None:
        return balances[account] if account in balances else balance_of(account)

    return balance_after


def apart(group: Sequence[Decision], worlds: Worlds) -> list[list[Decision]]:
    """The decisions in parts that share no account and no record, nor loose writes that could come between them."""
    names = [_ties(decision, worlds) for decision in group]
    if OPENING_LIMIT_EXCEEDED not in [decision[3] for decision in group]:
        names = [ties - {OPENING_ACCOUNT} for ties in names]  # it pays anybody, until it reaches its limit
    parts: dict[object, list[int]] = {}
    for number, ties in enumerate(names):
        part, *others = list({id(parts[tie]): parts[tie] for tie in ties if tie in parts}.values()) or [[]]
        joining = [number, *chain.from_iterable(others)]
        part += joining
        for member in joining:
            parts.update(dict.fromkeys(names[member], part))
    unique = {id(part): part for part in parts.values()}
    return [[group[number] for number in sorted(part)] for part in unique.values()]


def _ties(decision: Decision, worlds: Worlds) -> set[object]:
    source, target, _, _, _, record, _ = decision
    loose = {LOOSE} if worlds.touches(source) or worlds.touches(target) else set()
    return {source, target, record} | loose
