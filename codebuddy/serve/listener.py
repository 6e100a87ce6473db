"""Listening socket of the HTTP server; loopback unless `--allow-remote` is given.

Binds exactly the address that was asked for, or fails; never another one.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Iterable
from pathlib import Path

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
        if error.errno == errno.EADDRINUSE:
            raise _taken(address, port) from error
        raise CodebuddyError(
            f"cannot listen on port {port} of {address}: {error.strerror}",
            hint="give another one with --port",
        ) from error
    return listener


def _taken(address: str, port: int) -> CodebuddyError:
    """Who has the port: what another user's program listens on, editors must not ask."""
    user = user_listening(port)
    if user is None or not hasattr(os, "geteuid") or user == os.geteuid():
        return CodebuddyError(
            f"port {port} of {address} is taken",
            hint="give another one with --port, or end the program that has it",
        )
    return CodebuddyError(
        f"port {port} of {address} is taken by a program of another user ({user}), which gets the "
        "code and the token of every editor that is set up for this port",
        hint="give another one with --port, and set your editors up for that one",
    )


def user_listening(port: int) -> int | None:
    """The user id of the program that listens on a TCP port here; None where unknown."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                # The local address, the state (0A listens) and the user.
                if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "0A":
                    return int(fields[7])
    return None


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
