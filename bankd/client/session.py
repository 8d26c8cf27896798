"""The session core: every decision of a client about its calls, and no I/O.

A shell (async or blocking) owns the sockets and the clock. It tells the core what happened (a call
was made, a link connected, bytes came, time passed) and then looks at what the core wants:

    finished            callers to wake, their results in place
    wishes              connections to open and to close
    bytes_to_send(link) what to write
    wake_at             when to call `sweep`

Story of a call
1. It waits for room (`max_in_flight`), then for a link. Transfers gather instead: the first goes at once,
   those that come while enough batches are out travel together in the next one (coalesce.py).
2. It is sent with a number of its own. Its answer ends it.
3. Turned away or cut off, it goes back to the queue and is sent again with the same ids: at once to the
   node that the refusal names as leader, else after a backoff. Callers whose wait has ended are left out.
4. At its deadline it ends in the strongest error that is true (verdicts.py).

Invariant: a request under way is in exactly one place: the queue, or the calls of one link.
Bounds: `max_in_flight` callers under way; those beyond wait in `_backlog`, one entry a caller.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import TypeVar

import attrs

from bankd.client.coalesce import Coalescer
from bankd.client.connector import Connector, Wish
from bankd.client.ids import IdSource
from bankd.client.link import Link, LinkState
from bankd.client.options import ClientOptions
from bankd.client.pending import AnyPending, Call, Pending, Request
from bankd.client.retry import Backoff
from bankd.client.transfers import TransferRow
from bankd.client.verdicts import closed_error, deadline_error, final_error, lost, unreachable
from bankd.errors import BankError, HandshakeRefused, ProtocolError, Refusal
from bankd.types import ClusterId
from bankd.wire.frames import FLAG_HOPPED, Frame, FrameKind
from bankd.wire.refusals import decode_refusal, to_error

T = TypeVar("T")


class Session:
    """One client's calls and connections. Time is seconds of any clock that never steps back.

    `random_bytes(n)` gives n unpredictable bytes, `clock_ns()` the wall clock for ids.
    """

    def __init__(
        self, options: ClientOptions, *, random_bytes: Callable[[int], bytes], clock_ns: Callable[[], int]
    ) -> None:
        self.ids = IdSource(random_bytes, clock_ns)
        self.finished: list[AnyPending] = []
        self.wake_at = inf
        self._flight_max = options.max_in_flight
        self._in_flight = 0
        self._backoff = Backoff(options.retry, random_bytes)
        self._connector = Connector(options, self._backoff)
        self._coalescer = Coalescer()
        self._queue: list[Request] = []
        self._backlog: deque[Request | TransferRow] = deque()
        self._last_call_id = 0
        self._closed = False

    @property
    def known_addresses(self) -> tuple[str, ...]:
        return self._connector.known_addresses

    @property
    def cluster_id(self) -> ClusterId:
        """Of the cluster that greeted first; 0 before."""
        return self._connector.cluster_id

    @property
    def has_lone_caller(self) -> bool:
        """Whether waiting a moment would most likely gather nothing more to send."""
        return self._in_flight == 1

    def take_wishes(self) -> list[Wish]:
        """What to do about connections, in this order; each is told once."""
        if not self._connector.wishes:
            return []
        wishes, self._connector.wishes = self._connector.wishes, []
        return wishes

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
        """The caller went away. A request without callers is cancelled; one with others goes on, the next time without it."""
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
        for link in self._connector.links:
            self._connector.close(link)

    # What happened to connections

    def connected(self, link: Link) -> None:
        """The connection stands."""
        self._connector.connected(link)

    def received(self, link: Link, data: bytes, now: float) -> None:
        """Bytes came."""
        try:
            for frame in link.feed(data, now):
                if link.state is LinkState.CLOSED:
                    break
                self._take(link, frame, now)
        except ProtocolError as error:
            self._lose(link, lost(link.address, f"broke the protocol: {error}"), now)
        except HandshakeRefused as refused:
            refusal = refused.refusal
            self._lose(link, attrs.evolve(refusal, message=f"{link.address}: {refusal.message}"), now)
        self._refill(now)

    def disconnected(self, link: Link, why: str, now: float) -> None:
        """The connection broke, or never came to be."""
        self._lose(link, lost(link.address, why), now)
        self._refill(now)

    def sweep(self, now: float) -> None:
        """Do what is due by now: deadlines, silence, retries, new connections. Sets `wake_at` anew."""
        self._expire(now)
        for link in self._connector.links:
            if link.silent(now):
                self._lose(link, lost(link.address, "did not answer"), now)
        self._seek(now)
        self._dispatch(now)
        self._refill(now)
        self.wake_at = min(self._due_times(now), default=inf)

    # What to write

    def has_output(self, link: Link) -> bool:
        """Whether `bytes_to_send` would give something."""
        return link.has_output or (link is self._connector.current and self._coalescer.ready)

    def bytes_to_send(self, link: Link, now: float) -> bytes:
        """Everything to write to `link` now. Gathered transfers join at this last moment, as many as there are."""
        while link is self._connector.current and self._coalescer.ready:
            request, refused = self._coalescer.take()
            for row, refusal in refused:
                self._end(row, error=to_error(refusal))
            if request is not None:
                self._send(link, request, now)
        return link.take_output(now)

    # Starting

    def _start(self, item: Request | TransferRow, pending: Pending[T], now: float) -> None:
        if self._closed:
            pending.error, pending.done = closed_error(None, pending.intent_id), True
            return
        self._wake_by(pending.deadline)
        if self._in_flight >= self._flight_max:
            self._backlog.append(item)
        else:
            self._admit(item, pending, now)

    def _admit(self, item: Request | TransferRow, pending: Pending[T], now: float) -> None:
        self._in_flight += 1
        pending.admitted = True
        if isinstance(item, TransferRow):
            self._coalescer.rows.append(item)
            if self._connector.current is None:
                self._seek(now)
        else:
            self._enqueue(item, now, delay_s=0.0)

    def _refill(self, now: float) -> None:
        while self._backlog and self._in_flight < self._flight_max:
            item = self._backlog.popleft()
            for pending in _callers(item):
                self._admit(item, pending, now)

    def _enqueue(self, request: Request, now: float, *, delay_s: float) -> None:
        if self._connector.current is not None and delay_s == 0.0:
            self._send(self._connector.current, request, now)
            return
        request.not_before = now + delay_s
        self._queue.append(request)
        self._wake_by(request.not_before)
        self._seek(now)

    def _dispatch(self, now: float) -> None:
        link = self._connector.current
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
            self._connector.greeted(link, frame, now)
            self._seek(now)
            self._dispatch(now)
            return
        match frame.kind:
            case FrameKind.RESPONSE:
                self._answered(link, frame)
                if frame.flags & FLAG_HOPPED:
                    self._connector.passed_on(link, now)
                    self._seek(now)
            case FrameKind.ERROR if frame.call_id == 0:
                self._lose(link, decode_refusal(frame.body), now)
            case FrameKind.ERROR:
                self._refused(link, frame.call_id, decode_refusal(frame.body), now)
            case FrameKind.GOAWAY:
                self._connector.retire(link)
                self._seek(now)
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
                self._end(pending, result)
        self._leave(link, frame.call_id, request)
        self._connector.answered()

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
            moved = self._connector.steer(link, refusal, now)
            wait_s = self._backoff.delay_s(request.tries, at_least_s=refusal.retry_after_ms / 1000)
            self._enqueue(request, now, delay_s=0.0 if moved else wait_s)
            self._connector.close_if_drained(link)
        else:
            self._fail(request, final_error(refusal))
            self._leave(link, call_id, request)

    # Connections

    def _seek(self, now: float) -> None:
        """See to a link for what waits; what waits in vain ends."""
        if not (self._queue or self._coalescer.rows):
            return
        if not self._connector.seek(now):
            self._give_up_waiting()
        self._wake_by(min(self._connection_times(now), default=inf))

    def _give_up_waiting(self) -> None:
        refusal = unreachable(self._connector.trouble)
        queue, self._queue = self._queue, []
        for request in queue:
            self._fail(request, final_error(refusal))
            self._over(request)
        rows, self._coalescer.rows = self._coalescer.rows, []
        for row in rows:
            self._end(row, error=to_error(refusal))

    def _lose(self, link: Link, trouble: Refusal, now: float) -> None:
        """The connection is gone; what was under way on it is tried elsewhere."""
        for request in self._connector.lose(link, trouble):
            request.in_doubt = request.in_doubt or (request.write and request.on_wire)
            request.on_wire = False
            if self._may_retry(request):
                self._enqueue(request, now, delay_s=self._backoff.delay_s(request.tries))
            else:
                self._fail(request, final_error(trouble))
                self._over(request)
        self._seek(now)

    def _may_retry(self, request: Request) -> bool:
        return self._backoff.allows(request.tries) and (request.resend or not request.in_doubt)

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
        return self._connector.trouble if self._connector.current is None else None

    def _drop_abandoned(self) -> None:
        self._coalescer.rows = [row for row in self._coalescer.rows if not row.done]
        self._backlog = deque(item for item in self._backlog if any(True for _ in _callers(item)))
        for request in [request for request in self._queue if request.abandoned]:
            self._queue.remove(request)
            self._over(request)
        for link in self._connector.links:
            for call_id, request in list(link.calls.items()):
                if request.abandoned:
                    link.forget(call_id)
                    self._over(request)
            self._connector.close_if_drained(link)

    def _fail(self, request: Request, error_for: Callable[[Request, str], BankError]) -> None:
        """End every caller of a request; each gets an exception of its own, naming its own id."""
        for pending in request.pendings:
            self._end(pending, error=error_for(request, pending.intent_id))

    def _end(self, pending: Pending[T], result: T | None = None, *, error: BankError | None = None) -> None:
        if pending.done:
            return
        pending.result, pending.error, pending.done = result, error, True
        self._in_flight -= pending.admitted
        self.finished.append(pending)

    def _leave(self, link: Link, call_id: int, request: Request) -> None:
        del link.calls[call_id]
        self._over(request)
        self._connector.close_if_drained(link)

    def _over(self, request: Request) -> None:
        if request.coalesced:
            self._coalescer.ended()

    # Looking around

    def _wake_by(self, time: float) -> None:
        if time < self.wake_at:
            self.wake_at = time

    def _requests(self) -> list[Request]:
        return [*self._queue, *(request for link in self._connector.links for request in link.calls.values())]

    def _due_times(self, now: float) -> Iterator[float]:
        for request in self._requests():
            yield from (pending.deadline for pending in request.pendings if not pending.done)
        for item in (*self._coalescer.rows, *self._backlog):
            yield from (pending.deadline for pending in _callers(item))
        yield from (request.not_before for request in self._queue if request.not_before > now)
        yield from self._connection_times(now)

    def _connection_times(self, now: float) -> Iterator[float]:
        yield from (check for link in self._connector.links if (check := link.next_check) is not None)
        if self._connector.retry_at > now and (self._queue or self._coalescer.rows):
            yield self._connector.retry_at


def _callers(item: Request | TransferRow) -> Iterator[AnyPending]:
    """Those who still wait for it."""
    pendings: Sequence[AnyPending] = (item,) if isinstance(item, TransferRow) else item.pendings
    return (pending for pending in pendings if not pending.done)
