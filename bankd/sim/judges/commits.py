"""S4 and S1: the one chain of committed entries. It only grows, each entry is on a majority's disks, leaders have it all.

The chain grows where a leader's commit index passes its end. There, and only there, it is counted who has the last new
entry durably, and that entry must be of the term which that node leads (paper 5.4.2; figure 8). Everybody else's commit
index must stay inside the chain, over entries that are the chain's.

What was committed stays on a majority's disks: in their logs, or in durable snapshots that stand for them.

The first entry is committed from the start: every node lays it alike.
"""

from bisect import bisect_left

from bankd.raft.messages import Entry
from bankd.sim.judges.bank import Bank
from bankd.sim.judges.books import Books, NodeBook
from bankd.sim.judges.logs import name
from bankd.sim.judges.violation import Violation
from bankd.types import LogIndex, Term


class Commits:
    def __init__(self, books: Books, bank: Bank) -> None:
        self._books = books
        self._bank = bank
        self.chain = books.chain
        self.seen_ns: list[int] = []  # when each was first seen committed; never falls
        self._terms: list[Term] = []  # of the leader that committed each; never falls

    def advanced(self, now_ns: int, book: NodeBook, commit_index: LogIndex) -> None:
        """A node's commit index changed."""
        before = book.commit_index
        if commit_index < before:
            raise Violation("S4", f"its commit index falls from {before} to {commit_index}", now_ns, book.node)
        log = book.log
        if commit_index > log.last_index:
            text = f"commits {commit_index} and has a log that ends at {log.last_index}"
            raise Violation("S4", text, now_ns, book.node)
        for mine, theirs in zip(log.between(before, commit_index), self.chain[before:commit_index], strict=False):
            if mine.term != theirs.term:
                raise Violation("S4", f"commits {name(mine)}, and {name(theirs)} was committed", now_ns, book.node)
        if commit_index > len(self.chain):
            self._grow(now_ns, book, commit_index)
        book.commit_index = commit_index

    def elected(self, now_ns: int, book: NodeBook) -> None:
        """A leader must have every entry that was committed in an earlier term (paper 5.4, leader completeness)."""
        end = bisect_left(self._terms, book.leads)
        last = self.chain[end - 1]
        if end and not book.log.holds(last.index, last.term):
            text = f"leads term {book.leads} without {name(last)}, which is committed"
            raise Violation("S4", text, now_ns, book.node)

    def judge_kept(self, now_ns: int) -> None:
        """What is committed must still be on a majority's disks, in a log or in a snapshot that stands for it.

        What a disk has lost by the plan's doing counts as being there: others must have heeded it.
        """
        books = self._books
        reached = sorted(max(map(books.reach, book.vouching)) for book in books.of.values())
        kept = reached[-books.majority]
        if kept < len(self.chain):
            text = (
                f"{name(self.chain[kept])} is committed, and neither logs nor snapshots of a majority hold it any more"
            )
            raise Violation("S1", text, now_ns)

    def _grow(self, now_ns: int, book: NodeBook, commit_index: LogIndex) -> None:
        entries = book.log.between(LogIndex(len(self.chain)), commit_index)
        last = entries[-1]
        if commit_index > 1:
            self._judge_backing(now_ns, book, last)
        for entry in entries:
            self.chain.append(entry)
            self.seen_ns.append(now_ns)
            self._terms.append(last.term)
            self._bank.apply(now_ns, entry)

    def _judge_backing(self, now_ns: int, book: NodeBook, last: Entry) -> None:
        if last.term != book.led:
            text = (
                f"commits {name(last)} by counting, and leads term {book.led}"
                if book.led
                else (f"commits {name(last)}, which no leader has committed")
            )
            raise Violation("S4", text, now_ns, book.node)
        holders = self._books.holders(last)
        if len(holders) < self._books.majority:
            text = f"commits {name(last)}, which is durable on {holders or 'no node'} alone"
            raise Violation("S1", text, now_ns, book.node)
