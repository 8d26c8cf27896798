"""Links by themselves: what they lose, double and delay, and how they fail."""

import attrs
import pytest

from bankd.errors import Refusal
from bankd.raft.messages import HeartbeatRequest
from bankd.replica.events import PeerMessage
from bankd.sim.ask import Ask
from bankd.sim.network import UNDER_WAY_MAX, Network
from bankd.sim.plan import NetworkOdds, Storm
from bankd.sim.queue import Queue
from bankd.types import Incarnation, LogIndex, NodeId, Start, Term
from bankd.wire.hello import Hello, PeerRole, judge_hello

N1, N2, N3 = NODES = tuple(NodeId(name) for name in ("n1", "n2", "n3"))
S = 1_000_000_000
MS = 1_000_000


@attrs.define(eq=False)
class Mailbox:
    """A node that keeps what comes."""

    queue: Queue
    own: Hello
    came: list[tuple[int, int]] = attrs.field(factory=list)  # time, number
    lost_peers: list[NodeId] = attrs.field(factory=list)
    known: Start | None = None  # of whoever comes
    turned_away_by: list[tuple[NodeId, str]] = attrs.field(factory=list)

    @property
    def numbers(self) -> list[int]:
        return [number for _, number in self.came]

    def receive(self, message: PeerMessage) -> None:
        self.came.append((self.queue.now_ns, message.term))

    def lose_peer(self, peer: NodeId) -> None:
        self.lost_peers.append(peer)

    def hello(self) -> Hello:
        return self.own

    def meet(self, theirs: Hello) -> Refusal | None:
        return judge_hello(self.own, theirs, known=self.known)

    def turned_away(self, by: NodeId, refusal: Refusal, ours: Hello) -> None:
        assert ours == self.own
        self.turned_away_by.append((by, refusal.reason))

    def ask(self, ask: Ask) -> None:
        raise AssertionError("nobody asks")


@attrs.define(eq=False)
class Post:
    queue: Queue
    network: Network
    boxes: dict[NodeId, Mailbox]

    def send(self, count: int, *, sender: NodeId = N1, to: NodeId = N2, first: int = 1, every_ns: int = MS) -> None:
        """Send numbered messages, one every so often."""
        for number in range(first, first + count):
            message = HeartbeatRequest(to, sender, Term(number), LogIndex(0))
            self.queue.after((number - first) * every_ns, self.network.send, message)

    def wait(self, ns: int = 100 * S) -> None:
        self.queue.run_until(self.queue.now_ns + ns)


def hello(node: NodeId, *, incarnation: int = 1, boots: int = 5) -> Hello:
    nonces = tuple(range(boots, 0, -1))
    return Hello(PeerRole.PEER, node_id=node, incarnation=Incarnation(incarnation), boots=boots, nonces=nonces)


def post(odds: NetworkOdds = NetworkOdds(), seed: int = 1) -> Post:  # noqa: B008
    queue = Queue()
    network = Network(NODES, odds, seed, queue)
    boxes = {node: Mailbox(queue, hello(node)) for node in NODES}
    for node, box in boxes.items():
        network.attach(node, box)
    return Post(queue, network, boxes)


def test_sound_link_brings_everything_once_and_in_order() -> None:
    office = post()
    office.send(500)
    office.wait()
    assert office.boxes[N2].numbers == list(range(1, 501))
    assert office.boxes[N3].came == []


def test_delay_is_the_links_own_and_at_most_ten_times_it() -> None:
    office = post(NetworkOdds(delay_ns_min=2 * MS, delay_ns_max=4 * MS))
    office.send(500, every_ns=S)
    office.wait(600 * S)
    delays = [at_ns - (number - 1) * S for at_ns, number in office.boxes[N2].came]
    typical = min(delays)
    assert 2 * MS <= typical <= 4 * MS
    assert 2 * typical < max(delays) <= 10 * typical


def test_loss_and_duplicates_come_by_their_odds() -> None:
    office = post(NetworkOdds(loss_ppm_max=400_000, duplicate_ppm_max=400_000))
    office.send(1000)
    office.wait()
    came = office.boxes[N2].numbers
    assert 600 <= len(set(came)) < 1000
    assert len(came) > len(set(came))


def test_messages_drawn_to_be_overtaken_are() -> None:
    office = post(NetworkOdds(reorder_ppm_max=400_000))
    office.send(500)
    office.wait()
    came = office.boxes[N2].numbers
    assert sorted(came) == list(range(1, 501))
    assert came != sorted(came)


