"""Where the HTTP interface listens: this machine alone, unless somebody insists.

Binds exactly the address that was asked for, or fails; never another one.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Iterable

from codebuddy.errors import CodebuddyError, UsageError

_BACKLOG = 64
_LOOPBACK_NAME = "localhost"


def check_address(host: str, *, may_be_remote: bool, has_token: bool) -> str:
    """The address to bind for `host`.

    Raises:
        UsageError: It can be reached from other machines, and that was not allowed, or
            there is no token.
    """
    if host.lower() == _LOOPBACK_NAME:
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise UsageError(
            f"{host} is not an address of this machine", hint="give 127.0.0.1, or another address"
        ) from None
    if address.is_loopback:
        return str(address)
    if not may_be_remote:
        raise UsageError(
            f"{host} can be reached from other machines",
            hint="use 127.0.0.1; --allow-remote if you are sure (nothing is encrypted)",
        )
    if not has_token:
        raise UsageError("--no-token serves this machine alone", hint="leave out --no-token")
    return str(address)


def listen(address: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        CodebuddyError: The port is taken or may not be used.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise CodebuddyError(f"no socket can be opened: {error.strerror}") from error
    try:
        if os.name == "posix":
            # A port whose last user just ended can be used again; one in use still cannot.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        is_taken = error.errno == errno.EADDRINUSE
        raise CodebuddyError(
            f"port {port} of {address} is taken"
            if is_taken
            else f"cannot listen on port {port} of {address}: {error.strerror}",
            hint="give another one with --port, or end the program that has it",
        ) from error
    return listener


def hosts_of(address: str, port: int, names: Iterable[str] = ()) -> frozenset[str]:
    """The values of a Host header that mean this server, exactly.

    Args:
        address: What is listened on.
        port: Its port.
        names: Further names that the user says are this machine's.
    """
    shown = f"[{address}]" if ":" in address else address
    is_any = ipaddress.ip_address(address).is_unspecified
    known = {name.lower() for name in names} | ({"127.0.0.1"} if is_any else {shown})
    if is_any or address == "127.0.0.1":
        known.add(_LOOPBACK_NAME)
    hosts = {f"{name}:{port}" for name in known}
    # The port may be left out where it is HTTP's own.
    return frozenset(hosts | known if port == 80 else hosts)
