"""Why it was looked up or not: one plain sentence for every combination that can come up."""

from __future__ import annotations

import itertools
import re

import pytest

from codebuddy.completion.confidence import NAMES as TEXT_NAMES
from codebuddy.completion.confidence import is_phrase_true
from codebuddy.completion.decision import RetrievalCost, decide, decide_after_generation
from codebuddy.completion.features import NAMES as PLACE_NAMES
from codebuddy.completion.features import SPEAK_AGAINST, SPEAK_FOR, DefinitionCounts
from codebuddy.completion.head import Classifier, Head
from codebuddy.completion.reasons import (
    conditional_reason,
    feature_phrase,
    first_text_kept_reason,
    head_reason,
    rule_reason,
    too_late_reason,
)
from codebuddy.datatypes import GenerationStats, RetrieveMode
from tests.support.completion import context_at

GAINS = [-12.34, -0.05, -0.04, 0.0, 0.0001, 0.004, 0.05, 1.0, 2.64, 97.0]
COSTS = [-300.0, 0.0, 0.4, 1.0, 2240.4, 123_456.0]
PLACE = "x = one(two(three(four(five(\u2038\n"


def stats(*probabilities, finish_reason="stop"):
    """A generation whose tokens had these probabilities."""
    import math

    return GenerationStats(
        token_logprobs=[math.log(each) for each in probabilities], finish_reason=finish_reason
    )


def check(reason):
    """One clause-clean sentence: no list of causes, no second verdict, nothing cut."""
    assert reason == " ".join(reason.split())
    assert reason[0].islower() or reason[0].isdigit() or reason[0] == "-", reason
    assert not re.search(r"[;.!?](?!\d)", reason), reason
    assert reason.count("because") <= 1, reason
    verdicts = ["are worth", "too little", "costs no time", "would", "is kept", "defined"]
    assert sum(each in reason.partition(", mostly because")[0] for each in verdicts) <= 1, reason
    assert not re.search(r"\bit (is|doubts|considers)\b", reason), reason
    assert "-0.0" not in reason, reason
    assert len(reason) <= 200, reason
    return reason


@pytest.mark.parametrize("is_second", [False, True])
def test_every_reason_of_a_head_is_one_sentence_with_its_figures(is_second):
    """Whatever gain, price and feature: gain and price are named, and at most one cause."""
    names = [*PLACE_NAMES, *(TEXT_NAMES if is_second else ())]
    for gain, cost_ms, name, move in itertools.product(GAINS, COSTS, [*names, ""], [0.7, -0.7]):
        for is_worth in {gain > 0, gain >= 0 and cost_ms <= 0, False}:
            features = ((name, move),) if name else ()
            reason = check(
                head_reason(gain, cost_ms, features, is_worth=is_worth, is_second=is_second)
            )
            assert "points expected" in reason
            if is_worth:
                assert f"worth its {cost_ms:.0f} ms" in reason or "costs no time" in reason
                assert "too little" not in reason
            elif gain >= 0.05:
                assert f"too little for its {max(0.0, cost_ms):.0f} ms" in reason
            if "because" in reason:
                assert feature_phrase(name, move) in reason
                assert (move > 0) is is_worth
                assert name not in (SPEAK_AGAINST if is_worth else SPEAK_FOR)


def test_the_strongest_cause_is_named_alone():
    """Of several features that speak alike one is named; what speaks otherwise is not."""
    features = (("in_comment", -2.0), ("min_logprob", -1.0), ("low_quartile_logprob", -0.9))
    reason = head_reason(0.3, 1200.0, features, is_worth=False, is_second=True)
    assert reason == (
        "0.3 points expected from a second text with a lookup are too little for its 1200 ms,"
        " mostly because the cursor is in a comment"
    )
    reason = head_reason(0.3, 1.0, features, is_worth=True, is_second=False)
    assert reason == "0.3 points expected from a lookup are worth its 1 ms"


def test_what_is_said_of_a_text_is_true_of_it():
    """A head that weighs a statistic the other way round does not turn its words round."""
    assert is_phrase_true("min_logprob", -1.0, 0.5)
    assert not is_phrase_true("min_logprob", 1.0, 0.5)
    assert is_phrase_true("doubtful_share", 0.2, 0.5)
    assert not is_phrase_true("doubtful_share", 0.2, -0.5)
    assert is_phrase_true("is_cut", 0.2, -0.5)
    stage = Classifier(("min_logprob",), 0.0, (1.0,), (-3.0,), (-9.0, 9.0), (0.1, 0.9), (0.0, 9.0))
    head = Head("test", {}, stage, stage)
    context, known = context_at(PLACE), DefinitionCounts({}, {})
    first = decide(context, "auto", known)
    again = decide_after_generation(
        first, context, known, stats(0.9), head, RetrievalCost(1.0, 1.0, 1.0)
    )
    assert again.features == ()
    assert "because" not in check(again.reason)


@pytest.mark.parametrize("gain", [each for each in GAINS if each >= 0])
@pytest.mark.parametrize("cost_ms", [0.4, 2240.4])
def test_the_other_reasons_of_a_head_are_one_sentence(gain, cost_ms):
    """What rests on a condition or on the time that is left says so in one sentence."""
    for reason in (
        conditional_reason(gain, cost_ms),
        too_late_reason(gain, cost_ms, 400.0),
    ):
        check(reason)
        assert f"{cost_ms:.0f} ms" in reason


def test_why_a_first_text_is_kept_is_said_with_the_figure_that_decided():
    """Likelier, nothing left, cut off: three sentences; figures that differ look different."""
    likely, unlikely = stats(0.81, 0.81), stats(0.62)

    def why(first, second, *, is_empty=False):
        return check(first_text_kept_reason(first, second, is_empty=is_empty, budget_ms=300.0))

    assert "likelier than the second one, 0.81 against 0.62 a token" in why(likely, unlikely)
    assert "0.8104 against 0.8101 a token" in why(stats(0.8104), stats(0.8101))
    assert "nothing was left" in why(likely, unlikely, is_empty=True)
    cut = why(likely, stats(0.9, finish_reason="budget"))
    assert "was not whole after 300 ms" in cut
    assert "likelier" not in cut


@pytest.mark.parametrize(
    ("count", "looked_at"), [(count, all_) for all_ in range(7) for count in range(all_ + 1)]
)
@pytest.mark.parametrize("text", [PLACE, "\u2038\n", "# a comment \u2038\n", "s = 'in a \u2038'\n"])
def test_every_reason_of_the_rule_is_one_sentence_with_its_count(count, looked_at, text):
    """Names are counted and the nearest shown, each cut where it is long."""
    names = [f"name_{number}_" + "x" * 100 * (number == 1) for number in range(count)]
    reason = rule_reason(context_at(text), names, looked_at)
    assert len(reason) <= 200
    assert ";" not in reason
    if count:
        assert reason.startswith(f"{count} name")
        assert "name_0_" in reason
        assert ("more" in reason) is (count > 3)
    elif looked_at:
        assert str(looked_at) in reason


def test_modes_and_a_missing_index_are_said_plainly():
    """Where nothing is judged there is no figure, and still one sentence."""
    context = context_at(PLACE)
    modes: tuple[RetrieveMode, ...] = ("auto", "always", "never")
    for mode, known in itertools.product(modes, (None, DefinitionCounts({}, {}))):
        check(decide(context, mode, known).reason)
