"""Step 2: is a lookup in the repository worth its time here?

A trained head says how likely a lookup is to help and how many points of edit similarity it
wins on average; a lookup pays when that is worth the milliseconds that it costs on this
machine now, at the exchange rate that the user prefers. It has two stages: the syntax stage rates
the position before the model runs; where nothing was retrieved, the confidence stage rates the
generated text by the model's own probabilities (CARD, arXiv 2406.10263).

Without a head an honest rule stands in: a lookup pays when the code near the cursor uses
names that this file does not define and the repository does. Its probability is the rule's
strength, not a calibrated one: each such name halves what is left of the doubt.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from codebuddy.code_index import CodeIndex
from codebuddy.completion.confidence import WORDS as TEXT_WORDS
from codebuddy.completion.confidence import confidence_features, is_phrase_true
from codebuddy.completion.features import DefinitionCounts, extract_features
from codebuddy.completion.head import Classifier, Head
from codebuddy.completion.reasons import conditional_reason, head_reason, rule_reason
from codebuddy.datatypes import Context, Decision, GenerationStats, RetrieveMode

THRESHOLD = 0.5
# Points of edit similarity that a second of waiting must bring, by preference.
POINTS_PER_SECOND = {"speed": 4.0, "balanced": 1.0, "quality": 0.25}
# Factor on the break-even cost where the first text is shown while the second is generated.
_SHOWN_COST_FACTOR = 0.5
# A retrieval that takes longer than this many times its estimate and than it is worth is ended.
_OVERRUN_FACTOR = 2.0
_MAX_STATED_FEATURES = 3
# Names further away than these say little about what comes next.
_NEAREST_NAMES = 6


@dataclass(frozen=True, slots=True)
class RetrievalCost:
    """Expected milliseconds of retrieval, and how many points a second must gain.

    `expected_ms` is what it adds to a completion without retrieval, `prompt_ms` the evaluation of
    the whole prompt with it.
    """

    expected_ms: float
    points_per_second: float
    prompt_ms: float = 0.0

    @property
    def break_even_gain(self) -> float:
        """The smallest gain that is worth the cost."""
        return max(0.0, self.expected_ms) / 1000 * self.points_per_second

    def longest_ms(self, gain: float, expected_ms: float) -> float:
        """How long retrieval may take: what `gain` points are worth, or twice what was expected."""
        return max(gain / self.points_per_second * 1000, _OVERRUN_FACTOR * expected_ms)


def count_definitions(context: Context, index: CodeIndex) -> DefinitionCounts:
    """Counts definitions of the names around the cursor in the index's symbol table."""
    path = context.document.path
    return DefinitionCounts(
        unresolved=index.definition_counts(context.unresolved, path),
        imported=index.definition_counts(context.imported, path),
    )


def decide(
    context: Context,
    mode: RetrieveMode,
    counts: DefinitionCounts | None,
    head: Head | None = None,
    cost: RetrievalCost | None = None,
    *,
    is_shown: bool = False,
    no_index_reason: str = "there is no index to ask",
) -> Decision:
    """Whether to retrieve.

    Args:
        context: What is around the cursor.
        mode: `always` and `never` are obeyed; `auto` asks the head, or the rule.
        counts: In how many other files names are defined; `None` where there is no index.
        head: The decision head, if there is one.
        cost: Cost of retrieval; needed with a head.
        is_shown: Whether the first text is shown during a second generation.
        no_index_reason: The reason where `counts` is None.
    """
    if counts is None:
        return Decision(
            retrieve=False,
            probability=0.0,
            threshold=THRESHOLD,
            reason="retrieval is off" if mode == "never" else no_index_reason,
            mode=mode,
        )
    if head is not None and cost is not None:
        decision = _decide_by_head(context, counts, head, cost, is_shown=is_shown)
    else:
        decision = _decide_by_rule(context, counts)
    if mode == "auto":
        return decision
    reason = "retrieval is always on" if mode == "always" else "retrieval is off"
    return dataclasses.replace(decision, retrieve=mode == "always", reason=reason, mode=mode)


