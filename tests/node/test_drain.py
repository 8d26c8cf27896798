"""An orderly end: whatever was taken in is answered, and nobody is left without a word."""

import trio

from bankd.wire import client_codec as codec
from bankd.wire.frames import FrameKind
from bankd.wire.methods import Method
from bankd.wire.refusals import decode_refusal
from tests.whole.world import ELECTION_TIMEOUT_S, World, run_world

QUEUE = 200


def create(number: int) -> bytes:
    return codec.encode_create_account(f"a{number}", 0, None)


def test_full_queue_is_answered_before_the_end() -> None:  # P03
    async def scenario(world: World) -> None:
        await world.start()
        leader = await world.wait_leader()
        followers = [world.hosts[node_id].committer for node_id in world.followers()]
        for committer in followers:
            committer.hang()
        caller = await world.dial(leader)
        for number in range(QUEUE):
            await caller.send(Method.CREATE_ACCOUNT, create(number))
        await world.pause()
        assert world.node(leader).waiting_calls == QUEUE
        world.hosts[leader].shutdown.set()
        await world.pause()
        assert await caller.send(Method.CREATE_ACCOUNT, create(QUEUE))
        for committer in followers:
            committer.release()
        answered: dict[int, FrameKind] = {}
        while len(answered) <= QUEUE:
            frame = await caller.receive()
            if frame.kind is not FrameKind.GOAWAY:
                answered[frame.call_id] = frame.kind
        assert list(answered.values()).count(FrameKind.RESPONSE) >= QUEUE
        await world.hosts[leader].stopped.wait()
        assert world.hosts[leader].failure is None

    run_world(scenario, max_in_flight=QUEUE + 1)


def test_hand_over_that_a_client_waits_for_is_answered_before_the_end() -> None:
    async def scenario(world: World) -> None:
        await world.start()
        leader = await world.wait_leader()
        target = world.followers()[0]
        committer = world.hosts[target].committer
        committer.hang()  # so that it takes a while
        caller = await world.dial(leader)
        asked = await caller.send(Method.TRANSFER_LEADERSHIP, codec.encode_transfer_leadership(target))
        await world.pause()
        world.hosts[leader].shutdown.set()
        assert (await caller.receive()).kind is FrameKind.GOAWAY
        answer = await caller.receive()
        assert answer.call_id == asked
        assert answer.kind in {FrameKind.RESPONSE, FrameKind.ERROR}

    run_world(scenario)


def test_hand_over_that_cannot_succeed_leaves_time_to_say_goodbye() -> None:
    async def scenario(world: World) -> None:
        await world.start()
        leader = await world.wait_leader()
        for follower in world.followers():
            world.network.cut(follower)
        caller = await world.dial(leader)
        world.hosts[leader].shutdown.set()
        assert (await caller.receive()).kind is FrameKind.GOAWAY
        refusal = decode_refusal((await caller.call(Method.CREATE_ACCOUNT, create(1))).body)
        assert refusal.reason == "SHUTTING_DOWN"
        await world.hosts[leader].stopped.wait()
        assert world.hosts[leader].failure is None

    run_world(scenario, drain_timeout_s=ELECTION_TIMEOUT_S / 2)


def test_drain_without_any_time_still_ends_in_order() -> None:
    async def scenario(world: World) -> None:
        await world.start()
        leader = await world.wait_leader()
        caller = await world.dial(leader)
        world.hosts[leader].shutdown.set()
        assert (await caller.receive()).kind is FrameKind.GOAWAY
        with trio.fail_after(ELECTION_TIMEOUT_S):
            await world.hosts[leader].stopped.wait()
        assert world.hosts[leader].failure is None

    run_world(scenario, drain_timeout_s=0.0)
