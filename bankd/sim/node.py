"""A simulated machine: its disk, its clocks, and the process that comes and goes on it.

Whatever happens in a process enters it through `_enter`, which knows that it may have ended, may be stopped,
and may end by what it does: a disk that fails ends it, and so does a power loss in the midst of an operation.
A process that ended by itself is started again after a while, as by any supervisor; one whose data directory is
damaged stays down, for only a person can help it.

Limits: starting takes no time.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import attrs

from bankd.boot import make_replica, open_disk, raft_options, tick_s
from bankd.config import Config
from bankd.errors import Code, DiskFailed, MustRefill, NodeError, Refusal
from bankd.replica.events import DiskSpace, Event, PeerMessage, PeerUnreachable, Received
from bankd.sim.ask import Ask
from bankd.sim.clocks import Clock
from bankd.sim.disk import PowerLost, SimDisk
from bankd.sim.found import found_in
from bankd.sim.plan import DiskOdds, Limits, NodeTraits
from bankd.sim.process import Process
from bankd.sim.random import Stream
from bankd.sim.surroundings import Surroundings
from bankd.types import NodeId
from bankd.wire.hello import Hello

SUPERVISOR_NS: Final = 1_000_000_000  # from the end of a process that ended by itself to its next start
HELD_MAX: Final = 1_000  # what waits for a process that is stopped; the rest is lost

NOT_LISTENING: Final = Refusal(Code.UNAVAILABLE, "NOT_LISTENING", "nobody listens there", retryable=True)

Action = Callable[..., None]


@attrs.frozen
class Ending:
    """How the process will end where its disk ends it, and how long it stays down."""

    power: bool = False
    for_ns: int = SUPERVISOR_NS


class Node:
    def __init__(
        self,
        config: Config,
        limits: Limits,
        traits: NodeTraits,
        odds: DiskOdds,
        seed: int,
        world: Surroundings,
    ) -> None:
        self.name: NodeId = config.node.id
        self.clock = Clock(traits)
        self.disk = SimDisk(Stream(seed, f"disk {self.name}"), odds)
        self.turn_ns = traits.turn_ns
        self.tick_ns = self.clock.in_world_ns(round(tick_s(config) * 1e9))
        self.process: Process | None = None
        self._config = config
        self._limits = limits
        self._world = world
        self._random = Stream(seed, f"elections {self.name}")
        self._new_u64 = Stream(seed, f"ids {self.name}").u64
        self._has_space = True
        self._loss: MustRefill | None = None  # for which the process is to begin anew
        self._heeded: dict[NodeId, int] = {}
        self._ending = Ending()
        self._down_until_ns = 0
        self._is_damaged = False
        self._frozen_until_ns = 0
        self._held: list[tuple[Process, Action]] = []  # for when the process goes on
        self._hung_until_ns = 0
        self._held_by_disk: list[tuple[Process, Action]] = []
        self._completions = 0  # of the disk, numbered
        self._completing: dict[int, tuple[Process, Action]] = {}  # those that its slowness holds back
        world.network.attach(self.name, self)

    # Into the process

    def receive(self, message: PeerMessage) -> None:
        process = self.process
        if process is not None:
            self._enter(process, process.receive, Received(message))

    def lose_peer(self, peer: NodeId) -> None:
        self._tell(PeerUnreachable(peer))

    def hello(self) -> Hello:
        assert self.process is not None, "nobody is there to say Hello"
        return self.process.hello()

    def meet(self, theirs: Hello) -> Refusal | None:
        assert self.process is not None, "nobody is there to be met"
        return self.process.meet(theirs)

    def turned_away(self, by: NodeId, refusal: Refusal, ours: Hello) -> None:
        if self.process is not None:
            self._later(self.process, 0, self.process.acquaintances.heed, by, refusal, ours)

    def ask(self, ask: Ask) -> None:
        if self.process is None:
            ask.answer(NOT_LISTENING)
        else:
            self._enter(self.process, self.process.ask, ask)

    def _tell(self, event: Event) -> None:
        if self.process is not None:
            self._enter(self.process, self.process.receive, event)

    def _later(self, process: Process, delay_ns: int, action: Action, *arguments: object) -> None:
        self._world.queue.after(delay_ns, self._enter, process, action, *arguments)

    def _disk_later(self, process: Process, delay_ns: int, action: Action) -> None:
        self._completions += 1
        self._completing[self._completions] = process, action
        self._world.queue.after(delay_ns, self._complete, self._completions)

    def _complete(self, number: int) -> None:
        """The disk is done, unless it was before, because it was mended."""
        if number in self._completing:
            self._enter_from_disk(*self._completing.pop(number))

    def _enter_from_disk(self, process: Process, action: Action) -> None:
        if self._world.queue.now_ns < self._hung_until_ns:
            self._held_by_disk.append((process, action))
        else:
            self._enter(process, action)

    def _enter(self, process: Process, action: Action, *arguments: object) -> None:
        if process is not self.process:
            return  # it has ended
        if self._frozen_until_ns:
            if len(self._held) < HELD_MAX:
                self._held.append((process, partial(action, *arguments)))
            return
        try:
            action(*arguments)
        except PowerLost as ended:
            self._end(str(ended))
        except DiskFailed as failed:
            self._end(failed.reason)
        except MustRefill as loss:
            self._loss = loss
            self._end(loss.reason)

    # Coming and going

    def start(self) -> None:
        """Start a process, unless one runs, it is too early, or nothing can be read here."""
        now_ns = self._world.queue.now_ns
        if self.process is None and not self._is_damaged and now_ns >= max(self._down_until_ns, self._hung_until_ns):
            try:
                self._start()
            except PowerLost as ended:
                self._end(str(ended))
            except NodeError as error:
                self._refuse(error)

    def _start(self) -> None:
        # Whatever ends this start as well, the next one is another process, which knows nothing of it.
        loss, self._loss = self._loss, None
        if loss is None:
            self._heeded = {}
        boots_seen = max(self._heeded.values(), default=0)
        opened = open_disk(self._config, self.disk, self._new_u64, loss, boots_seen)
        self.disk.take_elapsed()
        limits = self._limits
        replica = make_replica(
            self._config,
            opened,
            self._random,
            options=attrs.evolve(
                raft_options(self._config),
                append_bytes_max=limits.append_bytes_max,
                inflight_messages_max=limits.inflight_messages_max,
                inflight_bytes_max=limits.inflight_bytes_max,
                uncommitted_bytes_max=limits.uncommitted_bytes_max,
                reads_waiting_max=limits.reads_waiting_max,
            ),
            entry_bytes_max=limits.entry_bytes_max,
        )
        found = found_in(opened, self.disk)
        self.process = Process(
            self,
            self._world,
            opened,
            replica,
            self._later,
            self._disk_later,
            limits.snapshot_chunk_bytes,
            self._heeded,
        )
        for watcher in self._world.watchers:
            watcher.booted(self._world.queue.now_ns, self.name, replica, found)
        self._world.network.joined(self.name)
        self._tell(DiskSpace(self._has_space))

    def end(self, why: str, *, power: bool, for_ns: int) -> None:
        """End the process, if one runs, and start the next one after `for_ns` at the earliest."""
        self._loss = None  # it was not to be
        self._ending = Ending(power, for_ns)
        self._end(why)

    def _end(self, why: str) -> None:
        ending, self._ending = self._ending, Ending()
        was_up, self.process = self.process is not None, None
        self._frozen_until_ns = 0
        self._held.clear()
        self._held_by_disk.clear()
        if ending.power:
            self.disk.lose_power()
        else:
            self.disk.end_process()
        if was_up:
            for watcher in self._world.watchers:
                watcher.ended(self._world.queue.now_ns, self.name, why)
            self._world.network.left(self.name)
        self._stay_down(ending.for_ns)

    def _refuse(self, error: NodeError) -> None:
        for_ns, self._ending = self._ending.for_ns, Ending()
        self.disk.end_process()
        for watcher in self._world.watchers:
            watcher.refused(self._world.queue.now_ns, self.name, error)
        # A disk that fails may do better next time; damage stays.
        self._is_damaged = not isinstance(error, DiskFailed) and not isinstance(error.__cause__, DiskFailed)
        self._stay_down(for_ns)

    def _stay_down(self, for_ns: int) -> None:
        queue = self._world.queue
        self._down_until_ns = max(self._down_until_ns, queue.now_ns + for_ns)
        queue.at(self._down_until_ns, self.start)

    # Faults

    def crash_in(self, operations: int, *, power: bool, for_ns: int) -> None:
        """End the process in the midst of the n-th operation of its disk from now."""
        self._ending = Ending(power, for_ns)
        self.disk.crash_in(operations)

    def fail_next(self, operation: str, *, for_ns: int) -> None:
        """Fail the disk's next operation of this name, and so the process."""
        self._ending = Ending(for_ns=for_ns)
        self.disk.fail_next(operation)

    @property
    def leads(self) -> bool:
        return self.process is not None and self.process.replica.leads

    def hand_over(self, target: NodeId, for_ns: int) -> None:
        """Tell the process, which may be stopped, to make another node the leader."""
        if self.process is not None:
            self._enter(self.process, self.process.hand_over, target, for_ns)

    def tell_space(self, enough: bool) -> None:
        """Let the process know whether the disk has room, and those that will start here."""
        self._has_space = enough
        self._tell(DiskSpace(enough))

    def freeze(self, for_ns: int) -> None:
        """Stop the process; what waits for it then comes all at once."""
        if self.process is not None:
            self._frozen_until_ns = max(self._frozen_until_ns, self._world.queue.now_ns + for_ns)
            self._world.queue.at(self._frozen_until_ns, self._thaw)

    def _thaw(self) -> None:
        if not self._frozen_until_ns or self._world.queue.now_ns < self._frozen_until_ns:
            return  # it has ended, or is to be stopped for longer
        assert self.process is not None, "nothing is stopped"
        self._frozen_until_ns = 0
        self._enter(self.process, self.process.oversleep)
        held, self._held = self._held, []
        for process, action in held:
            self._enter(process, action)

    def hang(self, for_ns: int) -> None:
        """Have the disk complete nothing for so long."""
        queue = self._world.queue
        self._hung_until_ns = max(self._hung_until_ns, queue.now_ns + for_ns)
        queue.at(self._hung_until_ns, self._unhang)

    def _unhang(self) -> None:
        if self._world.queue.now_ns < self._hung_until_ns:
            return
        held, self._held_by_disk = self._held_by_disk, []
        for process, action in held:
            self._enter(process, action)
        self.start()

    def mend(self) -> None:
        """Let nothing go wrong here any more, and start the process if it is down.

        What a slow disk holds back is done: a roll takes some twenty operations, and may have been begun on a disk that
        took a second for each.
        """
        self.disk.disarm()
        self._ending = Ending()
        self._down_until_ns = 0
        for number in self._completing:
            self._world.queue.after(0, self._complete, number)
        self.start()
