"""Make the bodies of log entries, and read them back.

The body of a COMMANDS entry is a CommandBatch that nobody ever builds: a leader writes its head
(version and time) and behind it the clients' requests as they came, each in the few bytes that
make it an element of CommandBatch.commands. Protobuf fields may be concatenated, so what a client
encoded once is what the log, the peers and apply see, fields that this program does not know included.

Reading is total (K14). A body that some leader wrote is committed, so it cannot be sent back: what is
no command becomes `Unreadable`, on every node alike. Only an unknown version stops the node, since a
newer leader may mean something by it.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import attrs
from google.protobuf.message import DecodeError

from bankd.errors import ProtocolError, UnknownEntryVersion
from bankd.ledger.commands import Command, Unreadable
from bankd.pb import entry_pb2 as pb
from bankd.raft.messages import Configuration
from bankd.types import NodeId, TimeNs
from bankd.wire import commands
from bankd.wire.methods import Method
from bankd.wire.parsing import parse
from bankd.wire.varint import bytes_field, bytes_tag, fixed64_tag, varint, varint_tag

BATCH_VERSION: Final = 1  # of CommandBatch; raised with every command that older programs cannot apply

_HEAD: Final = (
    varint_tag(pb.CommandBatch.VERSION_FIELD_NUMBER)
    + varint(BATCH_VERSION)
    + fixed64_tag(pb.CommandBatch.TIME_NS_FIELD_NUMBER)
)
_BATCH_TAG: Final = bytes_tag(pb.CommandBatch.COMMANDS_FIELD_NUMBER)
_COMMAND_TAGS: Final[Mapping[Method, bytes]] = {
    Method.CREATE_ACCOUNT: bytes_tag(pb.Command.CREATE_ACCOUNT_FIELD_NUMBER),
    Method.TRANSFER: bytes_tag(pb.Command.TRANSFER_FIELD_NUMBER),
    Method.SUBMIT_TRANSFERS: bytes_tag(pb.Command.SUBMIT_TRANSFERS_FIELD_NUMBER),
}


@attrs.frozen
class DecodedBatch:
    """The leader's stamp (0 where not even that could be read) and the commands in their order."""

    time_ns: TimeNs
    commands: list[Command]


def encode_batch_head(time_ns: TimeNs) -> bytes:
    """What stands before the wrapped commands in the body of an entry."""
    return _HEAD + time_ns.to_bytes(8, "little")


def wrap_command(method: Method, request_body: bytes) -> bytes:
    """A client's write request, unopened, as one element of a batch: at most 12 bytes more."""
    return bytes_field(_BATCH_TAG, bytes_field(_COMMAND_TAGS[method], request_body))


def open_wrapped(wrapped: bytes) -> pb.Command:
    """One wrapped request, parsed from the very bytes, and as deep inside a batch, as the log will hold it.

    Raises ProtocolError: `decode_batch` would find an `Unreadable` here.
    """
    try:
        return pb.CommandBatch.FromString(wrapped).commands[0]
    except DecodeError:
        raise ProtocolError(f"{len(wrapped)} bytes that are no command") from None


def decode_batch(body: bytes) -> DecodedBatch:
    """Read the body of a COMMANDS entry; one command for each that was wrapped.

    Raises UnknownEntryVersion: the node must stop before it applies this entry.
    """
    try:
        batch = pb.CommandBatch.FromString(body)
    except DecodeError:
        return _decode_damaged(body)
    _judge_version(batch.version)
    return DecodedBatch(TimeNs(batch.time_ns), [_command(one) for one in batch.commands])


def _decode_damaged(body: bytes) -> DecodedBatch:
    """Each command opened alone, so that a bad one costs only itself."""
    try:
        batch = pb.SealedBatch.FromString(body)
    except DecodeError:
        return DecodedBatch(TimeNs(0), [Unreadable()])
    _judge_version(batch.version)
    return DecodedBatch(TimeNs(batch.time_ns), [_sealed_command(one) for one in batch.commands])


def _judge_version(version: int) -> None:
    if version != BATCH_VERSION:
        raise UnknownEntryVersion(
            f"a log entry has format {version}, this program knows {BATCH_VERSION}: install the newer version"
        )


def _sealed_command(sealed: bytes) -> Command:
    try:
        return _command(pb.Command.FromString(sealed))
    except DecodeError:
        return Unreadable()


def _command(command: pb.Command) -> Command:
    match command.WhichOneof("kind"):
        case "submit_transfers":
            return commands.submit_transfers(command.submit_transfers)
        case "transfer":
            return commands.transfer(command.transfer)
        case "create_account":
            return commands.create_account(command.create_account)
        case _:
            return Unreadable()


def encode_configuration(configuration: Configuration, addresses: Mapping[NodeId, str]) -> bytes:
    """The body of a CONFIG entry: who votes, and where each member listens ("" where not known)."""

    def members(node_ids: Iterable[NodeId]) -> list[pb.Member]:
        return [pb.Member(node_id=name, address=addresses.get(name, "")) for name in sorted(node_ids)]

    return pb.Configuration(
        voters=members(configuration.voters),
        voters_outgoing=members(configuration.voters_outgoing),
        learners=members(configuration.learners),
    ).SerializeToString()


def decode_configuration(body: bytes) -> tuple[Configuration, dict[NodeId, str]]:
    """Raises ProtocolError: the body is no configuration, has no voter or a member without an id."""
    message = parse(pb.Configuration, body)
    members = [*message.voters, *message.voters_outgoing, *message.learners]
    if not message.voters or not all(member.node_id for member in members):
        raise ProtocolError("a configuration without voters, or a member without an id")

    def ids(some: Iterable[pb.Member]) -> frozenset[NodeId]:
        return frozenset(NodeId(member.node_id) for member in some)

    configuration = Configuration(ids(message.voters), ids(message.voters_outgoing), ids(message.learners))
    return configuration, {NodeId(member.node_id): member.address for member in members}
