"""One whole node on a real socket: the direct write, the shared receive buffer, and clients that read late or never."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import trio

from bankd.config.settings import ClusterSection, LimitsSection, ListenSection, NodeSection, RaftSection
from bankd.local import free_ports
from bankd.node.environment import connect_tcp, system_environment
from bankd.node.node import Node
from bankd.node.sender import CROWDED_BYTES
from bankd.node.serve import serve
from bankd.types import LINEARIZABLE, NodeId
from bankd.wire import client_codec as codec
from bankd.wire.frames import FrameKind, encode_frame
from bankd.wire.hello import Hello, PeerRole, decode_hello, encode_hello
from bankd.wire.methods import Method
from tests.whole.caller import Caller
from tests.whole.client import CLUSTER
from tests.whole.world import Settings, config_of

N1 = NodeId("n1")
ACCOUNTS = 1000
PAGES = 150  # of about 170 KB each: three times what a connection may leave unread
WAIT_S = 30  # a bound for a broken test, not a measure
PAGE = codec.encode_list_accounts("", ACCOUNTS, False, LINEARIZABLE)
GET = codec.encode_get_balance("a", LINEARIZABLE)


class LoneNode:
    def __init__(self, node: Node, address: str) -> None:
        self.node = node
        self._address = address
        self._callers: list[Caller] = []

    async def wait_leads(self) -> None:
        while not self.node.replica.raft.can_serve:  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(0.01)

    async def aclose(self) -> None:
        for caller in self._callers:
            await caller.stream.aclose()

    async def dial(self) -> Caller:
        caller = Caller(await connect_tcp(self._address))
        self._callers.append(caller)
        await caller.stream.send_all(encode_hello(Hello(PeerRole.CLIENT, CLUSTER)))
        caller.hello = decode_hello(await caller.receive())
        return caller


@asynccontextmanager
async def lone_node(directory: Path) -> AsyncIterator[LoneNode]:
    """A cluster of one, with a thousand accounts of the longest names."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    config = attrs.evolve(
        config_of(N1, Settings(limits=LimitsSection())),
        node=NodeSection(id=N1, data_dir=str(directory)),
        cluster=ClusterSection(name=CLUSTER, bootstrap={N1: address}),
        listen=ListenSection(address=address, advertise=address),
        raft=RaftSection(heartbeat_s=0.02, election_timeout_s=0.1),
    )
    environment = attrs.evolve(system_environment(), open_files_max=lambda: 1024)
    shutdown = trio.Event()
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            started: list[Node] = []
            is_up = trio.Event()

            def on_started(node: Node) -> None:
                started.append(node)
                is_up.set()

            nursery.start_soon(partial(serve, config, environment, shutdown, on_started=on_started))
            await is_up.wait()
            lone = LoneNode(started[0], address)
            async with aclosing(lone):
                await lone.wait_leads()
                await open_accounts(await lone.dial())
                yield lone
            shutdown.set()


async def open_accounts(caller: Caller) -> None:
    for number in range(ACCOUNTS):
        await caller.send(Method.CREATE_ACCOUNT, codec.encode_create_account(f"{number:0128}", 1, None))
    for _ in range(ACCOUNTS):
        assert (await caller.receive()).kind is FrameKind.RESPONSE


async def test_client_that_reads_after_it_asked_gets_every_answer_in_full(tmp_path: Path) -> None:  # N07
    async with lone_node(tmp_path) as lone:
        caller = await lone.dial()
        asked = {await caller.send(Method.LIST_ACCOUNTS, PAGE) for _ in range(PAGES)}
        while asked:
            frame = await caller.receive()
            assert frame.kind is FrameKind.RESPONSE
            asked.remove(frame.call_id)
            page, _, _ = codec.decode_list_accounts(frame.body)
            assert len(page.records) == ACCOUNTS


async def test_client_that_never_reads_costs_a_bounded_outbox_and_nobody_else(tmp_path: Path) -> None:  # N07
    async with lone_node(tmp_path) as lone:
        deaf = await lone.dial()
        request = encode_frame(FrameKind.REQUEST, Method.LIST_ACCOUNTS, 1, PAGE)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(deaf.stream.send_all, request * 100_000)  # gigabytes of answers
            caller = await lone.dial()
            for _ in range(200):
                assert (await caller.call(Method.GET_BALANCE, GET)).kind is FrameKind.ERROR  # no such account
                assert lone.node.calls_under_way < 20
            nursery.cancel_scope.cancel()


async def test_small_calls_in_a_burst_are_all_answered_while_the_connection_is_crowded(tmp_path: Path) -> None:
    async with lone_node(tmp_path) as lone:
        caller = await lone.dial()
        count = 2 * CROWDED_BYTES // 128
        frames = [encode_frame(FrameKind.REQUEST, Method.GET_BALANCE, number, GET) for number in range(count)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(caller.stream.send_all, b"".join(frames))
            assert {(await caller.receive()).call_id for _ in range(count)} == set(range(count))
