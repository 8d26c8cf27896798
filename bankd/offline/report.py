"""What a verification found, as values, and how it looks: text for people, JSON for programs.

*Damage* is a byte, a file or an order that is not as it was written: the verdict is "damaged". A *note* is something that
a crash may leave, and that the next start puts right.
"""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from bankd.errors import Exit
from bankd.offline.books import LedgerSummary
from bankd.offline.fields import Json, counted, identity_json
from bankd.offline.findings import NOT_CHECKED, FileLine, Finding
from bankd.offline.snapshots import SnapshotFound
from bankd.offline.start import Start
from bankd.raft.messages import HardState
from bankd.storage.identity import Identity
from bankd.types import LogIndex, Term

_LABEL: Final = 9  # characters before what a line says
_HEADINGS: Final = ("FILE", "BYTES", "BATCHES", "INDEXES", "STATE")


@attrs.frozen
class LogSummary:
    """The log, as far as it is whole."""

    entries: int
    replaced: int  # entries that a later leader's, or a snapshot, took the place of
    base_index: LogIndex  # it goes on behind this entry
    last_index: LogIndex
    last_term: Term
    hard_state: HardState


@attrs.frozen
class SnapshotLine:
    """One snapshot. `equal_from`: the state that the log leads to from this index on is the same; None: not compared."""

    found: SnapshotFound
    equal_from: LogIndex | None


@attrs.frozen
class Report:
    data_dir: str
    identity: Identity | None
    files: Sequence[FileLine]
    snapshots: Sequence[SnapshotLine]
    log: LogSummary
    start: Start
    ledger: LedgerSummary
    notes: Sequence[Finding]
    damages: Sequence[Finding]
    log_damaged: bool

    @property
    def is_sound(self) -> bool:
        return not self.damages

    @property
    def exit_code(self) -> Exit:
        return Exit.OK if self.is_sound else Exit.UNHEALTHY


def as_text(report: Report, width: int | None) -> str:
    """`width`: lines are folded to so many characters; None: they are not."""
    lines = [f"{report.data_dir}: {_whose(report.identity)}", "", *_table(report.files), ""]
    for label, text in _facts(report):
        line = f"{label:<{_LABEL}}{text}"
        lines += [line] if width is None else _folded(line, width)
    return "\n".join(lines)


def as_json(report: Report) -> Json:
    """The promise of `-o json`."""
    identity, log, ledger = report.identity, report.log, report.ledger
    return {
        "data_dir": report.data_dir,
        "sound": report.is_sound,
        "identity": identity and identity_json(identity),
        "files": [_file_json(line) for line in report.files],
        "snapshots": [_snapshot_json(line) for line in report.snapshots],
        "log": {
            "entries": str(log.entries),
            "replaced": str(log.replaced),
            "base_index": str(log.base_index),
            "last_index": str(log.last_index),
            "last_term": str(log.last_term),
            "term": str(log.hard_state.term),
            "voted_for": log.hard_state.voted_for,
        },
        "ledger": {
            "index": str(ledger.index),
            "accounts": str(ledger.accounts),
            "transfers": str(ledger.transfers),
            "imbalance": str(ledger.imbalance),
            "negative_accounts": str(ledger.negative_accounts),
            "digest": ledger.digest.hex(),
        },
        "start": {
            "outcome": report.start.outcome.value,
            "snapshot_index": report.start.snapshot and str(report.start.snapshot.index),
            "message": report.start.sentence,
        },
        "notes": [_finding_json(note) for note in report.notes],
        "damages": [_finding_json(damage) for damage in report.damages],
    }


