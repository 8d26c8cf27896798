"""A few pure Raft nodes, their disks and the network between them, all under the test's hand.

Nothing moves by itself: messages wait in `network` until delivered or dropped, writes wait at their
node until `persist`. Every Ready is drained at once, as a driver does. The judge looks after each step:

    S2   one leader a term
    S4   what any node hands out as committed is the same entry everywhere, for ever, and a new leader holds it
    D19  a vote or an acknowledgement leaves its node when what it promises is on that node's disk
    S1   when an entry is first committed, a majority has it on disk (so no loss of unsynced data takes it back)
    RF   a node that is trusted again holds all that it once held and that is committed
    LM   log matching: equal index and term, equal log up to there (paper 5.3)
    R1   a read is confirmed at no less than what was committed anywhere when it was asked for

A snapshot of index i is the list of entries up to i; its bytes are their terms. So logs are kept whole here, whatever
a node has dropped, and can be compared.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import attrs

from bankd.raft.core import Raft, RaftOptions, RandomSource
from bankd.raft.messages import (
    AppendResponse,
    Configuration,
    Entry,
    EntryType,
    HardState,
    Message,
    SnapshotRef,
    VoteRequest,
    VoteResponse,
)
from bankd.raft.quorum import has_quorum
from bankd.raft.ready import (
    ChunkReceived,
    ChunkWanted,
    LogForgotten,
    LogTruncated,
    MessageIgnored,
    Persist,
    RaftEvent,
    Ready,
    Refilled,
    Role,
)
from bankd.types import LogIndex, NodeId, Term

CHUNK_BYTES = 2


class Zeros:
    """Draws 0 always: every election timeout is the shortest."""

    def below(self, bound: int) -> int:
        assert bound > 0
        return 0


class Draws:
    """Draws from a stream that its name alone determines."""

    def __init__(self, name: str) -> None:
        self._random = random.Random(name)

    def below(self, bound: int) -> int:
        return self._random.randrange(bound)


def node_ids(count: int) -> list[NodeId]:
    return [NodeId(f"n{number}") for number in range(1, count + 1)]


def entries_of_terms(terms: Iterable[int]) -> tuple[Entry, ...]:
    """Return a log whose entries have these terms, from index 1 on; equal (index, term) gives equal bodies."""
    return tuple(
        Entry(LogIndex(index), Term(term), EntryType.COMMANDS, f"{index}@{term}".encode())
        for index, term in enumerate(terms, 1)
    )


@attrs.define(eq=False)
class Disk:
    """What would survive a power cut."""

    hard_state: HardState = attrs.field(factory=HardState)
    written: list[Entry] = attrs.field(factory=list)  # to the log
    dropped_index: LogIndex = LogIndex(0)  # the log begins behind it
    snapshot: SnapshotRef | None = None
    covered: list[Entry] = attrs.field(factory=list)  # by the snapshot
    lost: list[Entry] | None = None  # what was here before a loss that this disk knows of; None: it knows of none
    copied: bool = False  # the loss is that an older copy was put in its place

    @property
    def entries(self) -> list[Entry]:
        """What a restart finds: the log, unless it does not lead on from the snapshot."""
        return self.written if self._leads_on else self.covered

    @property
    def _leads_on(self) -> bool:
        return self.snapshot is None or self.covered == self.written[: self.snapshot.index]

    def reopen(self) -> None:
        """Begin the log anew behind a snapshot that was sealed right before the end."""
        if self.snapshot is not None and not self._leads_on:
            self.written, self.dropped_index = list(self.covered), self.snapshot.index

    def write(self, persist: Persist) -> None:
        if persist.hard_state is not None:
            self.hard_state = persist.hard_state
        if persist.base is not None:
            assert self.snapshot == persist.base, "a log cannot begin behind a snapshot that is not there"
            self.written = list(self.covered)
            self.dropped_index = persist.base.index
        overlay(self.written, persist.entries)

    def seal(self, snapshot: SnapshotRef, covered: Sequence[Entry]) -> None:
        """Make a snapshot durable."""
        self.snapshot, self.covered = snapshot, list(covered)

    def forget(self, count: int) -> None:
        """Keep the first `count` entries alone, without a trace of the others; fewer than the snapshot's: without it."""
        self.reopen()
        del self.written[count:]
        if self.snapshot is not None and count < self.snapshot.index:
            self.written, self.covered, self.snapshot, self.dropped_index = [], [], None, LogIndex(0)

    def lose(self, count: int) -> None:
        """Keep the first `count` entries alone, and know it."""
        if self.lost is None:
            self.lost = list(self.entries)
        self.forget(count)

    def put_back(self, older: "Disk") -> None:
        """Be an older copy, and know that, but not what it lacks. Its log is set aside, down to its snapshot."""
        self.lost = list(self.entries) if self.lost is None else self.lost
        self.hard_state, self.snapshot, self.covered = older.hard_state, older.snapshot, list(older.covered)
        self.written = list(self.covered)
        self.dropped_index = LogIndex(0) if self.snapshot is None else self.snapshot.index
        self.copied = True

    def vouches_for(self, entry: Entry) -> bool:
        """Whether the entry is here; of a disk with a loss, whether it was: only what was said before counts."""
        held = self.entries if self.lost is None else self.lost
        return entry in held[entry.index - 1 : entry.index]


