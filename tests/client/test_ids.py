"""Ids of writes: UUIDv7, rising, never twice."""

from itertools import count
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from bankd.client.ids import NS_PER_MS, IdSource

NOW_NS = 1_700_000_000_000 * NS_PER_MS


@given(
    clock=st.lists(st.integers(0, 2**47 * NS_PER_MS), min_size=1, max_size=50), random=st.binary(min_size=9, max_size=9)
)
def test_ids_rise_whatever_the_clock_does(clock: list[int], random: bytes) -> None:
    times = iter(clock)
    source = IdSource(lambda _size: random, lambda: next(times))
    ids = [source.make() for _ in clock]
    assert ids == sorted(set(ids))


@given(st.lists(st.integers(0, 100), min_size=1, max_size=10))
def test_ids_made_together_rise_too_and_none_comes_twice(counts: list[int]) -> None:
    source = IdSource(lambda size: b"\xff" * size, lambda: NOW_NS)
    ids = [id_ for count_ in counts for id_ in (source.make(), *source.make_many(count_))]
    assert ids == sorted(set(ids))
    assert len(ids) == sum(counts) + len(counts)
    assert {UUID(id_).version for id_ in ids} == {7}


@given(random=st.binary(min_size=9, max_size=9), ms=st.integers(0, 2**48 - 1))
def test_id_is_a_uuid_of_version_7_that_carries_its_millisecond(random: bytes, ms: int) -> None:
    made = IdSource(lambda _size: random, lambda: ms * NS_PER_MS).make()
    uuid = UUID(made)
    assert str(uuid) == made
    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
    assert uuid.int >> 80 == ms


def test_processes_with_a_common_past_part_ways_with_the_next_millisecond() -> None:
    draws = (bytes([number]) * 9 for number in count())
    parent, child = (IdSource(lambda _size: next(draws), lambda: NOW_NS) for _ in range(2))
    assert parent.make() != child.make()
