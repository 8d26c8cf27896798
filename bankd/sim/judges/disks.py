"""D1: after a crash the disk holds everything durable, and of the rest a prefix of the writes. Terms never fall there.

What a start may find is one of a few states: the durable one, with the first write under way on top of it, with the
first two, and so on. Anything else was lost or made up. A directory that the plan tampers with (an older copy, an
empty one) is believed as found: what becomes of the cluster is the other judges' affair. Rot is no such excuse: a
node must notice it, and refuse to start.

D2: a node that has ended does nothing more, and what its disk had not confirmed by then it never says. That a process
ends when its disk fails is not judged here, for the simulator itself ends it; it is judged of whole programs.
"""

from bankd.errors import DiskFailed, NodeError
from bankd.raft.messages import HardState
from bankd.raft.ready import Persist
from bankd.sim.judges.books import NodeBook, overlay
from bankd.sim.judges.elections import Elections
from bankd.sim.judges.logs import Logs, name
from bankd.sim.judges.promises import Promises
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import OlderCopy, Plan, Rot, Wipe
from bankd.storage.recovery import Recovered


class Disks:
    def __init__(self, plan: Plan, logs: Logs, elections: Elections, promises: Promises) -> None:
        self._plan = plan
        self._logs = logs
        self._elections = elections
        self._promises = promises

    # Writes

    def handed(self, now_ns: int, book: NodeBook, persist: Persist) -> None:
        """A node asked for a write."""
        state = persist.hard_state
        if state is not None:
            self._judge_order(now_ns, book, state)
            book.handed = state
        if persist.entries:
            self._logs.written(now_ns, book, persist.entries, same_term=state is None)
        book.writes.append(persist)

    def durable(self, now_ns: int, book: NodeBook, write_seq: int) -> None:
        """Every write up to this number is durable, and what waited for it leaves."""
        if not book.running:
            raise Violation("D2", f"write {write_seq} completes for a process that has ended", now_ns, book.node)
        while book.writes and book.writes[0].write_seq <= write_seq:
            persist = book.writes.popleft()
            overlay(book.durable, persist.entries)
            if persist.hard_state is not None:
                book.stable = persist.hard_state
                self._elections.voted(now_ns, book.node, persist.hard_state)
            for message in persist.then_send:
                self._promises.leaves(now_ns, book, message)

    def _judge_order(self, now_ns: int, book: NodeBook, state: HardState) -> None:
        before = book.handed
        if state.term < before.term:
            raise Violation("S2", f"its term falls from {before.term} to {state.term}", now_ns, book.node)
        if state.term == before.term and before.voted_for not in (None, state.voted_for):
            text = f"voted for {before.voted_for} in term {state.term}, and now for {state.voted_for}"
            raise Violation("S2", text, now_ns, book.node)

    # Starts

    def booted(self, now_ns: int, book: NodeBook, recovered: Recovered) -> None:
        """A process took over what it found; whatever that is, is durable from now on."""
        tampered = self._tampered(book, now_ns, OlderCopy, Wipe)
        if book.durable and not tampered and not _is_prefix(book, recovered):
            raise Violation("D1", _what_is_wrong(book, recovered), now_ns, book.node)
        book.log = list(recovered.entries)
        book.durable = list(recovered.entries)
        book.handed = book.stable = recovered.hard_state
        book.writes.clear()
        self._logs.recovered(now_ns, book)
        self._elections.voted(now_ns, book.node, recovered.hard_state)

    def refused(self, now_ns: int, book: NodeBook, error: NodeError) -> None:
        """A process would not start. It may where the plan tampers with its directory, or while its disk fails."""
        fails = isinstance(error, DiskFailed) or isinstance(error.__cause__, DiskFailed)
        if not fails and not self._tampered(book, now_ns, Rot, OlderCopy, Wipe):
            raise Violation("D1", f"refuses a disk that only crashed: {error}", now_ns, book.node)

    def _tampered(self, book: NodeBook, now_ns: int, *kinds: type[Rot | OlderCopy | Wipe]) -> bool:
        return any(
            isinstance(fault, kinds) and fault.node == book.node and fault.at_ns <= now_ns
            for fault in self._plan.faults
        )


def _is_prefix(book: NodeBook, recovered: Recovered) -> bool:
    """Whether the disk holds the durable state with some of the writes under way, the first ones, laid over it."""
    log, state = list(book.durable), book.stable
    found = list(recovered.entries)
    writes = list(book.writes)
    for write in [None, *writes]:
        if write is not None:
            overlay(log, write.entries)
            state = write.hard_state or state
        if state == recovered.hard_state and log == found:
            return True
    return False


def _what_is_wrong(book: NodeBook, recovered: Recovered) -> str:
    if _rank(recovered.hard_state) < _rank(book.stable):
        return f"forgot {book.stable}, which was durable, and has {recovered.hard_state}"
    found = recovered.entries
    # A write under way may have replaced what was durable from its first index on.
    kept = min([write.entries[0].index - 1 for write in book.writes if write.entries], default=len(book.durable))
    for place, entry in enumerate(book.durable[:kept]):
        if place >= len(found):
            return f"lost {name(entry)}, which was durable; its log ends at {len(found)}"
        if found[place] != entry:
            return f"has {name(found[place])} where {name(entry)} was durable"
    return f"has a log to {len(found)} and {recovered.hard_state}: no prefix of what was written amounts to that"


def _rank(state: HardState) -> tuple[int, bool]:
    return state.term, state.voted_for is not None
