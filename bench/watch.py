"""See from outside when nodes take snapshots, and how much room they take: by looking at their directories.

A snapshot is under way for as long as its draft is there. Two snapshots on different nodes that overlap are one phase:
who waits for a quorum waits beside either.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import attrs
import trio

from bankd.types import NodeId

LOOK_EVERY_S: Final = 0.004
SIZED_EVERY: Final = 16  # looks: adding up a directory takes longer
DRAFT: Final = Path("snap", "writing.tmp")


@attrs.frozen
class Span:
    """From one moment of `time.perf_counter` to another."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def overlaps(self, other: "Span") -> bool:
        return self.began < other.ended and other.began < self.ended


class Watch:
    """`run` it beside what is watched. `bytes_max` is the most that any node's directory held."""

    def __init__(self, directory: Path, node_ids: Sequence[NodeId]) -> None:
        self.bytes_max = 0
        self._directories = {node_id: directory / node_id for node_id in node_ids}
        self._spans: dict[NodeId, list[Span]] = {node_id: [] for node_id in node_ids}
        self._began: dict[NodeId, float] = {}
        self._looked = time.perf_counter()
        self._changed = trio.Event()

    def spans(self, node_id: NodeId) -> Sequence[Span]:
        """The snapshots that a node took."""
        return self._spans[node_id]

    def rounds(self) -> Iterator[tuple[Span, Span]]:
        """Each phase with a snapshot, but the first, and the one without before it."""
        phases = merged([span for spans in self._spans.values() for span in spans])
        for last, phase in pairwise(phases):
            yield Span(last.ended, phase.began), phase

    async def run(self) -> None:
        looks = 0
        while True:
            self._look()
            if looks % SIZED_EVERY == 0:
                self.bytes_max = max(self.bytes_max, *map(files_bytes, self._directories.values()))
            looks += 1
            await trio.sleep(LOOK_EVERY_S)

    async def wait_begun(self) -> None:
        """Wait until a snapshot is under way anywhere."""
        while not self._began:
            await self._changed.wait()

    async def wait_taken(self, node_id: NodeId, count: int) -> None:
        """Wait until a node has taken so many since this began."""
        while len(self._spans[node_id]) < count:
            await self._changed.wait()

    async def wait_ended(self) -> None:
        """Wait until none is."""
        while self._began:
            await self._changed.wait()

    def _look(self) -> None:
        looked, self._looked = self._looked, time.perf_counter()
        changed = False
        for node_id, directory in self._directories.items():
            writes = (directory / DRAFT).exists()
            if writes != (node_id in self._began):
                changed = True
                if writes:
                    self._began[node_id] = looked  # it may have begun right behind the last look
                else:
                    self._spans[node_id].append(Span(self._began.pop(node_id), self._looked))
        if changed:
            self._changed.set()
            self._changed = trio.Event()


def merged(spans: Sequence[Span]) -> list[Span]:
    """In their order, those that overlap as one."""
    phases: list[Span] = []
    for span in sorted(spans, key=lambda one: one.began):
        if phases and span.overlaps(phases[-1]):
            phases[-1] = Span(phases[-1].began, max(phases[-1].ended, span.ended))
        else:
            phases.append(span)
    return phases


def files_bytes(directory: Path) -> int:
    """What all files below a directory hold; those that go away meanwhile count as nothing."""
    return sum(map(_size_of, directory.rglob("*")))


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
