"""Sockets on which no wait is endless: each has one moment at which all reading and writing ends.

The timeout of a socket counts for each single wait, so that a server that sends a byte now and
then is never late. Here one moment counts for everything until it is moved, and another thread
may end the connection, while it is being made too. It knows no protocol above TCP and TLS.
"""

from __future__ import annotations

import contextlib
import errno
import io
import ipaddress
import os
import queue
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

# How often a wait for a connection looks whether it is still wanted.
_POLL_S = 0.05
_UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, errno.EALREADY}

_Address = tuple[Any, ...]


class TimedSocket:
    """What `http.client` uses of a socket. `ends_at` is a moment of `time.monotonic`."""

    def __init__(self, connected: socket.socket, ends_at: float) -> None:
        self.ends_at = ends_at
        self._socket = connected
        self._readers = 0
        self._is_closed = False

    def sendall(self, data: Any) -> None:
        """Send everything.

        Raises:
            TimeoutError: It took until `ends_at`.
            OSError: The connection is gone.
        """
        self._socket.settimeout(_left_s(self.ends_at))
        self._socket.sendall(data)

    def receive_into(self, buffer: Any) -> int:
        """Read what is there, at least a byte; 0 at the end. Raises as `sendall`."""
        self._socket.settimeout(_left_s(self.ends_at))
        return self._socket.recv_into(buffer)

    def makefile(self, *_arguments: object, **_more: object) -> io.BufferedReader:
        """A reader of bytes; the connection stays open until it is closed as well."""
        self._readers += 1
        return io.BufferedReader(_Reader(self))

    def shutdown(self) -> None:
        """End the connection, from any thread: who reads or writes wakes up."""
        with contextlib.suppress(OSError):
            # Not SSLSocket's own, which takes the state away from under the reading thread.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close, once no reader is left: `http.client` closes while an answer is still read."""
        self._is_closed = True
        if not self._readers:
            self._socket.close()

    def reader_closed(self) -> None:
        """One reader fewer."""
        self._readers -= 1
        if self._is_closed and not self._readers:
            self._socket.close()


class _Reader(io.RawIOBase):
    def __init__(self, source: TimedSocket) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._source.receive_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._source.reader_closed()


def open_socket(
    host: str,
    port: int,
    ends_at: float,
    is_wanted: Callable[[], bool],
    *,
    is_encrypted: bool = False,
) -> TimedSocket:
    """A connection to the first address of `host` that takes one.

    Raises:
        TimeoutError: None was there at `ends_at`.
        OSError: No address takes a connection, TLS fails, or it is no longer wanted.
    """
    failure: OSError = OSError(errno.EADDRNOTAVAIL, "the name has no address")
    for family, address in _addresses(host, port, ends_at, is_wanted):
        try:
            connected = _connected(family, address, ends_at, is_wanted)
        except TimeoutError:
            raise
        except OSError as error:
            failure = error
            continue
        if not is_encrypted:
            return TimedSocket(connected, ends_at)
        with contextlib.ExitStack() as undo:
            undo.callback(connected.close)
            connected.settimeout(_left_s(ends_at))
            secured = ssl.create_default_context().wrap_socket(connected, server_hostname=host)
            undo.pop_all()
        return TimedSocket(secured, ends_at)
    raise failure


def _connected(
    family: int, address: _Address, ends_at: float, is_wanted: Callable[[], bool]
) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    with contextlib.ExitStack() as undo:
        undo.callback(made.close)
        # Head and body of a request go out one after the other: neither waits for an answer.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.settimeout(0)
        code = made.connect_ex(address)
        if code in _UNDER_WAY:
            with selectors.DefaultSelector() as selector:
                selector.register(made, selectors.EVENT_WRITE)
                while not selector.select(_slice_s(ends_at, is_wanted)):
                    pass
            code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        undo.pop_all()
    return made


def _addresses(
    host: str, port: int, ends_at: float, is_wanted: Callable[[], bool]
) -> list[tuple[int, _Address]]:
    """The addresses of a name; a name server may be as silent as any other."""

    def look_up() -> list[tuple[int, _Address]]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found]

    if host == "localhost" or _is_literal(host):
        return look_up()
    answers: queue.SimpleQueue[list[tuple[int, _Address]] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(look_up())
        except UnicodeError:
            answers.put(OSError(errno.EINVAL, "the name cannot be looked up"))
        except OSError as error:
            answers.put(error)

    # It cannot be interrupted, and holds nothing that has to be given back.
    threading.Thread(target=ask, daemon=True, name="look-up").start()
    while True:
        try:
            found = answers.get(timeout=_slice_s(ends_at, is_wanted))
        except queue.Empty:
            continue
        if isinstance(found, OSError):
            raise found
        return found


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _slice_s(ends_at: float, is_wanted: Callable[[], bool]) -> float:
    """How long to wait before the next look; raises once there is nothing to wait for."""
    if not is_wanted():
        raise ConnectionAbortedError(errno.ECONNABORTED, "cancelled")
    return min(_POLL_S, _left_s(ends_at))


def _left_s(ends_at: float) -> float:
    left_s = ends_at - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("it took too long")
    # A socket takes no longer timeout than its clock can hold.
    return min(left_s, 86_400.0)
