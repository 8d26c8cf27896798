"""One link and a peer spoken by hand over streams in memory: forwarded calls and signs of life."""

from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from bankd.errors import Code, Refusal
from bankd.node.book import Book
from bankd.node.environment import system_environment
from bankd.node.links import FORWARDING_BYTES_MAX, PeerLink
from bankd.node.pulse import UNANSWERED_PINGS_MAX
from bankd.node.receiver import ReceiveBuffer
from bankd.node.sender import FrameSender
from bankd.sim.random import Stream
from bankd.types import ClusterId, Incarnation, NodeId
from bankd.wire.frames import FLAG_HOPPED, FRAME_BYTES_MAX, Frame, FrameDecoder, FrameKind, encode_frame
from bankd.wire.hello import Hello, PeerRole, encode_hello
from bankd.wire.methods import Method
from bankd.wire.refusals import decode_refusal
from tests.node.test_acquaintances import acquaintances

PEER = NodeId("n2")
PING_EVERY_TICKS = 3
FORWARDED_MAX = 5
FAR_S = 1e6


def hello_of(node_id: str) -> Hello:
    return Hello(
        PeerRole.PEER, "test", ClusterId(1), NodeId(node_id), Incarnation(7), leader_id=PEER, leader_address="n2:1"
    )


class Peer:
    """The other end of the link, and a caller's connection on this side."""

    def __init__(self) -> None:
        self.gone: list[NodeId] = []
        self._streams: list[trio.abc.Stream] = []
        self._decoder = FrameDecoder(FRAME_BYTES_MAX)
        self.link = PeerLink(
            PEER,
            environment=attrs.evolve(system_environment(), connect=self._connect, random=Stream(1, "link")),
            book=Book({PEER: "n2:1"}, acquaintances()),
            buffer=ReceiveBuffer(),
            hello=lambda: hello_of("n1"),
            unreachable=self.gone.append,
            forwarded_max=FORWARDED_MAX,
            ping_every_ticks=PING_EVERY_TICKS,
        )
        ours, self._caller = memory_stream_pair()
        self.back = FrameSender(ours, bytes_max=10**9)
        self._answers = FrameDecoder(FRAME_BYTES_MAX)

    async def _connect(self, _address: str) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        self._streams.append(theirs)
        await theirs.send_all(encode_hello(hello_of("n2")))
        return ours

    @property
    def stream(self) -> trio.abc.Stream:
        return self._streams[-1]

    async def frames(self) -> list[Frame]:
        """What the link sent since the last call; its Hello is one of them."""
        await wait_all_tasks_blocked()
        with trio.move_on_after(0.001):
            return self._decoder.feed(bytes(await self.stream.receive_some()))
        return []

    async def answers(self) -> list[Frame]:
        """What the caller was answered since the last call."""
        await wait_all_tasks_blocked()
        with trio.move_on_after(0.001):
            return self._answers.feed(bytes(await self._caller.receive_some()))
        return []

    def forward(self, method: Method = Method.TRANSFER, *, call_id: int = 1, body: bytes = b"x") -> Refusal | None:
        frame = Frame(FrameKind.REQUEST, 0, method, 0, call_id, body)
        refusal = self.link.forward(frame, self.back, trio.current_time() + FAR_S)
        self.link.flush()
        return refusal

    def tick(self, times: int) -> None:
        for _ in range(times):
            self.link.tick(trio.current_time())


def run_with_peer(scenario: Callable[[Peer], Awaitable[None]]) -> None:
    async def main() -> None:
        peer = Peer()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.link.run)
            nursery.start_soon(peer.back.run)
            while not peer.link.connected:
                await wait_all_tasks_blocked()
            await peer.frames()
            await scenario(peer)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_answer_of_the_leader_comes_back_under_the_callers_id() -> None:
    async def scenario(peer: Peer) -> None:
        assert peer.forward(call_id=77) is None
        (sent,) = await peer.frames()
        assert (sent.method, sent.body, sent.flags) == (Method.TRANSFER, b"x", FLAG_HOPPED)
        for _ in range(2):  # said twice, passed on once
            await peer.stream.send_all(encode_frame(FrameKind.RESPONSE, Method.TRANSFER, sent.call_id, b"done"))
        (answer,) = await peer.answers()
        assert (answer.kind, answer.call_id, answer.body) == (FrameKind.RESPONSE, 77, b"done")
        assert answer.flags == FLAG_HOPPED, "the client may want to look for the leader itself"
        assert peer.link.waiting_calls == 0

    run_with_peer(scenario)


@pytest.mark.parametrize(
    ("method", "retryable"),
    [
        (Method.TRANSFER, True),
        (Method.CREATE_ACCOUNT, True),
        (Method.SUBMIT_TRANSFERS, True),
        (Method.TRANSFER_LEADERSHIP, False),
    ],
)
def test_link_that_breaks_under_a_forwarded_call_answers_it_once_as_unknown(method: Method, retryable: bool) -> None:
    async def scenario(peer: Peer) -> None:
        assert peer.forward(method, call_id=77) is None
        await peer.frames()
        await peer.stream.aclose()
        (answer,) = await peer.answers()
        refusal = decode_refusal(answer.body)
        assert (answer.kind, answer.call_id) == (FrameKind.ERROR, 77)
        assert (refusal.code, refusal.reason, refusal.retryable) == (Code.UNKNOWN, "OUTCOME_UNKNOWN", retryable)
        assert peer.link.waiting_calls == 0
        assert peer.gone == [PEER]

    run_with_peer(scenario)


