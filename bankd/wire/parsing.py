"""Turn bytes from another machine into a protobuf message, or refuse them: the one place where that fails."""

from collections.abc import Mapping
from typing import Protocol, Self, TypeVar

from google.protobuf.message import DecodeError

from bankd.errors import ProtocolError


class Parsable(Protocol):
    """What every generated message class can do."""

    @classmethod
    def FromString(cls, body: bytes, /) -> Self: ...


M = TypeVar("M", bound=Parsable)
K = TypeVar("K")
V = TypeVar("V")


def parse(message_class: type[M], body: bytes) -> M:
    """Raises ProtocolError: `body` is no such message."""
    try:
        return message_class.FromString(body)
    except DecodeError:
        raise ProtocolError(f"{len(body)} bytes that are no {message_class.__name__}") from None


def known(table: Mapping[K, V], number: K, what: str) -> V:
    """Look a number from the wire up. Raises ProtocolError: it stands for nothing here."""
    try:
        return table[number]
    except KeyError:
        raise ProtocolError(f"unknown {what} {number}") from None
