"""Judge a world at its end: what its clients were told, what its nodes hold, and what is on its disks.

The cluster is given time to make progress and to agree; then the power goes off everywhere, and what a majority of
the disks kept must account for every answer that anybody was given. Invariants are named as in docs/contract.md.

What the logs no longer hold, because snapshots cover it, is taken from the snapshot that reaches furthest: the nodes
agree on the state that follows from it, and the witness judges every answer without it.
"""

from collections.abc import Iterator, Sequence

import attrs
import trio

from bankd.boot import open_disk
from bankd.history.findings import Report
from bankd.history.records import Conflict, Move, Moved, Open, Opened, Record, Refused
from bankd.history.witness import examine
from bankd.keeper.restoring import Restored
from bankd.ledger.commands import CreateAccount, SubmitTransfers
from bankd.ledger.queries import AccountsPage, ListAccounts
from bankd.raft.messages import Entry, EntryType
from bankd.storage.recovery import Recovered
from bankd.types import ROW_ID_CONFLICT, LogIndex, TransferStatus
from bankd.wire.entries import decode_batch
from tests.ledger.naive_bank import NaiveBank
from tests.whole.bank import bank_of
from tests.whole.faults import Faults
from tests.whole.host import Host
from tests.whole.world import ELECTION_TIMEOUT_S, PATIENCE_S, World

ACCOUNTS_MAX = 1000
DRIFT_PPM_MAX = 200_000  # worlds have clocks that run fast or slow by as much as a tenth, and more
FINDINGS_SHOWN = 10
ANSWERS = {
    TransferStatus.COMMITTED_OK: "ok",
    TransferStatus.COMMITTED_INSUFFICIENT_FUNDS: "insufficient funds",
    TransferStatus.COMMITTED_INVALID_ACCOUNT: "invalid account",
    TransferStatus.COMMITTED_LIMIT_EXCEEDED: "limit exceeded",
}


async def judge(world: World, faults: Faults) -> Report:
    """Raises AssertionError, which names the invariant. Nothing runs any more on return; what the witness said is."""
    await faults.mend()
    await _see_progress(world)
    await _see_agreement(world)
    balances = _balances(world)
    commit_index = max(node.replica.raft.commit_index for node in world.running())
    await faults.lose_power(*world.node_ids)
    disks = [_what_is_on(host) for host in world.hosts.values()]
    furthest = max(disks, key=lambda disk: disk.covered_index)
    bank = NaiveBank() if furthest.restored is None else bank_of(furthest.restored.state.ledger)
    for entry in _committed_entries(disks, commit_index):
        if entry.index > furthest.covered_index:
            _replay(bank, entry)
    assert bank.balances == balances, "S3: the nodes' balances are not those of the log"
    assert sum(balances.values()) == 0, f"M1: the balances sum up to {sum(balances.values())}"
    assert min(balance for account, balance in balances.items() if account[0] != "@") >= 0, "M2: a balance below 0"
    _judge_answers(world, bank)
    report = examine(world.history.records, drift_ppm_max=DRIFT_PPM_MAX)
    findings = report.findings[:FINDINGS_SHOWN]
    assert not findings, "\n".join(f"{finding.promise}: {finding.text}" for finding in findings)
    return report


async def _see_progress(world: World) -> None:
    """V1: within ten election timeouts a client's write is acknowledged."""
    async with world.client() as client:
        with trio.move_on_after(PATIENCE_S):
            attempt = 0
            while not isinstance(await client.open(f"progress-{attempt}", timeout_s=ELECTION_TIMEOUT_S), Opened):
                attempt += 1
            return
    raise AssertionError("V1: no write was acknowledged within ten election timeouts of the mending")


async def _see_agreement(world: World) -> None:
    """Every node that is not lost gets as far as every other, and is then in the same state."""
    nodes = len(world.node_ids) - len(world.lost)

    def applied() -> list[LogIndex]:
        return [node.replica.ledger.applied_index for node in world.running()]

    with trio.move_on_after(PATIENCE_S):
        while len(applied()) != nodes or len(set(applied())) != 1:
            await world.pause()
    assert len(applied()) == nodes, f"V1: {len(applied())} of {nodes} nodes run"
    assert len(set(applied())) == 1, f"S1: some node never gets what the others hold: applied are {applied()}"
    digests = {node.identity.node_id: node.replica.ledger.digest.hex() for node in world.running()}
    assert len(set(digests.values())) == 1, f"S3: digests differ at index {applied()[0]}: {digests}"


