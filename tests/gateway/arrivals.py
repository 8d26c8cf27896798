"""Wait until a node has received a request, without polling."""

from collections import defaultdict
from threading import Event

from bankd.wire.methods import Method
from tests.client.fake_server import FakeServer
from tests.gateway.calls import DEADLINE_S


class Arrivals(list[tuple[int, bytes]]):
    """The `requests` of a fake node, with an event for the first of each method."""

    def __init__(self, node: FakeServer) -> None:
        super().__init__()
        self._first: defaultdict[int, Event] = defaultdict(Event)
        node.requests = self

    def append(self, request: tuple[int, bytes]) -> None:
        super().append(request)
        self._first[request[0]].set()

    def wait(self, method: Method) -> None:
        assert self._first[method].wait(DEADLINE_S), f"no {method.name} arrived"
