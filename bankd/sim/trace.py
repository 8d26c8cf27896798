"""Remember the last events of a run, and sum up all of them in one number.

A note is a tuple of plain values: when, in which column, what. Of each column the last few are kept, so that a busy
node does not push out what happened to a quiet one; they become text only when somebody prints them. Every note,
kept or not, also goes into a running hash, as its `repr`: that is the same in every process for ints, strings, bytes
and tuples of them, and for nothing that has an order of its own making (sets, addresses). Most turns are heartbeats
and leave no note; six numbers of each turn go into a second hash, packed.

How notes look is `trace_columns`.

Limits: of heartbeats no more is kept than how many messages a turn sent: shown, they would fill the page.
"""

from array import array
from collections import deque
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final

from bankd.errors import NodeError, Refusal
from bankd.ledger.commands import AccountCreated, TransfersDone
from bankd.ledger.queries import Answer, BalanceFound, NotFound, TransferFound
from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    ReadIndexRequest,
    ReadIndexResponse,
    SnapshotRequest,
    SnapshotResponse,
    VoteRequest,
    VoteResponse,
)
from bankd.raft.ready import LogTruncated, Persist, RoleChanged
from bankd.replica.comparison import DigestNotice
from bankd.replica.core import Replica
from bankd.replica.effects import AGE_UNKNOWN_MS, Effects, ReadDone, Result
from bankd.replica.events import Event, PeerMessage, SnapshotFailed, SnapshotReceived, SnapshotSealed
from bankd.sim.disk import Flip
from bankd.sim.found import Found
from bankd.sim.judges.violation import Violation
from bankd.sim.plan import Fault, Request
from bankd.sim.plan_text import fault_text, request_words
from bankd.sim.trace_columns import WIDTH, Note, Value, laid_out
from bankd.types import ROW_ID_CONFLICT, ROW_MALFORMED, NodeId, TransferStatus

WORLD: Final = NodeId("world")  # the column of what happens to no single node
CLIENTS: Final = NodeId("clients")

ABOUT_SNAPSHOTS: Final = frozenset({SnapshotSealed, SnapshotReceived, SnapshotFailed})
BEATS: Final = frozenset({HeartbeatRequest, HeartbeatResponse})
NOTES_PER_HASH: Final = 256  # one update for so many
NUMBERS_PER_HASH: Final = 6 * NOTES_PER_HASH

OUTCOMES: Final[Mapping[int, str]] = {
    **{status: status.name.removeprefix("COMMITTED_").lower() for status in TransferStatus},
    ROW_ID_CONFLICT: "id_conflict",
    ROW_MALFORMED: "malformed",
}


