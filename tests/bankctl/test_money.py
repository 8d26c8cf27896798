import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankctl.money import format_money, parse_amount, parse_money
from bankd.types import BALANCE_MAX, BALANCE_MIN


@pytest.mark.parametrize(
    ("text", "minor_units"),
    [
        ("0", 0),
        ("0.00", 0),
        ("0.01", 1),
        ("12", 1200),
        ("12.5", 1250),
        ("12.50", 1250),
        ("007.00", 700),
        ("0.29", 29),  # 28 when a float is multiplied and cut
        ("92233720368547758.07", BALANCE_MAX),
        ("0" * 5000 + "1.00", 100),
    ],
)
def test_decimal_text_is_exact_minor_units(text: str, minor_units: int) -> None:
    assert parse_money(text) == minor_units


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "an amount is missing"),
        ("-1", "is negative"),
        ("-0.00", "is negative"),
        ("12.345", "more than 2 digits"),
        ("12.340", "more than 2 digits"),
        ("1e3", "is not an amount"),
        ("12.", "is not an amount"),
        (".50", "is not an amount"),
        ("12,50", "is not an amount"),
        ("1,000.00", "is not an amount"),
        ("1_000", "is not an amount"),
        ("+1", "is not an amount"),
        (" 1", "is not an amount"),
        ("1\n", "is not an amount"),
        ("0x10", "is not an amount"),
        ("nan", "is not an amount"),
        ("Infinity", "is not an amount"),
        ("１２", "is not an amount"),
        ("12.50 EUR", "is not an amount"),
        ("92233720368547758.08", "too large"),
        ("9" * 5000, "too large"),
    ],
)
def test_anything_else_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_money(text)


def test_an_amount_to_move_is_more_than_nothing() -> None:
    assert parse_amount("0.01") == 1
    with pytest.raises(ValueError, match="moves nothing"):
        parse_amount("0.00")


@pytest.mark.parametrize(
    ("minor_units", "text"),
    [(0, "0.00"), (5, "0.05"), (1250, "12.50"), (-1, "-0.01"), (BALANCE_MIN, "-92233720368547758.08")],
)
def test_minor_units_are_shown_with_two_digits(minor_units: int, text: str) -> None:
    assert format_money(minor_units) == text


@given(st.integers(0, BALANCE_MAX))
def test_what_is_shown_reads_back_as_the_same(minor_units: int) -> None:
    assert parse_money(format_money(minor_units)) == minor_units
