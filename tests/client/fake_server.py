"""A node for tests: real ledger, real codecs, blocking sockets, and bad manners on request.

    with FakeServer() as server:
        server.script(DropAfter(), Refuse(refusal))     # for the next two requests; then it behaves
        with SyncBankClient(server.address) as client:
            ...
        server.tx_id_counts["tx-1"]                     # how often an id was sent

Several servers over one `FakeBank` look like a cluster. There is no log and no consensus: the bank
is applied to at once, so every read is linearizable whatever mode it asks for. One thread per connection; all of
them end with the `with` block.
"""

import socket
from collections import Counter, deque
from contextlib import suppress
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

import attrs

from bankd import __version__
from bankd.errors import Code, ProtocolError, Refusal
from bankd.ledger.commands import CreateAccount, Outcome, SubmitTransfers
from bankd.ledger.state import Ledger
from bankd.status import DigestReport, LeadershipMoved, MemberStatus, NodeStatus, SnapshotTaken
from bankd.types import AccountId, ClusterId, Incarnation, LogIndex, NodeId, Term, TimeNs
from bankd.wire.frames import FRAME_BYTES_MAX, Frame, FrameDecoder, FrameKind, encode_frame
from bankd.wire.hello import Endpoint, Hello, PeerRole, decode_hello, encode_hello, judge_hello
from bankd.wire.methods import Method
from bankd.wire.refusals import encode_refusal
from bankd.wire.requests import (
    DigestAsked,
    Read,
    Request,
    SnapshotReadAsked,
    SnapshotTriggerAsked,
    StatusAsked,
    TransferLeadershipAsked,
    Write,
    decode_request,
)
from bankd.wire.responses import encode_response
from bankd.wire.snapshot_codec import PART_BYTES_MAX, snapshot_not_found
from tests.client.snapshots import SnapshotFile, snapshot_of

CLUSTER_ID = ClusterId(0x7F3A9C20)
FIRST_TIME_NS = 1_700_000_000_000_000_000  # the stamp of index 0; every entry is one second later
SNAPSHOTS_KEPT = 2
WAITED_OUT_S = 2.0  # the time of calls that get no answer: enough to be sent by a machine that stalls for a second
NOT_LEADER = Refusal(Code.UNAVAILABLE, "NOT_LEADER", "this node does not lead", retryable=True)


# What a server does with one request, when told


@attrs.frozen
class Answer:
    """As it should be."""


@attrs.frozen
class Refuse:
    """An error frame; nothing is applied."""

    refusal: Refusal = NOT_LEADER


@attrs.frozen
class DropBefore:
    """The connection is cut, nothing was applied."""


@attrs.frozen
class DropAfter:
    """The request takes effect, then the connection is cut: the answer is lost."""


@attrs.frozen
class NeverAnswer:
    """Silence about this request; others are answered. `apply`: it takes effect all the same."""

    apply: bool = False


@attrs.frozen
class Hold:
    """The request takes effect; the answer is sent when `release` is set. Others overtake it."""

    release: Event


@attrs.frozen
class Garbage:
    """Bytes that are no frame, instead of an answer."""

    data: bytes = b"HTTP/1.1 400 Bad Request\r\n\r\n"


@attrs.frozen
class Hang:
    """From here on not a word on this connection, not even to a ping: a node that was stopped."""


@attrs.frozen
class Die:
    """A killed process: the port closes and every connection breaks, this one first."""


Step = Answer | Refuse | DropBefore | DropAfter | NeverAnswer | Hold | Garbage | Hang | Die


@attrs.define
class FakeBank:
    """The state that servers share."""

    ledger: Ledger = attrs.field(factory=Ledger)
    lock: Lock = attrs.field(factory=Lock)
    leader_id: str = "n1"
    addresses: dict[str, str] = attrs.field(factory=dict)  # by node id
    _index: int = 0

    def apply(self, command: CreateAccount | SubmitTransfers) -> Outcome:
        with self.lock:
            self._index += 1
            time_ns = TimeNs(FIRST_TIME_NS + self._index * 1_000_000_000)
            return self.ledger.apply(LogIndex(self._index), time_ns, [command])[0]

    def open_account(self, account: str, balance: int) -> None:
        """A shortcut for tests that need money."""
        self.apply(CreateAccount(AccountId(account), balance))


