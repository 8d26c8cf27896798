"""Make a ledger of a snapshot's chunks: where its bytes (storage/), its rows (wire/) and its state (ledger/) meet.

    builder = StateBuilder(name)
    for chunk in chunks:
        for _ in builder.take(chunk): ...
    state = builder.finish(header)

A snapshot is sound if its bytes are those that were sealed, its rows are the image of a ledger, and its header says of
that ledger what is so. Whoever reads the chunks judges the first; the others are judged here, for all who start from a
snapshot, take one in, verify, show, save or restore one.

Index, time and digest of header and rows are compared: so a file whose parts belong to different states cannot be taken
for one.

Limits: the whole ledger is held in memory, about 250 MB for a million transfers. Nobody can tell from a snapshot alone
whether its digest is that of the state: the other nodes' digests at its index tell.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import attrs

from bankd.errors import DataDirForeign, ProtocolError
from bankd.ledger.builder import LedgerBuilder
from bankd.ledger.rows import Block, ImageInvalid, ImageNewer
from bankd.ledger.state import Ledger
from bankd.raft.messages import Configuration
from bankd.storage.snapshot_format import SnapshotDamaged, SnapshotHeader
from bankd.types import NodeId
from bankd.wire.entries import decode_configuration
from bankd.wire.snapshot_rows import decode_blocks

_ROWS: Final = "the rows of a ledger"


@attrs.frozen(eq=False)
class State:
    """What a sound snapshot is."""

    header: SnapshotHeader
    ledger: Ledger
    configuration: Configuration
    addresses: Mapping[NodeId, str]


class StateBuilder:
    """Owner of a state in the making. After an error it is of no use. `name`: the snapshot's, in words.

    All methods raise:
      SnapshotDamaged: what was taken is no state, or not its header's.
      DataDirForeign: a newer program wrote it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._ledger = LedgerBuilder()

    def take(self, chunk: bytes) -> Iterator[None]:
        """Take in the next chunk, a block a step: of a few milliseconds each."""
        for block in blocks_of(chunk, self._name):
            with _judged(self._name, _ROWS):
                self._ledger.take(block)
            yield

    def finish(self, header: SnapshotHeader) -> State:
        """The state, once all chunks are taken, and read to their end."""
        with _judged(self._name, _ROWS):
            ledger = self._ledger.finish()
        said = (header.index, header.time_ns, header.digest)
        found = (ledger.applied_index, ledger.last_time_ns, ledger.digest)
        if said != found:
            raise _damaged(self._name, f"rows of index, time and digest {_shown(*said)}, not {_shown(*found)}")
        with _judged(self._name, "a configuration"):
            configuration, addresses = decode_configuration(header.configuration)
        return State(header, ledger, configuration, addresses)


def blocks_of(chunk: bytes, name: str) -> Iterator[Block]:
    """The blocks of a chunk, each read when it is asked for. Raises as `StateBuilder`."""
    with _judged(name, _ROWS):
        yield from decode_blocks(chunk)


@contextmanager
def _judged(name: str, expected: str) -> Iterator[None]:
    try:
        yield
    except ImageNewer as error:
        raise DataDirForeign(f"{name} holds {error}: start a matching bankd") from error
    except (ImageInvalid, ProtocolError) as error:
        raise _damaged(name, f"{expected}, not {error}") from error


def _damaged(name: str, expected: str) -> SnapshotDamaged:
    return SnapshotDamaged(f"{name}: expected {expected}", expected)


def _shown(index: int, time_ns: int, digest: bytes) -> str:
    return f"{index}, {time_ns}, {digest.hex()}"
