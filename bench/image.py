"""What a snapshot of the ledger costs, without its disk: freeze, cut, encode, decode, restore, and memory by use.

    python -m bench.image [--accounts 100000] [--transfers 1000000] [--per-entry 64]

Beside every figure of the whole stands that of the plainest thing that keeps the same columns: one pickle of them all,
and for the way back its load and one dict of the ids. Processor time of one process; slices are what a node does
between two turns of its loop, so their longest counts. The way back runs in a process of its own, so that its memory is
its own, too.
"""

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final, TypeVar

from bankd.ledger.builder import LedgerBuilder
from bankd.ledger.commands import CreateAccount, SubmitTransfers
from bankd.ledger.rows import Block, TransferRows
from bankd.ledger.state import Ledger
from bankd.node.memory import quiet_garbage_collector
from bankd.types import AccountId, LogIndex, TimeNs, TxId
from bankd.wire.snapshot_rows import decode_blocks, encode_block
from bench.workloads import resident_bytes

T = TypeVar("T")

OPENING: Final = 5_000  # so that a few transfers are refused for funds
AMOUNT_MAX: Final = 1_000
UNKNOWN_EVERY: Final = 1_000  # one row in so many names an account that nobody opened
ENTRY_NS: Final = 700_000
CHUNK_BYTES: Final = 1 << 20
START: Final = 1_790_000_000_000_000_000
CHUNKS, PICKLED = "chunks", "pickled"


def entries(accounts: int, transfers: int, per_entry: int) -> Iterator[list[CreateAccount] | list[SubmitTransfers]]:
    """A log: every account opened with a request id, then transfers with UUIDs for ids."""
    random = Random(1)
    names = [AccountId(f"customer-{number:07}") for number in range(accounts)]
    for first in range(0, accounts, per_entry):
        yield [CreateAccount(name, OPENING, TxId(f"open-{name}")) for name in names[first : first + per_entry]]
    for first in range(0, transfers, per_entry):
        rows = range(first, min(first + per_entry, transfers))
        # Each entry brings strings of its own, as decoded ones are.
        yield [
            SubmitTransfers(
                [TxId(str(uuid.UUID(int=random.getrandbits(128)))) for _ in rows],
                [AccountId(f"customer-{random.randrange(accounts):07}") for _ in rows],
                [AccountId("nobody" if row % UNKNOWN_EVERY == 0 else f"customer-{row % accounts:07}") for row in rows],
                [random.randint(1, AMOUNT_MAX) for _ in rows],
            )
        ]


def applied(log: Iterable[list[CreateAccount] | list[SubmitTransfers]]) -> Ledger:
    ledger = Ledger()
    for number, commands in enumerate(log, 1):
        ledger.apply(LogIndex(number), TimeNs(START + number * ENTRY_NS), commands)
    return ledger


def timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def sliced(work: Iterator[T]) -> tuple[list[T], float, float]:
    """Everything that the iterator makes, the time for it all, and for the longest of its steps."""
    made: list[T] = []
    longest = total = 0.0
    while True:
        began = time.process_time()
        item = next(work, None)
        took = time.process_time() - began
        total, longest = total + took, max(longest, took)
        if item is None:
            return made, total, longest
        made.append(item)


def chunks(encoded: Sequence[bytes]) -> Iterator[bytes]:
    """Joined up to the size of a snapshot file's chunks."""
    waiting: list[bytes] = []
    for block in encoded:
        if sum(map(len, waiting)) + len(block) > CHUNK_BYTES:
            yield b"".join(waiting)
            waiting = []
        waiting.append(block)
    yield b"".join(waiting)


def taken(bodies: Iterable[bytes], builder: LedgerBuilder) -> Iterator[bool]:
    for body in bodies:
        for block in decode_blocks(body):
            builder.take(block)
            yield True


def plain_load(pickled: bytes) -> dict[TxId, int]:
    """The baseline of restoring: the columns, and a way to find a row."""
    blocks: list[Block] = pickle.loads(pickled)
    ids = [tx_id for block in blocks if isinstance(block, TransferRows) for tx_id in block.ids]
    return {tx_id: row for row, tx_id in enumerate(ids)}


