"""What stands in the files of a log, as rows: one a segment header, one a record, one for each thing that is wrong.

Pure: bytes in, rows out. A row has what programs want as JSON (`holds`) and what people want as a few words (`text`).
Shown is what the bytes say, whoever's they are; what cannot be read has a row that says what was expected there.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never

import attrs

from bankd.errors import ProtocolError, UnknownEntryVersion
from bankd.ledger.commands import CreateAccount, SubmitTransfers, Unreadable
from bankd.offline.fields import Json, counted
from bankd.raft.messages import Entry, EntryType, HardState
from bankd.storage.records import SECTOR_BYTES, Base, Place, Record, Seal
from bankd.storage.recovery import cut_short
from bankd.storage.scan import Found, Rot, Sound, Unfinished, first_place, first_place_without_header, scan
from bankd.storage.segment import HeaderDamaged, Owner, SegmentHeader, parse_header
from bankd.wire.entries import decode_batch, decode_configuration

DAMAGE = "damage"


@attrs.frozen
class Row:
    """`offset`: of the header, or of the batch that holds the record."""

    sequence: int | None
    offset: int
    kind: str
    text: str
    holds: Json
    batch: int | None = None
    index: int | None = None
    term: int | None = None
    size: int | None = None  # of the body

    @property
    def is_damage(self) -> bool:
        return self.kind == DAMAGE


def segment_rows(data: bytes, path: Path, sequence: int | None) -> Iterator[Row]:
    """`sequence` as the file's name has it, None if that says nothing.

    Raises:
      DataDirForeign: a newer program wrote this segment.
    """
    try:
        header, owner = parse_header(data, path)
    except HeaderDamaged as damage:
        yield _damage(sequence, 0, str(damage))
        place = first_place_without_header(data)
    else:
        sequence = header.sequence
        yield _header_row(header, owner)
        if (expected := cut_short(header, len(data))) is not None:
            yield _damage(sequence, len(data), expected)
        place = first_place(data, header)
    if place is not None:
        for found in scan(data, place):
            yield from _found_rows(sequence, found)


def _header_row(header: SegmentHeader, owner: Owner) -> Row:
    holds: Json = {
        "node_id": owner.node_id,
        "cluster_id": f"{owner.cluster_id:016x}",
        "incarnation": f"{owner.incarnation:016x}",
        "first_index": str(header.first_index),
        "first_batch": str(header.first_batch),
        "capacity": str(header.capacity),
    }
    text = f"of {owner.node_id}, from index {header.first_index}"
    return Row(header.sequence, 0, "header", text, holds, size=SECTOR_BYTES)


def _found_rows(sequence: int | None, found: Found) -> Iterator[Row]:
    place = found.place
    match found:
        case Sound():
            yield from _record_rows(sequence, place, found.batch.records)
        case Unfinished():
            yield from _record_rows(sequence, place, found.records)
            yield Row(sequence, place.offset, "unfinished", found.reason, {"reason": found.reason}, place.number)
        case Rot():
            yield from _record_rows(sequence, place, found.records)
            yield _damage(sequence, place.offset, str(found), place.number)
        case _:
            assert_never(found)


def _damage(sequence: int | None, offset: int, expected: str, batch: int | None = None) -> Row:
    message = f"expected {expected}"
    return Row(sequence, offset, DAMAGE, message, {"message": message}, batch)


def _record_rows(sequence: int | None, place: Place, records: tuple[Record, ...]) -> Iterator[Row]:
    for record in records:
        yield attrs.evolve(_record_row(record), sequence=sequence, offset=place.offset, batch=place.number)


def _record_row(record: Record) -> Row:
    match record:
        case Entry():
            text, holds = _held(record)
            kind = record.type.name.lower()
            return Row(None, 0, kind, text, holds, index=record.index, term=record.term, size=len(record.body))
        case HardState():
            voted_for = record.voted_for
            size = len((voted_for or "").encode())
            text = f"vote for {voted_for}" if voted_for else "no vote"
            return Row(None, 0, "hard_state", text, {"voted_for": voted_for}, term=record.term, size=size)
        case Base():
            text = "the log goes on behind a snapshot"
            return Row(None, 0, "base", text, {}, index=record.index, term=record.term, size=0)
        case Seal():
            at = record.next_index
            return Row(None, 0, "seal", f"next is index {at}", {"next_index": str(at)}, size=0)
        case _:
            assert_never(record)


def _held(entry: Entry) -> tuple[str, Json]:
    match entry.type:
        case EntryType.COMMANDS:
            return _held_commands(entry.body)
        case EntryType.CONFIG:
            return held_configuration(entry.body)
        case EntryType.NOOP:
            return "", {}
        case _:
            assert_never(entry.type)


def _held_commands(body: bytes) -> tuple[str, Json]:
    try:
        batch = decode_batch(body)
    except UnknownEntryVersion as unknown:
        return str(unknown), {"message": str(unknown)}
    counts = {
        "accounts": sum(isinstance(command, CreateAccount) for command in batch.commands),
        "transfers": sum(len(command.tx_ids) for command in batch.commands if isinstance(command, SubmitTransfers)),
        "unreadable": sum(isinstance(command, Unreadable) for command in batch.commands),
    }
    words = (("accounts", "account"), ("transfers", "transfer"))
    parts = [counted(counts[name], word) for name, word in words if counts[name]]
    parts += [f"{counts['unreadable']} unreadable"] if counts["unreadable"] else []
    holds: Json = {"time": rfc3339(batch.time_ns), "commands": len(batch.commands), **counts}
    return ", ".join(parts) or "no commands", holds


def held_configuration(body: bytes) -> tuple[str, Json]:
    """Words and fields for the body of a CONFIG entry, or of a snapshot's configuration, which is the same."""
    try:
        configuration, addresses = decode_configuration(body)
    except ProtocolError as error:
        return str(error), {"message": str(error)}
    voters, outgoing, learners = (
        sorted(members) for members in (configuration.voters, configuration.voters_outgoing, configuration.learners)
    )
    text = f"voters {' '.join(voters)}"
    text += f", leaving {' '.join(outgoing)}" if outgoing else ""
    text += f", learners {' '.join(learners)}" if learners else ""
    holds: Json = {"voters": voters, "voters_outgoing": outgoing, "learners": learners}
    return text, {**holds, "addresses": dict(sorted(addresses.items()))}


def rfc3339(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 10**9)
    try:
        whole = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError):
        return str(time_ns)  # beyond the year 9999: no clock of ours said so
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{rest:09}Z"
