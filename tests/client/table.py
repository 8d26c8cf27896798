"""A session core on a table: no sockets, a clock that only tests move, and nodes made of codecs.

table = Table("n1:1", "n2:2")
pending = table.transfer("a", "b", 5)
link = table.greet()                     # the connection it asked for, greeted
table.answer(link, table.sent(link)[0])  # a good answer to the first call on it
"""

from itertools import count

import attrs

from bankd.client import calls
from bankd.client.connector import CloseLink, OpenLink
from bankd.client.link import Link
from bankd.client.options import ClientOptions
from bankd.client.pending import Pending
from bankd.client.results import Balance, Transfer
from bankd.client.retry import RetryPolicy
from bankd.client.session import Session
from bankd.client.transfers import TransferRow
from bankd.errors import Code, Refusal
from bankd.ledger.commands import SubmitTransfers
from bankd.pb import bank_pb2, ledger_pb2
from bankd.types import LINEARIZABLE, ClusterId, NodeId, TransferStatus
from bankd.wire.frames import Frame, FrameDecoder, FrameKind, encode_frame
from bankd.wire.hello import Endpoint, Hello, PeerRole, encode_hello
from bankd.wire.methods import Method
from bankd.wire.refusals import encode_refusal
from bankd.wire.requests import Write, decode_request

NO_LEADER = Refusal(Code.UNAVAILABLE, "NO_LEADER", "no leader is known", retryable=True)


def leader_is(node_id: str, address: str) -> Refusal:
    return attrs.evolve(NO_LEADER, reason="NOT_LEADER", leader_id=node_id, leader_address=address)


@attrs.define
class Table:
    """One session and all that happens around it. Randomness draws the same byte again and again."""

    session: Session
    now: float = 100.0
    opened: list[Link] = attrs.field(factory=list)  # in the order asked for
    closed: list[Link] = attrs.field(factory=list)
    _decoders: dict[Link, FrameDecoder] = attrs.field(factory=dict)

    @classmethod
    def of(
        cls,
        *endpoints: str,
        draw: int = 0xFF,
        retry: RetryPolicy | None = None,
        max_in_flight: int = 256,
        follow_leader: bool = True,
        cluster: str | None = None,
    ) -> "Table":
        options = ClientOptions(
            endpoints or ("n1:1",),
            cluster=cluster,
            retry=retry or RetryPolicy(),
            max_in_flight=max_in_flight,
            follow_leader=follow_leader,
        )
        ticks = count(1_000_000_000_000, 1_000_000)
        return cls(Session(options, random_bytes=lambda size: bytes([draw]) * size, clock_ns=lambda: next(ticks)))

    # Calls

    def transfer(
        self, source: str = "a", target: str = "b", amount: int = 5, *, tx_id: str | None = None, timeout_s: float = 5.0
    ) -> TransferRow:
        row = calls.transfer_row(source, target, amount, tx_id or self.session.ids.make())
        row.deadline = self.now + timeout_s
        self.session.gather(row, self.now)
        return row

    def balance(self, account: str = "a", *, timeout_s: float = 5.0) -> Pending[Balance]:
        return self.session.submit(calls.get_balance(account, LINEARIZABLE), self.now + timeout_s, self.now)

    # Time

    def advance(self, seconds: float) -> None:
        """Let time pass, with a sweep whenever the core asked for one."""
        until = self.now + seconds
        while self.session.wake_at <= until:
            self.now = max(self.now, self.session.wake_at)
            before = self.session.wake_at
            self.session.sweep(self.now)
            assert self.session.wake_at > before, f"the core would spin at {before}"
        self.now = until

    # Connections

    def grant(self) -> None:
        """Take in what the core asks of connections."""
        for wish in self.session.take_wishes():
            match wish:
                case OpenLink(link=link):
                    self.opened.append(link)
                case CloseLink(link=link):
                    self.closed.append(link)

    def opening(self) -> Link:
        """The connection asked for last."""
        self.grant()
        return self.opened[-1]

    def greet(
        self,
        *,
        node_id: str | None = None,
        leader: tuple[str, str] = ("", ""),
        members: tuple[str, ...] = (),
        cluster_id: int = 0,
    ) -> Link:
        """The connection asked for last stands, and the node says Hello."""
        link = self.opening()
        self.session.connected(link)
        assert [frame.kind for frame in self.frames(link)] == [FrameKind.HELLO]
        hello = Hello(
            PeerRole.PEER,
            cluster="main",
            cluster_id=ClusterId(cluster_id),
            node_id=NodeId(node_id or link.address.partition(":")[0]),
            leader_id=NodeId(leader[0]),
            leader_address=leader[1],
            endpoints=tuple(Endpoint(NodeId(address.partition(":")[0]), address) for address in members),
        )
        self.session.received(link, encode_hello(hello), self.now)
        return link

    def break_off(self, link: Link) -> None:
        self.session.disconnected(link, "closed the connection", self.now)

    # Frames

    def frames(self, link: Link) -> list[Frame]:
        """What the core wrote since the last look."""
        decoder = self._decoders.setdefault(link, FrameDecoder(1 << 22))
        return decoder.feed(self.session.bytes_to_send(link, self.now))

    def sent(self, link: Link) -> list[Frame]:
        """The requests among them."""
        return [frame for frame in self.frames(link) if frame.kind is FrameKind.REQUEST]

    def receive(self, link: Link, kind: FrameKind, call_id: int = 0, body: bytes = b"", *, flags: int = 0) -> None:
        self.session.received(link, encode_frame(kind, Method.NONE, call_id, body, flags=flags), self.now)

    def answer(self, link: Link, frame: Frame, *, flags: int = 0) -> None:
        """The good answer: every transfer committed at index 7, every balance 42."""
        self.receive(link, FrameKind.RESPONSE, frame.call_id, good_answer(frame), flags=flags)

    def refuse(self, link: Link, frame: Frame, refusal: Refusal = NO_LEADER) -> None:
        self.receive(link, FrameKind.ERROR, frame.call_id, encode_refusal(refusal))


def good_answer(frame: Frame) -> bytes:
    if frame.method == Method.GET_BALANCE:
        return bank_pb2.GetBalanceResponse(balance=42, index=7).SerializeToString()
    outcomes = bytes([TransferStatus.COMMITTED_OK]) * len(tx_ids(frame))
    return ledger_pb2.SubmitTransfersResponse(index=7, time_ns=70, outcomes=outcomes).SerializeToString()


def tx_ids(frame: Frame) -> list[str]:
    """The ids that a SubmitTransfers request carries."""
    match decode_request(frame.method, frame.body):
        case Write(command=SubmitTransfers(tx_ids=ids)):
            return [str(tx_id) for tx_id in ids]
        case other:
            raise AssertionError(f"{other} is no batch of transfers")


def outcome(row: Pending[Transfer]) -> object:
    """A result or the name of the error, for tables of expectations; None while there is neither."""
    if not row.done:
        return None
    return type(row.error).__name__ if row.error else row.result
