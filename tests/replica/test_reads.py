"""When a read may be answered: rounds are shared, and every round proves only what came before it."""

from bankd.ledger.queries import GetBalance
from bankd.replica.effects import AGE_UNKNOWN_MS
from bankd.replica.events import DigestCall, ReadCall
from bankd.replica.reads import Reads
from bankd.types import LINEARIZABLE, AccountId, AtLeast, Bounded, LogIndex, ReadMode, Stale

MS = 1_000_000
FAR = 10**18


def read(name: str, mode: ReadMode = LINEARIZABLE, deadline_ns: int = FAR) -> ReadCall:
    return ReadCall(name, GetBalance(AccountId("a")), mode, deadline_ns)


def ripe(reads: Reads, applied: int) -> list[object]:
    return [call.reply_to for call in reads.ripe(LogIndex(applied))]


def test_reads_gathered_before_a_round_share_it() -> None:
    reads = Reads()
    reads.add(read("a"), 0)
    reads.add(read("b"), 0)
    assert reads.next_round(0) == 1
    reads.confirmed(1, LogIndex(7))
    assert ripe(reads, 6) == []
    assert ripe(reads, 7) == ["a", "b"]
    assert reads.count == 0


def test_read_added_while_a_round_is_under_way_waits_for_the_next() -> None:  # thesis 6.4
    reads = Reads()
    reads.add(read("early"), 0)
    assert reads.next_round(0) == 1
    reads.add(read("late"), 1)
    assert reads.next_round(1) is None, "one round at a time"
    reads.confirmed(1, LogIndex(3))
    assert ripe(reads, 3) == ["early"]
    assert reads.next_round(2) == 2
    reads.confirmed(2, LogIndex(3))
    assert ripe(reads, 3) == ["late"]


def test_answer_to_an_older_round_confirms_nothing() -> None:  # R03
    reads = Reads()
    reads.add(read("a"), 0)
    reads.next_round(0)
    assert [call.reply_to for call in reads.refused(1)] == ["a"]
    reads.add(read("b"), 0)
    assert reads.next_round(0) == 2
    reads.confirmed(1, LogIndex(1))
    assert ripe(reads, 9) == []


def test_refused_round_hands_out_its_calls_once() -> None:
    reads = Reads()
    reads.add(read("a"), 0)
    reads.next_round(0)
    assert len(reads.refused(1)) == 1
    assert reads.refused(1) == []
    assert reads.count == 0


def test_at_least_waits_for_its_index_alone() -> None:
    reads = Reads()
    reads.add(read("nine", AtLeast(LogIndex(9))), 0)
    reads.add(read("five", AtLeast(LogIndex(5))), 0)
    assert reads.next_round(0) is None
    assert ripe(reads, 4) == []
    assert ripe(reads, 5) == ["five"]
    assert ripe(reads, 20) == ["nine"]


def test_digest_call_waits_for_its_index() -> None:
    reads = Reads()
    reads.add(DigestCall("d", LogIndex(4), FAR), 0)
    assert ripe(reads, 3) == []
    assert ripe(reads, 4) == ["d"]


def test_bounded_read_is_served_at_once_only_within_the_age_of_a_confirmed_round() -> None:
    reads = Reads()
    reads.add(read("first", Bounded(50)), 0)
    assert ripe(reads, 9) == [], "no leader was ever confirmed"
    assert reads.next_round(10 * MS) == 1
    reads.confirmed(1, LogIndex(2))
    assert ripe(reads, 2) == ["first"]
    reads.add(read("young", Bounded(50)), 60 * MS)
    assert ripe(reads, 2) == ["young"]
    reads.add(read("old", Bounded(50)), 61 * MS)
    assert ripe(reads, 2) == []
    assert reads.next_round(61 * MS) == 2


def test_age_that_is_not_known_is_within_no_bound() -> None:
    reads = Reads()
    for bound in (0, AGE_UNKNOWN_MS, 2**64 - 1):
        assert reads.needs_round(Bounded(bound), 0)
        assert not reads.is_within(bound, 0)


def test_only_reads_that_ask_the_leader_need_a_round() -> None:
    reads = Reads()
    reads.add(read("a"), 0)
    reads.next_round(0)
    reads.confirmed(1, LogIndex(1))
    assert ripe(reads, 1) == ["a"]
    needed = [reads.needs_round(mode, 50 * MS) for mode in (LINEARIZABLE, Bounded(49), Bounded(50), Stale())]
    assert needed == [True, True, False, False]
    assert not reads.needs_round(AtLeast(LogIndex(99)), 50 * MS)


