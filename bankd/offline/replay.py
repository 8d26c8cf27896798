"""Run the entries of a log through an empty ledger, as every node does, and add the books up.

A log does not know how much of its end is committed: a leader that comes may replace what no majority has. All that
the log holds in the end is replayed, and the digest is the cluster's only if all of it is committed.

Entries that a later one replaced are left out (survivors.py). The files are read a second time for this; a disk that
gives back other bytes than the first time is found out.

Limits: from index 1 on, so what a log begins with after its first index is not judged here.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import attrs

from bankd.errors import ProtocolError, UnknownEntryVersion
from bankd.ledger.queries import AccountsPage, ListAccounts
from bankd.ledger.state import Ledger
from bankd.offline.files import WAL, Unreadable, read_file
from bankd.offline.progress import Progress
from bankd.offline.report import Finding, LedgerSummary
from bankd.offline.survivors import Survivors
from bankd.raft.messages import Entry, EntryType
from bankd.storage.scan import Found, Sound, first_place, scan
from bankd.storage.segment import HeaderDamaged, parse_header
from bankd.wire.entries import decode_batch, decode_configuration

_PAGE_ACCOUNTS: Final = 1000

Where = tuple[Path, int]  # file, offset of the batch


@attrs.define(eq=False)
class Replay:
    """`batches`: how many of the log are whole, from its first one on."""

    batches: int
    ledger: Ledger = attrs.field(factory=Ledger)
    damages: list[Finding] = attrs.field(factory=list)

    def run(self, paths: Sequence[Path], survivors: Survivors, progress: Progress) -> None:
        """Replay as far as the log is whole, or to the first entry that cannot be applied."""
        for (path, offset), entry in survivors.among(self._entries(paths, progress)):
            try:
                self._apply(entry)
            except (ProtocolError, UnknownEntryVersion) as error:
                message = f"expected an entry at index {entry.index} that can be applied, not {error}"
                self.damages.append(Finding(f"{WAL}/{path.name}", offset, message))
                return

    def summary(self) -> LedgerSummary:
        """Add the books up; what is wrong with them is damage, too (M1, M2)."""
        ledger = self.ledger
        found = LedgerSummary(
            index=ledger.applied_index,
            accounts=ledger.account_count,
            transfers=ledger.transfer_count,
            imbalance=ledger.imbalance(),
            negative_accounts=_negative_accounts(ledger),
            digest=ledger.digest,
        )
        if found.imbalance or found.negative_accounts:
            message = f"expected balances that add up to 0, none below 0, not to {found.imbalance}, {found.negative_accounts} below 0"
            self.damages.append(Finding("ledger", None, message))
        return found

    def _apply(self, entry: Entry) -> None:
        match entry.type:
            case EntryType.COMMANDS:
                batch = decode_batch(entry.body)
                self.ledger.apply(entry.index, batch.time_ns, batch.commands)
            case EntryType.CONFIG:
                decode_configuration(entry.body)
                self.ledger.skip(entry.index)
            case EntryType.NOOP:
                self.ledger.skip(entry.index)

    def _entries(self, paths: Sequence[Path], progress: Progress) -> Iterator[tuple[Where, Entry]]:
        read = 0
        for path, found in chain.from_iterable(_found(path, progress) for path in paths):
            if read == self.batches:
                return
            if not isinstance(found, Sound) or found.place.number != read + 1:
                break
            read += 1
            for record in found.batch.records:
                if isinstance(record, Entry):
                    yield (path, found.place.offset), record
        if read < self.batches:
            message = (
                f"expected {self.batches} whole batches as at the first reading, not {read}: the disk changes its mind"
            )
            self.damages.append(Finding(f"{WAL}/", None, message))


def _found(path: Path, progress: Progress) -> Iterator[tuple[Path, Found]]:
    try:
        data = read_file(path)
        header, _ = parse_header(data, path)
    except (Unreadable, HeaderDamaged):
        return  # the gap shows by the number of the next batch, if there was one to read
    for found in scan(data, first_place(data, header)):
        yield path, found
    progress.advance("replayed", len(data))


def _negative_accounts(ledger: Ledger) -> int:
    """Count the customers that hold less than nothing."""
    negative, after, more = 0, "", True
    while more:
        page = ledger.read(ListAccounts(after, _PAGE_ACCOUNTS, system=False))
        assert isinstance(page, AccountsPage), f"accounts were asked for, not {page}"
        negative += sum(account.balance < 0 for account in page.records)
        after, more = (page.records[-1].account if page.records else ""), page.more
    return negative