def test_call_whose_deadline_passes_is_answered_and_a_late_answer_dropped() -> None:
    async def scenario(peer: Peer) -> None:
        assert peer.forward(call_id=77) is None
        (sent,) = await peer.frames()
        peer.link.tick(trio.current_time() + 2 * FAR_S)
        (answer,) = await peer.answers()
        assert (answer.call_id, decode_refusal(answer.body).reason) == (77, "OUTCOME_UNKNOWN")
        await peer.stream.send_all(encode_frame(FrameKind.RESPONSE, Method.TRANSFER, sent.call_id, b"done"))
        assert await peer.answers() == []

    run_with_peer(scenario)


def test_call_that_meets_no_connection_is_refused_and_never_answered_again() -> None:
    async def scenario(peer: Peer) -> None:
        await peer.stream.aclose()
        await wait_all_tasks_blocked()
        refusal = peer.forward()
        assert refusal is not None
        assert (refusal.reason, refusal.leader_id) == ("NOT_LEADER", PEER)
        assert peer.link.waiting_calls == 0
        assert await peer.answers() == []

    run_with_peer(scenario)


def test_forwarding_beyond_its_share_is_refused_and_leaves_the_link_to_raft() -> None:
    async def scenario(peer: Peer) -> None:
        refusal, forwarded = None, 0
        while refusal is None:
            frame = Frame(FrameKind.REQUEST, 0, Method.SUBMIT_TRANSFERS, 0, forwarded, bytes(3 * 1024 * 1024))
            refusal = peer.link.forward(frame, peer.back, trio.current_time() + FAR_S)  # not flushed: nobody reads
            forwarded += refusal is None
        assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert refusal.retry_after_ms > 0
        assert forwarded == FORWARDING_BYTES_MAX // (3 * 1024 * 1024) + 1 < FORWARDED_MAX
        assert peer.link.waiting_calls == forwarded, "what was refused is not waited for"
        assert peer.link.connected
        peer.link.push(encode_frame(FrameKind.ITEM, Method.RAFT, 0, bytes(FRAME_BYTES_MAX - 100)))
        await wait_all_tasks_blocked()
        assert peer.link.connected

    run_with_peer(scenario)


def test_calls_beyond_their_number_are_refused() -> None:
    async def scenario(peer: Peer) -> None:
        assert [peer.forward(call_id=number) for number in range(FORWARDED_MAX)] == [None] * FORWARDED_MAX
        refusal = peer.forward(call_id=FORWARDED_MAX)
        assert refusal is not None
        assert refusal.reason == "OVERLOADED"

    run_with_peer(scenario)


def test_peer_that_leaves_its_pings_unanswered_is_dialled_anew() -> None:  # N06
    async def scenario(peer: Peer) -> None:
        peer.tick(PING_EVERY_TICKS * (UNANSWERED_PINGS_MAX + 1) - 1)
        await wait_all_tasks_blocked()
        assert peer.link.connected
        peer.tick(1)
        await wait_all_tasks_blocked()
        assert not peer.link.connected
        assert peer.gone == [PEER]

    run_with_peer(scenario)


def test_answers_swallowed_by_a_damaged_length_are_no_sign_of_life() -> None:  # N06, N08
    async def scenario(peer: Peer) -> None:
        pong = encode_frame(FrameKind.PONG, Method.NONE, 0)
        damaged = bytes([*pong[:2], pong[2] ^ 1, *pong[3:]])  # says 64 KiB more than there are
        for _ in range(UNANSWERED_PINGS_MAX + 1):
            await peer.stream.send_all(damaged)
            await wait_all_tasks_blocked()
            peer.tick(PING_EVERY_TICKS)
        await wait_all_tasks_blocked()
        assert not peer.link.connected
        assert peer.gone == [PEER]

    run_with_peer(scenario)


def test_pause_of_this_node_is_no_silence_of_its_peer() -> None:  # P02
    async def scenario(peer: Peer) -> None:
        peer.tick(PING_EVERY_TICKS)
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        clock.jump(3600)  # as if stopped, and continued
        peer.tick(PING_EVERY_TICKS)
        await wait_all_tasks_blocked()
        assert peer.link.connected
        pings = [frame for frame in await peer.frames() if frame.kind is FrameKind.PING]
        assert len(pings) == 2
        await peer.stream.send_all(encode_frame(FrameKind.PONG, Method.NONE, 0))
        await wait_all_tasks_blocked()
        peer.tick(PING_EVERY_TICKS * UNANSWERED_PINGS_MAX)
        await wait_all_tasks_blocked()
        assert peer.link.connected, "an answer starts the count anew"

    run_with_peer(scenario)