def decide_after_generation(
    first: Decision,
    context: Context,
    counts: DefinitionCounts,
    stats: GenerationStats,
    head: Head,
    cost: RetrievalCost,
) -> Decision:
    """The confidence stage: whether to generate again with retrieval.

    Args:
        first: The decision of the syntax stage.
        context: What is around the cursor.
        counts: In how many other files names are defined.
        stats: Of the generated text.
        head: One with a confidence stage.
        cost: Cost of retrieval.
    """
    assert head.confidence is not None
    values = extract_features(context, counts) | confidence_features(stats)
    retry_cost = RetrievalCost(cost.prompt_ms + stats.generate_ms, cost.points_per_second)
    decision = _decide_by_stage(head.confidence, values, retry_cost, head.name, "confidence")
    return dataclasses.replace(decision, mode=first.mode)


def has_higher_likelihood(second: GenerationStats, first: GenerationStats) -> bool:
    """Whether the second generation's mean token log-probability is at least the first's."""
    values = [confidence_features(stats)["mean_logprob"] for stats in (second, first)]
    return values[0] >= values[1]


def _decide_by_head(
    context: Context, counts: DefinitionCounts, head: Head, cost: RetrievalCost, *, is_shown: bool
) -> Decision:
    values = extract_features(context, counts)
    decision = _decide_by_stage(head.syntax, values, cost, head.name, "syntax")
    is_final = head.confidence is None or is_cheaper_than_retry(
        cost, head.asked_again, is_shown=is_shown
    )
    if is_final or not decision.retrieve:
        return decision
    return dataclasses.replace(
        decision,
        retrieve=False,
        threshold=1.0,
        reason=conditional_reason(decision.expected_gain or 0.0, cost.expected_ms),
    )


def is_cheaper_than_retry(cost: RetrievalCost, asked_again: float, *, is_shown: bool) -> bool:
    """Whether retrieval at once costs less than a text without it plus the confidence stage.

    Both cost the same where retrieval adds the share `asked_again` of its own prompt: the rate at
    which the confidence stage asks for retrieval. Where the first text is shown, it appears sooner,
    so the limit is lower.
    """
    limit = asked_again * cost.prompt_ms
    return cost.expected_ms <= (_SHOWN_COST_FACTOR * limit if is_shown else limit)


def _decide_by_stage(
    classifier: Classifier,
    values: Mapping[str, float],
    cost: RetrievalCost,
    name: str,
    stage_name: Literal["syntax", "confidence"],
) -> Decision:
    """The decision of one stage of a head, given the cost."""
    prediction = classifier.predict(values)
    features = _stated_features(classifier, values, prediction.features)
    is_second = stage_name == "confidence"
    retrieve = prediction.gain >= cost.break_even_gain
    threshold = classifier.probability_at_gain(cost.break_even_gain)
    return Decision(
        retrieve=retrieve,
        probability=prediction.probability,
        # Probability and gain are interpolated separately; the gain decides.
        threshold=min(threshold, prediction.probability) if retrieve else threshold,
        reason=head_reason(
            prediction.gain, cost.expected_ms, features, is_worth=retrieve, is_second=is_second
        ),
        mode="auto",
        expected_gain=prediction.gain,
        expected_ms=cost.expected_ms,
        features=features,
        head=name,
        stage=stage_name,
    )


def _stated_features(
    classifier: Classifier,
    values: Mapping[str, float],
    contributions: tuple[tuple[str, float], ...],
) -> tuple[tuple[str, float], ...]:
    """The strongest features whose phrases are true here.

    The phrase of a syntax feature describes a large value; a small value is not mentioned.
    """
    usual = dict(zip(classifier.features, classifier.means, strict=False))

    def is_true(name: str, contribution: float) -> bool:
        distance = values[name] - usual.get(name, 0)
        return is_phrase_true(name, distance, contribution) if name in TEXT_WORDS else distance > 0

    return tuple([each for each in contributions if is_true(*each)][:_MAX_STATED_FEATURES])


def _decide_by_rule(context: Context, counts: DefinitionCounts) -> Decision:
    nearest = context.unresolved[:_NEAREST_NAMES]
    names = [name for name in nearest if counts.unresolved.get(name)]
    probability = 1.0 - 0.5 ** len(names)
    return Decision(
        retrieve=probability >= THRESHOLD,
        probability=probability,
        threshold=THRESHOLD,
        reason=rule_reason(context, names, len(nearest)),
        mode="auto",
    )
