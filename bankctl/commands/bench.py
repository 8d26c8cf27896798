"""`bench run`: what people see of a load."""

from math import inf
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from bankctl.columns import INT, NUMBER, TEXT, YES_NO, Column, Row
from bankctl.errors import CommandFailed, interrupted, usage
from bankctl.output import Format, Listing, Printer, Record
from bankctl.session import Session
from bankd.errors import Exit
from bankd.types import BATCH_TRANSFERS_MAX

if TYPE_CHECKING:
    from bankctl.load import Interval, Plan
    from bankctl.workload import Verdict

INTERVALS: Final = (
    Column("elapsed_s", NUMBER),
    Column("errors", INT),
    Column("ops", INT),
    Column("ops_per_s", NUMBER, "OPS/S"),
    Column("ops_per_s_mean", NUMBER, "MEAN"),
    Column("p50_ms", NUMBER),
    Column("p95_ms", NUMBER),
    Column("p99_ms", NUMBER),
    Column("max_ms", NUMBER),
    Column("span", TEXT),  # second or total
)
VERDICT: Final = (
    Column("verified", YES_NO),  # absent: not asked for
    Column("sum_changed", INT),
    Column("lost", INT),
    Column("doubled", INT),
    Column("wrong_balances", INT),
)
HEADING: Final = "_elapsed__errors__ops/s(inst)__ops/s(cum)__p50(ms)__p95(ms)__p99(ms)__pMax(ms)"

CALL_S: Final = 10.0  # for one call: a failover fits in several times
IN_FLIGHT_MIN: Final = 256


def run(session: Session, *, concurrency: int, batch: int, duration: float, accounts: int, verify: bool) -> Exit:
    import trio

    from bankctl.load import Plan
    from bankctl.workload import Workload

    if batch > BATCH_TRANSFERS_MAX:
        raise usage(f"--batch: a call holds at most {BATCH_TRANSFERS_MAX} transfers", "choose a smaller batch")
    if accounts < 2:
        raise usage("--accounts: a transfer needs two", "choose 2 or more")
    plan = Plan(Workload(token_hex(4), accounts), concurrency, batch, duration)
    try:
        return trio.run(within_time, session, plan, verify)
    except BaseExceptionGroup as group:  # Ctrl-C while opening accounts or verifying comes out of nurseries
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        raise cut_short() from None


async def within_time(session: Session, plan: "Plan", verify: bool) -> Exit:
    import trio

    left_s = session.left_s()
    with trio.move_on_after(inf if left_s is None else left_s):
        return await measure(session, plan, verify)
    raise session.out_of_time()


async def measure(session: Session, plan: "Plan", verify: bool) -> Exit:
    from bankctl.load import Load
    from bankd.client import BankClient

    options, printer = session.options, session.printer
    report = Report(printer)
    client = BankClient(
        options.endpoints,
        cluster=options.cluster,
        timeout_s=CALL_S,
        max_in_flight=max(IN_FLIGHT_MIN, plan.concurrency),
    )
    async with client:
        load = Load(client, plan)
        printer.note(f"opening {plan.workload.accounts} accounts, bench-{plan.workload.name}-...")
        await load.open_accounts()
        report.begin()
        total = await load.run(report.second)
        verdict = None
        if verify and not load.interrupted:
            printer.note("verifying: outcomes, repeats, balances")
            verdict = await load.verify()
    report.end(total, verdict)
    if load.interrupted:
        raise cut_short()
    return Exit.UNHEALTHY if verdict is not None and not verdict.passed else Exit.OK


def cut_short() -> CommandFailed:
    return interrupted("the run was cut short", "what was under way may have taken effect")


class Report:
    """Lines as they come where lines are the form; one table, CSV or JSON document at the end elsewhere."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer
        self._live = printer.format in (Format.TEXT, Format.JSONL)
        self._rows: list[Row] = []

    def begin(self) -> None:
        if self._printer.format is Format.TEXT:
            self._printer.raw(f"{HEADING}\n")

    def second(self, interval: "Interval") -> None:
        self._tell(row_of(interval, "second"), line_of(interval, interval.ops / interval.length_s))

    def end(self, total: "Interval", verdict: "Verdict | None") -> None:
        row = row_of(total, "total")
        outcome: Row = {} if verdict is None else verdict_row(verdict)
        text = f"{line_of(total, total.ops)}  total"
        if verdict is not None:
            text += f"   verify: {verdict_text(verdict)}: {self._printer.verdict(verdict.passed)}"
        if self._live:
            self._printer.record(Record((*INTERVALS, *VERDICT), {**row, **outcome}, text))
        else:
            head = Record((*INTERVALS, *VERDICT), {**row, **outcome}, text)
            self._printer.listing(Listing("seconds", INTERVALS, [*self._rows, row], head=head))

    def _tell(self, row: Row, text: str) -> None:
        if self._live:
            self._printer.record(Record(INTERVALS, row, text))
            self._printer.flush()
        else:
            self._rows.append(row)


def row_of(interval: "Interval", span: str) -> Row:
    p50, p95, p99, greatest = latencies_ms(interval)
    return {
        "elapsed_s": round(interval.elapsed_s, 3),
        "errors": interval.errors,
        "ops": interval.ops,
        "ops_per_s": round(interval.ops / interval.length_s, 1),
        "ops_per_s_mean": round(interval.ops_total / interval.elapsed_s, 1),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "max_ms": greatest,
        "span": span,
    }


def line_of(interval: "Interval", ops: float) -> str:
    """As wide as HEADING; `ops` is a rate for a second, a count for the whole."""
    rates = f"{interval.elapsed_s:7.1f}s{interval.errors:8}{ops:13.1f}{interval.ops_total / interval.elapsed_s:12.1f}"
    p50, p95, p99, greatest = map(short_ms, latencies_ms(interval))
    return f"{rates}{p50:>9}{p95:>9}{p99:>9}{greatest:>10}"


def latencies_ms(interval: "Interval") -> tuple[float, float, float, float]:
    found = interval.latencies
    p50, p95, p99 = (found.percentile_us(percent) / 1000 for percent in (50, 95, 99))
    return p50, p95, p99, found.max_us / 1000


def short_ms(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds >= 10 else f"{milliseconds:.2f}"


def verdict_row(verdict: "Verdict") -> Row:
    return {
        "verified": verdict.passed,
        "sum_changed": verdict.changed,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "wrong_balances": verdict.wrong,
    }


def verdict_text(verdict: "Verdict") -> str:
    changed = f"sum changed by {verdict.changed}" if verdict.changed else "sum unchanged"
    wrong = f", {verdict.wrong} balances wrong" if verdict.wrong else ""
    return f"{changed}, {verdict.lost} lost, {verdict.doubled} doubled{wrong}"