class FakeServer:
    """One node. Made outside a `with` block it does not listen yet, but its address is known."""

    def __init__(
        self,
        bank: FakeBank | None = None,
        *,
        node_id: str = "n1",
        cluster: str = "main",
        cluster_id: ClusterId = CLUSTER_ID,
    ) -> None:
        self.bank = bank or FakeBank()
        self.node_id = node_id
        self.cluster = cluster
        self.cluster_id = cluster_id
        self.requests: list[tuple[int, bytes]] = []  # method and body of each, in order of arrival
        self.tx_id_counts: Counter[str] = Counter()  # how often each write's id was received
        self.batch_rows: list[int] = []  # of each SubmitTransfers
        self.cancelled: list[int] = []  # call ids
        self.connections = 0
        self.refilling = ""  # why it counts in no quorum
        self.snapshots: list[SnapshotFile] = []  # the newest first
        self.part_bytes_max = PART_BYTES_MAX  # fewer make many parts of a small snapshot
        self.hello_refusal: Refusal | None = None
        self.greets = True  # off: connections are accepted and never greeted
        self.names_leader = True  # off: its greeting says nothing about who leads
        self._script: deque[Step] = deque()
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[Thread] = []
        self._held: list[Event] = []
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.bank.addresses[node_id] = self.address

    def __enter__(self) -> Self:
        self._listener.listen()
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """As a killed process: the port closes and every connection breaks."""
        self._die()
        for event in self._held:
            event.set()
        for thread in self._threads:
            thread.join()

    def _die(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()

    def drop_connections(self) -> None:
        """Break every connection; the port stays open."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def script(self, *steps: Step) -> None:
        """What to do with the next requests, one step each; afterwards they are answered."""
        with self._lock:
            self._script.extend(steps)

    def go_away(self) -> None:
        """Tell every client to take its new calls elsewhere."""
        with self._lock:
            for connection in self._open:
                connection.sendall(encode_frame(FrameKind.GOAWAY, Method.NONE, 0))

    # Connections

    def _spawn(self, target: object, *args: object) -> None:
        assert callable(target)
        thread = Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        decoder = FrameDecoder(FRAME_BYTES_MAX)
        greeted = False
        with suppress(OSError, ProtocolError, _Cut):
            while data := connection.recv(1 << 18):
                output: list[bytes] = []
                for frame in decoder.feed(data):
                    if greeted:
                        self._frame(connection, frame, output)
                    else:
                        greeted = self._greet(connection, frame, output)
                if output:
                    connection.sendall(b"".join(output))
        with self._lock:
            self._open.discard(connection)
            connection.close()

    def _greet(self, connection: socket.socket, frame: Frame, output: list[bytes]) -> bool:
        if not self.greets:
            self._hang(connection)
        leader_id = self.bank.leader_id if self.names_leader else ""
        ours = Hello(
            PeerRole.PEER,
            cluster=self.cluster,
            cluster_id=self.cluster_id,
            node_id=NodeId(self.node_id),
            software=f"bankd {__version__}",
            leader_id=NodeId(leader_id),
            leader_address=self.bank.addresses.get(leader_id, ""),
            endpoints=tuple(Endpoint(NodeId(name), address) for name, address in sorted(self.bank.addresses.items())),
        )
        refusal = self.hello_refusal or judge_hello(ours, decode_hello(frame))
        if refusal is not None:
            connection.sendall(encode_frame(FrameKind.ERROR, Method.NONE, 0, encode_refusal(refusal)))
            raise _Cut
        output.append(encode_hello(ours))
        return True

    def _frame(self, connection: socket.socket, frame: Frame, output: list[bytes]) -> None:
        if frame.kind is FrameKind.REQUEST:
            self._request(connection, frame, output)
        elif frame.kind is FrameKind.PING:
            output.append(encode_frame(FrameKind.PONG, Method.NONE, frame.call_id, frame.body))
        elif frame.kind is FrameKind.CANCEL:
            self.cancelled.append(frame.call_id)

    def _hang(self, connection: socket.socket) -> None:
        while connection.recv(1 << 16):
            pass
        raise _Cut

    # Requests

    def _request(self, connection: socket.socket, frame: Frame, output: list[bytes]) -> None:
        request = decode_request(frame.method, frame.body)
        with self._lock:
            step = self._script.popleft() if self._script else Answer()
            self._note(frame, request)
        match step:
            case Answer():
                output.append(self._answer(frame, request))
            case Refuse(refusal=refusal):
                output.append(_error(frame, refusal))
            case DropBefore():
                raise _Cut
            case DropAfter():
                self._answer(frame, request)
                raise _Cut
            case NeverAnswer(apply=apply):
                if apply:
                    self._answer(frame, request)
            case Hold(release=release):
                self._held.append(release)
                self._spawn(self._answer_later, connection, self._answer(frame, request), release)
            case Garbage(data=data):
                output.append(data)
            case Hang():
                self._hang(connection)
            case Die():
                self._die()
                raise _Cut

    def _note(self, frame: Frame, request: Request | Refusal) -> None:
        self.requests.append((frame.method, frame.body))
        match request:
            case Write(command=SubmitTransfers(tx_ids=tx_ids)):
                self.tx_id_counts.update(tx_ids)
                self.batch_rows.append(len(tx_ids))
            case Write(command=CreateAccount(request_id=request_id)) if request_id is not None:
                self.tx_id_counts[request_id] += 1
            case _:
                pass

    def _answer_later(self, connection: socket.socket, data: bytes, release: Event) -> None:
        release.wait()
        with suppress(OSError):
            connection.sendall(data)

    def _answer(self, frame: Frame, request: Request | Refusal) -> bytes:
        """The whole frame; a write has taken effect."""
        body = request if isinstance(request, Refusal) else self._respond(frame.method, request)
        if isinstance(body, Refusal):
            return _error(frame, body)
        return encode_frame(FrameKind.RESPONSE, frame.method, frame.call_id, body)

    def _respond(self, method: int, request: Request) -> bytes | Refusal:
        bank = self.bank
        match request:
            case Write(command=CreateAccount() | SubmitTransfers() as command):
                return encode_response(method, request, bank.apply(command))
            case Read(query=query):
                with bank.lock:
                    answer, index = bank.ledger.read(query), bank.ledger.applied_index
                return encode_response(method, request, answer, index=index)
            case StatusAsked():
                return encode_response(method, request, self._status())
            case DigestAsked():
                status = self._status()
                report = DigestReport(status.applied_index, status.digest, status.imbalance)
                return encode_response(method, request, report)
            case TransferLeadershipAsked(target=target):
                bank.leader_id = target or max(bank.addresses)
                return encode_response(method, request, LeadershipMoved(NodeId(bank.leader_id), Term(2)))
            case SnapshotTriggerAsked():
                return encode_response(method, request, self._take_snapshot())
            case SnapshotReadAsked():
                return self._read_snapshot(method, request)
            case _:
                raise AssertionError(f"{request} is no request of a client")

    def _take_snapshot(self) -> SnapshotTaken:
        with self.bank.lock:
            newest = self.snapshots[0].taken if self.snapshots else None
            if newest is not None and newest.index == self.bank.ledger.applied_index:
                return newest
            self.snapshots.insert(0, snapshot_of(self.bank.ledger, self.cluster_id))
        del self.snapshots[SNAPSHOTS_KEPT:]
        return attrs.evolve(self.snapshots[0].taken, taken_ms=15)

    def _read_snapshot(self, method: int, asked: SnapshotReadAsked) -> bytes | Refusal:
        for file in self.snapshots:
            if asked.index in (0, file.taken.index):
                return encode_response(method, asked, file.part(asked.offset, self.part_bytes_max))
        return snapshot_not_found(asked.index, asked.term)

    def _status(self) -> NodeStatus:
        with self.bank.lock:
            ledger = self.bank.ledger
            index = ledger.applied_index
            newest = self.snapshots[0].taken if self.snapshots else None
            return NodeStatus(
                cluster=self.cluster,
                cluster_id=self.cluster_id,
                node_id=NodeId(self.node_id),
                incarnation=Incarnation(1),
                role="leader" if self.bank.leader_id == self.node_id else "follower",
                term=Term(1),
                leader_id=NodeId(self.bank.leader_id),
                last_index=index,
                commit_index=index,
                applied_index=index,
                digest=ledger.digest,
                imbalance=ledger.imbalance(),
                accounts=ledger.account_count,
                transfers=ledger.transfer_count,
                version=__version__,
                uptime_ms=1000,
                fsync_p99_us=200,
                waiting_calls=0,
                members=tuple(
                    MemberStatus(NodeId(name), address, voter=True, match_index=index, connected=True)
                    for name, address in sorted(self.bank.addresses.items())
                ),
                refilling=self.refilling,
                snapshot_index=newest.index if newest else LogIndex(0),
                snapshot_size_bytes=newest.size_bytes if newest else 0,
                log_bytes=64 << 20,
                snapshot_bytes=sum(file.taken.size_bytes for file in self.snapshots),
                disk_free_bytes=3 << 30,
            )


class _Cut(Exception):
    """The script says to close this connection. Caught where the connection is owned."""


def _error(frame: Frame, refusal: Refusal) -> bytes:
    return encode_frame(FrameKind.ERROR, frame.method, frame.call_id, encode_refusal(refusal))
