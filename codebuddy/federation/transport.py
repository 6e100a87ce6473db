"""Server and client as processes: Flower's messages over gRPC, with TLS and a key on both sides.

Flower's newer way (SuperLink and SuperNodes) sends the clients the program that they run; here each
client runs its own codebuddy and takes nothing but numbers, so that its older way is used, which
its version 1.42 still has. Both ends are of that version.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from codebuddy.errors import CodebuddyError, UsageError
from codebuddy.federation.client import Client
from codebuddy.federation.flower import flower
from codebuddy.federation.strategy import HeadStrategy
from codebuddy.inference.http_stream import is_loopback

DEFAULT_PORT = 9440
# Weights of a head take a kilobyte, an adapter of the default model 18 MB.
MAX_MESSAGE_BYTES = 1 << 20
MAX_ADAPTER_BYTES = 128 << 20
_MAX_CLIENTS = 1_000
_FIRST_WAIT_S = 86_400.0
_RETRY_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


@dataclass(frozen=True, slots=True)
class Keys:
    """PEM texts: the authority's certificate, and one's own certificate and key."""

    authority: bytes
    certificate: bytes
    key: bytes


def checked_address(text: str, keys: Keys | None) -> str:
    """HOST:PORT; without keys it must be this machine.

    Raises:
        UsageError: It is no address, or others could read along.
    """
    host, _, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise UsageError(
            f"{text!r} is no address", hint=f"give HOST:PORT, as 127.0.0.1:{DEFAULT_PORT}"
        )
    if keys is None and not is_loopback(bare):
        raise UsageError(
            f"{bare} is not this machine, and without keys anybody could read along",
            hint="'codebuddy federate keys' makes them; give --ca, --cert and --key",
        )
    return text


def serve(
    address: str,
    strategy: HeadStrategy,
    keys: Keys | None,
    round_timeout_s: float,
    on_listening: Callable[[int], None],
    *,
    max_bytes: int = MAX_MESSAGE_BYTES,
) -> None:
    """Wait for clients, run all rounds, and send everybody home.

    Args:
        address: HOST:PORT to listen at; port 0 for any that is free.
        strategy: The rounds' rules and weights.
        keys: Of the server; clients need one of the same authority. None without TLS.
        round_timeout_s: A client that takes longer is left behind, and after the first round no
            longer is waited for clients that are gone.
        on_listening: Called with the port.
        max_bytes: Of a message; a longer one is refused.

    Raises:
        CodebuddyError: The address cannot be had.
    """
    grpc = flower("grpc")
    server_module = flower("flwr.server")
    manager = client_manager(server_module, round_timeout_s)
    listener, port = _listener(grpc, address, keys, manager, max_bytes)
    listener.start()
    on_listening(port)
    running = server_module.Server(client_manager=manager, strategy=strategy)
    try:
        running.fit(num_rounds=strategy.rules.n_rounds, timeout=round_timeout_s)
        running.disconnect_all_clients(timeout=round_timeout_s)
    finally:
        listener.stop(grace=1).wait()


def client_manager(server_module: Any, round_timeout_s: float) -> Any:
    """Flower's register of clients, for rounds that clients come to and leave as they like.

    Clients that come or go while the register is read cost nothing. The first round waits a day
    for its clients, each later one as long as for an answer: Flower's own would wait a day for
    each that left, in each round.

    Args:
        server_module: Flower's.
        round_timeout_s: How long a round waits.
    """
    usual: Any = server_module.SimpleClientManager

    class Register(usual):  # type: ignore[misc]
        has_begun = False

        def all(self) -> dict[str, Any]:
            """The clients of this moment."""
            return dict(self.clients)

        def wait_for(self, num_clients: int, timeout: float = _FIRST_WAIT_S) -> bool:
            """Whether there are so many in time."""
            found = super().wait_for(
                num_clients, min(timeout, round_timeout_s) if self.has_begun else timeout
            )
            self.has_begun = True
            return bool(found)

    return Register()


def take_part(
    address: str,
    client: Client,
    keys: Keys | None,
    on_waiting: Callable[[str], None],
    *,
    max_bytes: int = MAX_MESSAGE_BYTES,
) -> None:
    """Answer the server until it says that all is done; Ctrl-C leaves at any time.

    A server that is not there yet, or went away, is asked again for about a minute.

    Raises:
        CodebuddyError: There is no server to be had, or it refuses the key.
    """
    app = flower("flwr.compat.client.app")
    grpc = flower("grpc")
    waits = iter(_RETRY_S)
    while True:
        try:
            with _own_key(keys, max_bytes):
                app.start_client_internal(
                    server_address=address,
                    node_config={},
                    client=client,
                    insecure=keys is None,
                    root_certificates=None if keys is None else keys.authority,
                    grpc_max_message_length=max_bytes,
                )
        except (grpc.RpcError, StopIteration) as error:
            wait_s = next(waits, None)
            if wait_s is None:
                why = error.details() if isinstance(error, grpc.RpcError) else "it hung up"
                raise CodebuddyError(
                    f"the server {address} cannot be reached: {str(why)[:200]}",
                    hint="is it running, and are --ca, --cert and --key of its authority?",
                ) from error
            on_waiting(f"the server {address} does not answer; trying again")
            time.sleep(wait_s)
        else:
            return


def _listener(
    grpc: Any, address: str, keys: Keys | None, manager: Any, max_bytes: int
) -> tuple[Any, int]:
    servicer = flower("flwr.server.superlink.fleet.grpc_bidi.flower_service_servicer")
    messages = flower("flwr.proto.transport_pb2_grpc")
    listener = grpc.server(
        ThreadPoolExecutor(max_workers=_MAX_CLIENTS),
        maximum_concurrent_rpcs=_MAX_CLIENTS,
        options=[
            ("grpc.max_receive_message_length", max_bytes),
            ("grpc.max_send_message_length", max_bytes),
            ("grpc.so_reuseport", 0),
        ],
    )
    messages.add_FlowerServiceServicer_to_server(servicer.FlowerServiceServicer(manager), listener)
    try:
        if keys is None:
            port = listener.add_insecure_port(address)
        else:
            credentials = grpc.ssl_server_credentials(
                [(keys.key, keys.certificate)], keys.authority, require_client_auth=True
            )
            port = listener.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise CodebuddyError(
            f"{address} cannot be listened at", hint="is the port taken? give another --address"
        ) from error
    return listener, port


@contextmanager
def _own_key(keys: Keys | None, max_bytes: int) -> Iterator[None]:
    """Let Flower's client show its key: its own function for channels takes none."""
    connection = flower("flwr.compat.client.grpc_client.connection")
    grpc = flower("grpc")
    usual = connection.create_channel
    options = [
        ("grpc.max_receive_message_length", max_bytes),
        ("grpc.max_send_message_length", max_bytes),
        ("grpc.enable_http_proxy", 0),
    ]

    def channel(server_address: str, **_: Any) -> Any:
        if keys is None:
            return grpc.insecure_channel(server_address, options=options)
        credentials = grpc.ssl_channel_credentials(keys.authority, keys.key, keys.certificate)
        return grpc.secure_channel(server_address, credentials, options=options)

    connection.create_channel = channel
    try:
        yield
    finally:
        connection.create_channel = usual
