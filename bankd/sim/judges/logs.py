"""S4: logs that agree on an index and a term agree up to there; a leader only appends; nothing committed is replaced,
not even by a node that has not heard of its commitment.

Every entry that any node ever wrote is known by its index and term, together with the term before it. A node that
writes the same index and term must write the same bytes after the same term; by induction the logs are then equal up
to there (paper 5.3, log matching). One look-up an entry and node, and no log is ever walked. A log that is begun
anew behind a snapshot begins in the chain of committed entries, beyond what the node knew of it.

Beside it, R1: the first entry of a term is a no-op. A leader without one does not know what is committed (paper 8).
"""

import attrs

from bankd.raft.messages import Entry, EntryType, SnapshotRef
from bankd.raft.ready import Persist
from bankd.sim.judges.books import Books, NodeBook
from bankd.sim.judges.violation import Violation
from bankd.types import LogIndex, Term

Known = dict[tuple[LogIndex, Term], tuple[Entry, Term]]  # with the term of the entry before


class Logs:
    def __init__(self, books: Books) -> None:
        self._chain = books.chain
        self._known: Known = {}

    def written(self, now_ns: int, book: NodeBook, persist: Persist) -> None:
        """A node asked its disk to write this. The entries become its log, behind a new base if there is one."""
        log, entries = book.log, persist.entries
        if persist.base is not None:
            self._judge_base(now_ns, book, persist.base)
            log.begin_behind(persist.base.index)
        if entries:
            self._judge_entries(now_ns, book, entries, same_term=persist.hard_state is None)
            log.lay(attrs.evolve(persist, base=None))

    def _judge_entries(self, now_ns: int, book: NodeBook, entries: tuple[Entry, ...], *, same_term: bool) -> None:
        log = book.log
        first = entries[0].index
        if first <= log.last_index:
            self._judge_overwrite(now_ns, book, entries[0], same_term)
        elif first != log.last_index + 1:
            raise Violation("S4", f"writes entry {first} behind a log that ends at {log.last_index}", now_ns, book.node)
        previous = log.term_at(LogIndex(first - 1))
        for index, entry in enumerate(entries, first):
            if entry.index != index or entry.term < previous or entry.term > book.handed.term:
                raise Violation("S4", f"writes {name(entry)} at {index}, after term {previous}", now_ns, book.node)
            self._judge_match(now_ns, book, entry, previous)
            previous = entry.term

    def recovered(self, now_ns: int, book: NodeBook) -> None:
        """A node started with `book.log`. Only the first entry, which every node lays for itself, can be new."""
        for entry in book.log.between(LogIndex(0), LogIndex(1)):
            self._judge_match(now_ns, book, entry, Term(0))

    def _judge_base(self, now_ns: int, book: NodeBook, base: SnapshotRef) -> None:
        if base.index <= book.commit_index:
            text = f"begins its log anew behind {base.index}, and {book.commit_index} is committed here"
            raise Violation("S4", text, now_ns, book.node)
        if [entry.term for entry in self._chain[base.index - 1 : base.index]] != [base.term]:
            text = f"begins its log anew behind {base.index}@{base.term}, which is not committed"
            raise Violation("S4", text, now_ns, book.node)

    def _judge_overwrite(self, now_ns: int, book: NodeBook, entry: Entry, same_term: bool) -> None:
        if entry.index <= book.commit_index:
            text = f"rewrites entry {entry.index}, and {book.commit_index} is committed here"
            raise Violation("S4", text, now_ns, book.node)
        replaced = book.log.term_at(entry.index)
        committed = self._chain[entry.index - 1 : entry.index]
        if committed and committed[0].term == replaced:
            raise Violation("S4", f"rewrites {name(committed[0])}, which is committed elsewhere", now_ns, book.node)
        if book.leads and book.log.last_term == book.leads:
            raise Violation("S4", f"leads term {book.leads} and rewrites entry {entry.index}", now_ns, book.node)
        # In one term there is one leader, and it has the same entry there: what stands behind it must stay (paper 5.3).
        if same_term and replaced == entry.term:
            text = f"cuts its log at {name(entry)}, to write that very entry again"
            raise Violation("S4", text, now_ns, book.node)

    def _judge_match(self, now_ns: int, book: NodeBook, entry: Entry, previous: Term) -> None:
        known = self._known.setdefault((entry.index, entry.term), (entry, previous))
        if known[0] is entry and known[1] == previous:
            if entry.term != previous and entry.type is not EntryType.NOOP and entry.index > 1:
                raise Violation("R1", f"{name(entry)} opens a term and is no no-op", now_ns, book.node)
            return
        if known[1] != previous:
            text = f"{name(entry)} follows term {previous} here and term {known[1]} elsewhere"
            raise Violation("S4", text, now_ns, book.node)
        if known[0].body != entry.body or known[0].type is not entry.type:
            raise Violation("S4", f"{name(entry)} is not the entry of that name elsewhere", now_ns, book.node)


def name(entry: Entry) -> str:
    return f"{entry.index}@{entry.term}"
