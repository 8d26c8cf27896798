"""Run a script against a cluster of pure nodes and write down what happened, one line a fact.

A transcript is a text file: lines that begin with `>` are commands, indented lines are what they
caused (equal ones are counted), `#` lines and empty ones are for the reader. Notation: node@term,
index@term. Commands:

    cluster 3 [option=value ...]    nodes n1 to n3; append_bytes_max, inflight_messages_max
    log n1 TERM t1 t2 ...           restart n1 in TERM with entries of these terms on its disk
    tick n1 [count]                 let time pass at one node
    campaign n1                     let time pass at n1 until it asks for votes
    deliver|drop|repeat [FILTER]    what waits in the network now: n1->n2, n1->*, *->n2, a kind, a count
    persist n1 [count]              the oldest writes of n1 become durable
    propose n1 x [y ...]            read n1 7         transfer n1 n3|-      unreachable n1 n2
    snapshot n1 5                   n1 has made a snapshot of what it applied up to there, durably
    compact n1 [5]                  n1 drops its log up to there, or as far as it may
    chunks n1                       n1's reads of its own snapshots are done
    install n1                      n1 installs the snapshot that it has received
    lose n1 5 [unnoticed]           n1, which is down, keeps the first 5 of its entries, and knows that it lost some
    copy n1       put-back n1       what n1's disk holds now takes its place later, when it is down, and it knows that
    trust n1                        n1, refilled, forgets that loss on its disk
    crash n1      restart n1        cut n1 n2         isolate n1            heal
    settle [n1 n2 ...]              bring all nodes, or these among themselves, to rest; writes changes of role only
    time 5                          let all nodes tick, settling after each
    say n1->n3 TERM PREV COMMIT [ENTRY ...]   an append by hand, places as index@term
    offer n1->n3 TERM PLACE         the question for a snapshot by hand, its place as index@term
    show          waiting           all nodes; the messages that wait
"""

from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import assert_never

