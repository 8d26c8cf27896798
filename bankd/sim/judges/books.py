"""What every judge needs to know of the nodes: their logs and disks, rebuilt from what they handed to their disks.

A node's log is what it recovered and every write that it asked for since; its disk, the same as far as the disk has
said that it is durable. Nothing is asked of the replica, so a replica that is wrong about itself is found out.

`Books` decides nothing but who is a majority. Limits: the voters are the plan's nodes for the whole run.
"""

from collections import deque
from collections.abc import Iterable

import attrs

from bankd.raft.messages import Entry, HardState
from bankd.raft.ready import Persist
from bankd.types import LogIndex, NodeId, Term


@attrs.define(eq=False)
class NodeBook:
    """One node, over all its processes. The entry with index i stands at place i - 1 of a log.

    Invariant: `log` is `durable` with the writes under way laid over it.
    """

    node: NodeId
    running: bool = False
    log: list[Entry] = attrs.field(factory=list)
    handed: HardState = attrs.field(factory=HardState)  # the last hard state given to the disk
    writes: deque[Persist] = attrs.field(factory=deque)  # under way, oldest first
    durable: list[Entry] = attrs.field(factory=list)
    stable: HardState = attrs.field(factory=HardState)  # the last hard state that is durable
    stable_index: LogIndex = LogIndex(0)  # up to where the node believes its log to be durable
    commit_index: LogIndex = LogIndex(0)
    applied_index: LogIndex = LogIndex(0)
    leads: Term = Term(0)  # the term that this process leads; 0: it does not
    led: Term = Term(0)  # the last term that this process led


class Books:
    def __init__(self, nodes: Iterable[NodeId]) -> None:
        self.of = {node: NodeBook(node) for node in nodes}
        self.majority = len(self.of) // 2 + 1
        self.chain: list[Entry] = []  # what is committed, for all of them; grown by `commits` alone

    @property
    def running(self) -> list[NodeBook]:
        return [book for book in self.of.values() if book.running]

    def holders(self, entry: Entry) -> list[NodeId]:
        """Who has this entry on its disk. By index and term: equal ones are the same entry (see `logs`)."""
        place = entry.index - 1
        return [
            book.node
            for book in self.of.values()
            if len(book.durable) > place and book.durable[place].term == entry.term
        ]


def overlay(log: list[Entry], entries: Iterable[Entry]) -> None:
    """Lay a write's entries over a log: the first of them replaces everything from its index on."""
    first = next(iter(entries), None)
    if first is not None:
        log[first.index - 1 :] = entries
