"""What can go wrong in a world, one method each. What is begun here is ended by `mend`, whatever else happened meanwhile.

Groups are of hosts: nodes, and clients by the names of their processes. Where a second group is left out, it is
all other nodes: clients go on reaching everybody unless they are named.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from bankd.errors import DiskFailed
from bankd.types import NodeId
from tests.whole.host import FREE_BYTES
from tests.whole.network import Path
from tests.whole.world import World

END_S_MAX: Final = 1.0  # from the failure of its disk to the end of a process

Group = Sequence[str] | str
Fault = Callable[..., None]
AsyncFault = Callable[..., Awaitable[None]]


class Faults:
    def __init__(self, world: World) -> None:
        self._world = world
        self._blocked: list[Path] = []
        self._stalled: list[Path] = []
        self._delayed: list[Path] = []
        self._standing: list[NodeId] = []
        self._hanging: list[NodeId] = []
        self._failing: list[NodeId] = []  # perhaps not yet

    # Links

    def partition(self, group: Group, others: Group = ()) -> None:
        """Nothing passes between the groups, either way, and nobody is told."""
        self.partition_one_way(group, others)
        self.partition_one_way(self._rest(group, others), group)

    def partition_one_way(self, senders: Group, receivers: Group = ()) -> None:
        """Nothing passes from the one group to the other."""
        for path in self._paths(senders, receivers):
            path.blocked += 1
            self._blocked.append(path)

    def heal(self) -> None:
        """End every partition; what was sent meanwhile comes late."""
        blocked, self._blocked = self._blocked, []
        for path in blocked:
            path.blocked -= 1
        self._world.network.release(*blocked)

    def stall(self, senders: Group, receivers: Group = ()) -> None:
        """Connections stand and can be made, but what the one group sends never reaches the other."""
        for path in self._paths(senders, receivers):
            path.stalled += 1
            self._stalled.append(path)

    def unstall(self) -> None:
        """Everything that was held back comes at once."""
        stalled, self._stalled = self._stalled, []
        for path in stalled:
            path.stalled -= 1
        self._world.network.release(*stalled)

    def delay(self, senders: Group, receivers: Group = (), *, by_s: float) -> None:
        """What is sent from now on takes longer."""
        for path in self._paths(senders, receivers):
            path.added_s = by_s
            self._delayed.append(path)

    def end_delays(self) -> None:
        """Everything takes its own time again."""
        delayed, self._delayed = self._delayed, []
        for path in delayed:
            path.added_s = 0.0

    def drop(self, group: Group, others: Group = ()) -> None:
        """Break every connection between the groups."""
        for one in _names(group):
            for other in self._rest(group, others):
                self._world.network.reset(one, other)

    def cut(self, sender: str, receiver: str, *, after_bytes: int) -> None:
        """Break the connection that carries this byte, counted from now, in front of it."""
        self._world.network.path(sender, receiver).cut_after = after_bytes

    def flip(self, sender: str, receiver: str, *, after_bytes: int) -> None:
        """Turn over a bit of this byte, counted from now."""
        self._world.network.path(sender, receiver).flip_after = after_bytes

    # Processes

    async def kill(self, *node_ids: NodeId) -> None:
        """SIGKILL."""
        for node_id in node_ids:
            await self._world.hosts[node_id].kill()

    async def lose_power(self, *node_ids: NodeId) -> None:
        """Their machines go dark, all at once."""
        for node_id in node_ids:
            self._world.hosts[node_id].process.kill()
        for node_id in node_ids:
            await self._world.hosts[node_id].lose_power()

    def freeze(self, *node_ids: NodeId) -> None:
        """SIGSTOP."""
        for node_id in node_ids:
            self._world.hosts[node_id].process.stop()
            self._standing.append(node_id)

    def keep_busy(self, *node_ids: NodeId) -> None:
        """Their event loops are held up; their disks' threads go on."""
        for node_id in node_ids:
            self._world.hosts[node_id].process.block()
            self._standing.append(node_id)

    async def thaw(self) -> None:
        """SIGCONT, and the end of what held the loops up."""
        standing, self._standing = self._standing, []
        for node_id in standing:
            await self._world.hosts[node_id].process.resume()

    # Disks

    def hang_disk(self, node_id: NodeId) -> None:
        """Its syncs do not return."""
        self._world.hosts[node_id].committer.hang()
        self._hanging.append(node_id)

    async def release_disk(self) -> None:
        """Disks that hung go on."""
        hanging, self._hanging = self._hanging, []
        for node_id in hanging:
            self._world.hosts[node_id].committer.release()
            await self._world.hosts[node_id].process.resume()

    def slow_disk(self, node_id: NodeId, *, by_s: float) -> None:
        """Every operation takes so much longer; 0.0: no more."""
        self._world.hosts[node_id].disk.added_ns = int(by_s * 1e9)

    def fail_disk(self, node_id: NodeId, operation: str = "sync", error: DiskFailed | None = None) -> None:
        """The next operation of that name fails, and with it the node."""
        host = self._world.hosts[node_id]
        host.may_fail = True
        host.disk.fail_next(operation, error)
        self._failing.append(node_id)

    def fill_disk(self, node_id: NodeId, *, noticed: bool) -> None:
        """Whatever needs room fails. `noticed`: the node is told in time."""
        host = self._world.hosts[node_id]
        host.may_fail = True
        host.disk.full = True
        host.free_bytes = 0 if noticed else FREE_BYTES

    def empty_disk(self, node_id: NodeId) -> None:
        """There is room again."""
        self._world.hosts[node_id].disk.full = False
        self._world.hosts[node_id].free_bytes = FREE_BYTES

    # The end of it all

    async def mend(self) -> None:
        """End whatever was begun, and start every node that does not run."""
        self.heal()
        self.unstall()
        self.end_delays()
        await self.thaw()
        await self.release_disk()
        await self._see_failed_end()
        await self.kill(*self._failing)  # whatever is still to fail does so with its process
        for node_id, host in self._world.hosts.items():
            host.disk.added_ns = 0
            self._world.network.mend(node_id)
            self.empty_disk(node_id)
            if host.shutdown.is_set():
                await host.stopped.wait()  # it was asked to end: without this nobody would start it again
            if node_id not in self._world.lost:
                await self._world.start(node_id)

    async def _see_failed_end(self) -> None:
        """D2: a disk that failed, or was full, ends its process."""
        for node_id, host in self._world.hosts.items():
            if host.runs_on_a_failed_disk:
                with trio.move_on_after(END_S_MAX):
                    await host.stopped.wait()
            assert not host.runs_on_a_failed_disk, f"D2: {node_id} runs on, and its disk failed"

    def _paths(self, senders: Group, receivers: Group) -> list[Path]:
        network, there = self._world.network, self._rest(senders, receivers)
        return [network.path(sender, receiver) for sender in _names(senders) for receiver in there]

    def _rest(self, group: Group, others: Group) -> list[str]:
        return _names(others) or [node_id for node_id in self._world.node_ids if node_id not in _names(group)]


def _names(group: Group) -> list[str]:
    return [group] if isinstance(group, str) else list(group)
