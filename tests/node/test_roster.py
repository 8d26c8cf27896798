"""The rounds: who is closed because it takes nothing, says nothing, or takes the least when all take too little."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from bankd.node.descriptors import Room
from bankd.node.roster import STALLED_ROUNDS_MAX, Roster
from bankd.node.sender import FrameSender
from bankd.types import NodeId

BYTES_MAX = 1000
QUIET_ROUNDS_MAX = 3


@attrs.define(eq=False)
class Visitor:
    sender: FrameSender
    peer: NodeId | None = None
    heard: bool = True
    quiet_rounds: int = 0


async def never() -> None:
    await trio.sleep_forever()


@asynccontextmanager
async def roster_of(*peers: NodeId | None) -> AsyncIterator[tuple[Roster, list[Visitor]]]:
    """Everybody takes what is sent, until the test has its stream wait in `never`."""
    roster = Roster(Room(8, 8), peer_quiet_rounds_max=QUIET_ROUNDS_MAX, outboxes_bytes_max=BYTES_MAX)
    visitors = [Visitor(FrameSender(memory_stream_pair()[0], bytes_max=10**6), peer) for peer in peers]
    async with trio.open_nursery() as nursery:
        for visitor in visitors:
            nursery.start_soon(visitor.sender.run)
            roster.entered(visitor)
        yield roster, visitors
        nursery.cancel_scope.cancel()


async def owe(visitor: Visitor, size: int) -> None:
    """Have so many bytes wait for a visitor that takes none."""
    stream = visitor.sender._stream
    assert isinstance(stream, trio.StapledStream)
    stream.send_stream.send_all_hook = never
    visitor.sender.push(bytes(size))
    visitor.sender.flush()
    await wait_all_tasks_blocked()


def closed(visitors: list[Visitor]) -> list[bool]:
    return [visitor.sender.closed for visitor in visitors]


async def test_whoever_takes_nothing_for_long_is_closed_and_whoever_owes_nothing_is_not() -> None:  # N07
    async with roster_of(None, None) as (roster, visitors):
        await owe(visitors[0], 1)
        for _ in range(STALLED_ROUNDS_MAX):
            assert closed(visitors) == [False, False]
            visitors[0].heard = True
            roster.make_round()
        assert closed(visitors) == [True, False]


async def test_silent_peer_is_closed_and_a_silent_client_is_let_be() -> None:  # N06
    async with roster_of(None, NodeId("n2"), NodeId("n3")) as (roster, visitors):
        for _ in range(QUIET_ROUNDS_MAX + 1):
            assert closed(visitors) == [False, False, False]
            roster.make_round()
            visitors[2].heard = True
        roster.make_round()
        assert closed(visitors) == [False, True, False]


async def test_those_who_owe_most_go_until_all_outboxes_together_are_within_their_bound() -> None:  # N07
    async with roster_of(None, None, None, None) as (roster, visitors):
        for visitor, size in zip(visitors, [200, 700, 100, 600], strict=True):
            await owe(visitor, size)
        roster.make_round()
        assert closed(visitors) == [False, True, False, False], "900 bytes are left"
        await owe(visitors[0], 200)
        roster.make_round()
        assert closed(visitors) == [False, True, False, True]


async def test_connection_that_was_superseded_does_not_take_its_successor_along() -> None:
    name = NodeId("n2")
    async with roster_of(name, name) as (roster, visitors):
        assert closed(visitors) == [True, False]
        roster.left(visitors[0])
        assert list(roster) == [visitors[1]]
        roster.left(visitors[1])
        assert list(roster) == []
