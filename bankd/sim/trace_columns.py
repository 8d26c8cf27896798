"""Lay out notes of a trace as lines: the time, and each note in the column of whom it concerns.

    time (s)     world           n1              n2              clients
       0.812340                  append 4..4@2 -> n2 commit 3
       0.815020                                  write w3 4..4@2
       0.815020                                  append ok 4@2 -> n1 after w3
       0.902117                                                  c1.7 is told moved 4 01

One line a note. A text may run on into the columns to its right, which are empty in its line; what passes the
right edge is cut.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from bankd.types import NodeId

Word = int | str | None
Value = Word | bytes
Note = tuple[int, NodeId, str, tuple[Value, ...]]  # when (ns), in which column, of what kind, with what

WIDTH_MAX: Final = 200
TIME_WIDTH: Final = 13
COLUMN_WIDTH_MAX: Final = 30


def laid_out(columns: Sequence[NodeId], notes: Iterable[Note]) -> list[str]:
    """A line of column heads, then one line a note."""
    width = min(COLUMN_WIDTH_MAX, (WIDTH_MAX - TIME_WIDTH) // len(columns))
    place = {column: TIME_WIDTH + number * width for number, column in enumerate(columns)}
    head = "time (s)".ljust(TIME_WIDTH) + "".join(column.ljust(width) for column in columns)
    return [head.rstrip(), *(_line(place[note[1]], note) for note in notes)]


def _line(place: int, note: Note) -> str:
    at_ns, _, kind, values = note
    time = f"{at_ns // 1_000_000_000}.{at_ns % 1_000_000_000 // 1_000:06d}"
    line = f"{time:>{TIME_WIDTH - 2}}".ljust(place) + text(kind, values)
    return line if len(line) <= WIDTH_MAX else line[: WIDTH_MAX - 3] + "..."


def text(kind: str, values: Sequence[Value]) -> str:
    """A note in words."""
    words = WORDS.get(kind)
    shown = [value.hex() if isinstance(value, bytes) else value for value in values]
    return words(*shown) if words is not None else " ".join([kind, *map(str, shown)])


def _role(role: Word, term: Word, leader: Word, reason: Word) -> str:
    follows = f" of {leader}" if leader is not None and role == "follower" else ""
    return f"{role}@{term}{follows} ({reason})"


def _boot(entries: Word, term: Word, vote: Word) -> str:
    return f"boot log ..{entries} term {term}{_vote(vote)}"


def _write(seq: Word, first: Word, last: Word, entry_term: Word, term: Word, vote: Word) -> str:
    entries = f" {first}..{last}@{entry_term}" if first else ""
    state = f" term {term}{_vote(vote)}" if term else ""
    return f"write w{seq}{entries}{state}"


def _append(to: Word, term: Word, previous: Word, count: Word, commit: Word) -> str:
    assert isinstance(previous, int)
    assert isinstance(count, int)
    entries = f"{previous + 1}..{previous + count}" if count else f"after {previous}"
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


def _call(kind: str) -> Callable[..., str]:
    def words(client: Word, operation: Word, *asked: Word) -> str:
        return " ".join([f"c{client}.{operation} {kind}", *map(str, asked)])

    return words


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
    "open": _call("open"),
    "move": _call("move"),
    "read": _call("read"),
    "answer": _call("is told"),
}
