"""Addresses and URLs that people write."""

import pytest

from bankd.client.options import join_address, parse_endpoints, split_address
from bankd.client.url import parse_url


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("db1", "db1", 7401),
        ("db1:9", "db1", 9),
        ("10.0.0.1:7402", "10.0.0.1", 7402),
        ("[::1]", "::1", 7401),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
    ],
)
def test_address_is_read(text: str, host: str, port: int) -> None:
    assert split_address(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["", ":7401", "a:b", "a:", "::1", "a:0", "a:65536", "a b:1", "[::1", "a:1:2", "a/b:1", "a:-1", "a:١"]
)
def test_text_that_is_no_address_is_refused_naming_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not host:port|no port between"):
        split_address(text)


def test_address_survives_splitting_and_joining() -> None:
    for text in ("db1:9", "[::1]:9"):
        assert join_address(*split_address(text)) == text


@pytest.mark.parametrize("endpoints", ["a:1, b:2 ,a:1", ["a:1", "b:2", "a:1"]])
def test_endpoints_are_read_in_order_each_once(endpoints: str | list[str]) -> None:
    assert parse_endpoints(endpoints) == ("a:1", "b:2")


def test_no_endpoints_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no endpoint"):
        parse_endpoints([])


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        (
            "bank://h1:7401,h2:7401/main?timeout=2s",
            {"endpoints": "h1:7401,h2:7401", "cluster": "main", "timeout_s": 2.0},
        ),
        ("bank://h1", {"endpoints": "h1"}),
        (
            "bank://[::1]:9?timeout=150ms&max_in_flight=8",
            {"endpoints": "[::1]:9", "timeout_s": 0.15, "max_in_flight": 8},
        ),
    ],
)
def test_url_is_read(url: str, settings: dict[str, object]) -> None:
    assert parse_url(url) == pytest.approx(settings)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://h1", "does not begin with bank://"),
        ("bank:///main", "names no host"),
        ("bank://h1?timeout=2", "no duration"),
        ("bank://h1?timeout=s", "no duration"),
        ("bank://h1?tiemout=2s", "'tiemout' is no setting"),
        ("bank://h1?max_in_flight=many", "invalid literal"),
    ],
)
def test_url_with_a_mistake_is_refused_naming_it(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_url(url)
