"""`audit`: is the sum of all balances 0, and is every node's state the same at one index?

The index is that of a linearizable read, so the audit covers everything acknowledged before it
began. A node that can't be asked may hold anything: an audit that misses one does not pass.
"""

from collections.abc import Sequence
from threading import Thread
from typing import Final

import attrs

from bankctl.clusterview import NodeView, silence
from bankctl.columns import INT, MONEY, TEXT, YES_NO, Column, Row
from bankctl.commands.cluster import ask_nodes
from bankctl.output import Listing, Record
from bankctl.session import Session
from bankd.errors import BankError, Exit
from bankd.status import DigestReport

AUDIT: Final = (
    Column("passed", YES_NO),
    Column("cluster", TEXT),
    Column("index", INT),
)
NODES: Final = (
    Column("node", TEXT),
    Column("address", TEXT),
    Column("digest", TEXT),
    Column("imbalance", MONEY),
    Column("result", TEXT),
)


@attrs.frozen
class Answer:
    node: NodeView
    report: DigestReport | None = None
    error: str = ""


def audit(session: Session) -> Exit:
    view = ask_nodes(session)
    index = session.bank.list_accounts(limit=1, timeout_s=session.left_s()).index
    answers = ask_all(session, view.nodes, index)
    right = common_digest(answers)
    rows = [row_of(answer, right) for answer in answers]
    passed = all(row["result"] == "ok" for row in rows)
    session.printer.listing(
        Listing("nodes", NODES, rows, head=verdict(session, view.speaker.cluster, index, rows, passed))
    )
    return Exit.OK if passed else Exit.UNHEALTHY


def ask_all(session: Session, nodes: Sequence[NodeView], index: int) -> list[Answer]:
    """Every node's digest right after `index`, asked at once: the slowest sets the time."""
    left_s = session.left_s()
    answers: dict[str, Answer] = {}
    threads = [Thread(target=ask, args=(session, node, index, left_s, answers), daemon=True) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answers[node.name] for node in nodes]


def ask(session: Session, node: NodeView, index: int, left_s: float | None, answers: dict[str, Answer]) -> None:
    if node.status is None:
        answers[node.name] = Answer(node, error=silence(node))
        return
    try:
        report = session.bank.cluster.digest(index, endpoint=node.address, timeout_s=left_s)
    except BankError as error:
        answers[node.name] = Answer(node, error=str(error))
    else:
        answers[node.name] = Answer(node, report)


def common_digest(answers: Sequence[Answer]) -> bytes | None:
    """The digest that most nodes hold."""
    digests = [answer.report.digest for answer in answers if answer.report]
    return max(digests, key=digests.count, default=None)


def row_of(answer: Answer, right: bytes | None) -> Row:
    row: dict[str, str | int | None] = {"node": answer.node.name, "address": answer.node.address}
    if answer.report is None:
        return row | {"result": answer.error}
    if answer.report.digest != right:
        result = "its state differs"
    elif answer.report.imbalance:
        result = "its balances do not sum up to 0"
    else:
        result = "ok"
    return row | {"digest": answer.report.digest.hex(), "imbalance": answer.report.imbalance, "result": result}


def verdict(session: Session, cluster: str, index: int, rows: Sequence[Row], passed: bool) -> Record:
    good = sum(row["result"] == "ok" for row in rows)
    counted = f"{good} of {len(rows)} nodes sum up to 0 and agree"
    text = f"audit of {cluster} at index {index}: {counted}: {session.printer.verdict(passed)}"
    return Record(AUDIT, {"passed": passed, "cluster": cluster, "index": index}, text)