class Trace:
    """Told the same things as `Judges`, under the same names; and, with `note`, what only the world knows."""

    def __init__(self, nodes: Sequence[NodeId], events_kept: int = 40) -> None:
        """`events_kept`: how many of the last events of each column."""
        self._columns = (WORLD, *nodes, CLIENTS)
        self._rings: dict[NodeId, deque[tuple[int, Note]]] = {
            column: deque(maxlen=events_kept) for column in self._columns
        }
        self._order = 0  # of notes in different columns at one time
        self._unhashed: list[Note] = []
        self._hash = blake2b(digest_size=8)
        self._places = {column: place for place, column in enumerate(self._columns)}
        self._numbers = array("q")
        self._numbers_hash = blake2b(digest_size=8)

    def note(self, now_ns: int, column: NodeId, kind: str, *values: Value) -> None:
        """Anything else worth a line: `kind`, then the values, with spaces between."""
        note: Note = (now_ns, column, kind, values)
        self._order += 1
        self._rings[column].append((self._order, note))
        self._unhashed.append(note)
        if len(self._unhashed) >= NOTES_PER_HASH:
            self._hash_notes()

    # What happens to nodes

    def booted(self, now_ns: int, node: NodeId, replica: Replica, found: Found) -> None:
        recovered, state = found.recovered, found.recovered.hard_state
        restored = 0 if found.restored is None else found.restored.index
        self.note(
            now_ns, node, "boot", recovered.base_index, recovered.last_index, restored, state.term, state.voted_for
        )

    def turned(self, now_ns: int, node: NodeId, replica: Replica, events: Sequence[Event], effects: Effects) -> None:
        for taken in events:
            if type(taken) in ABOUT_SNAPSHOTS:
                self._snapshot(now_ns, node, taken)
        if effects.snapshot_due is not None:
            self.note(now_ns, node, "begin snapshot", effects.snapshot_due.index)
        for event in effects.events:
            if type(event) is RoleChanged:
                self.note(now_ns, node, "role", event.role.name.lower(), event.term, event.leader_id, event.reason)
            elif type(event) is LogTruncated:
                self.note(now_ns, node, "truncate", event.from_index)
            else:
                self.note(now_ns, node, "event", str(event))
        for persist in effects.persists:
            self._write(now_ns, node, persist)
        for message in effects.send_now:
            if type(message) not in BEATS:
                self._message(now_ns, node, message, 0)
        raft = replica.raft
        numbers = self._numbers
        numbers.extend((now_ns, self._places[node], len(events), raft.term, raft.commit_index, len(effects.send_now)))
        if len(numbers) >= NUMBERS_PER_HASH:
            self._hash_numbers()

    def durable(self, now_ns: int, node: NodeId, write_seq: int) -> None:
        self.note(now_ns, node, "durable", write_seq)

    def ended(self, now_ns: int, node: NodeId, why: str) -> None:
        self.note(now_ns, node, "end", why)

    def refused(self, now_ns: int, node: NodeId, error: NodeError) -> None:
        self.note(now_ns, node, "will not start:", error.reason)

    # What happens to clients

    def called(self, now_ns: int, client: int, operation: int, request: Request) -> None:
        self.note(now_ns, CLIENTS, "call", client, operation, *request_words(request))

    def answered(self, now_ns: int, client: int, operation: int, result: Result | None) -> None:
        self.note(now_ns, CLIENTS, "answer", client, operation, *_told(result))

    def struck(self, now_ns: int, fault: Fault) -> None:
        self.note(now_ns, WORLD, fault_text(fault))

    def rotted(self, now_ns: int, node: NodeId, flip: Flip) -> None:
        self.note(now_ns, node, "flipped", str(flip))

    def healed(self, now_ns: int) -> None:
        self.note(now_ns, WORLD, "healed")

    # What came of it

    @property
    def digest(self) -> int:
        """64 bits over everything noted so far: equal for equal runs, in every process."""
        self._hash_notes()
        self._hash_numbers()
        both = self._hash.copy()
        both.update(self._numbers_hash.digest())
        return int.from_bytes(both.digest(), "little")

    def lines(self, width: int = WIDTH) -> list[str]:
        """The last events, oldest first, in columns: time in seconds, one column a node, one for the clients."""
        kept = sorted(pair for ring in self._rings.values() for pair in ring)
        return laid_out(self._columns, [note for _, note in kept], width)

    def report(self, violation: Violation, step: int, width: int = WIDTH) -> str:
        """Everything that a person needs first: what was violated, where and when, and the last events.

        `width`: of the page, in characters; the first line may be longer, for terminals to wrap.
        """
        where = f" on {violation.node}" if violation.node else ""
        head = f"{violation.invariant} violated{where} at {violation.at_ns / 1e9:.6f} s, step {step}: {violation.text}"
        return "\n".join([head, "", *self.lines(width)])

    # Parts

    def _write(self, now_ns: int, node: NodeId, persist: Persist) -> None:
        entries, state = persist.entries, persist.hard_state
        ends = (entries[0].index, entries[-1].index, entries[-1].term) if entries else (0, 0, 0)
        vote = (state.term, state.voted_for) if state else (0, None)
        base = 0 if persist.base is None else persist.base.index
        self.note(now_ns, node, "write", persist.write_seq, base, *ends, *vote)
        for message in persist.then_send:
            self._message(now_ns, node, message, persist.write_seq)

    def _message(self, now_ns: int, node: NodeId, message: PeerMessage, after_write: int) -> None:
        to, term = message.to, message.term
        match message:
            case AppendRequest(entries=entries):
                ends = (message.prev_index, len(entries), message.commit_index)
                self.note(now_ns, node, "append", to, term, *ends)
            case AppendResponse(accepted=accepted):
                self.note(
                    now_ns, node, "append ok" if accepted else "append no", to, term, message.match_index, after_write
                )
            case VoteRequest(pre_vote=pre_vote):
                end = (message.last_index, message.last_term)
                self.note(now_ns, node, "ask pre-vote" if pre_vote else "ask vote", to, term, *end, after_write)
            case VoteResponse(granted=granted, pre_vote=pre_vote):
                kind = ("pre-vote" if pre_vote else "vote") + (" yes" if granted else " no")
                self.note(now_ns, node, kind, to, term, after_write)
            case ReadIndexRequest():
                self.note(now_ns, node, "ask read index", to, term)
            case ReadIndexResponse(index=index, refused=refused):
                self.note(now_ns, node, "read index", to, term, index, int(refused))
            case DigestNotice(index=index):
                self.note(now_ns, node, "digest", to, term, index)
            case SnapshotRequest(snapshot=snapshot, offset=offset, data=data):
                place = (snapshot.index, offset, offset + len(data), snapshot.size_bytes)
                self.note(now_ns, node, "send snapshot", to, term, *place)
            case SnapshotResponse(received_bytes=received_bytes):
                self.note(now_ns, node, "has snapshot", to, term, received_bytes)
            case _:
                self.note(now_ns, node, type(message).__name__, to, term)

    def _snapshot(self, now_ns: int, node: NodeId, event: Event) -> None:
        match event:
            case SnapshotSealed(snapshot=snapshot, covered_index=covered_index):
                self.note(now_ns, node, "sealed snapshot", snapshot.index, snapshot.size_bytes, covered_index)
            case SnapshotReceived(snapshot=snapshot, covered_index=covered_index):
                self.note(now_ns, node, "received snapshot", snapshot.index, snapshot.size_bytes, covered_index)
            case SnapshotFailed(reason=reason):
                self.note(now_ns, node, "gave up its snapshot:", reason)
            case _:
                raise AssertionError(f"{event} is not about snapshots")

    def _hash_notes(self) -> None:
        self._hash.update("".join(map(repr, self._unhashed)).encode())
        self._unhashed.clear()

    def _hash_numbers(self) -> None:
        self._numbers_hash.update(self._numbers.tobytes())
        del self._numbers[:]


def _told(result: Result | None) -> tuple[Value, ...]:
    match result:
        case None:
            return ("unknown",)
        case Refusal(reason=reason):
            return (reason,)
        case TransfersDone(index=index, outcomes=outcomes):
            return (*(OUTCOMES[outcome] for outcome in outcomes), "at", index)
        case AccountCreated(success=success, index=index):
            return ("opened" if success else "not opened", "at", index)
        case ReadDone(answer=answer, index=index, age_ms=age_ms):
            return (_found(answer), "as of", index, *_age(age_ms))
        case _:
            return (str(result),)


def _found(answer: Answer) -> Value:
    match answer:
        case BalanceFound(balance=balance):
            return balance
        case TransferFound(record=record):
            return f"{record.amount} {record.source} -> {record.target} {OUTCOMES[record.status]} at {record.index}"
        case NotFound():
            return "not found"
        case _:
            return str(answer)


def _age(age_ms: int) -> tuple[Value, ...]:
    if age_ms == AGE_UNKNOWN_MS:
        return ("and of unknown age",)
    return ("and", age_ms, "ms old") if age_ms else ()