def line(name: str, took_s: float, longest_s: float | None = None, baseline_s: float | None = None) -> None:
    longest = f"longest slice {longest_s * 1e3:6.2f} ms" if longest_s is not None else ""
    ratio = f"{took_s / baseline_s:5.2f} x the baseline's time" if baseline_s is not None else ""
    print(f"{name:<34}{took_s * 1e3:>10,.1f} ms   {longest:<26}{ratio}")


def memory_by_use(ledger: Ledger) -> dict[str, int]:
    """Bytes that transfers take, as the interpreter counts them. The allocator rounds ids and numbers up by 10 to 15."""
    transfers = ledger._transfers
    index = transfers._row_index
    columns = ("_sources", "_targets", "_amounts", "_statuses")
    rare, runs = ("_available", "_strangers"), ("_entry_first_rows", "_entry_indexes", "_entry_times")
    sizes = {name: sys.getsizeof(getattr(transfers, name)) for name in (*columns, *rare, *runs)}
    return {
        "ids": sum(map(sys.getsizeof, index.ids)),
        "rows by id: dicts": sum(map(sys.getsizeof, index._shards)),
        "rows by id: row numbers": sys.getsizeof(1 << 20) * len(index),
        "ids by row": sys.getsizeof(index.ids),
        "columns": sum(sizes[name] for name in columns),
        "refused rows": sum(sizes[name] for name in rare),
        "index and stamp by entry": sum(sizes[name] for name in runs),
    }


def save(ledger: Ledger, directory: Path) -> None:
    """The way there. Leaves the bytes, and the baseline's, for `restore`."""
    quiet_garbage_collector()
    image, freeze_s = timed(ledger.freeze)
    line("freeze", freeze_s)
    blocks, cut_s, cut_longest_s = sliced(image.blocks())
    line(f"cut into {len(blocks):,} blocks", cut_s, cut_longest_s)
    pickled, pickle_s = timed(lambda: pickle.dumps(blocks, protocol=5))
    line("baseline: one pickle", pickle_s)
    encoded, encode_s, encode_longest_s = sliced(map(encode_block, image.blocks()))
    line("cut and encode", encode_s, encode_longest_s, pickle_s)
    size, largest = sum(map(len, encoded)), max(map(len, encoded))
    print(f"    {size / 1e6:,.1f} MB, {size / len(pickled):.2f} x the pickle, largest block {largest:,} bytes")
    (directory / PICKLED).write_bytes(pickled)
    with (directory / CHUNKS).open("wb") as file:
        pickle.dump(list(chunks(encoded)), file)


def restore(directory: Path) -> None:
    bodies: list[bytes] = pickle.loads((directory / CHUNKS).read_bytes())
    before = resident_bytes(os.getpid())
    builder = LedgerBuilder()
    _, restore_s, longest_s = sliced(taken(bodies, builder))
    ledger = builder.finish()
    grown = resident_bytes(os.getpid()) - before
    pickled = (directory / PICKLED).read_bytes()
    baseline, load_s = timed(lambda: plain_load(pickled))
    line("baseline: load and one dict", load_s)
    line("decode and restore", restore_s, longest_s, load_s)
    print(f"memory of the ledger restored           {grown / 1e6:8.1f} MB")
    assert len(baseline) == ledger.transfer_count


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.image")
    parser.add_argument("--accounts", type=int, default=100_000, help="each with a request id (100,000)")
    parser.add_argument("--transfers", type=int, default=1_000_000, help="with ids of 36 characters (1,000,000)")
    parser.add_argument("--per-entry", type=int, default=64, help="transfers of one log entry (64)")
    parser.add_argument("--restore", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.restore:
        restore(options.restore)
        return 0
    before = resident_bytes(os.getpid())
    ledger = applied(entries(options.accounts, options.transfers, options.per_entry))
    grown = resident_bytes(os.getpid()) - before
    print(f"{ledger.account_count:,} accounts, {ledger.transfer_count:,} transfers, log index {ledger.applied_index:,}")
    print(f"memory of the ledger that applied them  {grown / 1e6:8.1f} MB")
    for use, size in memory_by_use(ledger).items():
        print(f"    {use:<36}{size / 1e6:8.1f} MB {size / ledger.transfer_count:8.1f} bytes a transfer")
    with tempfile.TemporaryDirectory(prefix="bank-bench-") as name:
        save(ledger, Path(name))
        sys.stdout.flush()
        return subprocess.run([sys.executable, "-m", "bench.image", "--restore", name], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
