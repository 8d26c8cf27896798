"""Lay out notes of a trace as lines: the time, and each note in the column of whom it concerns.

   time (s)  world  n1  n2  clients
   0.812340  |      append 4@2 -> n2 commit 3
   0.815020  |      |   write w3 4@2
   0.815020  |      |   append ok 4@2 -> n1 after w3
   0.902117  |      |   |   c1.7 is told ok at 4

A line holds one note, so columns may be narrow: a text runs on to the right, and the bars lead from it up to the head
of its column. What comes to the edge of the page goes on in the next line; nothing is cut off.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from textwrap import TextWrapper
from typing import Final

import attrs

from bankd.types import NodeId

Word = int | str | None
Value = Word | bytes
Note = tuple[int, NodeId, str, tuple[Value, ...]]  # when (ns), in which column, of what kind, with what

WIDTH: Final = 120  # of a page of which nothing is known
TIME_WIDTH: Final = 13
COLUMN_WIDTH_MAX: Final = 24
LAST_WIDTH: Final = 38  # most calls and answers are shorter
TEXT_WIDTH_MIN: Final = 20  # on a page too narrow for all columns, which lines then leave on the right
GAP: Final = "  "
ROW_WORDS: Final = 4  # of one row of a move


def laid_out(columns: Sequence[NodeId], notes: Iterable[Note], width: int) -> list[str]:
    """A line of column heads, then one line a note, or more where it is longer than the page is wide."""
    step = min((width - TIME_WIDTH - LAST_WIDTH) // len(columns), COLUMN_WIDTH_MAX)
    widths = [max(step, len(column) + len(GAP)) for column in columns]
    bars = accumulate(("|".ljust(column_width) for column_width in widths), initial="")
    layouts = {column: _Layout(before, width) for column, before in zip(columns, bars, strict=False)}
    heads = [column.ljust(column_width) for column, column_width in zip(columns, widths, strict=True)]
    head = _timed("time (s)") + "".join(heads)
    return [head.rstrip(), *(line for note in notes for line in layouts[note[1]].lines(note))]


@attrs.define
class _Layout:
    """How a column is laid out: behind the bars of those to its left."""

    bars: str
    width: int
    _wrapper: TextWrapper = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        room = max(self.width - TIME_WIDTH - len(self.bars), TEXT_WIDTH_MIN)
        self._wrapper = TextWrapper(room, subsequent_indent=GAP, break_on_hyphens=False)

    def lines(self, note: Note) -> Iterator[str]:
        at_ns, _, kind, values = note
        time = f"{at_ns // 1_000_000_000}.{at_ns % 1_000_000_000 // 1_000:06d}"
        for line in self._wrapper.wrap(text(kind, values)):
            yield _timed(time) + self.bars + line
            time = ""


def _timed(time: str) -> str:
    return time.rjust(TIME_WIDTH - len(GAP)) + GAP


def text(kind: str, values: Sequence[Value]) -> str:
    """A note in words."""
    words = WORDS.get(kind)
    shown = [value.hex() if isinstance(value, bytes) else value for value in values]
    return words(*shown) if words is not None else " ".join([kind, *map(str, shown)])


def _role(role: Word, term: Word, leader: Word, reason: Word) -> str:
    follows = f" of {leader}" if leader is not None and role == "follower" else ""
    return f"{role}@{term}{follows} ({reason})"


def _boot(base: Word, last: Word, snapshot: Word, term: Word, vote: Word) -> str:
    begin = f"snapshot {snapshot} " if snapshot else ""
    return f"boot {begin}log {base or ''}..{last} term {term}{_vote(vote)}"


def _write(seq: Word, base: Word, first: Word, last: Word, entry_term: Word, term: Word, vote: Word) -> str:
    begun = f" anew behind {base}" if base else ""
    entries = f" {_range(first, last)}@{entry_term}" if first else ""
    state = f" term {term}{_vote(vote)}" if term else ""
    return f"write w{seq}{begun}{entries}{state}"


def _append(to: Word, term: Word, previous: Word, count: Word, commit: Word) -> str:
    assert isinstance(previous, int)
    assert isinstance(count, int)
    entries = _range(previous + 1, previous + count) if count else f"after {previous}"
    return f"append {entries}@{term} -> {to} commit {commit}"


def _ask(kind: str) -> Callable[..., str]:
    def words(to: Word, term: Word, last_index: Word, last_term: Word, write: Word) -> str:
        return f"{kind} @{term} with {last_index}@{last_term} -> {to}{_after(write)}"

    return words


def _say(kind: str) -> Callable[..., str]:
    def words(to: Word, term: Word, write: Word) -> str:
        return f"{kind} @{term} -> {to}{_after(write)}"

    return words


def _acknowledge(kind: str) -> Callable[..., str]:
    def words(to: Word, term: Word, index: Word, write: Word) -> str:
        return f"{kind} {index}@{term} -> {to}{_after(write)}"

    return words


def _read_index(to: Word, term: Word, index: Word, refused: Word) -> str:
    return f"read index {'refused' if refused else index} @{term} -> {to}"


def _ask_read_index(to: Word, term: Word) -> str:
    return f"ask read index @{term} -> {to}"


def _send_snapshot(to: Word, term: Word, index: Word, begin: Word, end: Word, size: Word) -> str:
    asks = f"ask for receipt of snapshot {index}"
    sends = f"send snapshot {index} bytes {begin}..{end} of {size}"
    return f"{asks if begin == end else sends} @{term} -> {to}"


def _durable_snapshot(kind: str) -> Callable[..., str]:
    def words(index: Word, size: Word, covered: Word) -> str:
        return f"{kind} snapshot {index} ({size} bytes)" + (f", log behind {covered}" if covered else "")

    return words


def _call(client: Word, operation: Word, kind: Word, *asked: Word) -> str:
    rows_more = len(asked) // ROW_WORDS - 1 if kind == "move" else 0
    shown = [*asked[:ROW_WORDS], f"and {rows_more} more"] if rows_more else asked
    return " ".join([f"c{client}.{operation} {kind}", *map(str, shown)])


def _answer(client: Word, operation: Word, *told: Word) -> str:
    return " ".join([f"c{client}.{operation} is told", *map(str, told)])


def _range(first: Word, last: Word) -> str:
    return f"{first}" if first == last else f"{first}..{last}"


def _after(write: Word) -> str:
    return f" after w{write}" if write else ""


def _vote(vote: Word) -> str:
    return "" if vote is None else f" vote {vote}"


WORDS: Final[Mapping[str, Callable[..., str]]] = {
    "role": _role,
    "boot": _boot,
    "write": _write,
    "durable": lambda seq: f"durable w{seq}",
    "append": _append,
    "append ok": _acknowledge("append ok"),
    "append no": _acknowledge("append no"),
    "ask vote": _ask("ask vote"),
    "ask pre-vote": _ask("ask pre-vote"),
    "vote yes": _say("vote yes"),
    "vote no": _say("vote no"),
    "pre-vote yes": _say("pre-vote yes"),
    "pre-vote no": _say("pre-vote no"),
    "read index": _read_index,
    "ask read index": _ask_read_index,
    "send snapshot": _send_snapshot,
    "has snapshot": lambda to, term, size: f"has {size} bytes of it @{term} -> {to}",
    "sealed snapshot": _durable_snapshot("sealed"),
    "received snapshot": _durable_snapshot("received"),
    "call": _call,
    "answer": _answer,
}
