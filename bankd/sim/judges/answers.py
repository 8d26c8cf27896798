"""M3, R1, K11: what a node answers to the calls that it took (`desks`), once each.

Which calls a leader put into which entry is worked out from the entry's own bytes: behind its head stand the requests
of calls that waited, in the order in which they came. So

- an outcome answered must be the one that the judges' bank has for that very place in the log;
- a call that is in the log may be answered by its outcome or as unknown, and never as surely not done;
- a read must be answered as the bank stood at the index that it names, and that index must be as fresh as was asked:
  no older than anything that a client had been told when the call came in (linearizable), than the index asked
  for, than the age claimed;
- whoever is said to lead a term must have been elected in it (S2).

Beside it, B1: an entry is no larger than it may be, unless it holds one call alone.
"""

from collections.abc import Sequence
from typing import Final

from bankd.errors import Code, Refusal
from bankd.raft.messages import Entry, EntryType
from bankd.replica.effects import AGE_UNKNOWN_MS, ReadDone, Reply, Result
from bankd.replica.events import Call, DigestCall, HandOverCall, ReadCall, ReplyTo, WriteCall
from bankd.sim.judges.bank import Bank
from bankd.sim.judges.books import NodeBook
from bankd.sim.judges.commits import Commits
from bankd.sim.judges.desks import Asked, Desks
from bankd.sim.judges.elections import Elections
from bankd.sim.judges.states import States
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import Plan
from bankd.status import DigestReport, LeadershipMoved
from bankd.types import AtLeast, Bounded, Linearizable, LogIndex, TimeNs
from bankd.wire.entries import encode_batch_head

HEAD_BYTES: Final = len(encode_batch_head(TimeNs(0)))
NS_PER_MS: Final = 1_000_000


