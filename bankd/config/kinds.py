"""Turn a TOML value into the value that the program uses, or say what would be right.

A kind is a parser with its words. Parsers take what tomllib gives (str, int, float, bool, list,
dict, dates) and raise `Unfit`; the message names the value found and, in brackets, what to write
instead. Durations become seconds, sizes bytes.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Final, Generic, TypeVar

import attrs

from bankd.types import NodeId

T_co = TypeVar("T_co", covariant=True)

SECONDS_PER_UNIT: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
BYTES_PER_UNIT: Final = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # part of file names, log lines and the Hello frame
HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]")
PORT: Final = re.compile(r"[0-9]{1,5}")
# More voters make no cluster safer in practice, only slower. It also bounds the Hello, which names every member in 4,096
# bytes: with ids of 64 bytes and addresses of 259 a member takes 331, nine of them and all else about 3,700.
MEMBERS_MAX: Final = 9


class Unfit(ValueError):
    """A value cannot be used. Raised by a kind's parser, caught in load.py, where it becomes one fault."""


def verbatim(text: str) -> object:
    return text


@attrs.frozen
class Kind(Generic[T_co]):
    """How values of one kind are written, read and called.

    `from_text` prepares what came as bare text, from the environment or a flag, for `parse`.
    `unset` stands where a key has no value and none is required.
    """

    words: str
    parse: Callable[[object], T_co]
    unset: T_co
    from_text: Callable[[str], object] = verbatim


def quoted(value: object) -> str:
    """Show a value as TOML would."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"' if escaped.isprintable() else ascii(value)
        case list():
            return f"[{', '.join(map(quoted, value))}]"
        case dict():
            return "a table"
        case _:
            return str(value)


# Names and addresses


def parse_text(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise Unfit(f"{quoted(value)} is not a printable text in quotes")
    return value


def parse_name(value: object) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise Unfit(f'{quoted(value)} is not a name (1 to 64 letters, digits, ".", "_", "-", as in "n1")')
    return value


def parse_address(value: object) -> str:
    if isinstance(value, str):
        host, _, port = value.rpartition(":")
        if HOST.fullmatch(host) and PORT.fullmatch(port) and 1 <= int(port) <= 65535:
            return value
    raise Unfit(f'{quoted(value)} is not an address (host and port, as in "127.0.0.1:7401" or "[::1]:7401")')


def parse_optional_address(value: object) -> str:
    return "" if value == "" else parse_address(value)


def host_of(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def is_loopback(address: str) -> bool:
    host = host_of(address)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_unspecified(address: str) -> bool:
    """Whether the address means "every interface": fit to listen on, no address to dial."""
    try:
        return ip_address(host_of(address)).is_unspecified
    except ValueError:
        return False


def parse_list(value: object) -> list[object]:
    if not isinstance(value, list) or not value:
        raise Unfit(f"{quoted(value)} is not a list with at least one entry (write [...])")
    return value


def parse_addresses(value: object) -> tuple[str, ...]:
    return tuple(parse_address(item) for item in parse_list(value))


def parse_nodes(value: object) -> Mapping[NodeId, str]:
    nodes: dict[NodeId, str] = {}
    for item in parse_list(value):
        name, equals, address = item.partition("=") if isinstance(item, str) else ("", "", "")
        if not equals:
            raise Unfit(f'{quoted(item)} does not name a node (write "id=host:port")')
        node_id = NodeId(parse_name(name))
        if node_id in nodes:
            raise Unfit(f"{node_id} is listed twice (each node once)")
        nodes[node_id] = parse_address(address)
    if len(nodes) > MEMBERS_MAX:
        raise Unfit(f"{len(nodes)} nodes are too many (a cluster has 1 to {MEMBERS_MAX})")
    return nodes


def split_list(text: str) -> object:
    return [item.strip() for item in text.split(",") if item.strip()]


TEXT: Final = Kind("text", parse_text, "")
NODE_NAME: Final = Kind("name", lambda value: NodeId(parse_name(value)), NodeId(""))
CLUSTER_NAME: Final = Kind("name", parse_name, "")
ADDRESS: Final = Kind("address", parse_address, "")
OPTIONAL_ADDRESS: Final = Kind("address", parse_optional_address, "")
ADDRESSES: Final = Kind[tuple[str, ...]]("list of addresses", parse_addresses, (), split_list)
NODES: Final = Kind[Mapping[NodeId, str]](f'list of 1 to {MEMBERS_MAX} "id=host:port"', parse_nodes, {}, split_list)


# Quantities


def parse_quantity(value: object, units: Mapping[str, float], what: str, samples: str) -> float:
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([A-Za-z]+)", value) if isinstance(value, str) else None
    if found is None or found[2] not in units:
        raise Unfit(f"{quoted(value)} is not a {what} ({samples})")
    return float(found[1]) * units[found[2]]


def parse_duration_s(value: object) -> float:
    return parse_quantity(value, SECONDS_PER_UNIT, "duration", 'a number and ms, s, m or h, as in "150ms"')


def parse_size_bytes(value: object) -> int:
    return int(parse_quantity(value, BYTES_PER_UNIT, "size", 'a number and B, KiB, MiB, GiB or TiB, as in "64MiB"'))


def parse_whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unfit(f"{quoted(value)} is not a whole number (write it without quotes)")
    return value


def parse_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Unfit(f"{quoted(value)} is neither true nor false (write it without quotes)")
    return value


def whole_from_text(text: str) -> object:
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text


def flag_from_text(text: str) -> object:
    return {"true": True, "false": False}.get(text, text)


FLAG: Final = Kind("true or false", parse_flag, False, flag_from_text)


def duration(least: str, most: str) -> Kind[float]:
    return bounded(Kind("duration", parse_duration_s, 0.0), least, most)


def size(least: str, most: str) -> Kind[int]:
    return bounded(Kind("size", parse_size_bytes, 0), least, most)


def whole(least: int, most: int) -> Kind[int]:
    return bounded(Kind("whole number", parse_whole, 0, whole_from_text), least, most)


N = TypeVar("N", int, float)


def bounded(kind: Kind[N], least: object, most: object) -> Kind[N]:
    low, high = kind.parse(least), kind.parse(most)

    def parse(value: object) -> N:
        parsed = kind.parse(value)
        if not low <= parsed <= high:
            raise Unfit(f"{quoted(value)} is out of bounds (from {least} to {most})")
        return parsed

    return attrs.evolve(kind, words=f"{kind.words}, {least} to {most}", parse=parse)


def choice(*words: str) -> Kind[str]:
    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise Unfit(f"{quoted(value)} is not known (one of {', '.join(words)})")
        return value

    return Kind(f"one of {', '.join(words)}", parse, words[0])
