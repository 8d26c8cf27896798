"""Transfers as rows and as columns: how rows are gathered, sent, and given back their outcomes.

A recorded refusal is a result here, with the exception that a caller may raise beside it; only
what kept the answer away makes a whole request fail.
"""

from collections.abc import Sequence
from typing import Final, cast

import attrs

from bankd.client.pending import Call, Pending
from bankd.client.results import Transfer
from bankd.errors import BankError, Code, OutcomeUnknown, Refusal
from bankd.ledger.checks import judge_transfers
from bankd.ledger.commands import RowDetail, SubmitTransfers, TransfersDone
from bankd.types import ROW_ID_CONFLICT, ROW_MALFORMED, AccountId, TransferStatus, TxId
from bankd.wire.client_codec import decode_submit_transfers, encode_submit_transfers
from bankd.wire.methods import Method
from bankd.wire.refusals import to_error

_OK: Final = TransferStatus.COMMITTED_OK
_REFUSED: Final = {
    TransferStatus.COMMITTED_INSUFFICIENT_FUNDS: "INSUFFICIENT_FUNDS",
    TransferStatus.COMMITTED_INVALID_ACCOUNT: "INVALID_ACCOUNT",
    TransferStatus.COMMITTED_LIMIT_EXCEEDED: "LIMIT_EXCEEDED",
}


@attrs.define(eq=False)
class TransferRow(Pending[Transfer]):
    """One transfer of one caller, to be sent together with others; its id is the `intent_id`."""

    source: str = ""
    target: str = ""
    amount: int = 0


@attrs.frozen
class TransferBatch:
    """Columns that travel as one request."""

    columns: SubmitTransfers

    def call(self) -> Call[list[Transfer]]:
        """One result per row."""
        columns = self.columns
        body = encode_submit_transfers(columns.tx_ids, columns.sources, columns.targets, columns.amounts)
        return Call(Method.SUBMIT_TRANSFERS, body, self.decode, write=True)

    def decode(self, body: bytes) -> list[Transfer]:
        """Every row's result: as if all took effect in this entry, then those of which more was said."""
        columns = self.columns
        rows = len(columns.tx_ids)
        done = decode_submit_transfers(body, rows)
        outcomes, details, index, time_ns = done.outcomes, done.details, done.index, done.time_ns
        results = [
            Transfer(tx_id, source, target, amount, _OK, index, time_ns)
            for tx_id, source, target, amount in zip(
                columns.tx_ids, columns.sources, columns.targets, columns.amounts, strict=True
            )
        ]
        if details or outcomes.count(_OK) < rows:
            for row in [row for row in range(rows) if outcomes[row] != _OK or row in details]:
                results[row] = self._row_result(row, done)
        return results

    def failed(self, error: BankError) -> list[Transfer]:
        """Every row without an answer, for the same cause."""
        columns = self.columns
        rows = zip(columns.tx_ids, columns.sources, columns.targets, columns.amounts, strict=True)
        return [failed_transfer(*row, error) for row in rows]

    def _row_result(self, row: int, done: TransfersDone) -> Transfer:
        columns = self.columns
        tx_id, source, target = columns.tx_ids[row], columns.sources[row], columns.targets[row]
        detail = done.details.get(row) or RowDetail(done.index, done.time_ns)
        outcome = done.outcomes[row]
        status = TransferStatus.UNKNOWN if outcome in (ROW_ID_CONFLICT, ROW_MALFORMED) else TransferStatus(outcome)
        transfer = Transfer(
            tx_id, source, target, columns.amounts[row], status, detail.index, detail.time_ns, detail.available
        )
        refusal = _row_refusal(transfer, outcome, detail)
        return transfer if refusal is None else attrs.evolve(transfer, error=to_error(refusal))


def columns_of(tx_ids: list[str], sources: list[str], targets: list[str], amounts: list[int]) -> SubmitTransfers:
    """Columns of what callers call ids; to be judged next."""
    # Cast as a whole: naming each string an id would be a call for each.
    return SubmitTransfers(
        cast("list[TxId]", tx_ids), cast("list[AccountId]", sources), cast("list[AccountId]", targets), amounts
    )


def gathered(rows: Sequence[TransferRow]) -> TransferBatch:
    """Rows of many callers as one batch."""
    return TransferBatch(
        columns_of(
            [row.intent_id for row in rows],
            [row.source for row in rows],
            [row.target for row in rows],
            [row.amount for row in rows],
        )
    )


def judge_row(row: TransferRow) -> Refusal | None:
    """Why this row cannot be sent; one bad row must not spoil the request that it would travel in."""
    return judge_transfers(gathered([row]).columns)


def failed_transfer(tx_id: str, source: str, target: str, amount: int, error: BankError) -> Transfer:
    """A row that got no answer of the ledger. An unknown outcome names the row's own id."""
    own_error = outcome_unknown(tx_id, error.refusal.message) if isinstance(error, OutcomeUnknown) else error
    return Transfer(tx_id, source, target, amount, TransferStatus.UNKNOWN, 0, 0, error=own_error)


def outcome_unknown(intent_id: str, why: str) -> OutcomeUnknown:
    """The error of a write that was sent and never answered."""
    metadata = {"client_tx_id": intent_id} if intent_id else {}
    return OutcomeUnknown(Refusal(Code.UNKNOWN, "OUTCOME_UNKNOWN", why, retryable=True, metadata=metadata))


def _row_refusal(transfer: Transfer, outcome: int, detail: RowDetail) -> Refusal | None:
    if outcome == _OK:
        return None
    ids = {"client_tx_id": transfer.tx_id, "from": transfer.source, "to": transfer.target}
    if outcome == ROW_ID_CONFLICT:
        message = f"id {transfer.tx_id} is recorded with other fields: {', '.join(detail.differs)}"
        return Refusal(
            Code.ALREADY_EXISTS, "ID_CONFLICT", message, metadata={**ids, "differs": ",".join(detail.differs)}
        )
    if outcome == ROW_MALFORMED:
        return Refusal(Code.INVALID_ARGUMENT, "COMMAND_MALFORMED", "the transfer could not be judged", metadata=ids)
    if transfer.status == TransferStatus.COMMITTED_INSUFFICIENT_FUNDS:
        ids |= {"available": str(detail.available or 0), "needed": str(transfer.amount)}
    reason = _REFUSED[transfer.status]
    return Refusal(Code.FAILED_PRECONDITION, reason, _refusal_message(transfer), metadata=ids)


def _refusal_message(transfer: Transfer) -> str:
    match transfer.status:
        case TransferStatus.COMMITTED_INSUFFICIENT_FUNDS:
            return f"{transfer.source} has {transfer.available}, {transfer.amount} needed (minor units)"
        case TransferStatus.COMMITTED_INVALID_ACCOUNT:
            return f"{transfer.source} or {transfer.target} does not exist"
        case _:
            return f"a balance of {transfer.source} or {transfer.target} would leave its range"