def _whose(identity: Identity | None) -> str:
    if identity is None:
        return "nobody's, as far as META says"
    return (
        f"node {identity.node_id} of cluster {identity.cluster} ({identity.cluster_id:016x}), "
        f"incarnation {identity.incarnation:016x}"
    )


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    log, ledger = report.log, report.ledger
    for line in report.snapshots:
        yield "snapshot", _snapshot(line)
    behind = f" behind index {log.base_index}" if log.base_index else ""
    yield "log", f"{counted(log.entries, 'entry', 'entries')}{behind}, {log.replaced} of them replaced; {_end(log)}"
    yield "vote", f"in term {log.hard_state.term} for {log.hard_state.voted_for or 'nobody'}"
    yield (
        "ledger",
        f"{counted(ledger.accounts, 'account')}, {counted(ledger.transfers, 'transfer')}; {_balances(ledger)}",
    )
    yield "digest", f"{ledger.digest.hex()} after index {ledger.index}{_doubt(report)}"
    yield "start", report.start.sentence
    for note in report.notes:
        yield "note", str(note)
    for damage in report.damages:
        yield "DAMAGE", str(damage)
    yield "verdict", _verdict(report)


def _end(log: LogSummary) -> str:
    is_empty = log.last_index == log.base_index
    return "it is empty" if is_empty else f"the last has index {log.last_index} and term {log.last_term}"


def _snapshot(line: SnapshotLine) -> str:
    found = line.found
    if found.header is None or found.content is None:
        return f"{found.file} is damaged"
    agrees = "" if line.equal_from is None else f"; the log leads to it from {line.equal_from or 'the first entry'}"
    return (
        f"{found.index} of term {found.term}: {counted(found.content.accounts, 'account')}, "
        f"{counted(found.content.transfers, 'transfer')}{agrees}"
    )


def _doubt(report: Report) -> str:
    """A snapshot holds what was committed, a log may hold more."""
    is_committed = report.start.snapshot is not None and report.start.snapshot.index == report.ledger.index
    return "" if is_committed else ", if all of that is committed: a log does not say"


def _balances(ledger: LedgerSummary) -> str:
    return f"balances add up to {ledger.imbalance}, {ledger.negative_accounts or 'none'} below 0"


def _verdict(report: Report) -> str:
    if report.is_sound:
        unknown = sum(line.state == NOT_CHECKED for line in report.files)
        return f"sound, with {counted(unknown, 'file')} not checked" if unknown else "sound"
    found = counted(len(report.damages), "damage")
    if not report.log_damaged:
        return f"DAMAGED, {found}"
    told = "log and ledger are" if report.ledger.index == report.log.last_index else "the log is"
    return f"DAMAGED, {found}; {told} told as far as index {report.log.last_index}, before the first"


def _table(files: Sequence[FileLine]) -> list[str]:
    rows = [_HEADINGS, *(_cells(line) for line in files)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return [
        f"{file:<{widths[0]}}  {size:>{widths[1]}}  {batches:>{widths[2]}}  {indexes:<{widths[3]}}  {state}"
        for file, size, batches, indexes, state in rows
    ]


def _cells(line: FileLine) -> tuple[str, str, str, str, str]:
    batches = "-" if line.batches is None else str(line.batches)
    indexes = "-" if line.indexes is None else f"{line.indexes[0]}-{line.indexes[1]}"
    return line.file, str(line.size), batches, indexes, line.state


def _folded(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, width, subsequent_indent=" " * _LABEL, break_long_words=False, break_on_hyphens=False)


def _file_json(line: FileLine) -> Json:
    first, last = line.indexes or (None, None)
    return {
        "file": line.file,
        "bytes": str(line.size),
        "state": line.state,
        "batches": None if line.batches is None else str(line.batches),
        "first_index": None if first is None else str(first),
        "last_index": None if last is None else str(last),
    }


def _snapshot_json(line: SnapshotLine) -> Json:
    found = line.found
    return {
        "file": found.file,
        "sound": found.damage is None,
        "index": str(found.index) if found.header else None,
        "term": str(found.term) if found.header else None,
        "digest": found.header.digest.hex() if found.header else None,
        "equal_from": None if line.equal_from is None else str(line.equal_from),
    }


def _finding_json(finding: Finding) -> Json:
    at = None if finding.offset is None else str(finding.offset)
    return {"file": finding.file, "offset": at, "message": finding.message}