from bankd.raft.core import InvalidTransferTarget, NotLeader, ProposalRefused, RaftOptions
from bankd.raft.messages import (
    AppendRequest,
    AppendResponse,
    Entry,
    EntryType,
    HardState,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    ReadIndexRequest,
    ReadIndexResponse,
    SnapshotRef,
    SnapshotRequest,
    SnapshotResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from bankd.raft.ready import (
    LeadershipTransferAborted,
    LogForgotten,
    LogTruncated,
    MessageIgnored,
    Persist,
    RaftEvent,
    Ready,
    Refilled,
    Role,
    RoleChanged,
)
from bankd.types import LogIndex, NodeId, Term
from tests.raft.cluster import Cluster, Disk, Node, entries_of_terms, node_ids


def replay(script: str) -> str:
    """Run the commands of a transcript and return it with the lines that they cause now."""
    transcript = Transcript()
    lines: list[str] = []
    for line in script.splitlines():
        if line.startswith(">"):
            lines.append(line)
            for fact, times in Counter(transcript.run(line[1:].split())).items():
                lines.append(f"  {fact}" + (f" ({times} times)" if times > 1 else ""))
        elif not line.startswith("  "):
            lines.append(line)
    return "\n".join(lines) + "\n"


class Transcript:
    def __init__(self) -> None:
        self._cluster = Cluster(node_ids(1))
        self._copies: dict[str, Disk] = {}
        self._facts: list[str] = []
        self._brief = False

    def run(self, words: list[str]) -> list[str]:
        """Run one command and return its facts."""
        self._facts = []
        name, *arguments = words
        command: Callable[..., None] = getattr(self, f"do_{name.replace('-', '_')}")
        command(*arguments)
        return self._facts

    # Commands

    def do_cluster(self, count: str, *settings: str) -> None:
        chosen = dict(setting.split("=") for setting in settings)
        defaults = RaftOptions()
        options = RaftOptions(
            append_bytes_max=int(chosen.pop("append_bytes_max", defaults.append_bytes_max)),
            inflight_messages_max=int(chosen.pop("inflight_messages_max", defaults.inflight_messages_max)),
        )
        assert not chosen, f"a transcript cannot set {chosen}"
        self._cluster = Cluster(node_ids(int(count)), options=options)
        self._cluster.seen = self._see

    def do_log(self, name: str, term: str, *terms: str) -> None:
        disk = Disk(HardState(Term(int(term))), list(entries_of_terms(map(int, terms))))
        self._cluster.disks[NodeId(name)] = disk
        self._cluster.start(NodeId(name))

    def do_tick(self, name: str, count: str = "1") -> None:
        self._cluster.tick(NodeId(name), int(count))

    def do_campaign(self, name: str) -> None:
        raft = self._cluster.raft(name)
        for _ in range(2 * self._cluster.options.election_ticks):
            if raft.role in (Role.PRE_CANDIDATE, Role.CANDIDATE):
                return
            self._cluster.tick(NodeId(name))
        raise AssertionError(f"{name} does not campaign")

    def do_deliver(self, *words: str) -> None:
        for message in self._take(*words):
            self._facts.append(f"{show_message(message)}")
            self._cluster.deliver(message)

    def do_drop(self, *words: str) -> None:
        self._facts.extend(f"lost: {show_message(message)}" for message in self._take(*words))

    def do_repeat(self, *words: str) -> None:
        taken = list(self._take(*words))
        self._cluster.network.extend([*taken, *taken])

    def do_persist(self, name: str, count: str = "") -> None:
        self._cluster.persist(NodeId(name), int(count) if count else None)

    def do_propose(self, name: str, *bodies: str) -> None:
        self._try(lambda: self._cluster.propose(NodeId(name), *(body.encode() for body in bodies)))

    def do_read(self, name: str, read_id: str) -> None:
        self._cluster.read(NodeId(name), int(read_id))

    def do_transfer(self, name: str, target: str) -> None:
        self._try(lambda: self._cluster.raft(name).transfer_leadership(None if target == "-" else NodeId(target)))
        self._cluster.drain(NodeId(name))

    def do_unreachable(self, name: str, peer: str) -> None:
        self._cluster.raft(name).report_unreachable(NodeId(peer))
        self._cluster.drain(NodeId(name))

    def do_snapshot(self, name: str, index: str) -> None:
        self._cluster.take_snapshot(NodeId(name), int(index))

    def do_compact(self, name: str, index: str = "") -> None:
        self._cluster.compact(NodeId(name), int(index) if index else None)
        self.do_show(name)

    def do_chunks(self, name: str) -> None:
        self._cluster.read_chunks(NodeId(name))

    def do_install(self, name: str) -> None:
        if not self._cluster.install(NodeId(name)):
            self._facts.append(f"{name} has all of it already")

    def do_crash(self, name: str) -> None:
        self._cluster.crash(NodeId(name))

    def do_restart(self, name: str) -> None:
        self._cluster.start(NodeId(name))
        self.do_show(name)

    def do_copy(self, name: str) -> None:
        self._copies[name] = deepcopy(self._cluster.disks[NodeId(name)])

    def do_put_back(self, name: str) -> None:
        assert NodeId(name) not in self._cluster.nodes, f"{name} is up"
        self._cluster.disks[NodeId(name)].put_back(self._copies[name])

    def do_lose(self, name: str, count: str, unnoticed: str = "") -> None:
        assert NodeId(name) not in self._cluster.nodes, f"{name} is up"
        disk = self._cluster.disks[NodeId(name)]
        if unnoticed:
            disk.forget(int(count))
            self._cluster.forgetful.add(NodeId(name))
        else:
            disk.lose(int(count))

    def do_trust(self, name: str) -> None:
        self._cluster.trust(NodeId(name))

    def do_cut(self, one: str, other: str) -> None:
        self._cluster.cut(NodeId(one), NodeId(other))

    def do_isolate(self, name: str) -> None:
        self._cluster.isolate(NodeId(name))

    def do_heal(self) -> None:
        self._cluster.cuts.clear()

    def do_say(self, way: str, term: str, prev: str, commit: str, *places: str) -> None:
        sender, to = map(NodeId, way.split("->"))
        prev_index, prev_term = place(prev)
        entries = tuple(Entry(*place(word), EntryType.COMMANDS, word.encode()) for word in places)
        message = AppendRequest(to, sender, Term(int(term)), prev_index, prev_term, LogIndex(int(commit)), entries)
        self._cluster.deliver(message)

    def do_offer(self, way: str, term: str, at: str) -> None:
        sender, to = map(NodeId, way.split("->"))
        index, last_term = place(at)
        snapshot = SnapshotRef(index, last_term, index, at.encode())
        self._cluster.deliver(SnapshotRequest(to, sender, Term(int(term)), snapshot))

    def do_settle(self, *names: str) -> None:
        self._brief = True
        self._cluster.settle([NodeId(name) for name in names] or None)
        self._brief = False

    def do_time(self, ticks: str) -> None:
        self._brief = True
        self._cluster.pass_time(int(ticks))
        self._brief = False

    def do_show(self, *names: str) -> None:
        for name in names or sorted(self._cluster.nodes):
            node = self._cluster.nodes[NodeId(name)]
            raft = node.raft
            self._facts.append(
                f"{name}@{raft.term} {raft.role.name.lower()}: {show_log(node)}, "
                f"commit {raft.commit_index}, stable {raft.stable_index}" + (", refilling" if raft.is_refilling else "")
            )

    def do_waiting(self) -> None:
        self._facts.extend(show_message(message) for message in self._cluster.network)

    # Parts

    def _try(self, call: Callable[[], object]) -> None:
        try:
            call()
        except (NotLeader, ProposalRefused, InvalidTransferTarget) as refusal:
            self._facts.append(f"{type(refusal).__name__}: {refusal}")

    def _take(self, *words: str) -> Iterator[Message]:
        """Take the messages that match out of the network, one by one, in order."""
        filters = [word for word in words if not word.isdigit()]
        taken = [message for message in self._cluster.network if matches(message, filters)]
        count = next((int(word) for word in words if word.isdigit()), len(taken))
        for message in taken[:count]:
            self._cluster.network.remove(message)
            yield message

    def _see(self, name: NodeId, ready: Ready) -> None:
        facts = [show_event(name, event) for event in ready.events]
        if not self._brief:
            facts.extend(f"{name} sends {show_message(message)}" for message in ready.send_now)
            if ready.persist is not None:
                facts.extend(show_persist(name, ready.persist))
            facts.extend(
                f"{name} reads snapshot {show_ref(wanted.snapshot)} for {wanted.to} from {wanted.offset} on"
                for wanted in ready.chunks_wanted
            )
            if ready.committed:
                facts.append(f"{name} applies {show_entries(ready.committed)}")
        facts.extend(f"{name} may serve read {state.read_id} at {state.index}" for state in ready.read_states)
        facts.extend(f"{name} refuses read {refused.read_id}" for refused in ready.reads_refused)
        self._facts.extend(facts)


def place(word: str) -> tuple[LogIndex, Term]:
    index, term = map(int, word.split("@"))
    return LogIndex(index), Term(term)


def matches(message: Message, words: list[str]) -> bool:
    for word in words:
        if "->" in word:
            sender, to = word.split("->")
            if sender not in ("*", message.sender) or to not in ("*", message.to):
                return False
        elif word != kind(message):
            return False
    return True


def kind(message: Message) -> str:
    match message:
        case VoteRequest() | VoteResponse():
            asks = "" if isinstance(message, VoteRequest) else "-answer"
            return f"{'pre-vote' if message.pre_vote else 'vote'}{asks}"
        case AppendRequest():
            return "append"
        case AppendResponse():
            return "append-answer"
        case HeartbeatRequest():
            return "heartbeat"
        case HeartbeatResponse():
            return "heartbeat-answer"
        case SnapshotRequest():
            return "snapshot"
        case SnapshotResponse():
            return "snapshot-answer"
        case ReadIndexRequest():
            return "read-index"
        case ReadIndexResponse():
            return "read-index-answer"
        case TimeoutNow():
            return "timeout-now"
        case _:
            assert_never(message)


def show_message(message: Message) -> str:
    return f"{message.sender}->{message.to} {kind(message)}@{message.term}{show_content(message)}{show_refill(message)}"


def show_content(message: Message) -> str:
    match message:
        case VoteRequest():
            transfer = ", on the leader's word" if message.leadership_transfer else ""
            return f" log ends in {message.last_index}@{message.last_term}{transfer}"
        case VoteResponse():
            return " yes" if message.granted else " no"
        case AppendRequest():
            place = f" after {message.prev_index}@{message.prev_term}"
            return f"{place}: {show_entries(message.entries)}, commit {message.commit_index}"
        case AppendResponse(accepted=True):
            return f" holds up to {message.match_index}"
        case AppendResponse():
            return f" misses {message.match_index}, try {message.hint_index}@{message.hint_term}"
        case HeartbeatRequest():
            return f" commit {message.commit_index}, round {message.read_round}"
        case HeartbeatResponse():
            return f" round {message.read_round}"
        case SnapshotRequest(data=b""):
            return f" {show_ref(message.snapshot)}: how much of it is there?"
        case SnapshotRequest():
            end = message.offset + len(message.data)
            return f" {show_ref(message.snapshot)}: bytes {message.offset} to {end} of {message.snapshot.size_bytes}"
        case SnapshotResponse():
            return f" {message.content_id.decode()}: {message.received_bytes} bytes are there"
        case ReadIndexRequest():
            return f" #{message.read_id}"
        case ReadIndexResponse():
            return f" #{message.read_id} " + ("refused" if message.refused else f"at {message.index}")
        case TimeoutNow():
            return ""
        case _:
            assert_never(message)


def show_refill(message: Message) -> str:
    match message:
        case HeartbeatRequest(refilling=nonce, barrier_index=barrier_index) if nonce:
            return f", #{nonce} is refilled at {barrier_index}" + (", say all" if message.unanimous else "")
        case (
            AppendResponse(refilling=nonce) | HeartbeatResponse(refilling=nonce) | SnapshotResponse(refilling=nonce)
        ) if nonce:
            return f", refilling #{nonce}"
        case _:
            return ""


def show_entries(entries: list[Entry] | tuple[Entry, ...]) -> str:
    return " ".join(f"{entry.index}@{entry.term}" for entry in entries) or "nothing"


def show_ref(snapshot: SnapshotRef) -> str:
    return f"{snapshot.index}@{snapshot.term}"


def show_log(node: Node) -> str:
    """What the node holds in memory; the judge's copy is whole."""
    base = node.raft.base_index
    behind = f"[..{base}@{node.log[base - 1].term}] " if base else ""
    return behind + show_entries(node.log[base:])


def show_persist(name: NodeId, persist: Persist) -> Iterator[str]:
    parts = [] if persist.base is None else [f"the log begins anew behind {show_ref(persist.base)}"]
    if persist.hard_state is not None:
        parts.append(f"term {persist.hard_state.term} vote {persist.hard_state.voted_for or 'none'}")
    if persist.entries:
        parts.append(show_entries(persist.entries))
    yield f"{name} writes #{persist.write_seq}: {', '.join(parts) or 'nothing'}"
    yield from (f"{name} holds for #{persist.write_seq}: {show_message(held)}" for held in persist.then_send)


def show_event(name: NodeId, event: RaftEvent) -> str:
    match event:
        case RoleChanged():
            leader = f" of {event.leader_id}" if event.role is Role.FOLLOWER and event.leader_id else ""
            return f"{name}@{event.term} is {event.role.name.lower()}{leader}: {event.reason}"
        case LogTruncated():
            return f"{name} replaces its log from {event.from_index} on"
        case LeadershipTransferAborted():
            return f"{name} gives up handing over to {event.target}"
        case MessageIgnored():
            return f"{name} ignores {event.sender}: {event.reason}"
        case LogForgotten():
            return f"{name} has forgotten its log: {event.leader_id} knows it to hold {event.index}"
        case Refilled():
            return f"{name} is refilled up to {event.index}"
        case _:
            assert_never(event)
