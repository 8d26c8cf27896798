"""Which texts are names, addresses and quantities, at both edges of what is allowed."""

import pytest

from bankd.config import kinds
from bankd.config.kinds import Unfit, is_loopback, is_unspecified, quoted
from bankd.config.settings import SETTINGS

ADDRESSES = ["127.0.0.1:1", "localhost:65535", "bank-1.example:7401", "[::1]:7401", "[fe80::1]:1"]
NO_ADDRESSES = [
    "",
    "127.0.0.1",
    ":7401",
    "127.0.0.1:",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "127.0.0.1:-1",
    "127.0.0.1:٣",  # a digit to str.isdecimal, and to int
    "::1:7401",
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
