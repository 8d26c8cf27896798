"""Whole nodes in one loop: what clients and peers see when things go well and when they do not."""

import itertools

import pytest
import trio

from bankd.errors import Code, DiskFailed, HandshakeRefused, Refusal
from bankd.node.causes import innermost
from bankd.storage.records import SECTOR_BYTES
from bankd.types import LINEARIZABLE, Incarnation, NodeId
from bankd.wire import client_codec as codec
from bankd.wire.frames import FLAG_HOPPED, FrameKind, encode_frame
from bankd.wire.hello import Hello, PeerRole
from bankd.wire.methods import Method
from bankd.wire.refusals import decode_refusal, encode_refusal
from tests.whole.caller import Caller
from tests.whole.client import CLUSTER
from tests.whole.scheduler import Process
from tests.whole.world import ELECTION_TIMEOUT_S, World, address_of, run_world


def create(account: str, balance: int = 0) -> bytes:
    return codec.encode_create_account(account, balance, None)


def balance_of(account: str) -> bytes:
    return codec.encode_get_balance(account, LINEARIZABLE)


async def refused(caller: Caller, method: int, body: bytes, *, flags: int = 0, deadline_ms: int = 0) -> str:
    frame = await caller.call(method, body, flags=flags, deadline_ms=deadline_ms)
    assert frame.kind is FrameKind.ERROR, frame
    return decode_refusal(frame.body).reason


def test_every_node_serves_reads_and_passes_writes_on() -> None:
    async def scenario(world: World) -> None:
        await world.start()
        leader = await world.wait_leader()
        await trio.sleep(ELECTION_TIMEOUT_S)
        for number, node_id in enumerate(world.hosts):
            caller = await world.dial(node_id)
            frame = await caller.call(Method.CREATE_ACCOUNT, create(f"a{number}", 100 + number))
            assert codec.decode_create_account(frame.body).success, f"created through {node_id}, led by {leader}"
        for node_id in world.hosts:
            caller = await world.dial(node_id)
            balances = [
                codec.decode_get_balance((await caller.call(Method.GET_BALANCE, balance_of(f"a{number}"))).body)[0]
                for number in range(3)
            ]
            assert balances == [100, 101, 102]

    run_world(scenario)


def test_acknowledged_write_survives_the_crash_of_the_leader() -> None:  # S1
    async def scenario(world: World) -> None:
        await world.start()
        old = await world.wait_leader()
        caller = await world.dial(old)
        assert (await caller.call(Method.CREATE_ACCOUNT, create("a", 7))).kind is FrameKind.RESPONSE
        await world.crash(old)
        new = await world.wait_leader(other_than=old)
        caller = await world.dial(new)
        assert codec.decode_get_balance((await caller.call(Method.GET_BALANCE, balance_of("a"))).body)[0] == 7

    run_world(scenario)


def test_whole_cluster_comes_back_with_the_same_state() -> None:
    async def scenario(world: World) -> None:
        await world.start()
        leader = await world.wait_leader()
        caller = await world.dial(leader)
        await caller.call(Method.CREATE_ACCOUNT, create("a", 7))
        before = world.node(leader).replica.ledger.digest
        for node_id in world.hosts:
            await world.crash(node_id)
        await world.start()
        leader = await world.wait_leader()
        caller = await world.dial(leader)
        assert codec.decode_get_balance((await caller.call(Method.GET_BALANCE, balance_of("a"))).body)[0] == 7
        assert world.node(leader).replica.ledger.digest == before

    run_world(scenario)


def test_forwarded_call_hops_once_and_then_names_the_leader() -> None:  # X07
    async def scenario(world: World) -> None:
        await world.start()
        leader = await world.wait_leader()
        await trio.sleep(ELECTION_TIMEOUT_S)
        caller = await world.dial(world.followers()[0])
        frame = await caller.call(Method.CREATE_ACCOUNT, create("a"), flags=FLAG_HOPPED)
        refusal = decode_refusal(frame.body)
        assert refusal.reason == "NOT_LEADER"
        assert refusal.code is Code.UNAVAILABLE
        assert refusal.retryable
        assert (refusal.leader_id, refusal.leader_address) == (leader, address_of(leader))

    run_world(scenario)


