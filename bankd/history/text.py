"""Write what a history holds so that any terminal can show it.

A history's names are any text that JSON can say: control characters, which would steer the terminal, and halves of
characters, which no encoding can write. All but printable ASCII is escaped as JSON would write it. A backslash stays
as it is: this is for people, and what is meant for programs is JSON from the first.
"""

import re
from typing import Final

_UNSHOWN: Final = re.compile(r"[^ -~]+")


def plain(text: str) -> str:
    """One line of printable ASCII."""
    return _UNSHOWN.sub(lambda unshown: _escaped(unshown[0]), text)


def _escaped(text: str) -> str:
    units = text.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
