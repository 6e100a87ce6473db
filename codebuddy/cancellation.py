"""One token per request: any thread cancels it, and the request's own thread notices."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from codebuddy.errors import SupersededError


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
