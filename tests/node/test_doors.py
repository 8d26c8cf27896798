"""Who gets in, who has to make room, and what a crowd at the door does to those inside."""

import pytest
import trio

from bankd.errors import HandshakeRefused
from bankd.node.calls import ANSWER_BYTES
from bankd.node.causes import TEXT_CHARS_MAX
from bankd.node.descriptors import room_within
from bankd.node.door import HANDSHAKE_S
from bankd.node.logs import RATIONED_LINES_MAX
from bankd.node.roster import IDLE_ROUNDS
from bankd.node.sender import CROWDED_BYTES
from bankd.types import NodeId
from bankd.wire import client_codec as codec
from bankd.wire.frames import FrameKind, encode_frame
from bankd.wire.hello import Hello, PeerRole, encode_hello
from bankd.wire.methods import Method
from bankd.wire.refusals import decode_refusal
from tests.whole.caller import Caller
from tests.whole.client import CLUSTER
from tests.whole.world import ELECTION_TIMEOUT_S, NODES, World, run_world

OPEN_FILES_MAX = 128
ROOM = room_within(OPEN_FILES_MAX, peers=len(NODES) - 1)
CALLS_MAX = CROWDED_BYTES // ANSWER_BYTES + 100  # more than a connection may have under way
N1, N2 = NODES[:2]


async def connect_silently(world: World, node_id: NodeId, count: int) -> list[Caller]:
    return [await world.connect(node_id) for _ in range(count)]


async def ended(caller: Caller) -> bool:
    """Whether the node has closed this connection; what it said before is passed over."""
    with trio.move_on_after(0.001):
        while True:
            try:
                await caller.receive()
            except (trio.EndOfChannel, trio.BrokenResourceError):
                return True
    return False


async def served(caller: Caller) -> bool:
    return (await caller.call(Method.GET_NODE_STATUS, b"")).kind is FrameKind.RESPONSE


def peer_hello(world: World, node_id: NodeId) -> Hello:
    theirs = world.node(node_id).identity
    return Hello(PeerRole.PEER, CLUSTER, theirs.cluster_id, node_id, theirs.incarnation)


def test_silent_connections_beyond_their_bound_close_the_oldest_of_them() -> None:  # N09
    async def scenario(world: World) -> None:
        for host in world.hosts.values():
            host.open_files_max = OPEN_FILES_MAX
        await world.start("n1")
        silent = await connect_silently(world, N1, ROOM.ungreeted)
        await world.pause()
        assert not any([await ended(caller) for caller in silent])
        silent += await connect_silently(world, N1, 3)
        await world.pause()
        assert [await ended(caller) for caller in silent] == [True] * 3 + [False] * ROOM.ungreeted

    run_world(scenario)


def test_hello_that_trickles_in_is_cut_off_like_one_that_never_comes() -> None:  # N09
    """Each byte comes long before anybody would call the connection silent."""

    async def scenario(world: World) -> None:
        await world.start("n1")
        slow = await world.connect(N1)
        for byte in encode_hello(Hello(PeerRole.CLIENT, CLUSTER)):
            await slow.stream.send_all(bytes((byte,)))
            await trio.sleep(HANDSHAKE_S / 10)
            if await ended(slow):
                return
        raise AssertionError("it was heard to its end")

    run_world(scenario)


def test_client_and_peers_get_in_through_a_flood_of_silent_connections() -> None:  # N09
    async def scenario(world: World) -> None:
        for host in world.hosts.values():
            host.open_files_max = OPEN_FILES_MAX
        await world.start()
        leader = await world.wait_leader()
        follower = world.followers()[0]
        for node_id in (leader, follower):
            await connect_silently(world, node_id, 50)
        world.network.cut(follower)
        await world.pause()
        await connect_silently(world, leader, 50)
        world.network.mend(follower)
        await connect_silently(world, follower, 50)
        await trio.sleep(3 * ELECTION_TIMEOUT_S)
        assert world.node(leader).links[follower].connected
        assert world.node(follower).links[leader].connected
        assert await served(await world.dial(leader))

    run_world(scenario)


