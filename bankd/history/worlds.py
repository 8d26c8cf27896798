"""Account for writes of unknown outcome: which sets of them can have taken effect so far.

A *world* is one such set. All worlds share the balances that follow from what is known; a world adds what its loose
writes moved. The replay asks of everything that was answered whether it fits, in some world:

1. A world in which the answer fits is kept as it is.
2. Otherwise it is extended by loose writes that touch the accounts in question, one at a time and fewest first, until
   the answer fits, no account is overdrawn and none is used that is not open. All smallest extensions are kept: each
   is a world of its own.
3. If no world can be extended, the answer is wrong.

Why smallest extensions are enough: a loose write that nothing has shown yet may be added as well later, when
something shows it, because it had no return that it must precede. So of the world that was real, some part is always
among those kept. And why a violation is one: the real world satisfied every question put here. The other way round,
something wrong may pass, because the moment of a loose write is never pinned down more than its evidence demands, the
money need not be there in the order in which it was spent, and rows of one batch are taken one by one.

Limits: beyond `EXTENSIONS_MAX` tries or `WORLDS_MAX` worlds, the accounts in question are given up: answers about them
are not judged any more, and counted. The worlds kept are then still parts of the real one.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from bankd.history.decisions import ACCOUNT_EXISTED, OPENED, BalanceOf, Decision, fits, fits_somehow
from bankd.history.evidence import Key, Loose
from bankd.types import OPENING_ACCOUNT, AccountId

EXTENSIONS_MAX: Final = 500  # sets tried for one answer, some 10 ms
WORLDS_MAX: Final = 32


@attrs.frozen
class World:
    """`added` are numbers of loose writes; the rest follows: how they changed balances, and which accounts they opened."""

    added: frozenset[int] = frozenset()
    deltas: dict[AccountId, int] = attrs.field(factory=dict, eq=False)
    opened: frozenset[AccountId] = attrs.field(default=frozenset(), eq=False)


@attrs.define(eq=False)
class Worlds:
    """`balances` is shared with the replay; worlds are kept relative to it, and what all of them added goes into it.

    Invariant: `special` holds every account that was given up or is not the same in all worlds; with one world and
    nothing given up it is empty, and `balances` alone says what is true.
    """

    balances: dict[AccountId, int]
    loose: Sequence[Loose]
    index_min: Sequence[int]  # of each loose write
    worlds: list[World] = attrs.field(factory=lambda: [World()])
    given_up: set[AccountId] = attrs.field(factory=set)
    special: set[AccountId] = attrs.field(factory=set)  # given up, or not the same in every world
    _touching: dict[AccountId, list[int]] = attrs.field(factory=dict)
    _settled: set[int] = attrs.field(factory=set)  # loose writes that have taken effect in every world
    _settled_keys: set[Key] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        for number, write in enumerate(self.loose):
            for account in write.asked[:2]:
                self._touching.setdefault(account, []).append(number)

    def give_up(self, accounts: Iterable[AccountId]) -> None:
        """Judge nothing about these any more. What all worlds agree on stays known."""
        self.given_up |= set(accounts)
        self._settle([World(frozenset.intersection(*(world.added for world in self.worlds)))])

    def touches(self, account: AccountId) -> bool:
        """Whether any loose write has to do with this account."""
        return account in self._touching

    def fits(self, decision: Decision, balance_of: BalanceOf) -> bool:
        """Whether this may be so: of an account that was given up, anything may."""
        if fits(decision, balance_of):
            return True
        given_up = self.given_up.intersection(decision[:2])
        return given_up == set(decision[:2]) or (bool(given_up) and fits_somehow(decision, balance_of, given_up))

    def judge(self, reads: Sequence[Decision], index: int) -> bool | None:
        """Keep the worlds in which all of these fit at once, extended where they must be. None: too many ways."""
        found: list[World] = []
        for world in self.worlds:
            extensions = self.extensions(world, reads, index, self.view(world))
            if extensions is None:
                return None
            found += extensions
        return self.keep(found)

    def keep(self, worlds: Iterable[World]) -> bool | None:
        """Go on with the smallest of these; False if there are none, None if there are too many."""
        kept: list[World] = []
        for world in sorted(worlds, key=lambda world: (len(world.added), sorted(world.added))):
            if not any(other.added <= world.added for other in kept):
                kept.append(world)
        if not kept:
            return False
        if len(kept) > WORLDS_MAX:
            return None
        self._settle(kept)
        return True

    def view(self, world: World) -> BalanceOf:
        balances, deltas, opened = self.balances, world.deltas, world.opened

        def balance_of(account: AccountId) -> int | None:
            known = balances.get(account)
            if known is None and account not in opened:
                return None
            return (known or 0) + deltas.get(account, 0)

        return balance_of

    def extensions(
        self, world: World, decisions: Sequence[Decision], index: int, view: BalanceOf
    ) -> list[World] | None:
        """The world itself where all of these fit its balances, else its smallest extensions. None: too many to try.

        `view` is the world's, or what the caller made of it.
        """
        found: list[World] = []
        seen = {world.added}
        queue = deque([world])
        while queue:
            tried = queue.popleft()
            if any(smaller.added <= tried.added for smaller in found):
                continue
            amiss = self._amiss(tried, world, decisions, view)
            if not amiss:
                found.append(tried)
                continue
            for number in self._candidates(tried, amiss, index):
                if (added := tried.added | {number}) not in seen:
                    seen.add(added)
                    queue.append(self._extended(tried, number))
            if len(seen) > EXTENSIONS_MAX:
                return None
        return found

    def _amiss(self, tried: World, world: World, decisions: Sequence[Decision], view: BalanceOf) -> set[AccountId]:
        """Accounts of which something else must be true; none if the decisions fit and nobody is overdrawn."""

        def balance_of(account: AccountId) -> int | None:
            known = view(account)
            if known is None and account not in tried.opened:
                return None
            return (known or 0) + tried.deltas.get(account, 0) - world.deltas.get(account, 0)

        for decision in decisions:
            if not self.fits(decision, balance_of):
                return _concerned(decision)
        touched = {account for number in tried.added - world.added for account in self.loose[number].asked[:2]}
        touched -= self.given_up | {OPENING_ACCOUNT}
        return {account for account in touched if (balance_of(account) or 0) < 0 or balance_of(account) is None}

    def _candidates(self, world: World, accounts: set[AccountId], index: int) -> list[int]:
        numbers = {number for account in accounts for number in self._touching.get(account, ())}
        return sorted(number for number in numbers if self._possible(world, number, index))

    def _possible(self, world: World, number: int, index: int) -> bool:
        """Called by then, with an id that nothing else has, and opening only what is not open, as far as that is known."""
        write = self.loose[number]
        if number in world.added or number in self._settled or index < self.index_min[number]:
            return False
        if write.key in self._settled_keys or any(self.loose[other].key == write.key for other in world.added):
            return False
        if not write.opens or write.asked[1] in self.given_up:
            return True
        return write.asked[1] not in self.balances and write.asked[1] not in world.opened

    def _extended(self, world: World, number: int) -> World:
        source, target, amount = self.loose[number].asked
        deltas = dict(world.deltas)
        deltas[source] = deltas.get(source, 0) - amount
        deltas[target] = deltas.get(target, 0) + amount
        opened = world.opened | {target} if self.loose[number].opens else world.opened
        return World(world.added | {number}, deltas, opened)

    def _settle(self, worlds: Sequence[World]) -> None:
        """Make these the worlds; what all of them added becomes known."""
        common = frozenset.intersection(*(world.added for world in worlds))
        for number in common:
            self._post(self.loose[number])
        self._settled |= common
        self._settled_keys |= {self.loose[number].key for number in common}
        self.worlds = [self._world_of(world.added - common) for world in worlds]
        self.special = self.given_up.union(*(world.deltas for world in self.worlds))

    def _post(self, write: Loose) -> None:
        source, target, amount = write.asked
        self.balances[source] = self.balances.get(source, 0) - amount
        self.balances[target] = self.balances.get(target, 0) + amount

    def _world_of(self, added: frozenset[int]) -> World:
        world = World()
        for number in sorted(added):
            world = self._extended(world, number)
        return world


def _concerned(decision: Decision) -> set[AccountId]:
    """The accounts of which something else must be true for this to fit. Another opening helps only a full limit."""
    if decision[3] in (OPENED, ACCOUNT_EXISTED):
        return {decision[1]}
    return set(decision[:2])
