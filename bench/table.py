"""Collect figures over rounds and print them, each with its ratio to a baseline of the same round."""

import statistics

import attrs


@attrs.define
class Row:
    """One figure over the rounds; `ratios` are to the baseline named in `versus`."""

    name: str
    unit: str
    versus: str = ""
    values: list[float] = attrs.field(factory=list)
    ratios: list[float] = attrs.field(factory=list)

    def add(self, value: float, baseline: float | None = None) -> None:
        self.values.append(value)
        if baseline is not None:
            self.ratios.append(value / baseline)

    def line(self) -> str:
        spread = f"{min(self.values):,.3g} .. {max(self.values):,.3g}" if max(self.values) < 1000 else (
            f"{min(self.values):,.0f} .. {max(self.values):,.0f}"
        )  # fmt: skip
        median = statistics.median(self.values)
        shown = f"{median:,.3f}" if median < 1000 else f"{median:,.0f}"
        ratio = f"{statistics.median(self.ratios):.3g} x {self.versus}" if self.ratios else ""
        return f"{self.name:<38}{shown:>12} {self.unit:<12}{spread:>24}   {ratio}"


class Table:
    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def add(self, name: str, unit: str, value: float, versus: str = "", baseline: float | None = None) -> None:
        self.rows.setdefault(name, Row(name, unit, versus)).add(value, baseline)

    def text(self) -> str:
        head = f"{'':<38}{'median':>12} {'':<12}{'least .. most':>24}   median ratio to the same round's baseline"
        return "\n".join([head, *(row.line() for row in self.rows.values())])
