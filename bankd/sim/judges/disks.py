"""D1: after a crash the disk holds everything durable, and of the rest a prefix of the writes. Terms never fall there.

What a start may find is one of a few states: the durable one, with the first write under way on top of it, with the
first two, and so on. Anything else was lost or made up. In front, entries may be gone as far as two snapshots stood for
them. Behind the snapshot that the node starts from the log goes on; one that does not reach it is begun anew there,
which is what a crash leaves between an installed snapshot and the log that follows it.

A directory that the plan tampers with (an older copy, an empty one) is believed as found: what becomes of the cluster
is the other judges' affair. Rot is no such excuse: a node must notice it, and do without what rotted. If the log cannot do
without, the node says that it is to be refilled, and begins an empty one, with a term and a vote that are none the less
those that were durable (`refills` judges what it may do then, and whether it may refuse to start).

D2: a node that has ended does nothing more, and what its disk had not confirmed by then it never says. That a process
ends when its disk fails is not judged here, for the simulator itself ends it; it is judged of whole programs.
"""

from collections.abc import Iterator

from bankd.raft.messages import HardState, SnapshotRef
from bankd.raft.ready import Persist
from bankd.sim.found import Found
from bankd.sim.judges.books import Held, Log, NodeBook
from bankd.sim.judges.elections import Elections
from bankd.sim.judges.logs import Logs, name
from bankd.sim.judges.promises import Promises
from bankd.sim.judges.refills import Refills
from bankd.sim.judges.tampering import is_replaced
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import Plan
from bankd.storage.recovery import Recovered
from bankd.types import LogIndex, Term


class Disks:
    def __init__(self, plan: Plan, logs: Logs, elections: Elections, promises: Promises, refills: Refills) -> None:
        self._plan = plan
        self._refills = refills
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
        self._logs.written(now_ns, book, persist)
        book.writes.append(persist)

    def durable(self, now_ns: int, book: NodeBook, write_seq: int) -> bool:
        """Every write up to this number is durable, and what waited for it leaves. Returns whether the log began anew."""
        if not book.running:
            raise Violation("D2", f"write {write_seq} completes for a process that has ended", now_ns, book.node)
        began_anew = False
        while book.writes and book.writes[0].write_seq <= write_seq:
            persist = book.writes.popleft()
            book.durable.lay(persist)
            began_anew |= persist.base is not None
            if persist.hard_state is not None:
                book.stable = persist.hard_state
                self._elections.voted(now_ns, book.node, persist.hard_state)
            for message in persist.then_send:
                self._promises.leaves(now_ns, book, message)
        return began_anew

    def _judge_order(self, now_ns: int, book: NodeBook, state: HardState) -> None:
        before = book.handed
        if state.term < before.term:
            raise Violation("S2", f"its term falls from {before.term} to {state.term}", now_ns, book.node)
        if state.term == before.term and before.voted_for not in (None, state.voted_for):
            text = f"voted for {before.voted_for} in term {state.term}, and now for {state.voted_for}"
            raise Violation("S2", text, now_ns, book.node)

    # Starts

    def booted(self, now_ns: int, book: NodeBook, found: Found, before: Held) -> None:
        """A process took over what it found; whatever that is, is durable from now on. Snapshots were judged before.

        `before`: what was durable until now.
        """
        recovered = found.recovered
        is_whole = not book.stable.term or _is_prefix(book, found)
        begins_anew = found.refilling and _is_begun_anew(book, found)
        if not is_whole and not begins_anew and not is_replaced(self._plan, book, now_ns):
            raise Violation("D1", _what_is_wrong(book, recovered), now_ns, book.node)
        self._refills.booted(now_ns, book, found, before, is_whole=is_whole)
        if begins_anew:
            book.covered_index = recovered.base_index
        book.log = book.durable.begun_at(recovered.base_index, recovered.entries)
        book.durable = book.log.copy()
        book.handed = book.stable = recovered.hard_state
        book.writes.clear()
        self._logs.recovered(now_ns, book)
        self._elections.voted(now_ns, book.node, recovered.hard_state)


def _is_prefix(book: NodeBook, found: Found) -> bool:
    """Whether the disk holds the durable state with some of the writes under way, the first ones, laid over it."""
    return any(_is_same(book, log, state, found.recovered) for log, state in _candidates(book, found.restored))


def _is_begun_anew(book: NodeBook, found: Found) -> bool:
    """Whether the log is empty, behind the snapshot restored if there is one, with a term and a vote that were written."""
    recovered = found.recovered
    base = SnapshotRef(LogIndex(0), Term(0), 0, b"") if found.restored is None else found.restored
    written = [book.stable, *(write.hard_state for write in book.writes if write.hard_state is not None)]
    states = [max(state, HardState(base.term), key=_term) for state in written]
    return (recovered.base_index, recovered.entries) == (base.index, ()) and recovered.hard_state in states


def _candidates(book: NodeBook, restored: SnapshotRef | None) -> Iterator[tuple[Log, HardState]]:
    """What the log may be, and the hard state. It is begun anew where it does not lead to the state restored."""
    log, state = book.durable.copy(), book.stable
    for write in [None, *book.writes]:
        if write is not None:
            log.lay(write)
            state = write.hard_state or state
        if restored is None or log.holds(restored.index, restored.term):
            yield log, state
        else:
            yield log.begun_at(restored.index, ()), max(state, HardState(restored.term), key=_term)


def _is_same(book: NodeBook, log: Log, state: HardState, recovered: Recovered) -> bool:
    if (state, log.last_index) != (recovered.hard_state, recovered.last_index):
        return False
    within = recovered.base_index <= max(log.base_index, book.covered_index)
    return within and tuple(log.between(recovered.base_index, log.last_index)) == recovered.entries


def _what_is_wrong(book: NodeBook, recovered: Recovered) -> str:
    if _rank(recovered.hard_state) < _rank(book.stable):
        return f"forgot {book.stable}, which was durable, and has {recovered.hard_state}"
    base, covered = recovered.base_index, max(book.durable.base_index, book.covered_index)
    if base > covered and base not in _bases(book):
        return f"has a log that begins behind {base}, and two snapshots stand for {covered} entries of it"
    # A write under way may have replaced what was durable from its first index on.
    firsts = [LogIndex(write.entries[0].index - 1) for write in book.writes if write.entries]
    for entry in book.durable.between(base, min(firsts, default=book.durable.last_index)):
        if entry.index > recovered.last_index:
            return f"lost {name(entry)}, which was durable; its log ends at {recovered.last_index}"
        if recovered.entry_at(entry.index) != entry:
            return f"has {name(recovered.entry_at(entry.index))} where {name(entry)} was durable"
    end = f"a log to {recovered.last_index} and {recovered.hard_state}"
    return f"has {end}: no prefix of what was written amounts to that"


def _bases(book: NodeBook) -> list[int]:
    """Where an installed snapshot may have begun the log anew."""
    return [snapshot.index for snapshot in book.snapshots]


def _term(state: HardState) -> int:
    return state.term


def _rank(state: HardState) -> tuple[int, bool]:
    return state.term, state.voted_for is not None
