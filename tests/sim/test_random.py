"""The numbers of a stream are pinned: a seed that failed once must fail for ever, in every Python."""

from collections import Counter

from bankd.sim.random import Stream


def test_numbers_of_a_stream_never_change() -> None:
    stream = Stream(1, "link n1>n2")
    assert [stream.u64() for _ in range(4)] == [
        0xFBCF1191DDD2E192,
        0x1F13A23807B14B46,
        0xE049F56562BEC71E,
        0xCC2BEBE2F8A4FB05,
    ]


def test_draws_of_every_kind_never_change() -> None:
    assert Stream(7, "x").below(10) == 3
    assert Stream(7, "x").shuffled(range(10)) == [0, 5, 6, 2, 4, 7, 8, 9, 1, 3]
    stream = Stream(7, "x")
    assert [stream.between(-3, 3) for _ in range(12)] == [-1, -2, 0, -2, 1, 3, 1, 1, 0, 3, 1, -2]
    assert Stream(7, "x").pick("abc") == "a"


def test_streams_of_other_seeds_and_other_names_share_nothing() -> None:
    streams = [Stream(seed, name) for seed in range(3) for name in ("disk n1", "disk n2", "")]
    firsts = [stream.u64() for stream in streams]
    assert len(set(firsts)) == len(firsts)


def test_bounds_are_reached_and_never_passed() -> None:
    stream = Stream(3, "bounds")
    assert Counter(stream.below(3) for _ in range(300)).keys() == {0, 1, 2}
    assert Counter(stream.between(5, 7) for _ in range(300)).keys() == {5, 6, 7}
    assert stream.between(4, 4) == 4


def test_chance_hits_as_often_as_its_odds_say() -> None:
    stream = Stream(3, "chance")
    assert not any(stream.chance(0) for _ in range(1000))
    assert all(stream.chance(1_000_000) for _ in range(1000))
    assert 9_000 < sum(stream.chance(250_000) for _ in range(40_000)) < 11_000


def test_shuffling_keeps_every_item() -> None:
    stream = Stream(3, "shuffle")
    assert all(sorted(stream.shuffled(range(8))) == list(range(8)) for _ in range(50))
