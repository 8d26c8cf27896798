"""What every judge needs to know of the nodes: their logs, disks and snapshots, rebuilt from what they handed to their
disks and what their disks said of it.

A node's log is what it recovered and every write that it asked for since; its disk, the same as far as the disk has
said that it is durable. A write may void the log and begin it anew behind a snapshot. Nothing is asked of the replica,
so a replica that is wrong about itself is found out.

`Books` decides nothing but who is a majority. Limits: the voters are the plan's nodes for the whole run.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from bankd.raft.messages import Entry, HardState, SnapshotRef
from bankd.raft.ready import Persist
from bankd.types import LogIndex, NodeId, Term

SNAPSHOTS_KEPT: Final = 2  # by every node; what fewer cover must stay in the log


class Log:
    """The entries of one node behind a base.

    Up to its base a log is the committed chain: nobody may begin one anywhere else (`Logs`, `Disks`).
    """

    __slots__ = ("_chain", "_entries", "base_index")

    def __init__(
        self, chain: Sequence[Entry], base_index: LogIndex = LogIndex(0), entries: Iterable[Entry] = ()
    ) -> None:
        self._chain = chain
        self._entries = list(entries)
        self.base_index = base_index

    @property
    def last_index(self) -> LogIndex:
        return LogIndex(self.base_index + len(self._entries))

    @property
    def last_term(self) -> Term:
        return self._entries[-1].term if self._entries else self.term_at(self.base_index)

    def term_at(self, index: LogIndex) -> Term:
        """The term at `index`, which is not beyond the last."""
        if index > self.base_index:
            return self._entries[index - self.base_index - 1].term
        return self._chain[index - 1].term if index else Term(0)

    def holds(self, index: LogIndex, term: Term) -> bool:
        """Equal indexes and terms are equal logs up to there (see `logs`)."""
        return index <= self.last_index and self.term_at(index) == term

    def between(self, after: LogIndex, to: LogIndex) -> list[Entry]:
        """The entries with after < index <= to."""
        base = self.base_index
        if after >= base:
            return self._entries[after - base : to - base]
        return [*self._chain[after : min(base, to)], *self._entries[: max(to - base, 0)]]

    def lay(self, persist: Persist) -> None:
        """Lay a write over it: the first of its entries replaces everything from its index on, a base the whole."""
        if persist.base is not None:
            self.begin_behind(persist.base.index)
        if persist.entries:
            del self._entries[persist.entries[0].index - self.base_index - 1 :]
            self._entries += persist.entries

    def begin_behind(self, index: LogIndex) -> None:
        self._entries.clear()
        self.base_index = index

    def begun_at(self, base_index: LogIndex, entries: Iterable[Entry]) -> "Log":
        """Another log of the same chain."""
        return Log(self._chain, base_index, entries)

    def copy(self) -> "Log":
        return self.begun_at(self.base_index, self._entries)


@attrs.frozen(eq=False)
class Held:
    """What a disk holds at one time: a log, and a snapshot that stands for the chain up to `covered_index`."""

    log: Log
    covered_index: LogIndex

    def has(self, index: LogIndex, term: Term, chain: Sequence[Entry]) -> bool:
        return self.log.holds(index, term) or (index <= self.covered_index and chain[index - 1].term == term)


@attrs.define(eq=False)
class NodeBook:
    """One node, over all its processes.

    A node that has lost something may still be counted for what it held before: what it said then was true, and a commit
    may rest on it. While it is refilling, what its disk holds by now counts for nothing.

    Invariant: `log` is `durable` with the writes under way laid over it.
    Invariant: `covered_index` never falls, but where the plan puts an older disk in the place of this one.
    """

    node: NodeId
    log: Log
    durable: Log
    running: bool = False
    booted_ns: int = 0  # when it started last
    handed: HardState = attrs.field(factory=HardState)  # the last hard state given to the disk
    writes: deque[Persist] = attrs.field(factory=deque)  # under way, oldest first
    stable: HardState = attrs.field(factory=HardState)  # the last hard state that is durable
    stable_index: LogIndex = LogIndex(0)  # up to where the node believes its log to be durable
    commit_index: LogIndex = LogIndex(0)
    applied_index: LogIndex = LogIndex(0)
    leads: Term = Term(0)  # the term that this process leads; 0: it does not
    led: Term = Term(0)  # the last term that this process led
    snapshots: tuple[SnapshotRef, ...] = ()  # durable, the newest first: the two that a node must keep
    sendable: set[SnapshotRef] = attrs.field(factory=set)  # that were durable at some time of this process
    covered_index: LogIndex = LogIndex(0)  # up to here two snapshots stood for the log: it may be gone
    refilling: bool = False  # this process, or the last one, is not to be counted
    copied: bool = False  # it is for being an older copy, as far as it knows
    refilled: bool = False  # it has said that a leader has refilled it
    lost: tuple[Held, ...] = ()  # what it held before each loss, since it was trusted last

    @property
    def held(self) -> Held:
        return Held(self.durable, self.snapshots[0].index if self.snapshots else LogIndex(0))

    @property
    def vouching(self) -> tuple[Held, ...]:
        """What may be counted."""
        return self.lost if self.refilling else (*self.lost, self.held)

    def keep_snapshots(self, snapshots: Sequence[SnapshotRef]) -> None:
        """These are durable as well; one of the same place in the log takes the place of the other."""
        self.sendable.update(snapshots)
        by_index = {snapshot.index: snapshot for snapshot in (*self.snapshots, *snapshots)}
        self.snapshots = tuple(by_index[index] for index in sorted(by_index, reverse=True)[:SNAPSHOTS_KEPT])
        if len(self.snapshots) == SNAPSHOTS_KEPT:
            self.covered_index = max(self.covered_index, self.snapshots[-1].index)


class Books:
    def __init__(self, nodes: Iterable[NodeId]) -> None:
        self.chain: list[Entry] = []  # what is committed, for all of them; grown by `commits` alone
        self.of = {node: NodeBook(node, Log(self.chain), Log(self.chain)) for node in nodes}
        self.majority = len(self.of) // 2 + 1

    @property
    def running(self) -> list[NodeBook]:
        return [book for book in self.of.values() if book.running]

    @property
    def counting(self) -> list[NodeBook]:
        """Who runs and may be counted."""
        return [book for book in self.of.values() if book.running and not book.refilling]

    def is_durable(self, book: NodeBook, index: LogIndex, term: Term) -> bool:
        """Whether a node has this entry on its disk: in its log, or in a snapshot, which stands for the chain."""
        return book.durable.holds(index, term) or book.held.has(index, term, self.chain)

    def holders(self, entry: Entry) -> list[NodeId]:
        """Who may be counted for having this entry on its disk."""
        return [
            book.node
            for book in self.of.values()
            if any(held.has(entry.index, entry.term, self.chain) for held in book.vouching)
        ]

    def reach(self, held: Held) -> int:
        """Up to where this holds the chain without a gap. The first entry is wherever it is not yet, too."""
        log, covered = held.log, max(held.covered_index, 1)
        if log.base_index > covered:
            return covered
        ends = range(covered, min(log.last_index, len(self.chain)) + 1)
        # Logs that part never meet again, so it is one place where the log leaves the chain (see `logs`).
        return covered + max(bisect_left(ends, True, key=lambda index: not self._agrees(log, LogIndex(index))) - 1, 0)

    def _agrees(self, log: Log, index: LogIndex) -> bool:
        return log.holds(index, self.chain[index - 1].term)
