"""Who is served next."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from codebuddy.engine.queue import RequestQueue
from codebuddy.errors import EngineBusyError


@dataclass(frozen=True)
class Wish:
    name: str
    client: str
    priority: str = "ask"


def emptied(queue):
    """The names of what waits, in the order of service."""
    names = []
    while (item := queue.take()) is not None:
        names.append(item.name)
    return names


def test_clients_take_turns_and_each_is_served_in_order():
    """A client with many requests does not keep the others waiting."""
    queue: RequestQueue[Wish] = RequestQueue(10)
    for name, client in [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("c1", "c")]:
        assert queue.put(Wish(name, client)) == []
    assert emptied(queue) == ["a1", "b1", "c1", "a2", "a3"]


def test_typing_comes_before_asking_and_both_before_background():
    """The urgent is served first, whoever came first."""
    queue: RequestQueue[Wish] = RequestQueue(10)
    for name, priority in [("later", "background"), ("ask", "ask"), ("type", "typing")]:
        queue.put(Wish(name, name, priority))
    assert emptied(queue) == ["type", "ask", "later"]


def test_the_newest_typing_request_of_a_client_supersedes_its_older_ones():
    """Nobody looks at a suggestion for a text that has changed; other clients are left alone."""
    queue: RequestQueue[Wish] = RequestQueue(10)
    old, other, asked = Wish("old", "a", "typing"), Wish("other", "b", "typing"), Wish("ask", "a")
    for item in (old, other, asked):
        queue.put(item)
    assert queue.put(Wish("new", "a", "typing")) == [old]
    assert emptied(queue) == ["other", "new", "ask"]


def test_requests_without_a_client_never_supersede_each_other():
    """Nameless clients are not one client."""
    queue: RequestQueue[Wish] = RequestQueue(10)
    queue.put(Wish("one", "", "typing"))
    assert queue.put(Wish("two", "", "typing")) == []
    assert emptied(queue) == ["one", "two"]


def test_a_full_queue_says_busy_and_keeps_what_waits():
    """The bound holds, and the error names it."""
    queue: RequestQueue[Wish] = RequestQueue(2)
    queue.put(Wish("one", "a"))
    queue.put(Wish("two", "b"))
    with pytest.raises(EngineBusyError, match="2 requests wait already"):
        queue.put(Wish("three", "c"))
    assert emptied(queue) == ["one", "two"]


def test_background_work_makes_room_for_people():
    """A full queue drops a guess rather than a request; another guess it refuses."""
    queue: RequestQueue[Wish] = RequestQueue(2)
    guess = Wish("guess", "a", "background")
    queue.put(guess)
    queue.put(Wish("one", "b"))
    with pytest.raises(EngineBusyError):
        queue.put(Wish("guess2", "c", "background"))
    assert queue.put(Wish("two", "c")) == [guess]
    assert emptied(queue) == ["one", "two"]


def test_what_was_removed_is_not_served():
    """A cancelled request leaves the queue, once."""
    queue: RequestQueue[Wish] = RequestQueue(5)
    items = [Wish("one", "a"), Wish("two", "a"), Wish("three", "b", "typing")]
    for item in items:
        queue.put(item)
    assert queue.of_client("a") == items[:2]
    assert queue.remove(items[0])
    assert not queue.remove(items[0])
    assert len(queue) == 2
    assert emptied(queue) == ["three", "two"]
