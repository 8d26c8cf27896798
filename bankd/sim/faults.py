"""Bring a plan's faults about: when each begins, what it does, and when it ends.

Nothing begins after the safety phase, and what would outlast it ends with it; only nodes that stay down do so.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, assert_never

from bankd.sim.node import Node
from bankd.sim.plan import (
    ClockJump,
    Clog,
    Crash,
    FailingDisk,
    Fault,
    Freeze,
    FullDisk,
    HandOver,
    HungDisk,
    OlderCopy,
    Partition,
    Plan,
    Rot,
    SlowDisk,
    Storm,
    Wipe,
)
from bankd.sim.random import Stream
from bankd.sim.surroundings import Surroundings
from bankd.types import NodeId

NodeFault = Crash | Freeze | SlowDisk | HungDisk | FullDisk | FailingDisk | Rot | OlderCopy | Wipe

TOLD_BEFORE: Final = 4  # a node that is told in time has a quarter of the fault's length before its disk is full


class Faults:
    def __init__(self, plan: Plan, nodes: Mapping[NodeId, Node], world: Surroundings) -> None:
        self._plan = plan
        self._nodes = nodes
        self._world = world
        self._network = world.network
        self._queue = world.queue

    def schedule(self) -> None:
        """Have every fault come at its time. Once."""
        for fault in self._plan.faults:
            if fault.at_ns < self._plan.safety_ns:
                begins_ns = fault.taken_ns if isinstance(fault, OlderCopy) else fault.at_ns
                self._queue.at(begins_ns, self._begin, fault)

    def _begin(self, fault: Fault) -> None:
        for watcher in self._world.watchers:
            watcher.struck(self._queue.now_ns, fault)
        network = self._network
        match fault:
            case ClockJump(node=node, by_ns=by_ns):
                self._nodes[node].clock.jump(by_ns)
            case HandOver(node=target):
                self._hand_over(target, self._length_ns(fault))
            case Partition(links=links):
                network.cut(links)
                self._queue.after(self._length_ns(fault), network.mend, links)
            case Clog(links=links):
                network.clog(links)
                self._queue.after(self._length_ns(fault), network.unclog, links)
            case Storm():
                network.begin_storm(fault)
                self._queue.after(self._length_ns(fault), network.end_storm, fault)
            case _:
                self._begin_on(self._nodes[fault.node], fault, self._length_ns(fault))

    def _begin_on(self, node: Node, fault: NodeFault, for_ns: int) -> None:
        match fault:
            case Crash(operations=0, power=power):
                node.end("power lost" if power else "killed", power=power, for_ns=for_ns)
            case Crash(operations=operations, power=power):
                node.crash_in(operations, power=power, for_ns=for_ns)
            case Freeze():
                node.freeze(for_ns)
            case SlowDisk(added_ns=added_ns):
                _slow_down(node, added_ns)
                self._queue.after(for_ns, _slow_down, node, -added_ns)
            case HungDisk():
                node.hang(for_ns)
            case FullDisk(noticed=noticed):
                self._fill_up(node, for_ns, noticed=noticed)
            case FailingDisk(operation=operation):
                node.fail_next(operation, for_ns=for_ns)
            case Rot(at_ns=at_ns):
                node.end("killed", power=False, for_ns=for_ns)
                self._flip_bit(node, Stream(self._plan.seed, f"rot {node.name} {at_ns}"))
            case OlderCopy(at_ns=at_ns):
                self._queue.at(at_ns, self._put_back, node, node.disk.copy(), for_ns)
            case Wipe():
                node.end("killed", power=False, for_ns=for_ns)
                node.disk.wipe()
            case _:
                assert_never(fault)

    def _flip_bit(self, node: Node, stream: Stream) -> None:
        flip = node.disk.flip_durable_bit(stream)
        if flip is not None:
            for watcher in self._world.watchers:
                watcher.rotted(self._queue.now_ns, node.name, flip)

    def _length_ns(self, fault: Fault) -> int:
        assert not isinstance(fault, ClockJump), "a jump takes no time"
        left_ns = self._plan.safety_ns - fault.at_ns
        if isinstance(fault, NodeFault) and fault.node in self._plan.stays_down:
            return fault.for_ns
        return min(fault.for_ns, left_ns)

    def _hand_over(self, target: NodeId, for_ns: int) -> None:
        for node in self._nodes.values():
            if node.leads:
                node.hand_over(target, for_ns)

    def _fill_up(self, node: Node, for_ns: int, *, noticed: bool) -> None:
        if noticed:
            node.tell_space(enough=False)
        self._queue.after(for_ns // TOLD_BEFORE if noticed else 0, _set_full, node, True)
        self._queue.after(for_ns, _set_full, node, False)
        self._queue.after(for_ns, node.tell_space, True)

    def _put_back(self, node: Node, files: Mapping[Path, bytes], for_ns: int) -> None:
        node.end("killed", power=False, for_ns=for_ns)
        node.disk.restore(files)


def _slow_down(node: Node, by_ns: int) -> None:
    node.disk.added_ns += by_ns


def _set_full(node: Node, full: bool) -> None:
    node.disk.full = full
