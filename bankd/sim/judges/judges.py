"""Hand what happens in a run to every judge that it concerns, and only what is new.

The order inside a turn is that of cause: who leads now; what was written; what is committed by that; what was applied
and answered; what is said to others. Most turns of a run are heartbeats, so what did not change costs a comparison.
"""

from collections.abc import Sequence
from typing import Final

from bankd.errors import NodeError
from bankd.history import witness
from bankd.history.findings import Report
from bankd.history.records import Record
from bankd.raft.messages import SnapshotRef, SnapshotRequest
from bankd.raft.ready import Persist, RoleChanged
from bankd.replica.core import Replica
from bankd.replica.effects import Effects, ReplicaEvent, Result
from bankd.replica.events import Event, SnapshotFailed, SnapshotReceived, SnapshotSealed
from bankd.sim.disk import Flip
from bankd.sim.found import Found
from bankd.sim.judges.answers import Answers
from bankd.sim.judges.bank import Bank
from bankd.sim.judges.books import Books, NodeBook
from bankd.sim.judges.bounds import Bounds
from bankd.sim.judges.clients import Clients
from bankd.sim.judges.commits import Commits
from bankd.sim.judges.desks import Desks
from bankd.sim.judges.disks import Disks
from bankd.sim.judges.elections import Elections
from bankd.sim.judges.logs import Logs
from bankd.sim.judges.offices import Offices
from bankd.sim.judges.progress import Progress
from bankd.sim.judges.promises import Promises
from bankd.sim.judges.refills import Refills
from bankd.sim.judges.rejoining import Rejoining
from bankd.sim.judges.room import Room
from bankd.sim.judges.snapshots import Snapshots
from bankd.sim.judges.states import States
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import Fault, Plan, Request, Wipe
from bankd.types import LogIndex, NodeId, Term

ABOUT_SNAPSHOTS: Final = frozenset({SnapshotSealed, SnapshotFailed, SnapshotReceived})


