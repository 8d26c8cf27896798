"""Hold a cluster against the book and the history: S1, S3, M1, M2, M3, R1 of the contract."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from bankd.client import SyncBankClient
from bankd.history import witness
from bankd.history.json_lines import line_of
from bankd.history.linearizability import Verdict, search
from bankd.history.records import Open, Opened, Record
from bankd.local import LocalCluster
from bankd.types import LogIndex, TransferStatus, TxId
from tests.real.book import ACCOUNTS, OPENING, Book
from tests.real.load import Load, requests
from tests.real.waiting import GIVE_UP_S

HISTORY = "history.jsonl"  # for `bankd check-history`
FAULTS_SHOWN_MAX = 10
SEARCHED: Final[Counter[Verdict]] = Counter()  # of all histories since the process began
SETTLER = -1  # the name, in the history, of whoever asks once more at the end


def open_accounts(client: SyncBankClient) -> list[Record]:
    """Open every account; what was asked and answered, for the history."""
    opened = []
    for account in ACCOUNTS:
        request_id, call_ns = TxId(f"open-{account}"), time.monotonic_ns()
        answer = client.create_account(account, initial_balance=OPENING, request_id=request_id)
        result = Opened(success=True, decided=LogIndex(answer.index))
        opened.append(Record(SETTLER, Open(account, OPENING, request_id), call_ns, time.monotonic_ns(), result))
    return opened


def judge(cluster: LocalCluster, load: Load, opened: Sequence[Record]) -> None:
    """Settle what is open, now that every node runs and is healthy, and judge the whole run.

    Raises:
      AssertionError: something acknowledged is lost, doubled or contradicted, nodes differ, or the run was too slow.
    """
    with cluster.client(timeout_s=GIVE_UP_S) as client:
        settle(client, load.book)
        check_book(client, load.book)
        check_digests(client, cluster.endpoints)
    path, history = cluster.directory / HISTORY, [*opened, *load.book.history]
    path.write_text("\n".join(map(line_of, history)))
    faults = [*faults_by_index(history), *faults_by_search(history)]
    assert not faults, "\n".join([f"{path} contradicts itself:", *faults])
    load.check_worth()


def faults_by_index(history: Sequence[Record]) -> list[str]:
    return [f"{finding.promise}: {finding.text}" for finding in witness.check(history)[:FAULTS_SHOWN_MAX]]


def faults_by_search(history: Sequence[Record]) -> tuple[str, ...]:
    """What no order of the calls explains, whatever the indexes say. A history too long to be decided passes."""
    searched = search(history)
    SEARCHED[searched.verdict] += 1
    return searched.window


def share_decided() -> str:
    """How often the search had something to say."""
    return f"{SEARCHED.total() - SEARCHED[Verdict.UNDECIDED]} of {SEARCHED.total()} histories were decided by search"


def settle(client: SyncBankClient, book: Book) -> None:
    """Send what is unsettled once more, under the same ids."""
    if book.unsettled:
        intents, call_ns = list(book.unsettled.values()), time.monotonic_ns()
        book.moved(SETTLER, intents, call_ns, client.transfer_many(requests(intents)))
    assert book.unsettled == {}, "the healthy cluster does not say what became of these"


def check_book(client: SyncBankClient, book: Book) -> None:
    """Every acknowledged transfer took effect as acknowledged, once, and no other did.

    Each is sent again: the answer must be the first one, of the same log entry. One that was lost would be decided anew.
    """
    assert book.unexpected == []
    told = list(book.acknowledged.values())
    again = client.transfer_many(requests([intent for intent, _ in told]))
    for (intent, first), now in zip(told, again, strict=True):
        assert (now.status, now.index) == (first.status, first.index), f"{intent} was answered {first}, and now {now}"
    expected = dict.fromkeys(ACCOUNTS, OPENING)
    for intent, first in told:
        if first.status is TransferStatus.COMMITTED_OK:
            expected[intent.source] -= intent.amount
            expected[intent.target] += intent.amount
    balances = {account: client.get_balance(account).balance for account in ACCOUNTS}
    assert balances == expected, "a transfer was applied twice, or not at all"
    assert min(balances.values()) >= 0
    assert sum(balances.values()) + client.get_balance("@opening").balance == 0


def check_digests(client: SyncBankClient, endpoints: Sequence[str]) -> None:
    """Every node has the same state at the same index (S3)."""
    index = client.get_balance(ACCOUNTS[0]).index
    reports = [client.cluster.digest(index, endpoint=endpoint) for endpoint in endpoints]
    assert {report.digest for report in reports} == {reports[0].digest}, reports
    assert {report.imbalance for report in reports} == {0}
