"""How long to wait before trying again.

Exponential backoff with full jitter: each wait is drawn evenly between nothing and a ceiling that
doubles with every try, so that the callers of a node that comes back do not all arrive at once
(Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015). The caller's own timeout
ends the tries; nothing here does.
"""

import attrs

DOUBLINGS_MAX = 30  # beyond it every ceiling is at delay_s_max anyway, and 2.0**n stays finite


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

    def delay_s(self, tries: int, *, draw: float, at_least_s: float = 0.0) -> float:
        """The wait after `tries` tries. `draw` is a random number in [0, 1); `at_least_s` is the other side's wish."""
        return at_least_s + self.ceiling_s(tries) * draw
