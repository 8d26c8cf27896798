"""Waits between tries: bounded, growing, and drawn from the whole range."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankd.client.retry import Backoff, RetryPolicy

POLICY = RetryPolicy(delay_s_first=0.02, delay_s_max=0.25)


@pytest.mark.parametrize(
    ("tries", "ceiling_s"), [(1, 0.02), (2, 0.04), (3, 0.08), (4, 0.16), (5, 0.25), (10_000, 0.25)]
)
def test_ceiling_doubles_with_every_try_up_to_the_maximum(tries: int, ceiling_s: float) -> None:
    assert POLICY.ceiling_s(tries) == pytest.approx(ceiling_s)


@given(tries=st.integers(0, 10**6), draw=st.binary(min_size=4, max_size=4))
def test_wait_lies_between_nothing_and_the_ceiling(tries: int, draw: bytes) -> None:
    assert 0.0 <= Backoff(POLICY, lambda _size: draw).delay_s(tries) < POLICY.ceiling_s(tries)


@pytest.mark.parametrize(("byte", "part"), [(0x00, 0.0), (0x80, 0.5), (0xFF, 1.0)])
def test_jitter_uses_the_whole_range(byte: int, part: float) -> None:
    wait_s = Backoff(POLICY, lambda size: bytes([byte]) * size).delay_s(5)
    assert wait_s == pytest.approx(0.25 * part, abs=0.002)


def test_wish_of_the_other_side_is_a_lower_bound() -> None:
    assert Backoff(POLICY, lambda size: bytes(size)).delay_s(1, at_least_s=2.0) == 2.0


@pytest.mark.parametrize(
    ("tries_max", "tries", "allowed"), [(None, 10**9, True), (1, 0, True), (1, 1, False), (3, 2, True), (3, 3, False)]
)
def test_number_of_tries_is_bounded_only_when_asked(tries_max: int | None, tries: int, allowed: bool) -> None:
    assert RetryPolicy(tries_max=tries_max).allows(tries) is allowed


@pytest.mark.parametrize("fields", [{"delay_s_first": 0.0}, {"delay_s_max": -1.0}, {"tries_max": 0}])
def test_policy_that_cannot_be_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        RetryPolicy(**fields)  # type: ignore[arg-type]
