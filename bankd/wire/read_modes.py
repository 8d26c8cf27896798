"""How fresh a read must be, as bytes and back."""

from typing import assert_never

from bankd.errors import ProtocolError
from bankd.pb import bank_pb2 as pb
from bankd.types import LINEARIZABLE, AtLeast, Bounded, Lease, Linearizable, LogIndex, ReadMode, Stale


def encode_read_mode(mode: ReadMode) -> pb.ReadOptions:
    match mode:
        case Linearizable():
            return pb.ReadOptions()
        case Lease():
            return pb.ReadOptions(mode=pb.LEASE)
        case Bounded(max_age_ms=max_age_ms):
            return pb.ReadOptions(mode=pb.BOUNDED, max_age_ms=max_age_ms)
        case AtLeast(index=index):
            return pb.ReadOptions(mode=pb.AT_LEAST, index=index)
        case Stale():
            return pb.ReadOptions(mode=pb.STALE)
        case _:
            assert_never(mode)


def decode_read_mode(options: pb.ReadOptions) -> ReadMode:
    """Raises ProtocolError: a mode of a newer protocol. Guessing one could promise more than it gives."""
    match options.mode:
        case pb.LINEARIZABLE:
            return LINEARIZABLE
        case pb.LEASE:
            return Lease()
        case pb.BOUNDED:
            return Bounded(options.max_age_ms)
        case pb.AT_LEAST:
            return AtLeast(LogIndex(options.index))
        case pb.STALE:
            return Stale()
        case unknown:
            raise ProtocolError(f"unknown read mode {unknown}")
