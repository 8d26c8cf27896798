"""The calls of bank.v1 as the behaviour tests write them, and refusals as values."""

from collections.abc import Callable
from typing import Any

import attrs
import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from bankd.pb import bank_pb2, bank_pb2_grpc, ledger_pb2, ledger_pb2_grpc

DEADLINE_S = 60.0  # generous: against a test that hangs


@attrs.frozen
class Refused:
    """A gRPC error with its details unpacked. `retry_delay_ms` is None without RetryInfo."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    metadata: dict[str, str]
    retry_delay_ms: int | None


def refused(call: Callable[[], object]) -> Refused:
    """Make the call, which must fail, and unpack its error; every error carries an ErrorInfo."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return unpack(error)
    raise AssertionError(f"not refused, but answered: {answer}")


def unpack(error: Any) -> Refused:
    status: status_pb2.Status | None = rpc_status.from_call(error)
    assert status is not None, f"no error details: {error.code()} {error.details()}"
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert any(detail.Unpack(info) for detail in status.details), f"no ErrorInfo in {status}"
    retry_found = any(detail.Unpack(retry) for detail in status.details)
    delay_ms = retry.retry_delay.ToMilliseconds() if retry_found else None
    return Refused(error.code(), error.details(), info.reason, info.domain, dict(info.metadata), delay_ms)


class Bank:
    """Both services over one channel, each call with its fields as arguments."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.bank = bank_pb2_grpc.BankServiceStub(channel)  # type: ignore[no-untyped-call]
        self.ledger = ledger_pb2_grpc.LedgerServiceStub(channel)  # type: ignore[no-untyped-call]

    def create(
        self,
        account: str,
        initial_balance: int = 0,
        *,
        request_id: str | None = None,
        timeout_s: float | None = DEADLINE_S,
    ) -> bank_pb2.CreateAccountResponse:
        request = bank_pb2.CreateAccountRequest(
            account=bank_pb2.AccountId(id=account),
            initial_balance=initial_balance,
            request_id=None if request_id is None else bank_pb2.ClientTxId(id=request_id),
        )
        answer: bank_pb2.CreateAccountResponse = self.bank.CreateAccount(request, timeout=timeout_s)
        return answer

    def balance(self, account: str, read: bank_pb2.ReadOptions | None = None) -> bank_pb2.GetBalanceResponse:
        request = bank_pb2.GetBalanceRequest(account=bank_pb2.AccountId(id=account), read=read)
        answer: bank_pb2.GetBalanceResponse = self.bank.GetBalance(request, timeout=DEADLINE_S)
        return answer

    def transfer(
        self, source: str, target: str, amount: int, tx_id: str, *, timeout_s: float | None = DEADLINE_S
    ) -> bank_pb2.TransferResponse:
        answer: bank_pb2.TransferResponse = self.bank.Transfer(
            transfer_request(source, target, amount, tx_id), timeout=timeout_s
        )
        return answer

    def status(self, tx_id: str) -> bank_pb2.GetTransferStatusResponse:
        request = bank_pb2.GetTransferStatusRequest(client_tx_id=bank_pb2.ClientTxId(id=tx_id))
        answer: bank_pb2.GetTransferStatusResponse = self.bank.GetTransferStatus(request, timeout=DEADLINE_S)
        return answer

    def submit(self, rows: list[tuple[str, str, str, int]]) -> ledger_pb2.SubmitTransfersResponse:
        """Rows are (client_tx_id, source, target, amount)."""
        answer: ledger_pb2.SubmitTransfersResponse = self.ledger.SubmitTransfers(
            submit_request(rows), timeout=DEADLINE_S
        )
        return answer

    def account(self, account: str) -> ledger_pb2.GetAccountResponse:
        request = ledger_pb2.GetAccountRequest(account=bank_pb2.AccountId(id=account))
        answer: ledger_pb2.GetAccountResponse = self.ledger.GetAccount(request, timeout=DEADLINE_S)
        return answer

    def accounts(self, after: str = "", limit: int = 0, *, system: bool = False) -> ledger_pb2.ListAccountsResponse:
        request = ledger_pb2.ListAccountsRequest(after=after, limit=limit, system=system)
        answer: ledger_pb2.ListAccountsResponse = self.ledger.ListAccounts(request, timeout=DEADLINE_S)
        return answer


def transfer_request(source: str, target: str, amount: int, tx_id: str) -> bank_pb2.TransferRequest:
    request = bank_pb2.TransferRequest(
        to=bank_pb2.AccountId(id=target), amount=amount, client_tx_id=bank_pb2.ClientTxId(id=tx_id)
    )
    getattr(request, "from").id = source  # a Python keyword
    return request


def submit_request(rows: list[tuple[str, str, str, int]]) -> ledger_pb2.SubmitTransfersRequest:
    tx_ids, sources, targets, amounts = zip(*rows, strict=True) if rows else ((), (), (), ())
    return ledger_pb2.SubmitTransfersRequest(client_tx_ids=tx_ids, sources=sources, targets=targets, amounts=amounts)
