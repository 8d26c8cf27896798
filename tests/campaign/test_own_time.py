"""Own time goes on with the process and stands still with it."""

from itertools import accumulate

from bankd.campaign.own_time import LOOK_S, OwnTime


def looks(*gaps_s: float) -> list[float]:
    """What a clock shows that is looked at after each of these gaps."""
    moments_s = accumulate(gaps_s, initial=1_000.0)
    clock = OwnTime(lambda: next(moments_s))
    return [clock.look() for _ in gaps_s]


def test_it_goes_on_with_the_time_between_looks() -> None:
    assert looks(0.25, 0.0, 0.5, LOOK_S) == [0.25, 0.25, 0.75, 1.75]


def test_a_night_in_which_the_process_was_stopped_counts_as_one_look() -> None:
    assert looks(0.5, 28_800.0, 0.25) == [0.5, 1.5, 1.75]