class Judges:
    """Watches one run. Every method raises `Violation` at the first thing that must not be.

    The caller tells everything in the order in which it happened. A `reply_to` must be hashable, and equal to no other
    one of its process. A call's deadline is of its node's monotonic clock, which the plan's traits tell.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._books = Books(plan.nodes)
        self._bank = Bank()
        self._logs = Logs(self._books)
        self._elections = Elections(self._books)
        self._refills = Refills(plan, self._books)
        self._promises = Promises(self._books, self._elections, self._refills)
        self._offices = Offices(plan, self._books)
        self._bounds = Bounds(plan)
        self._disks = Disks(plan, self._logs, self._elections, self._promises, self._refills)
        self._commits = Commits(self._books, self._bank)
        self._states = States(self._bank)
        self._snapshots = Snapshots(plan, self._books, self._bank, self._states)
        self._room = Room(plan, self._bank)
        self._rejoining = Rejoining(plan, self._books)
        self._desks = Desks(plan)
        self._answers = Answers(plan, self._desks, self._elections, self._bank, self._commits, self._states)
        self._clients = Clients(self._bank, self._answers)
        self._progress = Progress(plan, self._books, self._commits, self._clients)
        self._replicas: dict[NodeId, Replica] = {}
        self._wiped = {fault.node for fault in plan.faults if isinstance(fault, Wipe)}
        self.report = Report((), operations=0, unjudged=0)  # on the history, once it was judged

    @property
    def elections(self) -> int:
        """Leaders that took office so far."""
        return len(self._elections.leaders)

    @property
    def committed(self) -> int:
        """Entries committed so far."""
        return len(self._commits.chain)

    # Processes

    def booted(self, now_ns: int, node: NodeId, replica: Replica, found: Found) -> None:
        """A process started from its disk and is about to take its first event."""
        book = self._books.of[node]
        before, book.running = book.held, True
        book.leads = book.led = Term(0)
        book.stable_index = book.commit_index = book.applied_index = LogIndex(0)
        self._snapshots.booted(now_ns, book, found)
        self._disks.booted(now_ns, book, found, before)
        self._desks.booted(node)
        self._replicas[node] = replica
        self._commits.advanced(now_ns, book, replica.raft.commit_index)
        self._snapshots.started(now_ns, book, replica, found.restored)
        if replica.ledger.applied_index != book.applied_index:
            self._states.advanced(now_ns, book, replica, replica.ledger.applied_index)
        self._snapshots.compacted(now_ns, book, replica.raft.base_index)
        self._room.booted(now_ns, book, found)
        book.booted_ns = now_ns
        self._commits.judge_kept(now_ns)

    def ended(self, now_ns: int, node: NodeId, why: str) -> None:
        """A process is gone: crashed, or ended by itself (a failed disk)."""
        self._books.of[node].running = False

    def refused(self, now_ns: int, node: NodeId, error: NodeError) -> None:
        """A process would not start."""
        self._refills.refused(now_ns, self._books.of[node], error)

    # Turns

    def turned(self, now_ns: int, node: NodeId, replica: Replica, events: Sequence[Event], effects: Effects) -> None:
        """A node took `events`, in that order, and was asked once for `effects`; nothing of them was carried out yet."""
        book = self._books.of[node]
        if not book.running:
            raise Violation("D2", "goes on after it ended", now_ns, node)
        self._judge_times(now_ns)
        desks, answers, replies = self._desks, self._answers, effects.replies
        took_calls = desks.taken(book, events, answers.floor)
        if replies:
            desks.refused(book, replies)
        if effects.events:
            self._change_roles(now_ns, book, effects.events)
        about_snapshots = any(type(event) in ABOUT_SNAPSHOTS for event in events)
        if about_snapshots:
            self._snapshots.stepped(now_ns, book, events)
        base = self._take_writes(now_ns, book, effects.persists) if effects.persists else None
        if effects.events and book.leads:
            self._commits.elected(now_ns, book)
        if book.refilling:
            self._refills.turned(now_ns, book, replica, effects.events)
        commit_index, applied_index = replica.raft.commit_index, replica.ledger.applied_index
        if base is not None or commit_index != book.commit_index or applied_index != book.applied_index:
            self._follow(now_ns, book, replica, base)
        if about_snapshots:
            self._snapshots.read_back(now_ns, book, replica, events)
            self._snapshots.compacted(now_ns, book, replica.raft.base_index)
        self._snapshots.asked(now_ns, book, effects)
        self._room.turned(now_ns, book, replica, events, effects)
        if replica.raft.stable_index != book.stable_index:
            self._promises.believes(now_ns, book, replica.raft.stable_index)
        if effects.persists:
            self._promises.acknowledged(now_ns, book, events, effects.persists)
        if replies:
            answers.replied(now_ns, book, replies)
        if replies or took_calls:
            desks.count(now_ns, book, replica)
        if desks.of[node].asked:
            desks.waited(now_ns, book)
        if book.leads:
            self._offices.turned(now_ns, book, events, effects.persists)
            self._bounds.turned(now_ns, book, events, effects)
        for message in effects.send_now:
            self._promises.leaves(now_ns, book, message)
            if type(message) is SnapshotRequest:
                self._rejoining.sent(now_ns, book, message)

    def durable(self, now_ns: int, node: NodeId, write_seq: int) -> None:
        """The disk said that every write up to this number is durable; the replica has not heard of it yet."""
        if self._disks.durable(now_ns, self._books.of[node], write_seq):
            self._commits.judge_kept(now_ns)

    def _change_roles(self, now_ns: int, book: NodeBook, events: Sequence[ReplicaEvent]) -> None:
        for event in events:
            if type(event) is RoleChanged:
                self._elections.changed(now_ns, book, event)

    def _take_writes(self, now_ns: int, book: NodeBook, persists: Sequence[Persist]) -> SnapshotRef | None:
        """Returns the snapshot behind which the log begins anew, if it does."""
        base = None
        for persist in persists:
            if persist.base is not None:
                base = persist.base
                self._snapshots.begun_behind(now_ns, book, base)
            self._disks.handed(now_ns, book, persist)
            if book.leads and persist.entries:
                self._answers.proposed(now_ns, book, persist.entries)
        self._elections.promised(now_ns, book, persists)
        return base

    def _follow(self, now_ns: int, book: NodeBook, replica: Replica, base: SnapshotRef | None) -> None:
        commit_index, applied_index = replica.raft.commit_index, replica.ledger.applied_index
        if commit_index != book.commit_index:
            self._commits.advanced(now_ns, book, commit_index)
        if base is not None:
            self._states.installed(now_ns, book, replica, base.index)
            self._room.installed(book, base.index)
        if applied_index != book.applied_index:
            self._states.advanced(now_ns, book, replica, applied_index)
        self._rejoining.applied(book)

    def _judge_times(self, now_ns: int) -> None:
        if now_ns >= self._progress.due_ns:
            self._progress.judge(now_ns)
        if now_ns >= self._rejoining.due_ns:
            self._rejoining.judge(now_ns)

    # Clients

    def called(self, now_ns: int, client: int, operation: int, request: Request) -> None:
        """A client begins a call; whatever it retries inside is part of it."""
        self._clients.called(now_ns, client, operation, request)
        self._progress.called(now_ns, request)

    def answered(self, now_ns: int, client: int, operation: int, result: Result | None) -> None:
        """A client's call ends. None: the client gave up, outcome unknown."""
        self._clients.answered(now_ns, client, operation, result)

    # The end

    def struck(self, now_ns: int, fault: Fault) -> None:
        """A fault begins. The plan has said so before."""
        self._room.struck(fault)

    def rotted(self, now_ns: int, node: NodeId, flip: Flip) -> None:
        """A fault has flipped a bit on a disk."""
        self._refills.rotted(node, flip)

    def healed(self, now_ns: int) -> None:
        """The safety phase is over and everything is mended but for `Plan.stays_down`."""
        self._progress.healed(now_ns)
        self._rejoining.healed()

    def finish(self, now_ns: int, history: Sequence[Record] = ()) -> None:
        """The run is over: judge what can only be judged now.

        The caller has let the cluster rest for a few heartbeats, with no call under way.
        """
        self._judge_times(now_ns)
        self._progress.judge_running(now_ns)
        running = self._books.running
        if len(self._books.counting) >= self._books.majority:
            self._refills.finish(now_ns)
            self._progress.finish(now_ns, [book for book in running if book.node not in self._wiped])
        self._commits.judge_kept(now_ns)
        for book in running:
            self._states.judge_whole(now_ns, book, self._replicas[book.node].ledger)
        self._judge_history(now_ns, history)

    def _judge_history(self, now_ns: int, history: Sequence[Record]) -> None:
        self.report = witness.examine(history, drift_ppm_max=drift_ppm_max(self._plan))
        for finding in self.report.findings:
            raise Violation(finding.promise, f"the history shows it: {finding.text}", now_ns)


def drift_ppm_max(plan: Plan) -> int:
    """What excuses the bounded reads of a run in its history, whose clock is the world's."""
    return 2 * max((abs(traits.drift_ppm) for traits in plan.traits), default=0)