def test_forwarded_call_leaves_at_once_and_not_with_the_next_heartbeat() -> None:
    async def scenario(world: World) -> None:
        await world.start()
        await world.wait_leader()
        await trio.sleep(ELECTION_TIMEOUT_S)
        caller = await world.dial(world.followers()[0])
        began = trio.current_time()
        for number in range(20):
            assert (await caller.call(Method.CREATE_ACCOUNT, create(f"a{number}"))).kind is FrameKind.RESPONSE
        assert trio.current_time() == began, "in a world without latency, nothing waited for a timer"

    run_world(scenario)


def test_hello_of_a_node_tells_clients_who_leads_and_who_else_is_there() -> None:
    async def scenario(world: World) -> None:
        await world.start()
        leader = await world.wait_leader()
        await trio.sleep(ELECTION_TIMEOUT_S)
        hello = (await world.dial(world.followers()[0])).hello
        assert hello is not None
        assert hello.leader_address == address_of(leader)
        assert [endpoint.address for endpoint in hello.endpoints] == [address_of(name) for name in world.hosts]

    run_world(scenario)


@pytest.mark.parametrize(
    ("hello", "reason"),
    [
        (Hello(role=PeerRole.CLIENT, cluster="other"), "WRONG_CLUSTER"),
        (Hello(role=PeerRole.PEER, cluster=CLUSTER, node_id=NodeId("n2")), "WRONG_CLUSTER"),
        (Hello(role=PeerRole.CLIENT, cluster=CLUSTER, version_min=99, version_max=99), "VERSION_UNSUPPORTED"),
    ],
)
def test_stranger_is_refused_with_words(hello: Hello, reason: str) -> None:
    async def scenario(world: World) -> None:
        await world.start("n1")
        with pytest.raises(HandshakeRefused) as refused:
            await world.dial(NodeId("n1"), hello)
        assert refused.value.refusal.reason == reason

    run_world(scenario)


def test_node_with_a_new_disk_under_an_old_name_is_refused() -> None:  # D09
    async def scenario(world: World) -> None:
        await world.start()
        await world.wait_leader()
        ours = world.node(NodeId("n1")).identity
        imposter = Hello(
            role=PeerRole.PEER,
            cluster=CLUSTER,
            cluster_id=ours.cluster_id,
            node_id=NodeId("n2"),
            incarnation=Incarnation(12345),
        )
        with pytest.raises(HandshakeRefused) as refused:
            await world.dial(NodeId("n1"), imposter)
        assert refused.value.refusal.reason == "NODE_ID_REUSED"

    run_world(scenario)


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n" * 4, b"\xff" * 64, bytes(64), b"\x10\x00\x00\x00" + b"x" * 60]
)
def test_garbage_costs_its_connection_and_nothing_else(garbage: bytes) -> None:  # N08
    async def scenario(world: World) -> None:
        await world.start()
        leader = await world.wait_leader()
        good = await world.dial(leader)
        bad = await world.connect(leader)
        await bad.stream.send_all(garbage)
        with pytest.raises((trio.EndOfChannel, trio.BrokenResourceError)):
            await bad.receive()
        assert (await good.call(Method.CREATE_ACCOUNT, create("a"))).kind is FrameKind.RESPONSE

    run_world(scenario)


def test_connection_that_never_says_hello_is_cut_off() -> None:  # N09
    async def scenario(world: World) -> None:
        await world.start("n1")
        silent = await world.connect(NodeId("n1"))
        with trio.fail_after(6), pytest.raises((trio.EndOfChannel, trio.BrokenResourceError)):
            await silent.receive()

    run_world(scenario)


