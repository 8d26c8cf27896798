"""Find an order for the decisions of one log index, which share it without saying who came first.

An entry carries many commands, and no answer tells its place among them. An order is right if every decision fits the
balances that those before it left. Rows of one record come in their order; else any order will do.

Two things keep the search short. Every answer says whether money moved, so the balances follow from the *set* of
decisions placed so far, whatever their order: each set is looked at once. And a decision that moved nothing and fits
now may be placed now: nothing is lost by it.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from bankd.history.decisions import OPENED, OPENING_LIMIT_EXCEEDED, BalanceOf, Decision, fits, moves
from bankd.history.worlds import World, Worlds
from bankd.types import OPENING_ACCOUNT, AccountId

STEPS_MAX: Final = 20_000  # for the decisions of one index that share accounts; then they are not judged
EXTENDED_SETS_MAX: Final = 500  # the same where loose writes must be among them

Balances = dict[AccountId, int | None]


def place(group: Sequence[Decision], index: int, worlds: Worlds) -> bool | None:
    """Say whether these decisions, sharing accounts, fit in some order; None: not judged. Their money is not moved.

    Only the worlds in which they do are kept, extended where they must be.
    """
    accounts = {account for decision in group for account in decision[:2]} - {OPENING_ACCOUNT}
    if not accounts.isdisjoint(worlds.given_up):
        return None
    found: list[World] = []
    for world in worlds.worlds:
        fitting = _fitting(group, index, world, worlds)
        if fitting is None:
            worlds.give_up(accounts)
            return None
        found += fitting
    return worlds.keep(found, accounts)


def _fitting(group: Sequence[Decision], index: int, world: World, worlds: Worlds) -> list[World] | None:
    ordered = Search(group).any_order(worlds.view(world))
    if ordered is None:
        return None
    return [world] if ordered else _extended(group, index, world, worlds)


@attrs.define(eq=False, init=False)
class Search:
    """A walk through the sets of decisions placed, depth first. A set is a mask of bits."""

    _group: Sequence[Decision]
    _before: list[int]  # the mask of the decision before it in the same record, 0 for none
    _placed: int
    _seen: set[int]
    _balances: Balances

    def __init__(self, group: Sequence[Decision]) -> None:
        self._group = group
        self._before = rows_before(group)
        self._placed = 0
        self._seen = set()
        self._balances = {}

    def any_order(self, balance_of: BalanceOf) -> bool | None:
        """Whether there is one; None: not found out in STEPS_MAX steps."""
        self._balances = {account: balance_of(account) for one in self._group for account in one[:2]}
        everything = (1 << len(self._group)) - 1
        path: list[tuple[int, Iterator[int]]] = []
        choices = self._choices()
        for _ in range(STEPS_MAX):
            if self._placed == everything:
                return True
            number = next(choices, None)
            if number is not None:
                self._post(number, 1)
                self._seen.add(self._placed)
                path.append((number, choices))
                choices = self._choices()
            elif path:
                number, choices = path.pop()
                self._post(number, -1)
            else:
                return False
        return None

    def _choices(self) -> Iterator[int]:
        """What may come next: one decision that moved nothing, if one fits, or else any that fits."""
        moving: list[int] = []
        for number, decision in enumerate(self._group):
            if self._free(number) and fits(decision, self._balances.__getitem__):
                if not moves(decision):
                    return iter((number,))
                moving.append(number)
        return (number for number in moving if self._placed | 1 << number not in self._seen)

    def _free(self, number: int) -> bool:
        return not self._placed >> number & 1 and self._before[number] & ~self._placed == 0

    def _post(self, number: int, sign: int) -> None:
        """Place a decision (1), or take it back (-1)."""
        self._placed ^= 1 << number
        decision = self._group[number]
        if moves(decision):
            post(decision, sign, self._balances)


def post(decision: Decision, sign: int, balances: Balances) -> None:
    """Move the money of a decision that did, or with -1 move it back."""
    source, target, amount, status, _, _, _ = decision
    balances[source] = (balances[source] or 0) - sign * amount
    balances[target] = None if status == OPENED and sign < 0 else (balances[target] or 0) + sign * amount


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
    while stack:
        placed, tried = stack.pop()
        if placed == everything:
            found.append(tried)
            continue
        view = _view_after(group, placed, worlds.view(tried))
        for number, decision in enumerate(group):
            if placed >> number & 1 or before[number] & ~placed:
                continue
            extensions = worlds.extensions(tried, [decision], index, view)
            if extensions is None or len(seen) > EXTENDED_SETS_MAX:
                return None
            fresh = [(placed | 1 << number, extension) for extension in extensions]
            stack += [state for state in fresh if (state[0], state[1].added) not in seen]
            seen |= {(state[0], state[1].added) for state in fresh}
    return found


def _view_after(group: Sequence[Decision], placed: int, balance_of: BalanceOf) -> BalanceOf:
    """The balances once these have been placed."""
    balances: Balances = {account: balance_of(account) for decision in group for account in decision[:2]}
    for number, decision in enumerate(group):
        if placed >> number & 1 and moves(decision):
            post(decision, 1, balances)

    def balance_after(account: AccountId) -> int | None:
        return balances[account] if account in balances else balance_of(account)

    return balance_after


def apart(group: Sequence[Decision]) -> list[list[Decision]]:
    """The decisions in parts that share no account and no record. `@opening` pays anybody, until it reaches its limit."""
    everybodys: set[object] = (
        set() if OPENING_LIMIT_EXCEEDED in [decision[3] for decision in group] else {OPENING_ACCOUNT}
    )
    parts: list[tuple[set[object], list[Decision]]] = []
    for decision in group:
        joined: set[object] = {*decision[:2], decision[5]} - everybodys
        members: list[Decision] = []
        for part in [part for part in parts if not joined.isdisjoint(part[0])]:
            parts.remove(part)
            joined |= part[0]
            members += part[1]
        parts.append((joined, [*members, decision]))
    return [members for _, members in parts]
