"""What the engine reads ahead: open files, once a stretch, and named places in them."""

from __future__ import annotations

import dataclasses

from codebuddy.engine.job import Job
from codebuddy.engine.places_ahead import PlacesAhead
from codebuddy.service.request import CompletionRequest

CALL = CompletionRequest("/shop/cart.py", 40, 1, "x = 1\n", client="editor", priority="typing")


def asked(line: int = 40, **more) -> Job:
    """A request that was answered."""
    call = dataclasses.replace(CALL, line=line, **more)
    return Job("complete", {"call": {"line": line}, "settings": {}}, b"x", "editor", "typing", call)


def ahead_of(places: PlacesAhead, file: str = "/shop/cart.py") -> Job:
    """Reading on in a file that is open."""
    job = places.job(file)
    assert job is not None
    return job


def test_a_stretch_of_an_open_file_is_read_once():
    """Typing on in the same lines reads nothing again; another place does."""
    places = PlacesAhead()
    places.opened(asked(40))
    assert places.is_due("/shop/cart.py")
    ahead = ahead_of(places)
    assert (ahead.op, ahead.priority, ahead.client) == ("ahead", "background", "editor")
    assert places.is_due("/shop/cart.py"), "it was not carried out"
    places.done(ahead)
    places.opened(asked(41))
    assert not places.is_due("/shop/cart.py")
    places.opened(asked(200))
    assert places.is_due("/shop/cart.py")


def test_named_places_lead_to_open_files_only():
    """What a search found elsewhere is kept for the day when that file is open."""
    places = PlacesAhead()
    places.opened(asked())
    assert places.note("/shop", [("cart.py", 7), ("tax.py", 3), ("cart.py", 9)]) == [
        "/shop/cart.py"
    ]
    assert ahead_of(places).head["named"] == [7, 9]
    assert places.job("/shop/tax.py") is None
    places.opened(asked(file="/shop/tax.py"))
    assert ahead_of(places, "/shop/tax.py").head["named"] == [3]


def test_only_small_unsaved_texts_are_kept_and_few_files():
    """A file on disk is not open in an editor that asks; the oldest is forgotten."""
    places = PlacesAhead()
    places.opened(asked(text=None))
    huge = asked()
    huge.body = b"x" * (2 << 20)
    places.opened(huge)
    assert not places.is_due("/shop/cart.py")
    for number in range(6):
        places.opened(asked(file=f"/{number}.py"))
    assert [number for number in range(6) if places.is_due(f"/{number}.py")] == [2, 3, 4, 5]
