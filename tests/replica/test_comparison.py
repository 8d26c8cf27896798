"""Who finds itself diverged, from which notices."""

from collections.abc import Mapping

import attrs
import pytest

from bankd.raft.messages import Configuration
from bankd.replica.comparison import Comparison, DigestNotice, DigestsDiffer, Diverged
from bankd.types import LogIndex, NodeId, Term

OURS, THEIRS, THIRD = (bytes([kind]) * 16 for kind in (1, 2, 3))
DIGESTS = {"=": OURS, "x": THEIRS, "y": THIRD}
N1, N2, N3, N9 = (NodeId(name) for name in ("n1", "n2", "n3", "n9"))
TERM = Term(5)
X = LogIndex(100)


def ids(names: str) -> frozenset[NodeId]:
    return frozenset(NodeId(f"n{digit}") for digit in names)


THREE = Configuration(ids("123"))


@attrs.define
class Seat:
    """What consensus says on the node under test, which is n1 and follows n2 unless a test says otherwise."""

    node_id: NodeId = N1
    term: Term = TERM
    leader_id: NodeId | None = N2
    configuration: Configuration = THREE


class Bench:
    """One comparison and the digests of its node: `OURS` after every index up to `applied`."""

    def __init__(self, seat: Seat | None = None, applied: int = 1000) -> None:
        self.seat = seat or Seat()
        self.applied = applied
        self.comparison = Comparison(self.seat, lambda index: OURS if index <= self.applied else None)

    def hear(self, sender: NodeId, digest: bytes = OURS, *, index: LogIndex = X, term: Term = TERM) -> None:
        self.comparison.hear(DigestNotice(self.seat.node_id, sender, term, index, digest))

    def hear_all(self, said: Mapping[str, str], index: LogIndex = X) -> None:
        for sender, kind in said.items():
            self.hear(NodeId(f"n{sender}"), DIGESTS[kind], index=index)

    def told(self) -> list[tuple[NodeId, LogIndex]]:
        """To whom notices leave, and for which index."""
        notices, self.events = self.comparison.take_news()
        assert all((notice.sender, notice.digest) == (self.seat.node_id, OURS) for notice in notices)
        return [(notice.to, notice.index) for notice in notices]


def row(said: str) -> dict[str, str]:
    """`2= 3x`: n2 has our digest, n3 another one."""
    return {word[0]: word[1] for word in said.split()}


OUTVOTED = [
    ("123", "2x 3x"),
    ("1234", "2x 3x 4x"),
    ("12345", "2x 3x 4x"),
    ("12345", "2x 3= 4x 5x"),  # n3 is wrong as we are
    ("12345", "2x 3y 4x 5x"),  # n3 is wrong in its own way
    ("23", "2x 3x"),  # we are no voter ourselves
    ("2", "2x"),
]
UNDECIDED = [
    ("123", "2x"),
    ("123", "2x 3="),
    ("123", "2x 3y"),
    ("1234", "2x 3x"),
    ("1234", "2x 3x 4="),
    ("1234", "2x 3x 4y"),
    ("12345", "2x 3x"),
    ("12345", "2x 3x 4y 5y"),
    ("12345", "2x 3x 4= 5="),
    ("12", "2x"),
]


@pytest.mark.parametrize(("voters", "said"), OUTVOTED)
def test_node_that_a_majority_of_others_contradicts_has_diverged(voters: str, said: str) -> None:
    bench = Bench(Seat(configuration=Configuration(ids(voters), learners=ids("1") - ids(voters))))
    bench.hear_all(row(said))
    assert bench.comparison.diverged == Diverged(X, OURS, THEIRS)
    assert bench.comparison.has_news


@pytest.mark.parametrize(("voters", "said"), UNDECIDED)
def test_less_than_a_majority_quarantines_nobody_and_is_reported(voters: str, said: str) -> None:
    bench = Bench(Seat(configuration=Configuration(ids(voters))))
    bench.hear_all(row(said))
    bench.told()
    assert bench.comparison.diverged is None
    differing = [NodeId(f"n{node}") for node, kind in row(said).items() if kind != "="]
    reports = [DigestsDiffer(X, tuple(differing[: number + 1])) for number in range(len(differing))]
    assert [*bench.events] == reports, "one report for each node more"


@pytest.mark.parametrize("said", ["2= 3=", "2=", "2= 3= 4= 5="])
def test_equal_digests_are_no_news(said: str) -> None:
    bench = Bench(Seat(configuration=Configuration(ids("12345"))))
    bench.hear_all(row(said))
    bench.told()
    assert not bench.events
    assert not bench.comparison.has_news


@pytest.mark.parametrize(
    ("said", "diverged"),
    [
        ("2x 3x", False),  # a majority of the old half alone
        ("4x 5x 2=", False),  # of the new half alone
        ("2x 3x 4x", False),
        ("2x 3x 4x 5x", True),
        ("2x 3x 4x 5y", False),
    ],
)
def test_joint_configuration_takes_a_majority_of_each_half(said: str, diverged: bool) -> None:
    bench = Bench(Seat(configuration=Configuration(ids("145"), voters_outgoing=ids("123"))))
    bench.hear_all(row(said))
    assert (bench.comparison.diverged is not None) == diverged


def test_learners_count_for_nobody() -> None:
    bench = Bench(Seat(configuration=Configuration(ids("123"), learners=ids("45"))))
    bench.hear_all(row("2x 4x 5x"))
    assert bench.comparison.diverged is None
    bench.hear(N3, THEIRS)
    assert bench.comparison.diverged is not None


def test_leader_is_outvoted_like_anybody() -> None:
    bench = Bench(Seat(leader_id=N1), applied=X)
    bench.comparison.begin(X)
    bench.hear(N2, THEIRS)
    assert bench.comparison.diverged is None
    bench.hear(N3, THEIRS)
    assert bench.comparison.diverged == Diverged(X, OURS, THEIRS)


