"""Run one node: start-up, the task tree, and an orderly end.

    node nursery ── loop · ticker · free space · rounds · snapshots    any failure ends the process
       ├ links nursery ── one link per peer                   restarts inside, with pauses
       └ handler nursery ── one task per connection, one writer
          └ accept nursery ── listeners                       cancelled first at shutdown

An orderly end (SIGTERM, SIGINT): accept nobody new, drain (drain.py), make the log durable, exit 0.
A second signal: at once.
"""

import logging
import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Final

import trio

from bankd.boot import Opened, make_replica, open_disk, tick_s
from bankd.config import Config
from bankd.errors import Exit, MustRefill, NodeError
from bankd.keeper.acquaintances import Acquaintances
from bankd.node.book import Book
from bankd.node.causes import innermost
from bankd.node.descriptors import room_within
from bankd.node.door import Doors
from bankd.node.drain import drain
from bankd.node.environment import Environment, SideThread, system_environment
from bankd.node.logs import configure_logging
from bankd.node.memory import quiet_garbage_collector
from bankd.node.node import Node
from bankd.node.snapshots import do_jobs
from bankd.replica.events import DiskSpace
from bankd.storage.refill import clear
from bankd.types import NodeId

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
    error = innermost(ours)
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
    on_started: Callable[[Node], None] = lambda node: None,
) -> None:
    """Run one node until `shutdown` is set, and then to its orderly end. Calls `on_started` once it listens.

    A node that finds out that it lost something ends and begins anew in here, as one that is to be refilled.

    Cancellation: ends at once, as a crash would; what was acknowledged is durable.

    Raises:
      NodeError: possibly in a group: what made the node end.
    """
    loss: MustRefill | None = None
    heeded: dict[NodeId, int] = {}
    while True:
        try:
            await _serve_once(config, environment, shutdown, on_started, loss, heeded)
            return
        except (BaseExceptionGroup, MustRefill) as failure:
            loss = _loss_in(failure)
            if loss is None:
                raise
        log.error("begins_anew node=%s why=%r", config.node.id, str(loss))


def _loss_in(failure: BaseException) -> MustRefill | None:
    """The loss for which the node ended; None when there is anything else."""
    if isinstance(failure, BaseExceptionGroup):
        losses, others = failure.split(MustRefill)
        failure = failure if losses is None or others is not None else innermost(losses)
    return failure if isinstance(failure, MustRefill) else None


async def _serve_once(
    config: Config,
    environment: Environment,
    shutdown: trio.Event,
    on_started: Callable[[Node], None],
    loss: MustRefill | None,
    heeded: dict[NodeId, int],
) -> None:
    """`heeded`: the peers whose word it was that this node is an older copy, and how many starts they had met."""
    open_files_max = environment.open_files_max()
    boots_seen = max(heeded.values(), default=0)
    opened = open_disk(config, environment.disk, environment.new_u64, loss, boots_seen)
    if (torn := opened.recovered.torn) is not None:
        log.warning("torn_tail_cut file=%s offset=%d why=%r", torn.file, torn.offset, torn.reason)
    if opened.refill is not None:
        log.error("refilling node=%s why=%r", config.node.id, opened.refill.reason)
    for damaged in opened.store.damaged:
        log.error("snapshot_damaged file=%s why=%r", damaged.name, damaged.reason)
    if opened.peers.damage is not None:
        log.warning("peers_forgotten why=%r", opened.peers.damage)
    with ExitStack() as undo:
        undo.callback(opened.close)
        data_dir, wal, identity = opened.data_dir, opened.wal, opened.identity
        node = _make_node(config, environment, opened, heeded)
        room = room_within(open_files_max, peers=len(node.links))
        listeners = await environment.listen(config.listen.address)
        doors = Doors(node, room, ping_every_s=_ping_every_s(config))
        undo.pop_all()  # from here on the log belongs to the committer
    del opened  # what was read belongs to the replica, which gives it up by and by
    side_thread = environment.side_thread()
    quiet_garbage_collector()
    node.loop.disk.start(partial(environment.commit, wal))
    log.info(
        "node_started node=%s cluster=%s address=%s last_index=%d clients_max=%d",
        identity.node_id, identity.cluster, config.listen.address, node.replica.raft.last_index,
        room.clients,
    )  # fmt: skip
    try:
        await _run_tasks(config, environment, node, side_thread, doors, listeners, shutdown, on_started)
    finally:
        await environment.close(node.loop.disk.stop())
        await side_thread.close()
        node.keeper.close()
        # Only now: had the close failed, a write might still be under way, and the directory stays locked
        # until the process is gone.
        data_dir.close()
    log.info("node_stopped node=%s", identity.node_id)


def _make_node(config: Config, environment: Environment, opened: Opened, heeded: dict[NodeId, int]) -> Node:
    return Node(
        identity=opened.identity,
        starts=opened.recovered.starts,
        copied=opened.copied,
        replica=make_replica(config, opened, environment.random),
        store=opened.store,
        wal=opened.wal,
        forget_loss=partial(clear, environment.disk, opened.data_dir.path),
        refill=opened.refill,
        book=Book(
            dict(opened.addresses), Acquaintances(opened.peers, heeded, partial(log.warning, "peers_not_noted why=%r"))
        ),
        environment=environment,
        forwarded_max=config.limits.max_in_flight,
        ping_every_ticks=round(_ping_every_s(config) / tick_s(config)),
    )


def _ping_every_s(config: Config) -> float:
    return config.raft.election_timeout_s / 2


async def _run_tasks(
    config: Config,
    environment: Environment,
    node: Node,
    side_thread: SideThread,
    doors: Doors,
    listeners: Listeners,
    shutdown: trio.Event,
    on_started: Callable[[Node], None],
) -> None:
    async with trio.open_nursery() as core:
        core.start_soon(node.loop.run)
        core.start_soon(_tick, node, tick_s(config))
        core.start_soon(_watch_free_space, config, environment, node)
        core.start_soon(doors.make_rounds)
        for lane in (*node.keeper.lanes, node.book.acquaintances.lane):
            core.start_soon(do_jobs, lane, side_thread.run)
        async with trio.open_nursery() as links:
            for link in node.links.values():
                links.start_soon(link.run)
            async with trio.open_nursery() as handlers:  # ends after the accepting, with a deadline
                async with trio.open_nursery() as accepting:  # cancelled first: nobody new comes in
                    accepting.start_soon(
                        partial(trio.serve_listeners, doors.serve, listeners, handler_nursery=handlers)
                    )
                    on_started(node)
                    await shutdown.wait()
                    accepting.cancel_scope.cancel()
                await drain(config, node, doors)
                handlers.cancel_scope.deadline = trio.current_time() + GRACE_S
            links.cancel_scope.cancel()
        core.cancel_scope.cancel()


async def _tick(node: Node, period_s: float) -> None:
    while True:
        await trio.sleep(period_s)
        node.tick()


async def _watch_free_space(config: Config, environment: Environment, node: Node) -> None:
    """Tell the replica when the disk is nearly full, and when there is room again.

    Raises:
      DiskFailed: the file system does not say.
    """
    had_room = True
    while True:
        node.free_bytes = await environment.free_bytes(config.node.data_dir)
        has_room = node.free_bytes >= config.storage.min_free_bytes
        if has_room != had_room:
            log.warning("disk_space enough=%s min_free_bytes=%d", has_room, config.storage.min_free_bytes)
            node.loop.post(DiskSpace(has_room))
            had_room = has_room
        await trio.sleep(SPACE_CHECK_S)