def snapshot_of(covered: Sequence[Entry]) -> SnapshotRef:
    last = covered[-1]
    return SnapshotRef(last.index, last.term, len(covered), f"{last.index}@{last.term}".encode())


def overlay(log: list[Entry], entries: Sequence[Entry]) -> None:
    if entries:
        assert entries[0].index <= len(log) + 1, "a write leaves a gap in the log"
        log[entries[0].index - 1 :] = entries


@attrs.define(eq=False)
class Node:
    raft: Raft
    disk: Disk
    log: list[Entry]  # as handed to the disk, durable or not
    writes: list[Persist] = attrs.field(factory=list)
    applied: list[Entry] = attrs.field(factory=list)
    read_floor: dict[int, LogIndex] = attrs.field(factory=dict)  # reads not answered: committed when asked
    reads: list[ChunkWanted] = attrs.field(factory=list)  # of chunks, under way
    incoming: SnapshotRef | None = None
    kept: bytes = b""  # of it
    is_refilled: bool = False  # and not yet trusted

    def keep(self, chunk: ChunkReceived) -> None:
        if self.incoming != chunk.snapshot:
            self.incoming, self.kept = chunk.snapshot, b""
        if chunk.offset == len(self.kept):
            self.kept += chunk.data
        self.raft.chunk_kept(chunk.snapshot, len(self.kept))

    @property
    def is_complete(self) -> bool:
        return self.incoming is not None and len(self.kept) == self.incoming.size_bytes


@attrs.define(eq=False)
class Judge:
    """Holds what the whole run has shown so far."""

    committed: list[Entry] = attrs.field(factory=list)
    leaders: dict[Term, NodeId] = attrs.field(factory=dict)

    def see_leader(self, node_id: NodeId, node: Node) -> None:
        first = self.leaders.setdefault(node.raft.term, node_id)
        assert first == node_id, f"S2: {first} and {node_id} both lead term {node.raft.term}"
        if node.raft.term == max(self.leaders):  # a deposed leader need not know what came after it
            held = node.log[: len(self.committed)]
            assert held == self.committed, f"S4: {node_id}@{node.raft.term} leads without {self.committed}"

    def see_committed(self, cluster: "Cluster", node_id: NodeId, entries: Sequence[Entry]) -> None:
        applied = cluster.nodes[node_id].applied
        for entry in entries:
            assert entry.index == len(applied) + 1, f"{node_id} was handed {entry.index} behind {len(applied)}"
            applied.append(entry)
            if entry.index <= len(self.committed):
                assert self.committed[entry.index - 1] == entry, f"S4: {node_id} commits another {entry.index}"
            else:
                self._see_first_commit(cluster, entry)

    def _see_first_commit(self, cluster: "Cluster", entry: Entry) -> None:
        holders = {name for name, disk in cluster.disks.items() if disk.vouches_for(entry)}
        assert has_quorum(cluster.configuration, holders), (
            f"S1: {entry.index}@{entry.term} is durable on {holders} only"
        )
        self.committed.append(entry)

    def see_promise(self, disk: Disk, message: Message) -> None:
        """D19, D20: what a message promises about its sender's disk must be there when it leaves."""
        hard_state = disk.hard_state
        if hard_state.term > message.term:
            return  # the disk has moved on; what was promised came before
        match message:
            case VoteRequest(pre_vote=False):
                assert hard_state == HardState(message.term, message.sender), f"not durable: {message}"
            case VoteResponse(granted=True, pre_vote=False):
                assert hard_state == HardState(message.term, message.to), f"not durable: {message}"
            case AppendResponse(accepted=True):
                assert message.match_index <= len(disk.entries), f"not durable: {message}"
            case _:
                pass

    def see_trusted(self, name: NodeId, disk: Disk, lost: Sequence[Entry]) -> None:
        held = [entry for entry in self.committed if entry in lost[entry.index - 1 : entry.index]]
        assert all(map(disk.vouches_for, held)), f"RF: {name} is trusted without what it acknowledged"

    def see_logs(self, cluster: "Cluster", changed: NodeId) -> None:
        mine = cluster.nodes[changed].log
        for other in cluster.nodes.values():
            common = min(len(mine), len(other.log))
            while common and mine[common - 1].term != other.log[common - 1].term:
                common -= 1
            assert mine[:common] == other.log[:common], f"LM: {changed} differs below a common (index, term)"


