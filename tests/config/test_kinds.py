"""Which texts are names, addresses and quantities, at both edges of what is allowed."""

import pytest

from bankd.config import kinds
from bankd.config.kinds import Unfit, is_loopback, is_unspecified, quoted
from bankd.config.settings import SETTINGS
from bankd.types import ClusterId, Incarnation
from bankd.wire.frames import HELLO_BYTES_MAX
from bankd.wire.hello import Endpoint, Hello, PeerRole, encode_hello

ADDRESSES = ["127.0.0.1:1", "localhost:65535", "bank-1.example:7401", "[::1]:7401", "[fe80::1]:1", f"{'h' * 253}:65535"]
NO_ADDRESSES = [
    "",
    "127.0.0.1",
    ":7401",
    "127.0.0.1:",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "127.0.0.1:-1",
    "127.0.0.1:٣",  # a digit to str.isdecimal, and to int
    "127.0.0.1:007401",
    "::1:7401",
    f"[{':' * 46}]:7401",
    f"{'h' * 254}:7401",
    "a b:1",
    "-a:1",
    "a\n:1",
    7401,
    None,
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_address_is_taken_as_it_stands(address: str) -> None:
    assert kinds.ADDRESS.parse(address) == address


@pytest.mark.parametrize("value", NO_ADDRESSES)
def test_what_is_no_address_is_refused(value: object) -> None:
    with pytest.raises(Unfit, match="is not an address"):
        kinds.ADDRESS.parse(value)


NAMES = ["n1", "N", "a.b_c-d", "9", "x" * 64]
NO_NAMES = ["", ".a", "-a", "a b", "a/b", "ä", "x" * 65, "a\n", 1]


@pytest.mark.parametrize("name", NAMES)
def test_name_is_taken_as_it_stands(name: str) -> None:
    assert kinds.NODE_NAME.parse(name) == name


@pytest.mark.parametrize("value", NO_NAMES)
def test_what_is_no_name_is_refused(value: object) -> None:
    with pytest.raises(Unfit, match="is not a name"):
        kinds.NODE_NAME.parse(value)


def members(count: int) -> list[object]:
    """The first members of a cluster, their ids and addresses as long as they may be."""
    return [f"{number:064}={f'{number:03}'.ljust(253, 'h')}:65535" for number in range(count)]


def test_members_of_the_largest_cluster_with_the_longest_names_fit_into_the_hello() -> None:
    addresses = kinds.NODES.parse(members(kinds.MEMBERS_MAX))
    (first, address), *_ = addresses.items()
    hello = Hello(
        PeerRole.PEER,
        cluster=kinds.CLUSTER_NAME.parse("c" * 64),
        cluster_id=ClusterId(2**64 - 1),
        node_id=first,
        incarnation=Incarnation(2**64 - 1),
        version_min=2**32 - 1,
        version_max=2**32 - 1,
        features=2**64 - 1,
        software="bankd 1000.1000.1000",
        leader_id=first,
        leader_address=address,
        endpoints=tuple(Endpoint(*member) for member in addresses.items()),
    )
    assert len(encode_hello(hello)) <= HELLO_BYTES_MAX


def test_larger_cluster_is_refused() -> None:
    with pytest.raises(Unfit, match="10 nodes are too many"):
        kinds.NODES.parse(members(kinds.MEMBERS_MAX + 1))


EDGES = [
    ("raft.heartbeat", ["10ms", "10s", "0.5s"], ["9ms", "10.001s", "1e1s", "-1s", "1 s", "1S", "s", "1", ""]),
    ("raft.election_timeout", ["50ms", "1m"], ["49ms", "61s"]),
    ("storage.segment_size", ["64KiB", "4GiB"], ["65535B", "4097MiB", "64kib"]),
    ("storage.min_free", ["0B", "1024TiB"], ["1025TiB", "0", "٣B"]),
    ("limits.max_in_flight", [1, 1_000_000], [0, 1_000_001, -1, 1.0, "1", True]),
    ("limits.drain_timeout", ["0s", "10m"], ["601s", "1h"]),
]


@pytest.mark.parametrize(("key", "inside", "outside"), EDGES)
def test_bounds_belong_to_what_is_allowed(key: str, inside: list[object], outside: list[object]) -> None:
    for value in inside:
        SETTINGS[key].kind.parse(value)
    for value in outside:
        with pytest.raises(Unfit):
            SETTINGS[key].kind.parse(value)


def test_loopback_and_every_interface_are_told_apart() -> None:
    assert [is_loopback(address) for address in ("127.0.0.2:1", "[::1]:1", "localhost:1", "10.0.0.1:1", "db:1")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert [is_unspecified(address) for address in ("0.0.0.0:1", "[::]:1", "127.0.0.1:1", "db:1")] == [
        True,
        True,
        False,
        False,
    ]


def test_values_are_shown_as_toml_would_write_them() -> None:
    shown = [quoted(value) for value in ('a"b\\', "a\nb", True, 3, ["a", 1], {"a": 1})]
    assert shown == ['"a\\"b\\\\"', "'a\\nb'", "true", "3", '["a", 1]', "a table"]
