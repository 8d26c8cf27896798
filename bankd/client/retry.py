"""How long to wait before trying again.

Exponential backoff with full jitter: each wait is drawn evenly between nothing and a ceiling that
doubles with every try, so that the callers of a node that comes back do not all arrive at once
(Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015). The caller's own timeout
ends the tries; nothing here does.
"""

from collections.abc import Callable
from typing import Final

import attrs

DOUBLINGS_MAX: Final = 30  # beyond it every ceiling is at delay_s_max anyway, and 2.0**n stays finite

_DRAW_BYTES: Final = 4
_DRAW_RANGE: Final = 256.0**_DRAW_BYTES


@attrs.frozen
class RetryPolicy:
    """`delay_s_first` is the ceiling before the first retry, `delay_s_max` the highest one, in seconds.

    `tries_max` counts the first try too; None tries until the timeout. `RetryPolicy(tries_max=1)` never
    sends a call twice.
    """

    delay_s_first: float = attrs.field(default=0.02, validator=attrs.validators.gt(0.0))
    delay_s_max: float = attrs.field(default=0.25, validator=attrs.validators.gt(0.0))
    tries_max: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))

    def allows(self, tries: int) -> bool:
        """Whether a call that was tried `tries` times may be tried once more."""
        return self.tries_max is None or tries < self.tries_max

    def ceiling_s(self, tries: int) -> float:
        """The longest wait after `tries` tries."""
        doublings = min(max(tries - 1, 0), DOUBLINGS_MAX)
        return min(self.delay_s_max, self.delay_s_first * 2.0**doublings)


class Backoff:
    """The waits of one client. `random_bytes(n)` gives n unpredictable bytes."""

    def __init__(self, policy: RetryPolicy, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self.ceiling_s = policy.ceiling_s
        self.allows = policy.allows

    def delay_s(self, tries: int, *, at_least_s: float = 0.0) -> float:
        """The wait after `tries` tries, from `at_least_s` (the other side's wish) up."""
        draw = int.from_bytes(self._random_bytes(_DRAW_BYTES), "big") / _DRAW_RANGE
        return at_least_s + self.ceiling_s(tries) * draw