def test_whole_round_is_told_apart_by_its_index() -> None:
    """Two others contradict this node, each after another index, where it may well be right."""
    bench = Bench()
    bench.hear(N2, THEIRS, index=X)
    bench.hear(N3, THEIRS, index=LogIndex(X + 1))
    assert bench.comparison.diverged is None
    bench.hear(N2, THEIRS, index=LogIndex(X + 1))
    assert bench.comparison.diverged == Diverged(LogIndex(X + 1), OURS, THEIRS)


def test_notice_that_overtakes_the_leaders_counts_once_that_comes() -> None:
    bench = Bench()
    bench.hear(N3, THEIRS)
    assert bench.told() == []
    bench.hear(N2, THEIRS)
    assert bench.comparison.diverged is not None


def test_node_tells_all_others_once_it_hears_of_an_index_from_its_leader() -> None:
    bench = Bench(Seat(configuration=Configuration(ids("13"), voters_outgoing=ids("12"), learners=ids("4"))))
    bench.hear(N3)
    assert bench.told() == []
    bench.hear(N2)
    assert bench.told() == [(N2, X), (N3, X), (NodeId("n4"), X)]
    bench.hear(N2)
    assert bench.told() == []


def test_node_that_lags_behind_tells_and_is_judged_once_it_has_applied_the_index() -> None:
    bench = Bench(applied=X - 1)
    bench.hear_all(row("2x 3x"))
    assert bench.comparison.is_awaiting
    assert bench.told() == []
    bench.applied = X
    bench.comparison.follow()
    assert not bench.comparison.is_awaiting
    assert bench.comparison.diverged is not None


def test_node_that_lags_behind_keeps_the_newest_index_alone() -> None:
    bench = Bench(applied=X - 1)
    for index in (X, LogIndex(X + 20), LogIndex(X + 10)):
        bench.hear(N2, index=index)
    bench.applied = X
    bench.comparison.follow()
    assert bench.told() == []
    bench.applied = X + 20
    bench.comparison.follow()
    assert bench.told() == [(N2, X + 20), (N3, X + 20)]


@pytest.mark.parametrize("term", [Term(4), Term(6)])
def test_notice_of_another_term_is_left_aside(term: Term) -> None:
    bench = Bench()
    bench.hear(N2, THEIRS, term=term)
    bench.hear(N3, THEIRS, term=term)
    assert bench.told() == []
    assert not bench.comparison.has_news
    assert bench.seat.term == TERM


def test_what_was_heard_in_an_older_term_is_forgotten() -> None:
    bench = Bench()
    bench.hear(N3, THEIRS)
    bench.seat.term = Term(6)
    bench.hear(N2, THEIRS, term=Term(6))
    assert bench.told() == [(N2, X), (N3, X)]
    assert bench.comparison.diverged is None
    bench.hear(N3, THEIRS, term=Term(6))
    assert bench.comparison.diverged is not None


def test_index_that_an_older_leader_asked_for_is_not_told_in_a_newer_term() -> None:
    bench = Bench(applied=X - 1)
    bench.hear(N2)
    bench.seat.term, bench.seat.leader_id = Term(6), N3
    bench.applied = X
    bench.comparison.follow()
    assert bench.told() == []
    assert not bench.comparison.is_awaiting


@pytest.mark.parametrize("sender", [N9, N1])
def test_notice_of_a_stranger_or_in_our_own_name_is_left_aside(sender: NodeId) -> None:
    bench = Bench(Seat(leader_id=N9))
    bench.hear(sender, THEIRS)
    bench.hear(N2, THEIRS)
    assert bench.told() == []
    assert bench.comparison.diverged is None


def test_notice_that_comes_twice_counts_once() -> None:
    bench = Bench()
    for _ in range(3):
        bench.hear(N2, THEIRS)
    assert bench.comparison.diverged is None
    bench.told()
    assert bench.events == (DigestsDiffer(X, (N2,)),)


def test_late_notice_for_an_index_before_the_last_is_left_aside() -> None:
    bench = Bench()
    newer = LogIndex(X + 1)
    bench.hear_all(row("2= 3="), newer)
    bench.hear_all(row("2x 3x"), X)
    assert bench.comparison.diverged is None
    assert bench.told() == [(N2, newer), (N3, newer)]


def test_index_that_this_node_has_forgotten_is_not_told() -> None:
    comparison = Comparison(Seat(), lambda index: None)
    comparison.hear(DigestNotice(N1, N2, TERM, X, THEIRS))
    comparison.hear(DigestNotice(N1, N3, TERM, X, THEIRS))
    assert comparison.diverged is None
    assert not comparison.has_news


def test_leader_asks_only_if_its_applied_index_moved() -> None:
    bench = Bench(Seat(leader_id=N1))
    told = []
    for applied in (7, 7, 9):
        bench.comparison.begin(LogIndex(applied))
        told.append(bench.told())
    assert told == [[(N2, 7), (N3, 7)], [], [(N2, 9), (N3, 9)]]


def test_leader_asks_again_in_a_new_term() -> None:
    """Its followers have forgotten what the last one asked for."""
    bench = Bench(Seat(leader_id=N1))
    for term in (TERM, Term(6)):
        bench.seat.term = term
        bench.comparison.begin(X)
        assert bench.told() == [(N2, X), (N3, X)]


def test_single_voter_has_nobody_to_tell() -> None:
    bench = Bench(Seat(leader_id=N1, configuration=Configuration(ids("1"))))
    bench.comparison.begin(X)
    assert bench.told() == []
    assert bench.comparison.diverged is None