class Answers:
    def __init__(
        self, plan: Plan, desks: Desks, elections: Elections, bank: Bank, commits: Commits, states: States
    ) -> None:
        self._desks = desks
        self._elections = elections
        self._bank = bank
        self._commits = commits
        self._states = states
        self._entry_bytes_max = plan.limits.entry_bytes_max
        self._drift_ppm = {node: abs(traits.drift_ppm) for node, traits in zip(plan.nodes, plan.traits, strict=False)}
        self.floor = LogIndex(0)  # the highest index that any client was told

    def proposed(self, now_ns: int, book: NodeBook, entries: Sequence[Entry]) -> None:
        """A node wrote these entries; find the calls in those of the term that it leads."""
        unlogged = self._desks.of[book.node].unlogged
        for entry in entries:
            if entry.term == book.leads and entry.type is EntryType.COMMANDS:
                self._find_calls(now_ns, book, entry, unlogged)

    def replied(self, now_ns: int, book: NodeBook, replies: Sequence[Reply]) -> None:
        desk = self._desks.of[book.node]
        for reply_to, result in replies:
            asked = desk.answer(reply_to)
            if asked is None:
                text = f"answers {reply_to!r}, which was answered or never asked: {result}"
                raise Violation("M3", text, now_ns, book.node)
            fault = self._judge(now_ns, book, asked, result)
            if fault is not None:
                raise Violation(*fault, now_ns, book.node)

    def _find_calls(self, now_ns: int, book: NodeBook, entry: Entry, unlogged: dict[ReplyTo, Asked]) -> None:
        body, at, place = entry.body, HEAD_BYTES, 0
        for reply_to, asked in list(unlogged.items()):
            if at == len(body):
                break
            raw = asked.call.raw if isinstance(asked.call, WriteCall) else b""
            if body.startswith(raw, at):
                del unlogged[reply_to]
                asked.index, asked.term, asked.place = entry.index, entry.term, place
                at, place = at + len(raw), place + 1
        if at != len(body):
            text = f"proposes entry {entry.index} with {len(body) - at} bytes that no waiting call brought"
            raise Violation("M3", text, now_ns, book.node)
        if place > 1 and at - HEAD_BYTES > self._entry_bytes_max:
            text = f"puts {place} calls of {at - HEAD_BYTES} bytes into one entry, at most {self._entry_bytes_max}"
            raise Violation("B1", text, now_ns, book.node)

    def _judge(self, now_ns: int, book: NodeBook, asked: Asked, result: Result) -> tuple[str, str] | None:
        """What is wrong with this answer: the invariant and a text."""
        match asked.call, result:
            case WriteCall(), Refusal(code=code, reason=reason):
                if asked.index and code is not Code.UNKNOWN:
                    return "K11", f"refuses with {reason} a write that it put into entry {asked.index}"
                return None
            case _, Refusal():
                return None
            case WriteCall(), _:
                return self._judge_outcome(book, asked, result)
            case ReadCall() as call, ReadDone():
                return self._judge_read(now_ns, book, asked, call, result)
            case DigestCall(), DigestReport():
                return self._judge_digest(book, result)
            case HandOverCall(), LeadershipMoved():
                return self._judge_move(result)
            case call, _:
                return "M3", f"answers {_kind(call)} with {result}"

    def _judge_outcome(self, book: NodeBook, asked: Asked, result: Result) -> tuple[str, str] | None:
        index = asked.index
        if not index:
            return "S1", f"answers a write that it put into no entry: {result}"
        if index > book.applied_index or self._commits.chain[index - 1].term != asked.term:
            return "S1", f"answers a write whose entry {index}@{asked.term} is not applied: {result}"
        expected = self._bank.outcomes[index][asked.place]
        if result != expected:
            return "M3", f"answers command {asked.place} of entry {index} with {result}, and it is {expected}"
        return None

    def _judge_read(
        self, now_ns: int, book: NodeBook, asked: Asked, call: ReadCall, result: ReadDone
    ) -> tuple[str, str] | None:
        index = result.index
        if index > book.applied_index:
            return "R1", f"answers as of {index}, having applied {book.applied_index}"
        expected = self._bank.answer(call.query, index)
        if expected is not None and result.answer != expected:
            return "R1", f"answers {call.query} as of {index} with {result.answer}, and it is {expected}"
        match call.mode:
            case Linearizable() if index < asked.floor:
                return "R1", f"answers as of {index}, and {asked.floor} was known to a client when it was asked"
            case Linearizable():
                return None  # its age is 0 by name: what clients know is the whole of what it promises
            case AtLeast(index=at_least) if index < at_least:
                return "R1", f"answers as of {index}, and {at_least} was asked for"
            case Bounded(max_age_ms=max_age_ms) if result.age_ms > max_age_ms:
                return "R1", f"answers with an age of {result.age_ms} ms, and {max_age_ms} were asked for"
            case _:
                return self._judge_age(now_ns, book, result)

    def _judge_age(self, now_ns: int, book: NodeBook, result: ReadDone) -> tuple[str, str] | None:
        """What was committed before the age claimed must be in the state: one look at the first entry that is not."""
        if result.age_ms == AGE_UNKNOWN_MS or result.index >= len(self._commits.seen_ns):
            return None
        age_ns = result.age_ms * NS_PER_MS
        age_ns += age_ns * 2 * self._drift_ppm.get(book.node, 0) // 1_000_000  # by the node's own clock
        missed_ns = now_ns - self._commits.seen_ns[result.index]
        if missed_ns > age_ns:
            late_ms = missed_ns / NS_PER_MS
            return (
                "R1",
                f"claims an age of {result.age_ms} ms as of {result.index}, committed over {late_ms:.3f} ms ago",
            )
        return None

    def _judge_move(self, moved: LeadershipMoved) -> tuple[str, str] | None:
        leader = self._elections.leaders.get(moved.term)
        if leader != moved.leader_id:
            return "S2", f"says that {moved.leader_id} leads term {moved.term}, which {leader or 'nobody'} leads"
        return None

    def _judge_digest(self, book: NodeBook, report: DigestReport) -> tuple[str, str] | None:
        if report.imbalance:
            return "M1", f"reports an imbalance of {report.imbalance} at {report.index}"
        if report.index > book.applied_index or report.digest != self._states.digests[report.index]:
            return "S3", f"reports a digest for {report.index} that the state never had"
        return None


def _kind(call: Call) -> str:
    return type(call).__name__