class Cluster:
    def __init__(
        self,
        names: Sequence[NodeId],
        *,
        options: RaftOptions | None = None,
        configuration: Configuration | None = None,
        draws: Callable[[NodeId], RandomSource] = lambda _: Zeros(),
        disks: dict[NodeId, Disk] | None = None,
    ) -> None:
        self.configuration = configuration or Configuration(frozenset(names))
        self.options = options or RaftOptions()
        self.disks = {name: (disks or {}).get(name) or Disk() for name in names}
        self.nodes: dict[NodeId, Node] = {}
        self.network: list[Message] = []
        self.cuts: set[tuple[NodeId, NodeId]] = set()
        self.judge = Judge()
        self.starts_refilling = 0
        self.forgetful: set[NodeId] = set()  # their disks lose entries without a trace
        self.seen: Callable[[NodeId, Ready], None] = lambda _node_id, _ready: None
        self._draws = draws
        for name in names:
            self.start(name)

    def raft(self, name: str) -> Raft:
        return self.nodes[NodeId(name)].raft

    def start(self, name: NodeId) -> None:
        disk = self.disks[name]
        disk.reopen()
        self.starts_refilling += disk.lost is not None
        raft = Raft(
            node_id=name,
            configuration=self.configuration,
            hard_state=disk.hard_state,
            entries=tuple(disk.entries[disk.dropped_index :]),
            snapshot=disk.snapshot,
            refilling=self.starts_refilling if disk.lost is not None else 0,
            copied=disk.copied,
            options=self.options,
            random=self._draws(name),
        )
        self.nodes[name] = Node(raft, disk, list(disk.entries), applied=list(disk.covered))

    def crash(self, name: NodeId) -> None:
        """The process dies: writes under way are lost, and with them what they held back."""
        del self.nodes[name]

    def drain(self, name: NodeId) -> None:
        """Take the node's Ready and do what a driver does, except waiting for the disk."""
        node = self.nodes[name]
        ready = node.raft.ready()
        if ready.persist is not None:
            node.writes.append(ready.persist)
            overlay(node.log, ready.persist.entries)
        self._send(node, ready.send_now)
        for event in ready.events:
            self._observe(name, node, event)
        self.judge.see_logs(self, name)
        self.judge.see_committed(self, name, ready.committed)
        if node.raft.role is Role.LEADER:
            self.judge.see_leader(name, node)
        for state in ready.read_states:
            floor = node.read_floor.pop(state.read_id)
            assert state.index >= floor, f"R1: {name} reads at {state.index}, {floor} was committed when it was asked"
        for refused in ready.reads_refused:
            del node.read_floor[refused.read_id]
        self.seen(name, ready)
        node.reads += ready.chunks_wanted
        if ready.chunks_received:
            for chunk in ready.chunks_received:
                node.keep(chunk)
            self.drain(name)

    def _observe(self, name: NodeId, node: Node, event: RaftEvent) -> None:
        match event:
            case LogTruncated():
                assert event.from_index > len(node.applied), f"S4: {name} rewrites {event}"
            case MessageIgnored():
                raise AssertionError(f"{name} calls a correct peer broken: {event}")
            case LogForgotten():
                assert name in self.forgetful, f"{name} is told of a loss that there was not: {event}"
            case Refilled():
                node.is_refilled = True
            case _:
                pass

    def trust(self, name: NodeId) -> None:
        """Forget the loss on the disk of a node that is refilled, and let it count again."""
        node = self.nodes[name]
        lost, node.disk.lost, node.is_refilled, node.disk.copied = node.disk.lost, None, False, False
        assert lost is not None, f"{name} has lost nothing"
        self.judge.see_trusted(name, node.disk, lost)
        node.raft.trust()

    def persist(self, name: NodeId, count: int | None = None) -> None:
        """Complete the node's oldest writes (all of them by default) as one disk operation."""
        node = self.nodes[name]
        done, node.writes = node.writes[:count], node.writes[count:] if count is not None else []
        for persist in done:
            node.disk.write(persist)
        if done:
            node.raft.persisted(done[-1].write_seq)
            for write in done:
                self._send(node, write.then_send)
            self.drain(name)

    def take_snapshot(self, name: NodeId, index: int) -> None:
        """Make a durable snapshot of what a node had applied by then."""
        node = self.nodes[name]
        covered = node.applied[:index]
        assert len(covered) == index, f"{name} has applied {len(node.applied)}"
        snapshot = snapshot_of(covered)
        node.disk.seal(snapshot, covered)
        node.raft.snapshot_taken(snapshot)

    def compact(self, name: NodeId, index: int | None = None) -> None:
        """Drop a node's log up to an index, by default as far as it may be."""
        node = self.nodes[name]
        up_to = node.raft.compactable_index if index is None else LogIndex(index)
        node.raft.compact(up_to)
        node.disk.dropped_index = max(node.disk.dropped_index, LogIndex(up_to - 1))  # its first entry is the base

    def read_chunks(self, name: NodeId) -> None:
        """Complete the node's reads of its own snapshots."""
        node = self.nodes[name]
        reads, node.reads = node.reads, []
        for wanted in reads:
            terms = bytes(entry.term for entry in self.judge.committed[: wanted.snapshot.index])
            node.raft.send_chunk(wanted, terms[wanted.offset :][:CHUNK_BYTES])
        self.drain(name)

    def install(self, name: NodeId) -> bool:
        """Let a node install the snapshot that is complete there; return whether it was needed."""
        node = self.nodes[name]
        snapshot, kept, node.incoming = node.incoming, node.kept, None
        assert snapshot is not None, f"{name} is receiving nothing"
        covered = self.judge.committed[: snapshot.index]
        assert kept == bytes(entry.term for entry in covered), "the snapshot came out damaged"
        newest = node.disk.snapshot
        if newest is None or snapshot.index > newest.index:
            node.disk.seal(snapshot, covered)
        needed = node.raft.install(snapshot, self.configuration)
        if needed:
            node.log, node.applied = list(covered), list(covered)
        self.drain(name)
        return needed

    def _send(self, node: Node, messages: Sequence[Message]) -> None:
        for message in messages:
            self.judge.see_promise(node.disk, message)
        self.network.extend(messages)

    def deliver(self, message: Message) -> None:
        """Hand over one message, unless its receiver is down or the way is cut."""
        if message.to in self.nodes and (message.sender, message.to) not in self.cuts:
            self.nodes[message.to].raft.step(message)
            self.drain(message.to)

    def tick(self, name: NodeId, count: int = 1) -> None:
        for _ in range(count):
            self.nodes[name].raft.tick()
            self.drain(name)

    def propose(self, name: NodeId, *bodies: bytes) -> LogIndex:
        first = self.nodes[name].raft.propose([(EntryType.COMMANDS, body) for body in bodies])
        self.drain(name)
        return first

    def read(self, name: NodeId, read_id: int) -> None:
        self.nodes[name].read_floor[read_id] = LogIndex(len(self.judge.committed))
        self.nodes[name].raft.request_read(read_id)
        self.drain(name)

    def cut(self, one: NodeId, other: NodeId) -> None:
        self.cuts |= {(one, other), (other, one)}

    def isolate(self, name: NodeId) -> None:
        for other in self.disks:
            if other != name:
                self.cut(name, other)

    def settle(self, only: Sequence[NodeId] | None = None, rounds_max: int = 200) -> None:
        """Persist and deliver everything, in order, until nothing waits: at all nodes, or at some among themselves."""
        names = self.disks.keys() if only is None else set(only)
        for _ in range(rounds_max):
            running = sorted(names & self.nodes.keys())
            waiting = [message for message in self.network if message.to in names and message.sender in names]
            if not waiting and not any(self.nodes[name].writes or self.nodes[name].reads for name in running):
                return
            self.network = [message for message in self.network if message not in waiting]
            for message in waiting:
                self.deliver(message)
            for name in running:
                self.persist(name)
                self.read_chunks(name)
                if self.nodes[name].is_refilled:
                    self.trust(name)
                if self.nodes[name].is_complete:
                    self.install(name)
        raise AssertionError("the cluster does not come to rest")

    def pass_time(self, ticks: int) -> None:
        """Let every node tick, with a working network and disks."""
        for _ in range(ticks):
            for name in sorted(self.nodes):
                self.tick(name)
            self.settle()

    def elect(self, name: str) -> None:
        """Tick one node until it leads."""
        candidate = NodeId(name)
        for _ in range(self.options.election_ticks * 4):
            if self.raft(name).role is Role.LEADER:
                return
            self.tick(candidate)
            self.settle()
        raise AssertionError(f"{name} was not elected")

    def leader(self) -> NodeId | None:
        """Return who leads in the newest term, if anyone."""
        leaders = [(node.raft.term, name) for name, node in self.nodes.items() if node.raft.role is Role.LEADER]
        return max(leaders)[1] if leaders else None

    def terms(self) -> Counter[Term]:
        return Counter(node.raft.term for node in self.nodes.values())
