"""Run the gateway process: open the port, serve until told to stop, drain, exit.

Shutdown, in order: the health turns NOT_SERVING; gRPC takes no new calls; calls under way may finish
within `limits.drain_timeout`; the client is left, which ends the calls that remain with an error that
says whether they may have taken effect; gRPC gets a moment to send those. A second signal skips the
waiting. A call is never cut off without an answer, because a cut-off looks like "not done" to some
gRPC libraries.
"""

import asyncio
import logging
import signal
import socket
from typing import Final

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bankd.client.aio_driver import AioDriver
from bankd.client.options import ClientOptions, parse_endpoints
from bankd.config import Config
from bankd.errors import AddressUnusable, Exit
from bankd.gateway.door import SERVICES, Door
from bankd.gateway.health import SERVICE_NAME, HealthService, keep_probing
from bankd.gateway.service import BankGateway

# The widest valid batch is about 3.3 MiB. What is between that and this gets our INVALID_ARGUMENT with the
# limit in words (K16); what is beyond, gRPC refuses by its size alone, before it takes memory.
MESSAGE_BYTES_MAX: Final = 16 * 2**20

LAST_ANSWERS_S: Final = 1.0  # to send the answers of calls that were ended when the drain time was over

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),  # or two gateways would share one port without a word
)
_log = logging.getLogger(__name__)


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT, then drain and return the exit code.

    Raises:
      AddressUnusable: `gateway.listen` is taken, or no address of this machine.
    """
    check_address(config.gateway.listen)
    return asyncio.run(_serve(config))


async def _serve(config: Config) -> int:
    stop = _StopSignals()
    async with AioDriver(_client_options(config)) as client:
        health = HealthService(tuple(SERVICES))
        server = make_server(Door(BankGateway(client), in_flight_max=config.limits.max_in_flight), health)
        open_port(server, config.gateway.listen)
        await server.start()
        _log.info("gateway_serving address=%s cluster=%s", config.gateway.listen, config.cluster.name)
        async with asyncio.TaskGroup() as background:
            probing = background.create_task(keep_probing(client, health))
            await stop.first.wait()
            probing.cancel()
        health.close()
        stopping = await _drain(server, stop, config.limits.drain_timeout_s)
    # Leaving the client has ended the calls that were left; their answers are still to be sent.
    await asyncio.gather(stopping, server.stop(LAST_ANSWERS_S))
    _log.info("gateway_stopped")
    return Exit.OK


def _client_options(config: Config) -> ClientOptions:
    return ClientOptions(
        parse_endpoints(config.gateway.endpoints),
        cluster=config.cluster.name,
        max_in_flight=config.limits.max_in_flight + 1,  # the door's bound, and the health probe
    )


def make_server(door: Door, health: HealthService) -> grpc.aio.Server:
    """All services of the gateway, on no port yet. Belongs to the running event loop."""
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers(door.handlers())
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection((*SERVICES, SERVICE_NAME, reflection.SERVICE_NAME), server)
    return server


def check_address(address: str) -> None:
    """Try the address with a socket of our own, before gRPC does: it would write lines to stderr and give no reason.

    Raises:
      AddressUnusable: with the reason and what to do.
    """
    host, _, port = address.rpartition(":")
    try:
        family, _, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen()  # SO_REUSEADDR lets a bind through that only listen() refuses
    except OSError as error:
        why = error.strerror or str(error)
        raise AddressUnusable(f"cannot listen on {address}: {why} (set gateway.listen to a free address)") from None


def open_port(server: grpc.aio.Server, address: str) -> int:
    """Bind and return the port, which the system chooses where `address` ends in ":0".

    Raises:
      AddressUnusable: it was lost since the check, or gRPC cannot take what a socket can.
    """
    try:
        return int(server.add_insecure_port(address))
    except RuntimeError as error:
        raise AddressUnusable(f"cannot listen on {address}: {error}") from None


async def _drain(server: grpc.aio.Server, stop: "_StopSignals", drain_timeout_s: float) -> asyncio.Task[None]:
    """Take no new calls, and wait for those under way: until they end, the time is over or a second signal comes.

    Returns the task that waits on for what may be left.
    """
    _log.info("gateway_draining timeout_s=%s", drain_timeout_s)
    stopping = asyncio.create_task(server.stop(drain_timeout_s + LAST_ANSWERS_S))
    hurried = asyncio.create_task(stop.second.wait())
    await asyncio.wait((stopping, hurried), timeout=drain_timeout_s, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    return stopping


class _StopSignals:
    """SIGTERM and SIGINT as events: the first asks for a drain, the second for haste."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        (self.second if self.first.is_set() else self.first).set()