def test_calls_left_behind_are_handed_out_next_time_in_the_order_in_which_they_became_ripe() -> None:
    reads = Reads()
    for number in range(4):
        reads.add(read(f"r{number}", AtLeast(LogIndex(4 - number))), 0)
    first = next(reads.ripe(LogIndex(2)))
    assert (first.reply_to, reads.count, reads.any_ripe) == ("r3", 3, True)
    reads.add(read("late", Stale()), 0)
    assert ripe(reads, 4) == ["r2", "late", "r1", "r0"]
    assert (reads.count, reads.any_ripe) == (0, False)


def test_age_counts_from_the_beginning_of_the_round() -> None:
    reads = Reads()
    assert reads.age_ms(5) == AGE_UNKNOWN_MS
    reads.add(read("a"), 0)
    reads.next_round(100 * MS)
    reads.confirmed(1, LogIndex(1))
    assert reads.age_ms(150 * MS) == AGE_UNKNOWN_MS, "fresh only once the index is applied"
    ripe(reads, 1)
    assert reads.age_ms(150 * MS) == 50
    assert reads.age_ms(150 * MS + 1) == 51, "rounded up: an age is never understated"


def test_stale_read_never_waits_and_starts_a_round_for_those_behind_it() -> None:
    reads = Reads()
    reads.add(read("s", Stale()), 0)
    assert ripe(reads, 0) == ["s"]
    assert reads.next_round(0) == 1
    reads.confirmed(1, LogIndex(0))
    assert ripe(reads, 0) == []
    reads.add(read("t", Stale()), 50 * MS)
    assert reads.next_round(50 * MS) is None, "the age is still known well enough"


def test_node_that_does_not_apply_lets_no_rounds_pile_up() -> None:
    """B1: stale reads go on asking, and rounds go on being confirmed at indexes that it does not reach."""
    reads = Reads()
    for second in range(20):
        now_ns = second * 1000 * MS
        reads.add(read(f"s{second}", Stale()), now_ns)
        assert ripe(reads, 0) == [f"s{second}"]
        read_id = reads.next_round(now_ns)
        assert (read_id is None) == (second > 0), "one round waits, and another would tell no more"
        if read_id is not None:
            reads.confirmed(read_id, LogIndex(100 + second))
    ripe(reads, 100)
    assert reads.age_ms(20_000 * MS) == 20_000, "the freshness of the round that waited"
    reads.add(read("t", Stale()), 20_000 * MS)
    assert reads.next_round(20_000 * MS) is not None


def test_round_that_waits_for_its_freshness_is_not_put_off_by_later_ones() -> None:
    """Else a node that lags behind would never learn how old its state is."""
    reads = Reads()
    reads.add(read("s", Stale()), 0)
    reads.next_round(10 * MS)
    reads.confirmed(1, LogIndex(100))
    reads.add(read("r", deadline_ns=20 * MS), 15 * MS)
    reads.next_round(15 * MS)
    reads.expire(20 * MS)
    reads.confirmed(2, LogIndex(200))
    ripe(reads, 100)
    assert reads.age_ms(30 * MS) == 20


def test_rounds_whose_calls_have_all_expired_leave_nothing_behind() -> None:  # B1
    reads = Reads()
    for number in range(1, 20):
        reads.add(read("r", deadline_ns=number), 0)
        reads.next_round(0)
        reads.confirmed(number, LogIndex(100))
        assert len(reads.expire(number)) == 1
    assert (reads.count, len(reads._waiting)) == (0, 0)
    assert ripe(reads, 100) == []


def test_expired_reads_leave_from_everywhere_they_wait() -> None:
    reads = Reads()
    reads.add(read("round", deadline_ns=10), 0)
    reads.next_round(0)
    reads.add(read("gathered", deadline_ns=10), 0)
    reads.add(read("index", AtLeast(LogIndex(99)), deadline_ns=10), 0)
    reads.add(read("ripe", Stale(), deadline_ns=10), 0)
    reads.add(read("patient"), 0)
    assert reads.expire(9) == []
    assert sorted(str(call.reply_to) for call in reads.expire(10)) == ["gathered", "index", "ripe", "round"]
    assert reads.count == 1
    reads.confirmed(1, LogIndex(0))
    assert ripe(reads, 100) == []
    assert reads.next_round(11) == 2
    reads.confirmed(2, LogIndex(0))
    assert ripe(reads, 100) == ["patient"]
