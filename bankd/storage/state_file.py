"""Term and vote a second time, beside the log: so that a log that lies is found out, and what it forgot is not lost.

`wal/STATE` holds two slots of one sector each. A write goes to the slot that does not hold the newest one, so that
a crash leaves that. Every start makes the file anew (framed_file.py), with one slot: so of a process that was killed, or whose
sync failed, nothing is left behind that reads well and is not on the disk. All numbers are little-endian.

    slot   u8 edge · magic · u32 version · u64 cluster id · u64 incarnation · u64 sequence · u64 boots · u64 term
           · u8 bytes of node id · u8 bytes of the vote · node id · the node voted for
           · u8 starts remembered · their nonces, u64 each, the present one first · zeros
           · u32 CRC32C of all that · u8 edge

The writes to a file count from 0 in `sequence`; an even one stands in the first slot, an odd one in the second. `boots`
counts the starts of the node, and each draws a nonce: a directory and an older copy of it may come to share a number, never
the nonce of that number, so that whoever met one of the two can tell the other, however often that was started meanwhile.
A node that a peer has told of more starts than it knows goes on from there. While it is refilling it remembers no start but
the present one, for with those before it nobody need compare it any more.

Rules:
- Term and vote reach the log first, then the copy, and only then an answer. So a copy that is behind a sound log was
  interrupted by a crash, and one that is ahead of it proves that the log lost what it had synced.
- Both edges of a slot have one value in one write, and another in the next write to it; at first they are zeros. A write
  that was completed has left none of the old ones, and no flipped bit brings one back. So a slot that does not read well is
  harmless as long as it has an old edge: what it may hold is a write that a crash interrupted, or an older one than the
  other slot's. Without one it may have held the newest.
- `doubt` says that: the newest slot that reads well may not be the newest written. Then the copy is good enough to
  convict the log, and not to stand in for it.

Limits: a sector that a disk never wrote, though it said so, is noticed only one write later. With both slots lost `boots`
begins anew, which peers take for an older copy. STARTS_MAX starts are remembered: an older copy that was started more often
before anybody met it is not told by its nonces.
"""

import struct
from pathlib import Path
from typing import Final

import attrs
import google_crc32c

from bankd.errors import DataDirForeign
from bankd.raft.messages import HardState
from bankd.storage.disk import Disk, DiskFile
from bankd.storage.framed_file import read_if_there, replace_file
from bankd.storage.identity import Identity
from bankd.storage.records import SECTOR_BYTES
from bankd.storage.segment import Owner
from bankd.types import NO_STARTS, ClusterId, Incarnation, NodeId, Starts, Term

NAME: Final = "STATE"
VERSION: Final = 1
SLOTS: Final = 2
STATE_BYTES: Final = SLOTS * SECTOR_BYTES
STARTS_MAX: Final = 16  # remembered

_MAGIC: Final = b"BANKVOT\n"
_EDGES: Final = (0xAA, 0x55)  # no flip of a bit makes one of the other, or of the zeros before the first write
_HEADER: Final = struct.Struct("<B8sIQQQQQBB")
_TRAILER: Final = struct.Struct("<IB")  # CRC32C, edge
_COVERED_BYTES: Final = SECTOR_BYTES - _TRAILER.size


@attrs.frozen
class Slot:
    """What one write put down."""

    owner: Owner
    sequence: int
    starts: Starts
    hard_state: HardState


@attrs.frozen
class NewStart:
    """What a process that starts on a log brings along.

    `nonce`: drawn for this start, not 0. `boots_seen`: how many starts a peer has met; this one gets a higher number.
    `refilling`: the starts before this one are forgotten.
    """

    nonce: int
    boots_seen: int = 0
    refilling: bool = False


UNTOLD: Final = NewStart(0)  # of whoever talks to no peer


@attrs.frozen
class StateFound:
    """The newest slot that reads well. `doubt`: what was expected, where a newer one may have been lost."""

    newest: Slot | None
    doubt: str | None


class StateFile:
    """The copy of one node, open for writing. Owned by its log."""

    def __init__(self, file: DiskFile, newest: Slot) -> None:
        """See `begin`."""
        self._file = file
        self._newest = newest

    @classmethod
    def begin(
        cls,
        disk: Disk,
        directory: Path,
        identity: Identity,
        found: StateFound,
        hard_state: HardState,
        start: NewStart,
    ) -> "StateFile":
        """Make the copy of what a sound log says, and count one more start than was `found`; durable on return.

        Raises:
          DiskFailed, DiskFull.
        """
        path = directory / NAME
        before = NO_STARTS if found.newest is None else found.newest.starts
        nonces = (start.nonce, *(() if start.refilling else before.nonces))[:STARTS_MAX]
        starts = Starts(max(before.boots, start.boots_seen) + 1, nonces)
        first = Slot(Owner.of(identity), 0, starts, hard_state)
        replace_file(disk, path, encode_slot(first).ljust(STATE_BYTES, b"\0"))
        return cls(disk.open(path), first)

    @property
    def hard_state(self) -> HardState:
        return self._newest.hard_state

    @property
    def starts(self) -> Starts:
        """The node's, this one included."""
        return self._newest.starts

    def write(self, hard_state: HardState) -> None:
        """Make a copy of this term and vote durable.

        Raises:
          DiskFailed: never call again.
        """
        slot = attrs.evolve(self._newest, sequence=self._newest.sequence + 1, hard_state=hard_state)
        self._file.pwrite(encode_slot(slot), slot.sequence % SLOTS * SECTOR_BYTES)
        self._file.sync()
        self._newest = slot

    def close(self) -> None:
        self._file.close()