def _balances(world: World) -> dict[str, int]:
    page = world.running()[0].replica.ledger.read(ListAccounts(limit=ACCOUNTS_MAX, system=True))
    assert isinstance(page, AccountsPage), f"{page} for a list of accounts"
    assert not page.more, "more accounts than this judge asks for"
    return {record.account: record.balance for record in page.records}


@attrs.frozen
class Kept:
    """What a disk holds: a state, or none, and the log."""

    restored: Restored | None
    log: Recovered

    @property
    def covered_index(self) -> LogIndex:
        return LogIndex(0) if self.restored is None else self.restored.snapshot.index

    def holds(self, index: LogIndex) -> bool:
        return self.log.base_index < index <= self.log.last_index


def _what_is_on(host: Host) -> Kept:
    opened = open_disk(host.config, host.disk, lambda: 1)
    opened.close()
    return Kept(opened.restored, opened.recovered)


def _committed_entries(disks: Sequence[Kept], commit_index: LogIndex) -> list[Entry]:
    """S1: each committed entry is on a majority of the disks, and the same on each, or covered there by a snapshot."""
    committed = []
    for index in map(LogIndex, range(1, commit_index + 1)):
        copies = [disk.log.entry_at(index) for disk in disks if disk.holds(index)]
        covered = sum(not disk.holds(index) and disk.covered_index >= index for disk in disks)
        held = covered + max(map(copies.count, copies), default=0)
        assert held > len(disks) // 2, f"S1: entry {index} of {commit_index} is on {held} of {len(disks)} disks"
        if copies:
            committed.append(max(copies, key=copies.count))
    return committed


def _replay(bank: NaiveBank, entry: Entry) -> None:
    if entry.type is not EntryType.COMMANDS:
        return
    for command in decode_batch(entry.body).commands:
        match command:
            case CreateAccount():
                bank.create(command.account, command.initial_balance, command.request_id)
            case SubmitTransfers():
                for row in zip(command.tx_ids, command.sources, command.targets, command.amounts, strict=True):
                    bank.transfer(*row)


def _judge_answers(world: World, bank: NaiveBank) -> None:
    history = world.history
    ids = {*bank.transfers, *bank.requests}
    intents = {tx_id for record in history.records for tx_id in _ids_of(record)}
    assert ids <= intents, f"M3: the log holds ids that no intent had: {sorted(ids - intents)}"
    in_earnest = {tx_id for record in history.records if not _is_refused(record) for tx_id in _ids_of(record)}
    found = sorted(ids - in_earnest)
    assert not found, f"K11: whenever these were sent, they were said to have had no effect: {found}"
    for record in history.records:
        for tx_id, answer in _answers_of(record):
            held = bank.transfers.get(tx_id) or bank.requests.get(tx_id)
            assert held is not None, f"S1: {tx_id} was acknowledged and is lost: {record}"
            assert held[1].partition(":")[0] == answer, f"M3: {tx_id} is {held} in the log, and was answered {record}"


def _is_refused(record: Record) -> bool:
    return isinstance(record.result, Refused)


def _ids_of(record: Record) -> Iterator[str]:
    match record.operation:
        case Move(tx_ids=tx_ids):
            yield from tx_ids
        case Open(request_id=request_id) if request_id is not None:
            yield request_id


def _answers_of(record: Record) -> Iterator[tuple[str, str]]:
    """What the log must say of each id that was answered for."""
    match record.operation, record.result:
        case Move(tx_ids=tx_ids), Moved(statuses=statuses):
            for tx_id, status in zip(tx_ids, statuses, strict=True):
                if status != ROW_ID_CONFLICT:
                    yield tx_id, ANSWERS[TransferStatus(status)]
        case Open(request_id=request_id), Opened(success=success) if request_id is not None:
            yield request_id, "created" if success else "exists"
        case Open(), Conflict():
            pass