def test_calls_beyond_the_limit_are_refused_before_the_log() -> None:  # K13
    async def scenario(world: World) -> None:
        await world.start()
        leader = await world.wait_leader()
        for follower in world.followers():
            world.network.cut(follower)
        caller = await world.dial(leader)
        await caller.send(Method.CREATE_ACCOUNT, create("a"))
        await caller.send(Method.CREATE_ACCOUNT, create("b"))
        frame = await caller.call(Method.CREATE_ACCOUNT, create("c"))
        refusal = decode_refusal(frame.body)
        assert refusal.code is Code.RESOURCE_EXHAUSTED
        assert refusal.retryable
        assert refusal.retry_after_ms > 0

    run_world(scenario, max_in_flight=2)


def test_leader_without_a_quorum_answers_unknown_and_steps_down() -> None:  # K11, N05
    async def scenario(world: World) -> None:
        await world.start()
        old = await world.wait_leader()
        caller = await world.dial(old)
        for follower in world.followers():
            world.network.cut(follower)
        with trio.fail_after(3 * ELECTION_TIMEOUT_S):
            assert await refused(caller, Method.CREATE_ACCOUNT, create("a")) == "OUTCOME_UNKNOWN"
        assert world.leaders() == []
        assert await refused(caller, Method.CREATE_ACCOUNT, create("b")) == "NO_LEADER"
        assert await refused(caller, Method.GET_BALANCE, balance_of("a")) == "NO_LEADER"

    run_world(scenario)


def test_call_whose_deadline_passes_in_the_log_is_unknown() -> None:  # K11
    async def scenario(world: World) -> None:
        await world.start()
        old = await world.wait_leader()
        caller = await world.dial(old)
        for follower in world.followers():
            world.network.cut(follower)
        began = trio.current_time()
        assert await refused(caller, Method.CREATE_ACCOUNT, create("a"), deadline_ms=300) == "OUTCOME_UNKNOWN"
        assert trio.current_time() - began < ELECTION_TIMEOUT_S, "the deadline answered, not the election"

    run_world(scenario)


def test_hung_disk_costs_leadership() -> None:  # D16
    async def scenario(world: World) -> None:
        await world.start()
        old = await world.wait_leader()
        committer = world.hosts[old].committer
        committer.hang()
        caller = await world.dial(old)
        await caller.send(Method.CREATE_ACCOUNT, create("a"))
        with trio.fail_after(2 * ELECTION_TIMEOUT_S + 0.1):
            while old in world.leaders():
                await world.pause()
        await world.wait_leader(other_than=old)

    run_world(scenario)


def test_failed_disk_ends_the_node_and_acknowledges_nothing() -> None:  # D2
    async def scenario(world: World) -> None:
        await world.start()
        old = await world.wait_leader()
        host = world.hosts[old]
        host.may_fail = True
        host.disk.fail_next("sync")
        caller = await world.dial(old)
        await caller.send(Method.CREATE_ACCOUNT, create("a"))
        with pytest.raises((trio.EndOfChannel, trio.BrokenResourceError)):
            await caller.receive()
        await host.stopped.wait()
        assert host.failure is not None
        assert isinstance(innermost(host.failure), DiskFailed)
        new = await world.wait_leader(other_than=old)
        again = await world.dial(new)
        assert (await again.call(Method.CREATE_ACCOUNT, create("b"))).kind is FrameKind.RESPONSE

    run_world(scenario)


def test_nearly_full_disk_refuses_writes_and_serves_reads() -> None:  # K13
    async def scenario(world: World) -> None:
        await world.start()
        leader = await world.wait_leader()
        caller = await world.dial(leader)
        await caller.call(Method.CREATE_ACCOUNT, create("a", 5))
        world.hosts[leader].free_bytes = 0
        await trio.sleep(2)
        assert await refused(caller, Method.CREATE_ACCOUNT, create("b")) == "DISK_FULL"
        assert codec.decode_get_balance((await caller.call(Method.GET_BALANCE, balance_of("a"))).body)[0] == 5
        world.hosts[leader].free_bytes = 2**40
        await trio.sleep(2)
        assert (await caller.call(Method.CREATE_ACCOUNT, create("b"))).kind is FrameKind.RESPONSE

    run_world(scenario)


