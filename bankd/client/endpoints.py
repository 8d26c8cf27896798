"""Decide which node to turn to next.

Rules
- A leader hint is followed at once, but at most HOPS_MAX times in a row: nodes that disagree about who
  leads must not send a client in a circle. Then hints rest for a while, and any node will do, for
  every node passes calls on.
- Nodes that failed are not tried again before every other known one was (a circle). What follows a circle
  without success, waiting, is the session's affair.
- The addresses given at the start are never forgotten; those that nodes tell are added, up to
  KNOWN_MAX.

Pure: the time comes in.
"""

from collections.abc import Iterable
from typing import Final

HOPS_MAX: Final = 3
HINT_REST_S: Final = 0.25  # after HOPS_MAX hops: about as long as nodes need to agree again once one has won
KNOWN_MAX: Final = 64  # addresses; clusters are far smaller, and a confused node must not fill our memory


class Endpoints:
    """What is known of the cluster's nodes, by address."""

    def __init__(self, seeds: tuple[str, ...]) -> None:
        assert seeds, "a client needs an endpoint to begin with"
        self._known = list(seeds)
        self._failed: set[str] = set()  # in this circle
        self._hint = ""
        self._hops = 0
        self._hints_rest_until = 0.0
        self._cursor = 0  # behind the node that failed last

    @property
    def known(self) -> tuple[str, ...]:
        return tuple(self._known)

    def learn(self, addresses: Iterable[str]) -> None:
        """Add what a node says of its fellows."""
        for address in addresses:
            if address not in self._known and len(self._known) < KNOWN_MAX:
                self._known.append(address)

    def follow(self, address: str, now: float) -> bool:
        """Whether to turn to `address`, named as the leader's; if so, `choose` will name it."""
        if address in self._failed or now < self._hints_rest_until:
            return False
        if self._hops >= HOPS_MAX:
            self._hints_rest_until = now + HINT_REST_S
            self._hops = 0
            return False
        self._hops += 1
        self._hint = address
        return True

    def choose(self) -> str | None:
        """The next address to try; None when every known one has failed in this circle."""
        hint, self._hint = self._hint, ""
        if hint and hint not in self._failed:
            return hint
        for step in range(len(self._known)):
            place = (self._cursor + step) % len(self._known)
            if self._known[place] not in self._failed:
                return self._known[place]
        return None

    def failed(self, address: str) -> None:
        """`address` could not be reached, or broke off, or could not serve."""
        self._failed.add(address)
        if address in self._known:
            self._cursor = self._known.index(address) + 1

    def begin_circle(self) -> None:
        """Every node may be tried again."""
        self._failed.clear()

    def answered(self) -> None:
        """A node brought a result: the troubles so far say nothing about the next one."""
        self._failed.clear()
        self._hops = 0
