"""Answer one call of bank.v1 through the cluster's client.

The two doors must agree to the byte. So the rules of the framed one judge a request here before
anything is sent, and mostly its own bytes then travel to a node and the node's back; what lies between
is the client, which retries within the time given, follows leaders and keeps one id per intent.
Transfers are the exception: the client gathers those of many callers into one request, and the answer
to each row is worded here by the function that words it on a node.

Ids are the caller's (K4), with one exception. A CreateAccount without request_id gets one here, so that a
lost connection does not turn a success into "Account already exists" when the client sends it again; the
caller's next call is another intent, gets another id and so the fixed behaviour (K8).

Limits: fields of a newer bank.v1 are dropped from a TransferRequest and its response, and kept in all others.
"""

import attrs

from bankd.client.aio_driver import AioDriver
from bankd.client.calls import transfer_row
from bankd.client.pending import Call
from bankd.client.results import Transfer
from bankd.errors import IdConflict, OutcomeUnknown, Refusal, TransferRefused
from bankd.ledger.commands import CreateAccount, RowDetail, SubmitTransfers, TransfersDone
from bankd.pb import bank_pb2
from bankd.types import ROW_ID_CONFLICT, LogIndex, TimeNs
from bankd.wire.methods import Method
from bankd.wire.requests import Read, Write, decode_request
from bankd.wire.responses import encode_response


class BankGateway:
    """Every call of BankService and LedgerService. Holds no state beside the client's."""

    def __init__(self, client: AioDriver) -> None:
        self._client = client

    async def call(self, method: Method, body: bytes, *, timeout_s: float) -> bytes | Refusal:
        """The response's bytes, or why there is none.

        Raises:
          BankError: what the cluster refused, or what the client could not do within `timeout_s`.

        Cancellation: the call is forgotten; a write that was sent may still take effect, once.
        """
        request = decode_request(method, body)
        match request:
            case Refusal():
                return request
            case Read():
                return await self._client.run(Call(method, body, bytes), timeout_s)
            case Write(command=SubmitTransfers() as columns) if method is Method.TRANSFER:
                return encode_response(method, request, await self._transfer(columns, timeout_s))
            case Write(command=SubmitTransfers() as columns):
                batch = Call(method, body, bytes, intent_id=columns.tx_ids[0], write=True)
                return await self._client.run(batch, timeout_s)
            case Write(command=CreateAccount() as command):
                return await self._create_account(command, body, timeout_s)
            case _:
                raise AssertionError(f"{method.name} is not served on this door")

    async def _transfer(self, columns: SubmitTransfers, timeout_s: float) -> TransfersDone:
        row = transfer_row(columns.sources[0], columns.targets[0], columns.amounts[0], columns.tx_ids[0])
        return transfer_done(await self._client.run_row(row, timeout_s))

    async def _create_account(self, command: CreateAccount, body: bytes, timeout_s: float) -> bytes:
        intent_id: str
        if command.request_id is not None:
            intent_id = command.request_id
        else:
            intent_id = self._client.make_id()
            body += _request_id_field(intent_id)
        try:
            opening = Call(Method.CREATE_ACCOUNT, body, bytes, intent_id=intent_id, write=True)
            return await self._client.run(opening, timeout_s)
        except OutcomeUnknown as error:
            raise OutcomeUnknown(_opening_unknown(command, error.refusal)) from None


def transfer_done(row: Transfer) -> TransfersDone:
    """The ledger's outcome of one transfer: what it refused and recorded is one, and so is an id conflict.

    Raises:
      BankError: there is no outcome.
    """
    differs: tuple[str, ...] = ()
    match row.error:
        case None | TransferRefused():
            outcome = int(row.status)
        case IdConflict() as conflict:
            outcome, differs = ROW_ID_CONFLICT, conflict.differs
        case error:
            raise error
    index, time_ns = LogIndex(row.index), TimeNs(row.time_ns)
    return TransfersDone(index, time_ns, bytes([outcome]), {0: RowDetail(index, time_ns, row.available, differs)})


def _request_id_field(request_id: str) -> bytes:
    """The field alone: protobuf messages may be extended by concatenation, so the caller's bytes stay as they are."""
    return bank_pb2.CreateAccountRequest(request_id=bank_pb2.ClientTxId(id=request_id)).SerializeToString()


def _opening_unknown(command: CreateAccount, refusal: Refusal) -> Refusal:
    """The client's error in the caller's own words: ids of openings are not those of transfers.

    Without a request_id sending it again is no way to learn what happened, so it is not retryable.
    """
    if command.request_id is None:
        advice, metadata = "ask GetAccount", {"account": str(command.account)}
    else:
        advice = "send it again with the same request_id"
        metadata = {"account": str(command.account), "request_id": str(command.request_id)}
    return attrs.evolve(
        refusal,
        message=f"outcome unknown, {advice}",
        metadata=metadata,
        retryable=command.request_id is not None,
    )