def test_client_beyond_the_bound_is_refused_until_one_has_been_idle_for_long() -> None:
    async def scenario(world: World) -> None:
        for host in world.hosts.values():
            host.open_files_max = OPEN_FILES_MAX
        await world.start("n1")
        first, *others = [await world.dial(N1) for _ in range(ROOM.clients)]
        for _ in range(IDLE_ROUNDS // 2):
            with pytest.raises(HandshakeRefused) as refused:
                await world.dial(N1)
            assert refused.value.refusal.reason == "TOO_MANY_CONNECTIONS"
            assert all([await served(caller) for caller in others])
            await trio.sleep(2)
        await trio.sleep(2)
        assert await served(await world.dial(N1))
        assert (await first.receive()).kind is FrameKind.GOAWAY
        assert await ended(first)
        assert all([await served(caller) for caller in others])

    run_world(scenario)


def test_peer_that_falls_silent_loses_its_connection_and_one_that_pings_keeps_it() -> None:  # N06
    async def scenario(world: World) -> None:
        await world.start("n1", "n2")
        hello = peer_hello(world, N2)
        await world.crash(N2)
        caller = await world.dial(N1, hello)
        for _ in range(20):
            await caller.stream.send_all(encode_frame(FrameKind.PING, Method.NONE, 0))
            assert (await caller.receive()).kind is FrameKind.PONG
            await trio.sleep(ELECTION_TIMEOUT_S / 2)
        with trio.fail_after(4 * ELECTION_TIMEOUT_S), pytest.raises(trio.EndOfChannel):
            await caller.receive()

    run_world(scenario)


def test_second_connection_of_a_peer_takes_the_place_of_the_first() -> None:
    async def scenario(world: World) -> None:
        await world.start("n1", "n2")
        hello = peer_hello(world, N2)
        await world.crash(N2)
        first = await world.dial(N1, hello)
        second = await world.dial(N1, hello)
        await world.pause()
        assert await ended(first)
        assert not await ended(second)

    run_world(scenario)


def test_calls_that_a_peer_forwards_in_a_flood_are_refused_and_its_other_words_are_heard() -> None:
    async def scenario(world: World) -> None:
        await world.start()
        leader = await world.wait_leader()
        gone, slow = world.followers()
        hello = peer_hello(world, gone)
        await world.crash(gone)
        committer = world.hosts[slow].committer
        committer.hang()  # so that no call is answered, and commits depend on what peers say
        caller = await world.dial(leader, hello)
        for number in range(CALLS_MAX):
            await caller.send(Method.CREATE_ACCOUNT, codec.encode_create_account(f"a{number}", 0, None))
        await world.pause()
        assert 0 < world.node(leader).calls_under_way < CALLS_MAX
        reason = decode_refusal((await caller.receive()).body).reason
        assert reason == "OVERLOADED"
        await caller.stream.send_all(encode_frame(FrameKind.PING, Method.NONE, 7))
        while (frame := await caller.receive()).kind is not FrameKind.PONG:
            assert frame.kind is FrameKind.ERROR
        assert frame.call_id == 7

    run_world(scenario, max_in_flight=2 * CALLS_MAX)


def test_hello_can_neither_forge_a_line_in_the_log_nor_fill_it(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        await world.start("n1")
        forged = Hello(PeerRole.PEER, "other\nERROR disk_failed", node_id=NodeId("n2\nERROR disk_failed" + "x" * 2000))
        caplog.clear()
        for _ in range(10 * RATIONED_LINES_MAX):
            with pytest.raises(HandshakeRefused):
                await world.dial(N1, forged)

    run_world(scenario)
    lines = [message for message in caplog.messages if message.startswith("handshake_refused")]
    assert 0 < len(lines) <= RATIONED_LINES_MAX
    assert not any("\n" in line or len(line) > 3 * TEXT_CHARS_MAX for line in lines)
