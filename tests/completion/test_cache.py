"""The suggestion cache: what is typed, accepted or deleted, and never a wrong answer."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codebuddy.completion.cache import CacheKey, SuggestionCache, is_still_wanted

BODY = "total = sum(prices)\n    return total\n"


def place(prefix: str, suffix: str = "\n", fingerprint: str = "model, settings") -> CacheKey:
    """A place with the usual rest."""
    return CacheKey(prefix, suffix, fingerprint)


@pytest.fixture
def cache() -> SuggestionCache[str]:
    """A cache that holds one suggestion of two lines."""
    held: SuggestionCache[str] = SuggestionCache()
    held.put(place("def f(prices):\n    "), BODY, "receipt")
    return held


def test_the_same_place_is_a_hit(cache):
    """Asked again, the suggestion comes back whole with what was kept beside it."""
    hit = cache.get(place("def f(prices):\n    "))
    assert hit is not None
    assert (hit.text, hit.typed, hit.value) == (BODY, 0, "receipt")


@pytest.mark.parametrize("typed", ["t", "total =", "total = sum(prices)\n", BODY[:-1]])
def test_typed_characters_that_agree_are_served(cache, typed):
    """Typing or accepting a part, also over a line's end, leaves the rest."""
    hit = cache.get(place("def f(prices):\n    " + typed))
    assert hit is not None
    assert hit.text == BODY[len(typed) :]
    assert hit.typed == len(typed)


@pytest.mark.parametrize("typed", ["x", "total  ", BODY, BODY + "x"])
def test_typed_characters_that_disagree_or_use_it_up_are_misses(cache, typed):
    """Another character, or nothing left to show, asks the model."""
    assert cache.get(place("def f(prices):\n    " + typed)) is None


def test_a_change_elsewhere_is_a_miss(cache):
    """Another text before or after, or other settings: never the old suggestion."""
    prefix = "def f(prices):\n    "
    assert cache.get(place("# new\n" + prefix)) is None
    assert cache.get(place(prefix, "\n# new")) is None
    assert cache.get(place(prefix, fingerprint="another model")) is None
    # What is cut between prefix and suffix does not move without being noticed.
    assert cache.get(CacheKey(prefix + "\n", "", "model, settings")) is None


def test_deleted_characters_come_back_before_the_suggestion(cache):
    """After deleting, the earlier suggestion is offered with the deleted characters."""
    cache.put(place("x = fo"), "o(1)", "second")
    hit = cache.get(place("x = "))
    assert hit is not None
    assert (hit.text, hit.typed) == ("foo(1)", -2)


def test_an_earlier_place_is_preferred_to_a_deletion(cache):
    """A suggestion made exactly there counts more than one made after deleted text."""
    cache.put(place("x = "), "bar()", "there")
    cache.put(place("x = fo"), "o(1)", "later")
    hit = cache.get(place("x = "))
    assert hit is not None
    assert hit.text == "bar()"


def test_the_nearest_earlier_place_wins(cache):
    """Of two suggestions that agree, the one asked for later in the text is served."""
    cache.put(place("x = "), "foo(1)", "far")
    cache.put(place("x = fo"), "o(1, 2)", "near")
    hit = cache.get(place("x = foo("))
    assert hit is not None
    assert (hit.text, hit.value) == ("1, 2)", "near")


def test_an_empty_suggestion_is_an_answer_at_its_place_only(cache):
    """That the model had nothing to say is remembered, and says nothing of other places."""
    cache.put(place("y = "), "", "nothing")
    hit = cache.get(place("y = "))
    assert hit is not None
    assert hit.text == ""
    assert cache.get(place("y = 1")) is None


def test_the_cache_keeps_to_its_size():
    """Old suggestions go, the newest stay, and one that is too large is not taken."""
    held: SuggestionCache[int] = SuggestionCache(max_bytes=4000)
    for number in range(100):
        held.put(place(f"{number}\nx = "), "word " * 10, number)
    assert 2 <= len(held) <= 10
    assert held.get(place("99\nx = ")) is not None
    assert held.get(place("0\nx = ")) is None
    held.put(place("big"), "x" * 5000, -1)
    assert held.get(place("big")) is None
    held.clear()
    assert len(held) == 0


def test_one_line_does_not_fill_the_cache():
    """Each keystroke of a line may be asked for; only the newest few are kept."""
    held: SuggestionCache[int] = SuggestionCache()
    for number in range(50):
        held.put(place("x" * number), "y", number)
    assert len(held) <= 8


def test_a_running_generation_is_still_wanted_while_typing_agrees():
    """Typing what was generated, or ahead of it, keeps it; anything else does not."""
    asked = place("x = ")
    assert is_still_wanted(asked, "foo(", place("x = fo"))
    assert is_still_wanted(asked, "fo", place("x = foo("))
    assert is_still_wanted(asked, "", place("x = f"))
    assert not is_still_wanted(asked, "foo(", place("x = ba"))
    assert not is_still_wanted(asked, "foo(", place("x ="))
    assert not is_still_wanted(asked, "foo(", place("x = fo", suffix=")\n"))
    assert not is_still_wanted(asked, "foo(", place("x = fo", fingerprint="other"))


@given(
    prefix=st.text("ab\n", max_size=12),
    text=st.text("ab\n", max_size=8),
    other=st.text("ab\n", max_size=14),
)
def test_a_hit_always_continues_what_was_suggested(prefix, text, other):
    """Whatever was asked and typed: prefix and hit make the text that was once suggested."""
    held: SuggestionCache[None] = SuggestionCache()
    held.put(place(prefix), text, None)
    hit = held.get(place(other))
    if hit is not None:
        assert other + hit.text == prefix + text
    elif other.startswith(prefix) and (prefix + text).startswith(other):
        assert other == prefix + text != prefix


@pytest.mark.process
def test_the_cache_loads_nothing_heavy():
    """The engine's front process can use it at once."""
    program = "import sys, codebuddy.completion.cache; print(len(sys.modules), *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"numpy", "llama_cpp", "sqlite3", "tree_sitter"} & set(done.stdout.split())


def test_as_many_lines_are_kept_as_were_asked_for():
    """The line that was used longest ago goes, and with it what was kept beside its text."""
    held: SuggestionCache[str] = SuggestionCache(max_lines=2)
    places = [place(f"# {number}\nx = ") for number in range(3)]
    for each in places:
        held.put(each, "value", "beside")
    assert len(held) == 2
    assert held.get(places[0]) is None
    assert held.get(places[2]) is not None
