"""The session core: every decision of a client, and no I/O.

A shell (async or blocking) owns the sockets and the clock. It tells the core what happened (a call
was made, a link connected, bytes came, time passed) and then looks at what the core wants:

    finished            callers to wake, their results in place
    wishes              connections to open and to close
    bytes_to_send(link) what to write
    wake_at             when to call `sweep`

Story of a call
1. It waits for room (`max_in_flight`), then for a link. Transfers gather instead: the first goes at once,
   those that come while BATCHES_UNDER_WAY_MAX requests are out travel together in the next one.
2. It is sent with a number of its own. Its answer ends it.
3. Turned away or cut off, it goes back to the queue with the same bytes, so with the same ids, and is
   sent again after a backoff, to the node that the refusal names as leader or to the next endpoint.
4. At its deadline it ends in the strongest error that is true: OutcomeUnknown when some try of a
   write may have taken effect, otherwise what turned it away last.

Invariant: at most one link takes new calls or is being opened; others only drain (`RETIRED`).
Invariant: every request is in exactly one place: the queue, or the calls of one link.
Bounds: `max_in_flight` callers under way; those beyond wait in `_backlog`, one entry a caller.

Limit: a client that found the leader through a follower's greeting stays with its node when leadership
moves quietly; that node passes its calls on, which costs a hop until the next reconnect.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Final, TypeVar

import attrs

from bankd import __version__
from bankd.client.coalesce import Coalescer
from bankd.client.endpoints import Endpoints
from bankd.client.ids import IdSource
from bankd.client.link import Link, LinkState
from bankd.client.options import ClientOptions
from bankd.client.pending import AnyPending, Call, Pending, Request
from bankd.client.transfers import TransferRow
from bankd.client.verdicts import closed_error, deadline_error, final_error, lost, unreachable_error
from bankd.errors import BankError, Code, HandshakeRefused, ProtocolError, Refusal
from bankd.wire.frames import Frame, FrameKind
from bankd.wire.hello import Hello, PeerRole
from bankd.wire.refusals import decode_refusal, to_error

T = TypeVar("T")

_DRAW_BYTES: Final = 4
_DRAW_RANGE: Final = 256.0**_DRAW_BYTES


@attrs.frozen
class OpenLink:
    """Connect to `link.address`, then tell `connected` or `disconnected`."""

    link: Link


@attrs.frozen
class CloseLink:
    """Close the connection of `link`, also while it is still being opened. Nothing about it need be told."""

    link: Link


Wish = OpenLink | CloseLink


class Session:
    """One client's calls and connections. Time is seconds of any clock that never steps back.

    `random_bytes(n)` gives n unpredictable bytes, `clock_ns()` the wall clock for ids.
    """

    def __init__(
        self, options: ClientOptions, *, random_bytes: Callable[[int], bytes], clock_ns: Callable[[], int]
    ) -> None:
        self.finished: list[AnyPending] = []
        self.wishes: list[Wish] = []
        self.wake_at = inf
        self._options = options
        self._random_bytes = random_bytes
        self._ids = IdSource(random_bytes, clock_ns)
        self._endpoints = Endpoints(options.endpoints)
        self._hello = Hello(PeerRole.CLIENT, cluster=options.cluster or "", software=f"bank-cluster {__version__}")
        self._current: Link | None = None
        self._opening: Link | None = None
        self._retired: list[Link] = []
        self._queue: list[Request] = []
        self._backlog: deque[Request | TransferRow] = deque()
        self._coalescer = Coalescer()
        self._in_flight = 0
        self._last_call_id = 0
        self._circles = 0
        self._connect_at = -inf
        self._trouble: Refusal | None = None  # why the last connection came to nothing
        self._closed = False

    @property
    def known_addresses(self) -> tuple[str, ...]:
        return self._endpoints.known

    def make_id(self) -> str:
        return self._ids.make()

    # Calls in

    def submit(self, call: Call[T], deadline: float, now: float) -> Pending[T]:
        """Start a call that travels alone."""
        pending = Pending[T](intent_id=call.intent_id, deadline=deadline)
        decode = call.decode
        request = Request(
            call.method, call.body, (pending,), lambda body: (decode(body),), write=call.write, resend=call.resend
        )
        self._start(request, pending, now)
        return pending

    def gather(self, row: TransferRow, now: float) -> None:
        """Start a transfer that may travel with others; `row.deadline` is set."""
        self._start(row, row, now)

    def forget(self, pending: Pending[T], now: float) -> None:
        """The caller went away. Its row travels on with the others; a request without callers is cancelled."""
        if pending.done:
            return
        pending.done = True
        self._in_flight -= pending.admitted
        self._drop_abandoned()
        self._refill(now)

    def close(self) -> None:
        """End every call and connection."""
        self._closed = True
        for request in self._requests():
            self._fail(request, closed_error)
        for item in (*self._coalescer.rows, *self._backlog):
            for pending in _callers(item):
                self._end(pending, error=closed_error(None, pending.intent_id))
        self._queue.clear()
        self._backlog.clear()
        self._coalescer.rows.clear()
        for link in self._links():
            self._close_link(link)

    # What happened to connections

    def connected(self, link: Link) -> None:
        """The connection stands."""
        if link.state is not LinkState.CLOSED:
            link.greet(self._hello)

    def received(self, link: Link, data: bytes, now: float) -> None:
        """Bytes came."""
        try:
            for frame in link.feed(data, now):
                if link.state is LinkState.CLOSED:
                    return
                self._take(link, frame, now)
        except ProtocolError as error:
            self._lose(link, lost(link.address, f"broke the protocol: {error}"), now)
        except HandshakeRefused as refused:
            self._lose(link, refused.refusal, now)
        self._refill(now)

    def disconnected(self, link: Link, why: str, now: float) -> None:
        """The connection broke, or never came to be."""
        self._lose(link, lost(link.address, why), now)
        self._refill(now)

    def sweep(self, now: float) -> None:
        """Do what is due by now: deadlines, silence, retries, new connections. Sets `wake_at` anew."""
        self._expire(now)
        for link in self._links():
            if link.silent(now):
                self._lose(link, lost(link.address, "did not answer"), now)
        self._seek(now)
        self._dispatch(now)
        self._refill(now)
        self.wake_at = min(self._due_times(now), default=inf)

    # What to write

    def has_output(self, link: Link) -> bool:
        """Whether `bytes_to_send` would give something."""
        return link.has_output or (link is self._current and self._coalescer.ready)

    def bytes_to_send(self, link: Link, now: float) -> bytes:
        """Everything to write to `link` now. Gathered transfers join at this last moment, as many as there are."""
        while link is self._current and self._coalescer.ready:
            request, refused = self._coalescer.take()
            for row, refusal in refused:
                self._end(row, error=to_error(refusal))
            if request is not None:
                self._send(link, request, now)
        return link.take_output()

    # Starting

    def _start(self, item: Request | TransferRow, pending: Pending[T], now: float) -> None:
        if self._closed:
            self._end(pending, error=closed_error(None, pending.intent_id))
            return
        self._wake_by(pending.deadline)
        if self._in_flight >= self._options.max_in_flight:
            self._backlog.append(item)
        else:
            self._admit(item, pending, now)

    def _admit(self, item: Request | TransferRow, pending: Pending[T], now: float) -> None:
        self._in_flight += 1
        pending.admitted = True
        if isinstance(item, TransferRow):
            self._coalescer.rows.append(item)
            if self._current is None:
                self._seek(now)
        else:
            self._enqueue(item, now, delay_s=0.0)

    def _refill(self, now: float) -> None:
        while self._backlog and self._in_flight < self._options.max_in_flight:
            item = self._backlog.popleft()
            for pending in _callers(item):
                self._admit(item, pending, now)

    def _enqueue(self, request: Request, now: float, *, delay_s: float) -> None:
        if self._current is not None and delay_s == 0.0:
            self._send(self._current, request, now)
            return
        request.not_before = now + delay_s
        self._queue.append(request)
        self._wake_by(request.not_before)
        self._seek(now)

    def _dispatch(self, now: float) -> None:
        link = self._current
        if link is None or not self._queue:
            return
        due = [request for request in self._queue if request.not_before <= now]
        self._queue = [request for request in self._queue if request.not_before > now]
        for request in due:
            self._send(link, request, now)

    def _send(self, link: Link, request: Request, now: float) -> None:
        self._last_call_id += 1
        link.send(request, self._last_call_id, now)
        self._wake_by(link.next_check or inf)

    # Answers

    def _take(self, link: Link, frame: Frame, now: float) -> None:
        if link.state is LinkState.OPENING:
            self._greeted(link, frame, now)
            return
        match frame.kind:
            case FrameKind.RESPONSE:
                self._answered(link, frame)
            case FrameKind.ERROR if frame.call_id == 0:
                self._lose(link, decode_refusal(frame.body), now)
            case FrameKind.ERROR:
                self._refused(link, frame.call_id, decode_refusal(frame.body), now)
            case FrameKind.GOAWAY:
                self._retire(link, now)
            case FrameKind.PING:
                link.pong(frame)
            case FrameKind.PONG:
                pass  # that it came is all it says
            case _:
                raise ProtocolError(f"a node sent {frame.kind.name} to a client")

    def _answered(self, link: Link, frame: Frame) -> None:
        request = link.calls.get(frame.call_id)
        if request is None:
            return  # late: its caller has gone, or another try was answered
        try:
            results = request.decode(frame.body)
        except BankError as error:
            no = error  # the name `error` ends with this block
            self._fail(request, lambda _request, _intent_id: no)
        else:
            for pending, result in zip(request.pendings, results, strict=True):
                self._end(pending, result=result)
        self._leave(link, frame.call_id, request)
        self._endpoints.answered()
        self._trouble = None

    def _refused(self, link: Link, call_id: int, refusal: Refusal, now: float) -> None:
        request = link.calls.get(call_id)
        if request is None:
            return
        request.on_wire = False
        request.refusal = refusal
        unknown = refusal.reason == "OUTCOME_UNKNOWN"
        request.in_doubt = request.in_doubt or (unknown and request.write)
        if (refusal.retryable or unknown) and self._may_retry(request):
            del link.calls[call_id]
            moved = self._steer(link, refusal, now)
            wait_s = self._backoff_s(request.tries, refusal.retry_after_ms / 1000)
            self._enqueue(request, now, delay_s=0.0 if moved else wait_s)
            self._close_if_drained(link)
        else:
            self._fail(request, final_error(refusal))
            self._leave(link, call_id, request)

    def _steer(self, link: Link, refusal: Refusal, now: float) -> bool:
        """Turn to another node when this one says so, or cannot serve; True when a leader was named."""
        if link is not self._current or not self._options.follow_leader:
            return False
        hint = refusal.leader_address
        if hint and refusal.leader_id != link.node_id and self._endpoints.follow(hint, now):
            self._retire(link, now)
            return True
        if refusal.code is Code.UNAVAILABLE and not hint and len(self._endpoints.known) > 1:
            self._endpoints.failed(link.address)
            self._retire(link, now)
        return False

    # Connections

    def _seek(self, now: float) -> None:
        """Open a connection if one is needed and none is there or on its way."""
        if self._current or self._opening or self._closed or not (self._queue or self._coalescer.rows):
            return
        if now < self._connect_at:
            self._wake_by(self._connect_at)
            return
        address = self._endpoints.choose()
        if address is None:
            self._circle_failed(now)
            return
        self._opening = Link(address, now)
        self.wishes.append(OpenLink(self._opening))
        self._wake_by(self._opening.next_check or inf)

    def _circle_failed(self, now: float) -> None:
        """No known node can be reached: wait, or give up if waiting cannot help."""
        self._circles += 1
        self._endpoints.begin_circle()
        self._connect_at = now + self._backoff_s(self._circles)
        self._wake_by(self._connect_at)
        rejected = self._trouble is not None and not self._trouble.retryable
        if rejected or not self._options.retry.allows(self._circles):
            self._give_up_waiting()

    def _give_up_waiting(self) -> None:
        error = unreachable_error(self._trouble)
        queue, self._queue = self._queue, []
        for request in queue:
            self._fail(request, final_error(error.refusal))
            self._over(request)
        rows, self._coalescer.rows = self._coalescer.rows, []
        for row in rows:
            self._end(row, error=unreachable_error(self._trouble))

    def _greeted(self, link: Link, frame: Frame, now: float) -> None:
        theirs = link.welcome(frame, self._hello)
        self._opening, self._current = None, link
        self._circles = 0
        if self._options.follow_leader:
            self._endpoints.learn(endpoint.address for endpoint in theirs.endpoints)
            elsewhere = theirs.leader_address and theirs.leader_id != theirs.node_id
            if elsewhere and self._endpoints.follow(theirs.leader_address, now):
                self._retire(link, now)
                return
        self._dispatch(now)

    def _retire(self, link: Link, now: float) -> None:
        """No new calls for this link; it ends with its last answer."""
        if link is not self._current:
            return
        self._current = None
        link.state = LinkState.RETIRED
        self._retired.append(link)
        self._close_if_drained(link)
        self._seek(now)

    def _lose(self, link: Link, trouble: Refusal, now: float) -> None:
        """The connection is gone; what was under way on it is tried elsewhere."""
        if link.state is LinkState.CLOSED:
            return
        if link.state is not LinkState.RETIRED:
            self._endpoints.failed(link.address)
            self._trouble = trouble
        requests = list(link.calls.values())
        link.calls.clear()
        self._close_link(link)
        for request in requests:
            self._cut_off(request, now)
        self._seek(now)

    def _cut_off(self, request: Request, now: float) -> None:
        request.in_doubt = request.in_doubt or (request.write and request.on_wire)
        request.on_wire = False
        if self._may_retry(request):
            self._enqueue(request, now, delay_s=self._backoff_s(request.tries))
        else:
            error = unreachable_error(self._trouble)
            self._fail(request, final_error(error.refusal))
            self._over(request)

    def _may_retry(self, request: Request) -> bool:
        return self._options.retry.allows(request.tries) and (request.resend or not request.in_doubt)

    def _backoff_s(self, tries: int, at_least_s: float = 0.0) -> float:
        draw = int.from_bytes(self._random_bytes(_DRAW_BYTES), "big") / _DRAW_RANGE
        return self._options.retry.delay_s(tries, draw=draw, at_least_s=at_least_s)

    def _close_if_drained(self, link: Link) -> None:
        if link.state is LinkState.RETIRED and not link.calls:
            self._close_link(link)

    def _close_link(self, link: Link) -> None:
        link.state = LinkState.CLOSED
        link.calls.clear()
        self.wishes.append(CloseLink(link))
        if link is self._current:
            self._current = None
        elif link is self._opening:
            self._opening = None
        else:
            self._retired.remove(link)

    # Endings

    def _expire(self, now: float) -> None:
        for request in self._requests():
            for pending in request.pendings:
                if not pending.done and pending.deadline <= now:
                    self._end(pending, error=deadline_error(request, self._silence_trouble(), pending.intent_id))
        for item in (*self._coalescer.rows, *self._backlog):
            for pending in _callers(item):
                if pending.deadline <= now:
                    self._end(pending, error=deadline_error(None, self._silence_trouble(), pending.intent_id))
        self._drop_abandoned()

    def _silence_trouble(self) -> Refusal | None:
        """What explains that nothing could be sent, while no link is up."""
        return self._trouble if self._current is None else None

    def _drop_abandoned(self) -> None:
        self._coalescer.rows = [row for row in self._coalescer.rows if not row.done]
        self._backlog = deque(item for item in self._backlog if any(True for _ in _callers(item)))
        for request in [request for request in self._queue if request.abandoned]:
            self._queue.remove(request)
            self._over(request)
        for link in self._links():
            for call_id, request in list(link.calls.items()):
                if request.abandoned:
                    link.forget(call_id)
                    self._over(request)
            self._close_if_drained(link)

    def _fail(self, request: Request, error_for: Callable[[Request, str], BankError]) -> None:
        """End every caller of a request; each gets an exception of its own, naming its own id."""
        for pending in request.pendings:
            self._end(pending, error=error_for(request, pending.intent_id))

    def _end(self, pending: Pending[T], *, result: T | None = None, error: BankError | None = None) -> None:
        if pending.done:
            return
        pending.result, pending.error, pending.done = result, error, True
        self._in_flight -= pending.admitted
        self.finished.append(pending)

    def _leave(self, link: Link, call_id: int, request: Request) -> None:
        del link.calls[call_id]
        self._over(request)
        self._close_if_drained(link)

    def _over(self, request: Request) -> None:
        if request.coalesced:
            self._coalescer.ended()

    # Looking around

    def _wake_by(self, time: float) -> None:
        if time < self.wake_at:
            self.wake_at = time

    def _links(self) -> list[Link]:
        return [link for link in (self._current, self._opening, *self._retired) if link is not None]

    def _requests(self) -> list[Request]:
        return [*self._queue, *(request for link in self._links() for request in link.calls.values())]

    def _due_times(self, now: float) -> Iterator[float]:
        for request in self._requests():
            yield request.deadline  # of its last caller; earlier ones are below
            yield from (pending.deadline for pending in request.pendings if not pending.done)
        for item in (*self._coalescer.rows, *self._backlog):
            yield from (pending.deadline for pending in _callers(item))
        yield from (request.not_before for request in self._queue if request.not_before > now)
        yield from (check for link in self._links() if (check := link.next_check) is not None)
        if self._connect_at > now and (self._queue or self._coalescer.rows):
            yield self._connect_at


def _callers(item: Request | TransferRow) -> Iterator[AnyPending]:
    """Those who still wait for it."""
    pendings: Sequence[AnyPending] = (item,) if isinstance(item, TransferRow) else item.pendings
    return (pending for pending in pendings if not pending.done)
