"""The decision: an honest rule with a reason."""

from __future__ import annotations

from codebuddy.completion.decision import decide
from tests.completion_support import context_at

PLACE = "from shop import price\n\n\ndef f(a):\n    return price(‸)\n"


def test_a_name_of_the_repository_calls_for_a_lookup():
    """A name near the cursor that another file defines is worth a lookup, and named."""
    decision = decide(context_at(PLACE), "auto", {"price": 1})
    assert decision.retrieve is True
    assert decision.probability == 0.5
    assert "price" in decision.reason


def test_known_names_call_for_none():
    """Where the repository defines none of the names, nothing is looked up."""
    decision = decide(context_at(PLACE), "auto", {"unrelated": 4})
    assert decision.retrieve is False
    assert decision.probability == 0.0


def test_more_names_make_it_surer():
    """Each further name halves the doubt."""
    context = context_at("import a\nx = one(two(‸\n")
    assert decide(context, "auto", {"one": 1, "two": 1}).probability == 0.75


def test_the_modes_are_obeyed():
    """`always` and `never` decide, and the receipt keeps the rule's probability."""
    context = context_at(PLACE)
    always, never = decide(context, "always", {}), decide(context, "never", {"price": 1})
    assert (always.retrieve, always.mode) == (True, "always")
    assert (never.retrieve, never.mode, never.probability) == (False, "never", 0.5)


def test_without_an_index_the_reason_says_so():
    """Where nothing can be asked, nothing is looked up, and the receipt does not pretend."""
    decision = decide(context_at(PLACE), "auto", None)
    assert decision.retrieve is False
    assert decision.reason == "there is no index to ask"
    assert decide(context_at(PLACE), "never", None).reason == "retrieval is off"
