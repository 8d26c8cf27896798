"""Amounts between people and the ledger: decimal with two digits here, ints of minor units there.

Exact both ways: digits are moved, never divided; no float, no Decimal. What is not plainly an amount
is refused with a sentence that says what would be right, because a guess about money is a wrong one.
"""

import re
from typing import Final

from bankd.types import BALANCE_MAX

MINOR_DIGITS: Final = 2  # of the currency: 12.50 is 1250 minor units
MINOR_UNITS: Final = 10**MINOR_DIGITS

_DECIMAL = re.compile(r"([0-9]+)(?:\.([0-9]+))?", re.ASCII)


def parse_money(text: str) -> int:
    """Minor units of a decimal text of 0 or more, such as 12, 12.5 or 12.50.

    Raises:
      ValueError: not such a text, or more than a signed 64-bit word holds; the message says which.
    """
    if not text:
        raise ValueError("an amount is missing: write it as 12.50")
    if text.startswith("-"):
        raise ValueError(f"{text} is negative: an amount has no sign")
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an amount: write it as 12.50")
    whole, fraction = match[1], match[2] or ""
    if len(fraction) > MINOR_DIGITS:
        raise ValueError(f"{text} has more than {MINOR_DIGITS} digits behind the point: the smallest unit is 0.01")
    # The length is judged before int(): Python refuses to convert thousands of digits, in words of its own.
    digits = (whole + fraction.ljust(MINOR_DIGITS, "0")).lstrip("0") or "0"
    if len(digits) > len(str(BALANCE_MAX)) or int(digits) > BALANCE_MAX:
        raise ValueError(f"{text[:40]} is too large: at most {format_money(BALANCE_MAX)}")
    return int(digits)


def parse_amount(text: str) -> int:
    """Minor units of an amount to move: as `parse_money`, and more than 0."""
    amount = parse_money(text)
    if amount == 0:
        raise ValueError(f"{text} moves nothing: the smallest amount is 0.01")
    return amount


def format_money(minor_units: int) -> str:
    """The decimal text of any int of minor units, negative ones too (the system's accounts)."""
    whole, fraction = divmod(abs(minor_units), MINOR_UNITS)
    return f"{'-' if minor_units < 0 else ''}{whole}.{fraction:0{MINOR_DIGITS}}"
