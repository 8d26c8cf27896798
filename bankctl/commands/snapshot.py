"""`snapshot trigger`, `save`, `show`.

A file is written under a temporary name and gets its own only when all of it was replayed into a ledger: under the
real name there is a whole and sound backup, or what was there before. That holds for Ctrl-C and for a crash, too, and
for two that save to one name at once, since each has a temporary name of its own. `--force` replaces files, nothing else.

Only a leader's snapshot surely holds what was acknowledged before. Where none is known, or its own cannot be had, another
node's is better than none, but it is never taken without a word.

A lost connection is the client's affair, which resumes where it was. A node that stays away, or whose file turns out to be
damaged or gone, is given up for the next one, where all begins anew: files of two nodes need not be the same bytes. Every
node gets ROUNDS chances, so that one alone does as well.

Limits: a link that takes longer than two seconds for a part of 1 MiB is given up as silent (bankd/client/link.py).
"""

import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from bankctl.clusterview import ClusterView, NodeView
from bankctl.columns import BYTES, INT, TEXT, TIME, YES_NO, Column, Row, byte_size, to_the_millisecond
from bankctl.commands.cluster import ask_nodes
from bankctl.errors import CommandFailed, Failure, interrupted, usage
from bankctl.output import Record, one_line
from bankctl.progress import Progress
from bankctl.session import Session, Stopwatch
from bankd.errors import BankError, Code, Exit, FileUnusable, Refusal
from bankd.status import NodeStatus, SnapshotTaken

if TYPE_CHECKING:
    from bankd.snapshot.files import Found

TAKEN: Final = (
    Column("node", TEXT),
    Column("index", INT),
    Column("term", INT),
    Column("size_bytes", BYTES, "SIZE"),
    Column("content_id", TEXT, in_table=False),
    Column("taken_ms", INT),  # absent: the node does not tell
)
BACKUP: Final = (
    Column("file", TEXT),
    Column("node", TEXT),  # absent: not known whose it is
    Column("sound", YES_NO),
    Column("cluster_id", TEXT),
    Column("index", INT),
    Column("term", INT),
    Column("time", TIME),
    Column("accounts", INT),
    Column("transfers", INT),
    Column("size_bytes", BYTES, "SIZE"),
    Column("content_bytes", BYTES, in_table=False),
    Column("digest", TEXT, in_table=False),
    Column("content_id", TEXT, in_table=False),
    Column("voters", TEXT, in_table=False),  # ids, with commas between
    Column("learners", TEXT, in_table=False),
    Column("damage", TEXT, in_table=False),
    Column("warning", TEXT, in_table=False),  # what it may lack, where it is not the leader's
)

TAKE_S: Final = 90.0  # for one asking, when --timeout does not say: more than the 60 s that a node grants a call
TAKES_MAX: Final = 20  # askings: the largest take minutes on a slow disk
PART_S: Final = 10.0  # to get one part, over as many connections as it takes: a node's restart fits in
ROUNDS: Final = 2

UNDER_WAY: Final = "TOOK_TOO_LONG"  # the reason of a node whose snapshot is not durable in time


def trigger(session: Session, *, node: str | None) -> Exit:
    source = sources(ask_nodes(session), node)[0]
    stopwatch = Stopwatch()
    taken = take(session, source)
    row: Row = {
        "node": source.name,
        "index": taken.index,
        "term": taken.term,
        "size_bytes": taken.size_bytes,
        "content_id": taken.content_id.hex(),
        "taken_ms": taken.taken_ms or None,
    }
    text = f"{source.name}  index {taken.index}  term {taken.term}  {byte_size(taken.size_bytes)}   {stopwatch}"
    session.printer.record(Record(TAKEN, row, text))
    return Exit.OK


def save(session: Session, *, file: str, node: str | None, force: bool) -> Exit:
    saving = Saving(session, Path(file))
    refuse_target(saving.path, force)
    try:
        view = ask_nodes(session)
        source, found = saving.run(sources(view, node))
    except KeyboardInterrupt:
        raise interrupted(f"{file} was not written", "nothing of it is left") from None
    where = f"{file}  index {found.header.index}  term {found.header.term}" if found.header else file
    text = f"{where}  {byte_size(found.size_bytes)}  from {source.name}  verified: {holdings(found)}"
    warning = shortcoming(source, view.leader, named=node is not None)
    if warning:
        session.printer.note(f"warning: {warning}")
    session.printer.record(Record(BACKUP, {**row_of(file, found), "node": source.name, "warning": warning}, text))
    return Exit.OK


def show(session: Session, *, file: str) -> Exit:
    from bankd.snapshot import files

    progress = Progress(session.printer, told=byte_size)
    try:
        found = files.look(Path(file), progress.watch)
    finally:
        progress.hide()
    session.printer.record(Record(BACKUP, row_of(file, found), "\n".join(lines_of(file, found))))
    return Exit.UNHEALTHY if found.damage else Exit.OK


def sources(view: ClusterView, name: str | None) -> list[NodeView]:
    """The node of that name; without a name all that answer, the leader first, one that is refilling last."""
    if name is None:
        reached = [node for node in view.nodes if node.status is not None]
        return sorted(reached, key=lambda node: (bool(node.refilling), node.status is not view.leader, -node.applied))
    named = [node for node in view.nodes if node.name == name]
    if not named:
        message = f"no node {name} is in this cluster"
        hint = f"there are {', '.join(node.name for node in view.nodes)}"
        raise CommandFailed(Failure(Exit.NOT_FOUND, Code.NOT_FOUND, "NODE_NOT_FOUND", message, hint))
    return named


