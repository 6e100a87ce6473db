"""Bounded priority queue, round-robin between clients.

A plain data structure: it waits for nothing and knows no sockets. Priorities are served in
their order (`protocol.PRIORITIES`); within one, clients take turns, and of one client the
older request comes first. A client's newest `typing` request supersedes its older ones,
since a suggestion for a changed text is useless; its newest `background`
request supersedes the older one too, which was a guess at what comes next.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, Protocol, TypeVar

from codebuddy.errors import EngineBusyError
from codebuddy.service.request import PRIORITIES

_SUPERSEDING = ("typing", "background")


class Queued(Protocol):
    """What the queue needs to know of a request."""

    @property
    def client(self) -> str:
        """Whose it is."""
        ...

    @property
    def priority(self) -> str:
        """One of `protocol.PRIORITIES`."""
        ...


Item = TypeVar("Item", bound=Queued)


class RequestQueue(Generic[Item]):
    """Requests that wait.

    Args:
        max_length: How many may wait.
    """

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        # For each priority, each client's waiting requests; the client at the front is next.
        self._turns: dict[str, OrderedDict[str, deque[Item]]] = {
            priority: OrderedDict() for priority in PRIORITIES
        }

    def __len__(self) -> int:
        return sum(len(line) for turns in self._turns.values() for line in turns.values())

    def put(self, item: Item) -> list[Item]:
        """Let `item` wait.

        Returns:
            The requests that it supersedes, or that had to leave for it; they wait no more.

        Raises:
            EngineBusyError: The queue is full, and of nothing less urgent.
        """
        left = self._superseded_by(item)
        if len(self) >= self._max_length:
            evicted = self._youngest("background") if item.priority != "background" else None
            if evicted is None:
                raise EngineBusyError(
                    f"the engine is busy: {self._max_length} requests wait already",
                    hint="try again in a moment, or see 'codebuddy engine status'",
                )
            left.append(evicted)
        self._turns[item.priority].setdefault(item.client, deque()).append(item)
        return left

    def take(self) -> Item | None:
        """The next request, or `None` if none waits."""
        for turns in self._turns.values():
            if turns:
                client, line = turns.popitem(last=False)
                item = line.popleft()
                if line:
                    # Back to the end: the other clients come first.
                    turns[client] = line
                return item
        return None

    def remove(self, item: Item) -> bool:
        """Take `item` out; whether it was waiting."""
        turns = self._turns[item.priority]
        line = turns.get(item.client)
        if line is None or item not in line:
            return False
        line.remove(item)
        if not line:
            del turns[item.client]
        return True

    def of_client(self, client: str) -> list[Item]:
        """All that wait for `client`, the most urgent first."""
        return [item for turns in self._turns.values() for item in turns.get(client, ())]

    def _superseded_by(self, item: Item) -> list[Item]:
        if item.priority not in _SUPERSEDING or not item.client:
            return []
        return list(self._turns[item.priority].pop(item.client, ()))

    def _youngest(self, priority: str) -> Item | None:
        turns = self._turns[priority]
        if not turns:
            return None
        client, line = next(reversed(turns.items()))
        item = line.pop()
        if not line:
            del turns[client]
        return item
