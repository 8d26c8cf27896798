"""Judge the fields of a write that this program does not know, since they go to the log with the rest.

A newer client may put them in, and they reach the log untouched. Groups alone are refused, the old encoding
of nested messages: a parser has to walk through them and gives up at some depth, which differs between
programs and counts from the outermost message. What is read at the door could thus be unreadable on a
follower, and the two would apply different things (S3). All other values are skipped by their length,
so that a write nests no deeper than its schema says.

No client of ours sends groups, and proto3 has no word for them.
"""

from typing import Final

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from bankd.errors import ProtocolError

UNKNOWN_BYTES_MAX: Final = 64 * 1024  # in one write: some 30,000 of the smallest fields, looked at in 10 ms
_START_GROUP: Final = 3  # protobuf's wire type


def refuse_groups(*messages: Message) -> None:
    """Raises ProtocolError: one of `messages` holds a group. Those inside them are to be given too."""
    for message in messages:
        unknown = UnknownFieldSet(message)
        if len(unknown) and any(unknown[at].wire_type == _START_GROUP for at in range(len(unknown))):
            raise ProtocolError("a group among the fields unknown here; only other kinds of fields may be new")
