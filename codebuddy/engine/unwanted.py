"""Cancellations that came before the calls that they are for. Standard library only.

A call and its cancellation travel apart, so that either may be the first to arrive.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

_MAX_KEPT = 256


class UnwantedCalls:
    """Names of calls that are to end as soon as they come; the oldest are forgotten."""

    def __init__(self) -> None:
        self._names: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, client: str, request: str) -> None:
        """The client's call of that name is not wanted; one without a name cannot be told."""
        if not request:
            return
        with self._lock:
            self._names[client, request] = None
            if len(self._names) > _MAX_KEPT:
                self._names.popitem(last=False)

    def take(self, client: str, request: str) -> bool:
        """Whether the call is not wanted; it is forgotten then."""
        with self._lock:
            if (client, request) not in self._names:
                return False
            del self._names[client, request]
            return True
