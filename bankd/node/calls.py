"""Calls on their way through the node: where each answer goes, and how much room it will take."""

import logging
from typing import Final, NamedTuple

import trio

from bankd.ledger.queries import ListAccounts
from bankd.node.sender import FrameSender
from bankd.replica.effects import Result
from bankd.wire.requests import Read, Request, SnapshotReadAsked, Write
from bankd.wire.snapshot_codec import PART_BYTES_MAX

log = logging.getLogger(__name__)

ANSWER_BYTES: Final = 128  # of most answers, with their frame
RECORD_BYTES_MAX: Final = 192  # of an account on a page: its id takes 128 at most
WRITE_SHRINKS: Final = 16  # a batch's answer takes a byte a row, and some more for the rows that were refused


class PendingCall(NamedTuple):  # one per call on the hot path, hence a plain tuple
    """Where the answer of one call goes, what was asked, and what is expected of the answer."""

    sender: FrameSender
    call_id: int
    method: int
    request: Request
    answer_bytes: int


class OwnCall:
    """A call of the node itself; it only wants to know when it is answered."""

    def __init__(self) -> None:
        self._answered = trio.Event()

    def answer(self, result: Result) -> None:
        log.info("own_call_answered result=%s", result)
        self._answered.set()

    async def wait_answered(self) -> None:
        await self._answered.wait()


def answer_bytes(request: Request) -> int:
    """About how long the answer will be, for bounding what one connection may ask for at a time."""
    match request:
        case Write(raw=raw):
            return ANSWER_BYTES + len(raw) // WRITE_SHRINKS
        case Read(query=ListAccounts(limit=limit)):
            return ANSWER_BYTES + limit * RECORD_BYTES_MAX
        case SnapshotReadAsked():
            return ANSWER_BYTES + PART_BYTES_MAX
        case _:
            return ANSWER_BYTES
