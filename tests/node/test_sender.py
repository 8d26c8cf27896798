"""The one writer of a connection: order, bounds, and what becomes of a connection that is not read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from bankd.node.sender import CROWDED_BYTES, FrameSender
from bankd.node.wake import Wake


@asynccontextmanager
async def socket_pair() -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream]]:
    ours, theirs = map(trio.SocketStream, trio.socket.socketpair())
    async with ours, theirs:
        yield ours, theirs


async def test_flushed_frames_arrive_without_a_turn_of_the_task() -> None:
    async with socket_pair() as (ours, theirs):
        sender = FrameSender(ours, bytes_max=1000)
        assert sender.push(b"one ")
        assert sender.push(b"two")
        sender.flush()
        assert await theirs.receive_some(100) == b"one two"


async def test_order_survives_a_kernel_that_takes_only_part() -> None:
    async with socket_pair() as (ours, theirs):
        frames = [bytes([number]) * 40_000 for number in range(100)]
        sender = FrameSender(ours, bytes_max=10**8)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.run)
            for frame in frames:
                sender.push(frame)
                sender.flush()
            await wait_all_tasks_blocked()
            assert sender.pending_bytes > 0, "the kernel must have refused some, or this test tests nothing"
            received = bytearray()
            while len(received) < 100 * 40_000:
                received += await theirs.receive_some(1 << 16)
            sender.finish()
        assert bytes(received) == b"".join(frames)
        assert sender.pending_bytes == 0


async def test_connection_that_is_not_read_is_given_up_at_its_bound() -> None:  # N07
    async with socket_pair() as (ours, _theirs):
        sender = FrameSender(ours, bytes_max=1_000_000)
        with sender.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sender.run)
                pushed = 0
                while sender.push(bytes(10_000)):
                    pushed += 10_000
                    sender.flush()
                    assert pushed < 10_000_000, "nobody gave up"
        assert sender.scope.cancelled_caught
        assert sender.closed
        assert not sender.push(b"late")
        assert sender.pending_bytes <= 1_000_000 + 10_000


async def test_frames_pushed_in_one_burst_are_taken_by_a_kernel_that_has_room() -> None:
    async with socket_pair() as (ours, theirs):
        sender = FrameSender(ours, bytes_max=10_000)
        pushed = [bytes([number]) * 1000 for number in range(50)]
        assert all(sender.push(frame) for frame in pushed)
        sender.flush()
        received = bytearray()
        while len(received) < 50_000:
            received += await theirs.receive_some(1 << 16)
        assert bytes(received) == b"".join(pushed)


async def test_crowded_connection_has_room_again_once_it_is_read() -> None:
    async with socket_pair() as (ours, theirs):
        sender = FrameSender(ours, bytes_max=10**8)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.run)
            while not sender.crowded:
                sender.push(bytes(100_000))
                sender.flush()
            with trio.move_on_after(0) as scope:
                await sender.wait_room()
            assert scope.cancelled_caught
            nursery.start_soon(sender.wait_room)
            await wait_all_tasks_blocked()
            received = 0
            while sender.crowded:
                received += len(await theirs.receive_some(1 << 16))
            assert received > 0
            nursery.cancel_scope.cancel()


async def test_expected_answers_crowd_a_connection_until_they_are_given() -> None:
    async with socket_pair() as (ours, _theirs):
        sender = FrameSender(ours, bytes_max=10**8)
        sender.expected_bytes = CROWDED_BYTES + 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.wait_room)
            await wait_all_tasks_blocked()
            assert nursery.child_tasks
            sender.expected_bytes -= 1
            sender.push(b"an answer")
            sender.flush()


async def test_rounds_in_which_nothing_is_taken_are_counted_until_a_piece_is() -> None:  # N07
    async with socket_pair() as (ours, theirs):
        sender = FrameSender(ours, bytes_max=10**8)
        assert [sender.make_round() for _ in range(3)] == [0, 0, 0], "nothing waits, so nobody is slow"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.run)
            sender.push(bytes(10**7))
            sender.flush()
            await wait_all_tasks_blocked()
            assert [sender.make_round() for _ in range(3)] == [1, 2, 3]
            for _ in range(20):
                await theirs.receive_some(1 << 16)
                await wait_all_tasks_blocked()
            assert sender.make_round() == 0
            nursery.cancel_scope.cancel()


async def test_finish_sends_what_is_queued_and_ends() -> None:
    ours, theirs = memory_stream_pair()
    sender = FrameSender(ours, bytes_max=1000)
    sender.push(b"last words")
    sender.finish()
    await sender.run()
    assert bytes(await theirs.receive_some(100)) == b"last words"
    assert sender.closed


async def test_broken_stream_ends_the_task_and_marks_the_connection() -> None:
    async with socket_pair() as (ours, theirs):
        await theirs.aclose()
        sender = FrameSender(ours, bytes_max=1000)
        sender.push(b"x")
        sender.flush()
        sender.push(b"y")
        sender.flush()
        with pytest.raises(trio.BrokenResourceError):
            await sender.run()
        assert sender.closed


async def test_wake_before_the_wait_is_not_lost_and_two_wake_once() -> None:
    wake = Wake()
    wake.set()
    wake.set()
    await wake.wait()
    with trio.move_on_after(0) as scope:
        await wake.wait()
    assert scope.cancelled_caught


async def test_cancelled_wait_leaves_the_wake_usable() -> None:
    wake = Wake()
    with trio.move_on_after(0):
        await wake.wait()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wake.wait)
        await wait_all_tasks_blocked()
        wake.set()
