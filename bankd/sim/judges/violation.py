"""What a judge says when an invariant is broken."""

from bankd.types import NodeId


class Violation(Exception):
    """An invariant does not hold. Raised by a judge, caught where the run is driven: that run ends with it.

    `invariant` is its name in docs/contract.md, section 3; `at_ns` the simulated time; `node` where it showed, or
    None where it is no single node's.
    """

    def __init__(self, invariant: str, text: str, at_ns: int, node: NodeId | None = None) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.text = text
        self.at_ns = at_ns
        self.node = node