def read_state(disk: Disk, directory: Path, identity: Identity) -> StateFound:
    """Return what the copy in a log's directory says.

    Raises:
      DataDirForeign: it is another node's, or a newer program's.
      DiskFailed.
    """
    path = directory / NAME
    data = read_if_there(disk, path, STATE_BYTES + 1)
    if data is None:
        return StateFound(None, f"{path}, not no such file")
    found = look_at_state(data, path)
    if found.newest is not None and found.newest.owner != Owner.of(identity):
        raise DataDirForeign(
            f"{path} belongs to {found.newest.owner}, this is {Owner.of(identity)}: put back its own log"
        )
    return found


def look_at_state(data: bytes, path: Path) -> StateFound:
    """Return what the bytes of `path` say, whoever's they are.

    Raises:
      DataDirForeign: a newer program wrote them.
    """
    sectors = [data[at : at + SECTOR_BYTES] for at in range(0, STATE_BYTES, SECTOR_BYTES)]
    slots = [_read_slot(sector, number, path) for number, sector in enumerate(sectors)]
    newest = max(filter(None, slots), key=lambda slot: slot.sequence, default=None)
    if newest is None:
        return StateFound(None, f"a sound slot in {path}, not two that are none")
    if len(data) != STATE_BYTES:
        return StateFound(newest, f"{STATE_BYTES} bytes of {path}, not {len(data)}")
    number = 1 - newest.sequence % SLOTS
    if not _is_older(slots[number], sectors[number], newest):
        return StateFound(
            newest, f"write {newest.sequence - 1} in slot {number} of {path}, or the beginning of the next"
        )
    return StateFound(newest, None)


def forgotten(logged: HardState, found: StateFound) -> str | None:
    """Say what was expected of a log that reads well and has forgotten what the copy knows; None: it has not."""
    if found.newest is None:
        return None
    copied = found.newest.hard_state
    if logged == copied or _rank(logged) > _rank(copied):
        return None
    return f"a log with {_said(copied)}, as {NAME} has it, not one with {_said(logged)}"


def encode_slot(slot: Slot) -> bytes:
    """Return the sector that holds it."""
    node_id, voted_for = slot.owner.node_id.encode(), (slot.hard_state.voted_for or "").encode()
    edge = _edge_of(slot.sequence)
    header = _HEADER.pack(
        edge,
        _MAGIC,
        VERSION,
        slot.owner.cluster_id,
        slot.owner.incarnation,
        slot.sequence,
        slot.starts.boots,
        slot.hard_state.term,
        len(node_id),
        len(voted_for),
    )
    nonces = struct.pack(f"<B{len(slot.starts.nonces)}Q", len(slot.starts.nonces), *slot.starts.nonces)
    covered = (header + node_id + voted_for + nonces).ljust(_COVERED_BYTES, b"\0")
    assert len(covered) == _COVERED_BYTES, f"node ids of {len(node_id)} and {len(voted_for)} bytes"
    return covered + _TRAILER.pack(google_crc32c.value(covered), edge)


def _rank(state: HardState) -> tuple[int, bool]:
    """Terms only rise, and in each of them no vote may become one."""
    return state.term, state.voted_for is not None


def _said(state: HardState) -> str:
    return f"term {state.term} and " + (f"a vote for {state.voted_for}" if state.voted_for else "no vote")


def _edge_of(sequence: int) -> int:
    return _EDGES[sequence // SLOTS % len(_EDGES)]  # the next write to the same slot has the other one


def _is_older(slot: Slot | None, sector: bytes, newest: Slot) -> bool:
    """Whether a slot, sound or not, surely holds no write that was completed after `newest`."""
    if slot is not None:
        return slot.sequence == newest.sequence - 1 and slot.owner == newest.owner
    before = _edge_of(newest.sequence - 1) if newest.sequence else 0
    return before in (sector[0], sector[-1])


def _read_slot(sector: bytes, number: int, path: Path) -> Slot | None:
    if len(sector) < SECTOR_BYTES:
        return None
    crc, back = _TRAILER.unpack_from(sector, _COVERED_BYTES)
    if crc != google_crc32c.value(sector[:_COVERED_BYTES]) or back != sector[0]:
        return None
    slot = _decode_slot(sector, path)
    return slot if sector[0] == _edge_of(slot.sequence) and slot.sequence % SLOTS == number else None


def _decode_slot(sector: bytes, path: Path) -> Slot:
    _, magic, version, cluster_id, incarnation, sequence, boots, term, node_bytes, vote_bytes = _HEADER.unpack_from(
        sector
    )
    if (magic, version) != (_MAGIC, VERSION):
        raise DataDirForeign(f"{path} has format {version}, this program knows {VERSION}: start a matching bankd")
    at = _HEADER.size + node_bytes
    nonces_at = at + vote_bytes
    node_id, voted_for = sector[_HEADER.size : at].decode(), sector[at:nonces_at].decode()
    nonces = struct.unpack_from(f"<{sector[nonces_at]}Q", sector, nonces_at + 1)
    owner = Owner(ClusterId(cluster_id), NodeId(node_id), Incarnation(incarnation))
    return Slot(owner, sequence, Starts(boots, nonces), HardState(Term(term), NodeId(voted_for) if voted_for else None))
