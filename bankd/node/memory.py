"""Keep Python's cyclic garbage collector out of the way of commits.

The state is large, lives long and holds no cycles; a full collection over it would stop the node
for as long as it takes to visit everything. What start-up built is frozen: never visited again.
What comes later is visited rarely, and the oldest generation hardly ever.
"""

import gc
from typing import Final

# Objects made between two young collections; the second and third generation after that many of the one before.
# Requests make no cycles, so there is next to nothing to find; exceptions and closed connections make a few.
GC_THRESHOLDS: Final = (50_000, 50, 100)


def quiet_garbage_collector() -> None:
    """Collect once, freeze everything that lives now, and collect seldom from here on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def keep_from_garbage_collector() -> None:
    """Freeze what lives now, as after a state was restored beside the traffic; without a collection, which would stop it."""
    gc.freeze()
