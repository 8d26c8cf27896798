"""The clients of a simulated cluster: each makes its calls one after the other, and does not give up easily.

A call is tried on one node, and after a time-out or a refusal on another one, mostly the leader that the refusal
named. A retry sends the same bytes, the same ids. Every try is a call of its own to who watches and to the history, and
so is its end: a result, a refusal that had no effect, or nothing, and then its outcome is unknown for ever.
An opening without a request id is tried once only: a second try could not be told from another call.

What comes back to a try that was given up goes to nobody. Ids used twice on purpose are the plan's (swarm.py).

Limits: a client loses no connection; its messages are late, or lost.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from bankd.errors import Code, Refusal
from bankd.replica.effects import Result
from bankd.sim.ask import Ask
from bankd.sim.network import drawn_delay_ns, typical_delay_ns
from bankd.sim.plan import NetworkOdds, Open, Operation, Request
from bankd.sim.random import PPM, Stream
from bankd.sim.records import Recorder
from bankd.sim.requests import encoded
from bankd.sim.surroundings import Surroundings
from bankd.types import LogIndex, NodeId

MS: Final = 1_000_000
TIMEOUT_NS: Final = (300 * MS, 3_000 * MS)  # each client has its own, within these
TRIES_MAX: Final = (1, 10)
PAUSE_NS: Final = (10 * MS, 300 * MS)  # between two tries
INSISTING_PAUSE_NS: Final = (1 * MS, 20 * MS)  # ten election timeouts (V1) may be 600 ms, and a minority down
FOLLOWS_HINT_PPM: Final = 900_000
RETURNS_PPM: Final = 700_000  # of next calls go where the last one was answered
UNKNOWN: Final = frozenset({Code.UNKNOWN, Code.DEADLINE_EXCEEDED})  # may have taken effect (K11)


class Client:
    """`ask` brings a call to a node's door."""

    def __init__(
        self,
        number: int,
        operations: Sequence[Operation],
        *,
        nodes: Sequence[NodeId],
        odds: NetworkOdds,
        stream: Stream,
        world: Surroundings,
        recorder: Recorder,
        ask: Callable[[NodeId, Ask], None],
        patience_ns: int | None = None,
    ) -> None:
        """`patience_ns`: it insists; it never gives up, waits for each answer so long and not long between two tries,
        and its links lose nothing, being mended. None: drawn."""
        self.number = number
        self.idle = False  # nothing is under way, and nothing left to do
        self._operations = deque(operations)
        self._nodes = nodes
        self._stream = stream
        self._world = world
        self._recorder = recorder
        self._ask = ask
        self._typical_ns = typical_delay_ns(odds, stream)
        self._loss_ppm = 0 if patience_ns else stream.between(0, odds.loss_ppm_max)
        self._timeout_ns = patience_ns or stream.between(*TIMEOUT_NS)
        self._tries_max = 0 if patience_ns else stream.between(*TRIES_MAX)
        self._pause_ns = INSISTING_PAUSE_NS if patience_ns else PAUSE_NS
        self._target = stream.pick(nodes)
        self._request: Request | None = None  # under way
        self._tries = 0
        self._try = 0  # the number of the call under way; 0: none is
        self._seen_index = LogIndex(0)

    def begin(self) -> None:
        """Make the next call when its time has come."""
        if self._operations:
            operation = self._operations.popleft()
            at_ns = max(operation.at_ns, self._world.queue.now_ns)
            self._world.queue.at(at_ns, self._begin, operation.request)
        else:
            self.idle = True

    def finish(self) -> None:
        """Begin no call any more."""
        self._operations.clear()

    def _begin(self, request: Request) -> None:
        self._request = request
        self._tries = 0
        if not self._stream.chance(RETURNS_PPM):
            self._target = self._stream.pick(self._nodes)
        self._send()

    def _send(self) -> None:
        world, request = self._world, self._request
        assert request is not None, "nothing to try"
        world.calls += 1
        self._tries += 1
        self._try = number = world.calls
        now_ns = world.queue.now_ns
        for watcher in world.watchers:
            watcher.called(now_ns, self.number, number, request)
        self._recorder.called(now_ns, self.number, number, request, self._seen_index)
        method, body = encoded(request, self._seen_index)
        ask = Ask(method, body, self._timeout_ns, partial(self._leave_node, number))
        if not self._is_lost():
            world.queue.after(self._delay_ns(), self._ask, self._target, ask)
        world.queue.after(self._timeout_ns, self._time_out, number)

    def _leave_node(self, number: int, result: Result) -> None:
        """An answer begins its way back."""
        if not self._is_lost():
            self._world.queue.after(self._delay_ns(), self._take, number, result)

    def _take(self, number: int, result: Result) -> None:
        if number != self._try:
            return
        refusal = result if isinstance(result, Refusal) else None
        self._end_try(None if refusal is not None and refusal.code in UNKNOWN else result)
        if refusal is None:
            self._world.acknowledged += 1
            self._done()
        elif not refusal.retryable:
            self._done()
        else:
            self._turn_to(refusal.leader_id)
            self._try_again(refusal.retry_after_ms * MS)

    def _time_out(self, number: int) -> None:
        if number == self._try:
            self._end_try(None)
            self._turn_to("")
            self._try_again(0)

    def _end_try(self, result: Result | None) -> None:
        number, self._try = self._try, 0
        now_ns = self._world.queue.now_ns
        for watcher in self._world.watchers:
            watcher.answered(now_ns, self.number, number, result)
        self._seen_index = max(self._seen_index, self._recorder.answered(now_ns, number, result))

    def _turn_to(self, leader_id: str) -> None:
        if leader_id and self._stream.chance(FOLLOWS_HINT_PPM):
            self._target = NodeId(leader_id)
        else:
            self._target = self._stream.pick(self._nodes)

    def _try_again(self, pause_ns: int) -> None:
        if self._tries == self._tries_max or (isinstance(self._request, Open) and self._request.request_id is None):
            self._done()
        else:
            self._world.queue.after(max(pause_ns, self._stream.between(*self._pause_ns)), self._send)

    def _done(self) -> None:
        self._request = None
        self.begin()

    def _is_lost(self) -> bool:
        return self._stream.chance(self._loss_ppm)

    def _delay_ns(self) -> int:
        return drawn_delay_ns(self._typical_ns, self._stream)


assert max(FOLLOWS_HINT_PPM, RETURNS_PPM) <= PPM
