"""The ring of state digests by log index."""

from bankd.replica.digests import DIGESTS_KEPT, DigestRing
from bankd.types import LogIndex


def digest_of(index: int) -> bytes:
    return index.to_bytes(16, "big")


def test_digest_is_found_at_its_index_and_nowhere_else() -> None:
    ring = DigestRing(LogIndex(0), digest_of(0))
    for index in range(1, 6):
        ring.record(LogIndex(index), digest_of(index))
    assert [ring.at(LogIndex(index)) for index in range(6)] == [digest_of(index) for index in range(6)]
    assert ring.at(LogIndex(6)) is None


def test_ring_forgets_the_oldest_and_says_which_it_still_keeps() -> None:
    ring = DigestRing(LogIndex(0), digest_of(0))
    for index in range(1, DIGESTS_KEPT + 3):
        ring.record(LogIndex(index), digest_of(index))
    assert ring.oldest == 3
    assert ring.at(LogIndex(2)) is None
    assert ring.at(LogIndex(3)) == digest_of(3)
    assert ring.at(ring.newest) == digest_of(DIGESTS_KEPT + 2)


def test_ring_may_begin_anywhere() -> None:
    ring = DigestRing(LogIndex(100), digest_of(100))
    assert ring.oldest == 100
    assert ring.at(LogIndex(99)) is None
    assert ring.at(LogIndex(100)) == digest_of(100)
