"""Run one node: start-up, the task tree, and an orderly end.

    node nursery ── loop · disk failure watch · ticker        any failure ends the process
       ├ links nursery ── one link per peer                   restarts inside, with pauses
       └ handler nursery ── one task per connection, one writer
          └ accept nursery ── listeners                       cancelled first at shutdown

An orderly end (SIGTERM, SIGINT): accept nobody new, hand leadership over, refuse new calls and finish
those under way within `limits.drain_timeout`, make the log durable, exit 0. A second signal: at once.
"""

import logging
import signal
from functools import partial
from typing import Final

import trio

from bankd.config import Config
from bankd.errors import Exit, NodeError
from bankd.node.book import Book
from bankd.node.door import Doors
from bankd.node.environment import Environment, system_environment
from bankd.node.logs import configure_logging
from bankd.node.loop import monotonic_ns
from bankd.node.memory import quiet_garbage_collector
from bankd.node.node import Node, OwnCall
from bankd.node.startup import Opened, make_replica, open_disk, tick_s
from bankd.replica.events import TICKED, Calls, DiskSpace, HandOverCall
from bankd.storage.disk import OsDisk

log = logging.getLogger(__name__)

SPACE_CHECK_S: Final = 1.0
GRACE_S: Final = 1.0  # for the last answers to leave

Listeners = list[trio.abc.Listener[trio.abc.Stream]]


def run(config: Config) -> int:
    """Serve until told to end; returns the exit code.

    Raises:
      NodeError: what ended the node, for its one line.
    """
    configure_logging(config.log)
    try:
        trio.run(_main, config)
    except BaseExceptionGroup as group:
        raise _node_error_in(group) or group from None
    return Exit.OK


def _node_error_in(group: BaseExceptionGroup[BaseException]) -> NodeError | None:
    """The first NodeError of a group that holds nothing else; None when there is a bug among them."""
    ours, others = group.split(NodeError)
    if ours is None or others is not None:
        return None
    error: BaseException = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, NodeError), f"{error!r} passed a split by NodeError"
    return error


async def _main(config: Config) -> None:
    shutdown = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_watch_signals, shutdown, nursery.cancel_scope)
        await serve(config, system_environment(), shutdown)
        nursery.cancel_scope.cancel()


async def _watch_signals(
    shutdown: trio.Event, everything: trio.CancelScope, *, task_status: trio.TaskStatus[None]
) -> None:
    """The first SIGTERM or SIGINT asks for an orderly end, the second cancels everything."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            log.info("shutdown_requested signal=%s at_once=%s", signal.Signals(number).name, shutdown.is_set())
            if shutdown.is_set():
                everything.cancel()
            shutdown.set()


async def serve(
    config: Config,
    environment: Environment,
    shutdown: trio.Event,
    *,
    task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run one node until `shutdown` is set, and then to its orderly end. Reports started once it listens.

    Cancellation: ends at once, as a crash would; what was acknowledged is durable.

    Raises:
      NodeError: possibly in a group: what made the node end.
    """
    opened = open_disk(config, OsDisk())
    try:
        listeners = await environment.listen(config.listen.address)
        node = _make_node(config, environment, opened)
        quiet_garbage_collector()
        node.loop.disk.start(partial(environment.commit, opened.wal))
        log.info(
            "node_started node=%s cluster=%s address=%s last_index=%d",
            opened.identity.node_id, opened.identity.cluster, config.listen.address, node.replica.raft.last_index,
        )  # fmt: skip
        try:
            await _run_tasks(config, environment, node, listeners, shutdown, task_status)
        finally:
            committer = node.loop.disk.stop()
            if committer is not None:
                await environment.close(committer)
    finally:
        opened.data_dir.close()
    log.info("node_stopped node=%s", opened.identity.node_id)


def _make_node(config: Config, environment: Environment, opened: Opened) -> Node:
    return Node(
        identity=opened.identity,
        replica=make_replica(config, opened, environment.random),
        book=Book(dict(opened.addresses)),
        environment=environment,
        forwarded_max=config.limits.max_in_flight,
        ping_every_s=config.raft.election_timeout_s / 2,
    )


async def _run_tasks(
    config: Config,
    environment: Environment,
    node: Node,
    listeners: Listeners,
    shutdown: trio.Event,
    task_status: trio.TaskStatus[Node],
) -> None:
    doors = Doors(node)
    async with trio.open_nursery() as core:
        core.start_soon(node.loop.run)
        core.start_soon(node.loop.disk.run)
        core.start_soon(_tick, config, environment, node)
        async with trio.open_nursery() as links:
            for link in node.links.values():
                links.start_soon(link.run)
            async with trio.open_nursery() as handlers:  # ends after the accepting, with a deadline
                async with trio.open_nursery() as accepting:  # cancelled first: nobody new comes in
                    accepting.start_soon(
                        partial(trio.serve_listeners, doors.serve, listeners, handler_nursery=handlers)
                    )
                    task_status.started(node)
                    await shutdown.wait()
                    accepting.cancel_scope.cancel()
                await _drain(config, node, doors)
                handlers.cancel_scope.deadline = trio.current_time() + GRACE_S
            links.cancel_scope.cancel()
        core.cancel_scope.cancel()


async def _tick(config: Config, environment: Environment, node: Node) -> None:
    """Give the replica its ticks, the links theirs, and word of a disk that fills up."""
    period_s = tick_s(config)
    space_checked_s, had_room = -SPACE_CHECK_S, True
    while True:
        await trio.sleep(period_s)
        now_s = trio.current_time()
        node.loop.post(TICKED)
        for link in node.links.values():
            link.tick(now_s)
        if node.draining and not node.waiting_calls:
            node.drained.set()
        if now_s - space_checked_s >= SPACE_CHECK_S:
            space_checked_s = now_s
            has_room = environment.free_bytes(config.node.data_dir) >= config.storage.min_free_bytes
            if has_room != had_room:
                log.warning("disk_space enough=%s min_free_bytes=%d", has_room, config.storage.min_free_bytes)
                node.loop.post(DiskSpace(has_room))
                had_room = has_room


async def _drain(config: Config, node: Node, doors: Doors) -> None:
    """Hand leadership over, then finish what is under way; both within the drain timeout."""
    with trio.move_on_after(config.limits.drain_timeout_s):
        if node.replica.leads and node.links:
            with trio.move_on_after(2 * config.raft.election_timeout_s):
                call = OwnCall()
                deadline_ns = monotonic_ns() + int(config.raft.election_timeout_s * 1e9)
                node.loop.post(Calls((HandOverCall(call, None, deadline_ns),)))
                await call.wait_answered()
        node.draining = True
        doors.say_goaway()
        await node.drained.wait()
    doors.finish()
