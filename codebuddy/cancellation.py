"""One token per request: any thread cancels it, and the request's own thread notices."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from codebuddy.errors import SupersededError

_MAX_EARLY = 256


class CancellationToken:
    """Cancelled once and for all: a token belongs to one request and is never reset."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        # Reentrant, since a callback may ask the token. Held while callbacks run, so that
        # none runs once its context has been left.
        self._lock = threading.RLock()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Cancel the request, from any thread; a second call does nothing."""
        with self._lock:
            if self._cancelled.is_set():
                return
            self._cancelled.set()
            for callback in tuple(self._callbacks):
                callback()

    def check(self) -> None:
        """Do nothing until the token is cancelled.

        Raises:
            SupersededError: It is cancelled.
        """
        if self._cancelled.is_set():
            raise SupersededError("the request was cancelled")

    @contextmanager
    def on_cancel(self, callback: Callable[[], None]) -> Iterator[None]:
        """Inside the context `cancel` calls `callback`, or it is called at once if it is late.

        It runs in the cancelling thread: it must be quick, wait for nothing and raise nothing.
        """
        with self._lock:
            if self._cancelled.is_set():
                callback()
            self._callbacks.append(callback)
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)


class EarlyCancellations:
    """Cancellations that came before their requests, since the two travel apart.

    The oldest are forgotten.
    """

    def __init__(self) -> None:
        self._names: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, client: str, request: str) -> None:
        """The client's request of that name is cancelled; one without a name cannot be told."""
        if not request:
            return
        with self._lock:
            self._names[client, request] = None
            if len(self._names) > _MAX_EARLY:
                self._names.popitem(last=False)

    def take(self, client: str, request: str) -> bool:
        """Whether the request is cancelled; that is forgotten then."""
        with self._lock:
            if (client, request) not in self._names:
                return False
            del self._names[client, request]
            return True