def test_cut_is_one_way_and_loses_what_is_under_way() -> None:
    office = post(NetworkOdds(delay_ns_min=5 * MS, delay_ns_max=5 * MS))
    office.send(1)
    office.queue.run_until(MS)
    office.network.cut([(N1, N2)])
    office.send(1, first=2)
    office.send(1, first=3, sender=N2, to=N1)
    office.wait()
    office.network.mend([(N1, N2)])
    office.send(1, first=4)
    office.wait()
    assert office.boxes[N2].numbers == [4]
    assert office.boxes[N1].numbers == [3]


def test_two_cuts_of_one_link_are_mended_one_by_one() -> None:
    office = post()
    office.network.cut([(N1, N2)])
    office.network.cut([(N1, N2)])
    office.network.mend([(N1, N2)])
    office.send(1)
    office.wait()
    assert office.boxes[N2].came == []


def test_clogged_link_brings_everything_at_once_at_the_end() -> None:
    office = post()
    office.network.clog([(N1, N2)])
    office.send(20)
    office.wait(10 * S)
    assert office.boxes[N2].came == []
    office.network.unclog([(N1, N2)])
    office.wait()
    assert office.boxes[N2].came == [(10 * S, number) for number in range(1, 21)]


def test_storm_loses_doubles_and_delays_only_while_it_lasts() -> None:
    office = post()
    storm = Storm(0, S, ((N1, N2),), loss_ppm=300_000, duplicate_ppm=300_000, delay_ns_max=500 * MS)
    office.network.begin_storm(storm)
    office.send(300)
    office.wait(10 * S)
    stormy = office.boxes[N2].numbers
    assert len(set(stormy)) < 300
    assert len(stormy) > len(set(stormy))
    assert stormy != sorted(stormy)
    office.network.end_storm(storm)
    office.boxes[N2].came.clear()
    office.send(300)
    office.wait()
    assert office.boxes[N2].numbers == list(range(1, 301))


def test_full_link_drops_what_does_not_fit_and_says_so_once() -> None:
    office = post()
    office.network.clog([(N1, N2)])
    office.send(UNDER_WAY_MAX + 50)
    office.wait()
    office.network.unclog([(N1, N2)])
    office.wait()
    assert office.boxes[N2].numbers == list(range(1, UNDER_WAY_MAX + 1))
    assert office.boxes[N1].lost_peers == [N2]


def test_process_that_ends_is_missed_by_all_who_can_hear() -> None:
    office = post()
    office.network.joined(N1)
    office.network.cut([(N1, N3)])
    office.network.left(N1)
    office.wait()
    assert (office.boxes[N2].lost_peers, office.boxes[N3].lost_peers) == ([N1], [])


@pytest.mark.parametrize(
    ("own", "came", "reason"),
    [
        (hello(N1), [1], None),
        (hello(N1, boots=6), [1], None),
        (hello(N1, boots=4), [], "OLDER_COPY"),
        (hello(N1, incarnation=9), [], "NODE_ID_REUSED"),
    ],
)
@pytest.mark.parametrize("order", [(N1, N2), (N2, N1)])
def test_whoever_is_not_taken_for_who_it_was_is_told_and_nothing_passes_either_way(
    own: Hello, came: list[int], reason: str | None, order: tuple[NodeId, NodeId]
) -> None:
    office = post()
    office.boxes[N1].own, office.boxes[N2].known = own, hello(N1).start
    for node in order:
        office.network.joined(node)
    office.send(1)
    office.send(1, sender=N2, to=N1)
    office.wait()
    assert (office.boxes[N2].numbers, office.boxes[N1].numbers) == (came, came)
    assert office.boxes[N1].turned_away_by == ([] if reason is None else [(N2, reason)])
    assert office.boxes[N2].turned_away_by == []


def test_whoever_does_not_run_is_met_when_it_starts() -> None:
    office = post()
    office.boxes[N2].known = hello(N1, boots=6).start
    office.network.joined(N1)
    assert office.boxes[N1].turned_away_by == []
    office.network.joined(N2)
    office.network.left(N2)
    office.boxes[N2].known = None
    office.network.joined(N2)
    office.send(1)
    office.wait()
    assert (office.boxes[N1].turned_away_by, office.boxes[N2].numbers) == ([(N2, "OLDER_COPY")], [1])


def test_draws_of_one_link_do_not_depend_on_the_others() -> None:
    odds = NetworkOdds(loss_ppm_max=300_000, duplicate_ppm_max=300_000, reorder_ppm_max=300_000)
    alone, together = post(odds), post(odds)
    alone.send(200)
    together.send(200)
    together.send(200, to=N3)
    together.send(200, sender=N2, to=N1)
    alone.wait()
    together.wait()
    assert together.boxes[N2].came == alone.boxes[N2].came


def test_bytes_bring_the_same_message() -> None:
    office = post(NetworkOdds(encoded=True))
    office.send(3)
    office.wait()
    assert office.boxes[N2].numbers == [1, 2, 3]