def test_shutdown_of_the_leader_hands_leadership_over_and_answers_what_is_under_way() -> None:  # P03
    async def scenario(world: World) -> None:
        await world.start()
        old = await world.wait_leader()
        caller = await world.dial(old)
        await caller.send(Method.CREATE_ACCOUNT, create("a"))
        host = world.hosts[old]
        began = trio.current_time()
        host.shutdown.set()
        assert (await caller.receive()).kind in {FrameKind.RESPONSE, FrameKind.GOAWAY}
        await world.wait_leader(other_than=old)
        assert trio.current_time() - began < ELECTION_TIMEOUT_S / 2
        await host.stopped.wait()
        assert host.failure is None

    run_world(scenario)


def test_unfinished_write_that_was_cut_off_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        await world.start()
        leader = await world.wait_leader()
        await trio.sleep(ELECTION_TIMEOUT_S)
        host = world.hosts[world.followers()[0]]
        host.committer.hang()  # it writes, and never says that it has
        caller = await world.dial(leader)
        assert (await caller.call(Method.CREATE_ACCOUNT, create("a"))).kind is FrameKind.RESPONSE
        await world.crash(host.name)
        files = host.disk.copy()
        [segment] = [path for path in files if path.suffix == ".wal"]
        whole = files[segment].rstrip(b"\0")
        torn = whole[: -SECTOR_BYTES // 2].ljust(len(files[segment]), b"\0")  # as if power had gone in its last write
        host.disk.restore(files | {segment: torn})
        await world.start(host.name)
        await world.wait_until(lambda: world.node(host.name).replica.ledger.account_count == 1)

    run_world(scenario)
    [told] = [message for message in caplog.messages if message.startswith("torn_tail_cut")]
    assert told == (
        "torn_tail_cut file=0000000001-00000000000000000001.wal offset=2048 "
        "why='some of its sectors were not written whole'"
    )


def test_isolated_follower_catches_up_when_it_is_back() -> None:
    async def scenario(world: World) -> None:
        await world.start()
        leader = await world.wait_leader()
        lost = world.followers()[0]
        world.network.cut(lost)
        caller = await world.dial(leader)
        for number in range(50):
            assert (await caller.call(Method.CREATE_ACCOUNT, create(f"a{number}"))).kind is FrameKind.RESPONSE
        world.network.mend(lost)
        await trio.sleep(3 * ELECTION_TIMEOUT_S)
        assert world.leaders() == [leader], "pre-vote: who was away disturbs nobody"
        digests = {world.node(node_id).replica.ledger.digest for node_id in world.hosts}
        assert len(digests) == 1
        assert world.node(lost).replica.ledger.account_count == 50

    run_world(scenario)


def test_peer_that_turns_everybody_away_as_an_older_copy_is_heeded_once(caplog: pytest.LogCaptureFixture) -> None:
    """D10: what a broken peer can do. It tells a higher number each time."""
    n1, broken = NodeId("n1"), NodeId("n3")

    async def scenario(world: World) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(turn_all_away, world, broken)
            await world.start("n1")
            await trio.sleep(10 * ELECTION_TIMEOUT_S)
            node = world.node(n1)
            assert (node.view.starts.boots, node.replica.raft.is_refilling) == (101, True)
            nursery.cancel_scope.cancel()

    run_world(scenario)
    assert len([message for message in caplog.messages if message.startswith("begins_anew")]) == 1


async def turn_all_away(world: World, name: NodeId) -> None:
    told = itertools.count(100)

    async def refuse(stream: trio.abc.Stream) -> None:
        refusal = Refusal(Code.FAILED_PRECONDITION, "OLDER_COPY", "", metadata={"boots": str(next(told))})
        await stream.receive_some()
        await stream.send_all(encode_frame(FrameKind.ERROR, Method.NONE, 0, encode_refusal(refusal)))
        await stream.aclose()

    world.network.power_back(name)
    await trio.serve_listeners(refuse, await world.network.listen(address_of(name), process=Process(name)))
