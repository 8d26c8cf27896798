"""Wait for a condition, never for a time: what takes longer than the bound is stuck, not slow."""

import time
from collections.abc import Callable
from typing import Final

GIVE_UP_S: Final = 60.0  # far beyond V1's ten election timeouts, and beyond any stall of a busy machine
POLL_S: Final = 0.02


def wait_until(what: str, condition: Callable[[], bool]) -> None:
    """Raises AssertionError, in words, when `condition` has not become true in GIVE_UP_S."""
    give_up_at = time.monotonic() + GIVE_UP_S
    while not condition():
        assert time.monotonic() < give_up_at, f"waited {GIVE_UP_S:.0f} s in vain until {what}"
        time.sleep(POLL_S)