def take(session: Session, source: NodeView) -> SnapshotTaken:
    """Ask for a snapshot, and ask again where it takes longer than a call may: the node has gone on with it."""
    for _ in range(TAKES_MAX - 1):
        try:
            return ask_to_take(session, source)
        except BankError as error:
            if error.reason != UNDER_WAY:
                raise
    return ask_to_take(session, source)


def ask_to_take(session: Session, source: NodeView) -> SnapshotTaken:
    return session.bank.cluster.snapshot(source.address, timeout_s=session.left_s() or TAKE_S)


def refuse_target(path: Path, force: bool) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise FileUnusable(
            f"{path} cannot be written: {error.strerror} (check the path, its owner and its mode)"
        ) from error
    if stat.S_ISDIR(mode):
        raise usage(f"{path} is a directory", "name a file in it")
    if not stat.S_ISREG(mode):  # a device or a pipe would be gone for all who use it
        raise usage(f"{path} is no file", "choose another name")
    if not force:
        raise usage(f"{path} is there already", "choose another name, or replace it with --force")


def shortcoming(source: NodeView, leader: NodeStatus | None, *, named: bool) -> str | None:
    """What a backup from there may lack that whoever asked for it may not expect; None: nothing."""
    if source.refilling:
        return f"{source.name} is being refilled: this may lack much of what was acknowledged"
    if named or source.status is leader:
        return None
    why = "the leader's cannot be had" if leader else "no leader is known"
    return f"{why}: what {source.name} has may lack the last of what was acknowledged"


@attrs.frozen
class Saving:
    session: Session
    path: Path

    def run(self, nodes: Sequence[NodeView]) -> "tuple[NodeView, Found]":
        """The node whose snapshot was saved, and what is in it.

        Raises BankError: no node's could be saved; it is the last one's error.
        """
        left = [*nodes] * ROUNDS
        while True:
            source = left.pop(0)
            try:
                return source, self._save_from(source)
            except BankError as error:
                if not left:
                    raise
                self.session.printer.note(f"{source.name}: {error}; beginning anew on {left[0].name}")

    def _save_from(self, source: NodeView) -> "Found":
        from bankd.snapshot import files

        draft = files.begin(self.path)
        try:
            taken = take(self.session, source)
            self._fetch(source, taken, draft.append)
            found = self._verify(taken, draft.path)
            draft.publish(self.path.name)
        finally:
            draft.abandon()  # does nothing once it is published
        return found

    def _fetch(self, source: NodeView, taken: SnapshotTaken, append: Callable[[bytes], None]) -> None:
        session = self.session
        session.printer.note(f"fetching {byte_size(taken.size_bytes)}, index {taken.index}, from {source.name}")
        progress = Progress(session.printer, taken.size_bytes, byte_size)

        def write(data: bytes) -> None:
            append(data)
            progress.advance(len(data))
            progress.show()
            session.left_s()  # ends the command when its time is up

        part_s = min(session.left_s() or PART_S, PART_S)
        try:
            session.bank.cluster.fetch_snapshot(taken, write, endpoint=source.address, timeout_s=part_s)
        finally:
            progress.hide()

    def _verify(self, taken: SnapshotTaken, path: Path) -> "Found":
        from bankd.snapshot import files

        self.session.printer.note("verifying it: all of it is replayed")
        progress = Progress(self.session.printer, told=byte_size)
        try:
            found = files.look(path, progress.watch)
        finally:
            progress.hide()
        damage = str(found.damage or "")
        if found.content is not None and found.content.content_id != taken.content_id:
            damage = f"{path}: another snapshot"
        if damage:
            raise BankError(Refusal(Code.DATA_LOSS, "SNAPSHOT_DAMAGED", f"what it sent is damaged: {damage}"))
        return found


def row_of(file: str, found: "Found") -> Row:
    """What is not known of a damaged file is left out."""
    row: dict[str, str | int | bool | None] = {
        "file": file,
        "sound": found.damage is None,
        "size_bytes": found.size_bytes,
        "damage": str(found.damage or "") or None,
    }
    if found.header is not None:
        row |= {
            "cluster_id": f"{found.header.cluster_id:016x}",
            "index": found.header.index,
            "term": found.header.term,
            "time": found.header.time_ns or None,
            "digest": found.header.digest.hex(),
        }
    if found.configuration is not None:
        row |= {
            "voters": ",".join(sorted(found.configuration.voters)),
            "learners": ",".join(sorted(found.configuration.learners)) or None,
        }
    if found.content is not None:
        row |= {
            "content_id": found.content.content_id.hex(),
            "content_bytes": found.content.content_bytes,
            "accounts": found.content.accounts,
            "transfers": found.content.transfers,
        }
    return row


def lines_of(file: str, found: "Found") -> list[str]:
    """For people. A damaged file's header is told as far as it can be read."""
    lines = [f"backup   {file}, {byte_size(found.size_bytes)}"]
    header = found.header
    if header is not None:
        moment = f", {to_the_millisecond(header.time_ns)}" if header.time_ns else ""
        voters = f"; voters {', '.join(sorted(found.configuration.voters))}" if found.configuration else ""
        lines += [
            f"cluster  {header.cluster_id:016x}{voters}",
            f"state    after index {header.index}, term {header.term}{moment}",
            f"digest   {header.digest.hex()}",
        ]
    if (content := found.content) is not None:
        lines += [
            f"content  {content.content_id.hex()}, {byte_size(content.content_bytes)} before compression",
            f"ledger   {holdings(found)}; balances add up to 0, none below 0",
        ]
    if found.damage:
        lines.append(f"DAMAGE   {found.damage}")
    lines.append(f"verdict  {'DAMAGED' if found.damage else 'sound'}")
    return [one_line(line) for line in lines]


def holdings(found: "Found") -> str:
    return f"{found.content.accounts} accounts, {found.content.transfers} transfers" if found.content else "not known"
