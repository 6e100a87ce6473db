"""Leases of a shared resource: the last release closes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Leases:
    """Who uses a thing now. Safe from several threads.

    Args:
        close: Closes it; called once, when its owner has released it and no lease is left.
    """

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._lock = threading.Lock()
        self._n_leases = 0
        self._is_released = False

    @property
    def is_closed(self) -> bool:
        """Whether it is closed, or about to be."""
        with self._lock:
            return self._is_released and not self._n_leases

    def release(self) -> None:
        """The owner needs it no longer."""
        with self._lock:
            is_first, self._is_released = not self._is_released, True
            should_close = is_first and not self._n_leases
        if should_close:
            self._close()

    @contextmanager
    def lease(self) -> Iterator[bool]:
        """Keep it open inside the context; yields False where it is closed already."""
        with self._lock:
            is_open = not (self._is_released and not self._n_leases)
            self._n_leases += is_open
        try:
            yield is_open
        finally:
            with self._lock:
                self._n_leases -= is_open
                should_close = is_open and self._is_released and not self._n_leases
            if should_close:
                self._close()
