"""The table of planted bugs in docs/reliability.md: which judge found each, at which seed. `make planted` writes it."""

import re
from collections.abc import Sequence
from typing import Final, Self

import attrs

from tests.planted.bug import ROOT, Bug, Finding

PAGE: Final = ROOT / "docs" / "reliability.md"
BEGIN: Final = "<!-- planted bugs: `make planted` writes this table -->\n"
END: Final = "<!-- end of the planted bugs -->\n"
HEAD: Final = "| bug | what it breaks | level | found by | seed |\n|---|---|---|---|---|\n"
LINE: Final = re.compile(r"\| `([a-z-]+)` \| (.+) \| (\d) \| (\w+): ([^|]+) \| (\d+) \|")


@attrs.frozen
class Row:
    name: str
    breaks: str
    level: int
    invariant: str
    judge: str
    seed: int

    @classmethod
    def of(cls, bug: Bug, finding: Finding) -> Self:
        return cls(bug.name, bug.breaks, bug.level, finding.invariant, finding.judge, finding.seed)

    @property
    def line(self) -> str:
        return f"| `{self.name}` | {self.breaks} | {self.level} | {self.invariant}: {self.judge} | {self.seed} |\n"


def read_rows() -> list[Row]:
    """What the page says."""
    lines = _parts()[1].removeprefix(HEAD).splitlines()
    return [_row(line) for line in lines]


def write_rows(rows: Sequence[Row]) -> None:
    before, _, behind = _parts()
    PAGE.write_text(f"{before}{BEGIN}{HEAD}{''.join(row.line for row in rows)}{END}{behind}", encoding="utf-8")


def _parts() -> tuple[str, str, str]:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    table, _, behind = rest.partition(END)
    return before, table, behind


def _row(line: str) -> Row:
    match = LINE.fullmatch(line)
    assert match is not None, f"no row of planted bugs: {line}"
    name, breaks, level, invariant, judge, seed = match.groups()
    return Row(name, breaks, int(level), invariant, judge, int(seed))
