"""A client's call on its way to a node, and from there to the leader."""

from collections.abc import Callable

import attrs

from bankd.replica.effects import Result
from bankd.wire.methods import Method


@attrs.frozen(eq=False)
class Ask:
    """What is asked, how long the caller waits, and what to do with the answer where it is given."""

    method: Method
    body: bytes
    timeout_ns: int
    answer: Callable[[Result], None] = attrs.field(repr=False)  # an address would differ from run to run
    hopped: bool = False
