"""What a client was told at its making, checked once."""

import re
from collections.abc import Sequence
from typing import Final

import attrs

from bankd.client.retry import RetryPolicy
from bankd.types import LINEARIZABLE, ClusterId, ReadMode

DEFAULT_ENDPOINT: Final = "127.0.0.1:7401"
DEFAULT_PORT: Final = 7401
TIMEOUT_S: Final = 5.0  # covers every try; an election takes 1 to 2 s, so one failover fits in
IN_FLIGHT_MAX: Final = 256  # calls that may wait for answers at once; more wait for their turn
BATCH_SIZE: Final = 1000  # rows of one request of transfer_many
ONE_TRY: Final = RetryPolicy(tries_max=1)

_ADDRESS: Final = re.compile(
    r"(?:\[(?P<v6>[^\s\[\]/,]*:[^\s\[\]/,]*)\]|(?P<host>[^\s:\[\]/,]+))(?::(?P<port>[0-9]{1,5}))?"
)


@attrs.frozen
class ClientOptions:
    """`follow_leader` is off for a client that must speak to exactly the node it was given. `cluster_id` 0: of the
    cluster that greets it first."""

    endpoints: tuple[str, ...]
    cluster: str | None = None
    timeout_s: float = attrs.field(default=TIMEOUT_S, validator=attrs.validators.gt(0.0))
    retry: RetryPolicy = attrs.field(factory=RetryPolicy)
    read: ReadMode = LINEARIZABLE
    max_in_flight: int = attrs.field(default=IN_FLIGHT_MAX, validator=attrs.validators.ge(1))
    follow_leader: bool = True
    cluster_id: ClusterId = ClusterId(0)

    def limit_s(self, timeout_s: float | None) -> float:
        """The time that a call has: its own, or the client's."""
        return self.timeout_s if timeout_s is None else timeout_s

    def pinned_to(
        self, address: str, cluster_id: ClusterId = ClusterId(0), retry: RetryPolicy = ONE_TRY
    ) -> "ClientOptions":
        """The same, for exactly the node at `address`. Without `retry`, if it cannot be reached, that is the answer."""
        return attrs.evolve(
            self, endpoints=parse_endpoints(address), retry=retry, follow_leader=False, cluster_id=cluster_id
        )


def parse_endpoints(endpoints: str | Sequence[str]) -> tuple[str, ...]:
    """Addresses as host:port in the order given, each once.

    Takes one address, several with commas between, or a sequence; a missing port means 7401.

    Raises:
      ValueError: there is none, or one cannot be an address.
    """
    texts = endpoints.split(",") if isinstance(endpoints, str) else endpoints
    addresses = tuple(dict.fromkeys(join_address(*split_address(text.strip())) for text in texts))
    if not addresses:
        raise ValueError("no endpoint was given")
    return addresses


def split_address(text: str) -> tuple[str, int]:
    """Host and port of "host", "host:port", "[v6]" or "[v6]:port".

    Raises:
      ValueError: it is none of these.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not host:port")
    port = int(match["port"] or DEFAULT_PORT)
    if not 0 < port < 65536:
        raise ValueError(f"{text!r} has no port between 1 and 65535")
    return match["v6"] or match["host"], port


def join_address(host: str, port: int) -> str:
    """The one spelling of an address: host:port, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
