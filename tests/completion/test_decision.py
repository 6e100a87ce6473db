"""The decision: an honest rule with a reason."""

from __future__ import annotations

import dataclasses

import pytest

from codebuddy.completion.decision import RetrievalCost, decide
from codebuddy.completion.features import DefinitionCounts
from codebuddy.completion.head import Classifier, Head
from tests.support.completion import context_at

PLACE = "from shop import price\n\n\ndef f(a):\n    return price(‸)\n"


def test_a_name_of_the_repository_calls_for_a_lookup():
    """A name near the cursor that another file defines is worth a lookup, and named."""
    decision = decide(context_at(PLACE), "auto", DefinitionCounts({"price": 1}, {}))
    assert decision.retrieve is True
    assert decision.probability == 0.5
    assert "price" in decision.reason


def test_known_names_call_for_none():
    """Where the repository defines none of the names, nothing is looked up."""
    decision = decide(context_at(PLACE), "auto", DefinitionCounts({"unrelated": 4}, {}))
    assert decision.retrieve is False
    assert decision.probability == 0.0


def test_more_names_make_it_surer():
    """Each further name halves the doubt."""
    context = context_at("import a\nx = one(two(‸\n")
    assert decide(context, "auto", DefinitionCounts({"one": 1, "two": 1}, {})).probability == 0.75


def test_the_modes_are_obeyed():
    """`always` and `never` decide, and the receipt keeps the rule's probability."""
    context = context_at(PLACE)
    always, never = (
        decide(context, "always", DefinitionCounts({}, {})),
        decide(context, "never", DefinitionCounts({"price": 1}, {})),
    )
    assert (always.retrieve, always.mode) == (True, "always")
    assert (never.retrieve, never.mode, never.probability) == (False, "never", 0.5)


def test_without_an_index_the_reason_says_so():
    """Where nothing can be asked, nothing is looked up, and the receipt does not pretend."""
    decision = decide(context_at(PLACE), "auto", None)
    assert decision.retrieve is False
    assert decision.reason == "there is no index to ask"
    assert decide(context_at(PLACE), "never", None).reason == "retrieval is off"


# Ten points where the function being called is defined elsewhere, none otherwise.
STAGE = Classifier(
    features=("callee_elsewhere",),
    base=0.0,
    weights=(10.0,),
    means=(0.0,),
    knots=(0.0, 10.0),
    probabilities=(0.1, 0.9),
    gains=(0.0, 10.0),
)
HEAD = Head("test", {}, STAGE)


def test_a_gain_that_is_worth_its_time_is_looked_up():
    """Ten points for two seconds at one point a second: yes, and the receipt says why."""
    known = DefinitionCounts({"price": 1}, {})
    decision = decide(context_at(PLACE), "auto", known, HEAD, RetrievalCost(2000, 1.0))
    assert decision.retrieve is True
    assert (decision.probability, decision.expected_gain) == (0.9, 10.0)
    assert decision.threshold == pytest.approx(0.1 + 0.8 * 0.2)
    assert decision.reason == (
        "10.0 points expected from a lookup are worth its 2000 ms, "
        "mostly because the function being called is defined elsewhere"
    )
    assert decision.head == "test"


def test_the_same_gain_is_not_worth_any_price():
    """At twenty points a second, or for a place that gains nothing, it is left alone."""
    known = DefinitionCounts({"price": 1}, {})
    dear = decide(context_at(PLACE), "auto", known, HEAD, RetrievalCost(2000, 20.0))
    assert (dear.retrieve, dear.threshold) == (False, 1.0)
    useless = decide(
        context_at(PLACE), "auto", DefinitionCounts({}, {}), HEAD, RetrievalCost(500, 1.0)
    )
    assert useless.retrieve is False
    assert useless.probability < useless.threshold


def test_only_what_there_is_much_of_is_named():
    """A small value may move the score, but what is said of it would not be true."""
    stage = dataclasses.replace(
        STAGE, features=("prefix_lines", "indent"), weights=(-1.0, 1.0), means=(5.0, 2.0)
    )
    head = Head("test", {}, stage)
    known = DefinitionCounts({}, {})
    short = decide(context_at("x = ‸"), "auto", known, head, RetrievalCost(1.0, 1.0))
    assert short.features == ()
    assert short.reason == "3.0 points expected from a lookup are worth its 1 ms"
    deep = decide(context_at("        x = ‸"), "auto", known, head, RetrievalCost(1.0, 1.0))
    assert deep.features == (("indent", 6.0),)
    assert deep.reason.endswith("mostly because the line is deeply indented")


def test_a_lookup_that_costs_nothing_needs_no_gain_to_speak_of():
    """Where the KV cache makes the lookup's prompt the cheaper one, it is taken."""
    free = decide(
        context_at(PLACE), "auto", DefinitionCounts({}, {}), HEAD, RetrievalCost(-300, 1.0)
    )
    assert free.retrieve is True


def test_modes_overrule_the_head_and_keep_what_it_says():
    """`never` looks nothing up; probability and gain stay on the receipt."""
    known = DefinitionCounts({"price": 1}, {})
    decision = decide(context_at(PLACE), "never", known, HEAD, RetrievalCost(2000, 1.0))
    assert (decision.retrieve, decision.mode, decision.expected_gain) == (False, "never", 10.0)
