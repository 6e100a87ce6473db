"""Step 2: is a lookup in the repository worth its time here?

A trained head says how likely a lookup is to help and how many points of edit similarity it
wins on average; a lookup pays when that is worth the milliseconds that it costs on this
machine now, at the exchange rate that the user prefers. It judges twice: the place, before
the model has run; and, where nothing was looked up, the text that the model then wrote, whose
own probabilities tell more (CARD, arXiv 2406.10263).

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
from codebuddy.completion.confidence import confidence_features, is_said_truly
from codebuddy.completion.features import NamesKnown, extract_features
from codebuddy.completion.head import Head, Stage
from codebuddy.completion.reasons import conditional_reason, head_reason, rule_reason
from codebuddy.datatypes import Context, Decision, GenerationStats, RetrieveMode

THRESHOLD = 0.5
# Points of edit similarity that a second of waiting must bring, by preference.
POINTS_PER_SECOND = {"speed": 4.0, "balanced": 1.0, "quality": 0.25}
# Of the price at which a first text costs no time, what one that is shown is worth waiting for.
_WHERE_SHOWN = 0.5
_FEATURES_TOLD = 3
# Names further away than these say little about what comes next.
_NEAREST_NAMES = 6


@dataclass(frozen=True, slots=True)
class LookupPrice:
    """What a lookup costs: milliseconds expected here and now, and the points that one is worth.

    `expected_ms` is what it adds to a completion without one, `whole_ms` what the prompt with
    it takes by itself.
    """

    expected_ms: float
    points_per_second: float
    whole_ms: float = 0.0

    @property
    def points(self) -> float:
        """The gain from which on a lookup pays."""
        return max(0.0, self.expected_ms) / 1000 * self.points_per_second


def names_known(context: Context, index: CodeIndex) -> NamesKnown:
    """What the index's symbol table says of the names around the cursor; no lookup."""
    path = context.document.path
    return NamesKnown(
        unresolved=index.definition_counts(context.unresolved, path),
        imported=index.definition_counts(context.imported, path),
    )


def decide(
    context: Context,
    mode: RetrieveMode,
    known: NamesKnown | None,
    head: Head | None = None,
    price: LookupPrice | None = None,
    *,
    is_shown: bool = False,
    why_no_index: str = "there is no index to ask",
) -> Decision:
    """Whether to retrieve.

    Args:
        context: What is around the cursor.
        mode: `always` and `never` are obeyed; `auto` asks the head, or the rule.
        known: In how many other files names are defined; `None` where there is no index.
        head: What judges, if there is one.
        price: What a lookup costs; needed with a head.
        is_shown: Whether a first text is shown while a second one is written.
        why_no_index: What is said where nothing is `known`.
    """
    if known is None:
        return Decision(
            retrieve=False,
            probability=0.0,
            threshold=THRESHOLD,
            reason="retrieval is off" if mode == "never" else why_no_index,
            mode=mode,
        )
    if head is not None and price is not None:
        judged = _by_head(context, known, head, price, is_shown=is_shown)
    else:
        judged = _by_rule(context, known)
    if mode == "auto":
        return judged
    reason = "retrieval is always on" if mode == "always" else "retrieval is off"
    return dataclasses.replace(judged, retrieve=mode == "always", reason=reason, mode=mode)


def decide_again(
    first: Decision,
    context: Context,
    known: NamesKnown,
    stats: GenerationStats,
    head: Head,
    price: LookupPrice,
) -> Decision:
    """Whether a text that was written without a lookup is poor enough to be written again.

    Args:
        first: What was decided before that.
        context: What is around the cursor.
        known: In how many other files names are defined.
        stats: Of the text.
        head: One with a stage for texts.
        price: What a lookup costs.
    """
    assert head.confidence is not None
    values = extract_features(context, known) | confidence_features(stats)
    again = LookupPrice(price.whole_ms + stats.generate_ms, price.points_per_second)
    judged = _judged(head.confidence, values, again, head.name, "confidence")
    return dataclasses.replace(judged, mode=first.mode)


def is_likelier(second: GenerationStats, first: GenerationStats) -> bool:
    """Whether the model takes the second text's tokens to be at least as likely on average."""
    values = [confidence_features(stats)["mean_logprob"] for stats in (second, first)]
    return values[0] >= values[1]


def _by_head(
    context: Context, known: NamesKnown, head: Head, price: LookupPrice, *, is_shown: bool
) -> Decision:
    values = extract_features(context, known)
    judged = _judged(head.syntax, values, price, head.name, "syntax")
    is_final = head.confidence is None or is_cheap(price, head.asked_again, is_shown=is_shown)
    if is_final or not judged.retrieve:
        return judged
    return dataclasses.replace(
        judged,
        retrieve=False,
        threshold=1.0,
        reason=conditional_reason(judged.expected_gain or 0.0, price.expected_ms),
    )


def is_cheap(price: LookupPrice, asked_again: float, *, is_shown: bool) -> bool:
    """Whether a lookup at once is better than a text without one that is then looked at again.

    Both take as long where a lookup adds the share `asked_again` of its own prompt, which is how
    often the second look asks for one; but a first text that is shown is there sooner, and is
    worth waiting for less.
    """
    limit = asked_again * price.whole_ms
    return price.expected_ms <= (_WHERE_SHOWN * limit if is_shown else limit)


def _judged(
    stage: Stage,
    values: Mapping[str, float],
    price: LookupPrice,
    name: str,
    called: Literal["syntax", "confidence"],
) -> Decision:
    """What a stage of a head says, with its price."""
    verdict = stage.judge(values)
    features = _told(stage, values, verdict.features)
    is_second = called == "confidence"
    retrieve = verdict.gain >= price.points
    threshold = stage.probability_at_gain(price.points)
    return Decision(
        retrieve=retrieve,
        probability=verdict.probability,
        # The readings are interpolated apart; the verdict is the gain's.
        threshold=min(threshold, verdict.probability) if retrieve else threshold,
        reason=head_reason(
            verdict.gain, price.expected_ms, features, is_worth=retrieve, is_second=is_second
        ),
        mode="auto",
        expected_gain=verdict.gain,
        expected_ms=price.expected_ms,
        features=features,
        head=name,
        stage=called,
    )


def _told(
    stage: Stage, values: Mapping[str, float], moves: tuple[tuple[str, float], ...]
) -> tuple[tuple[str, float], ...]:
    """The strongest features of which their words are true here.

    What is said of a place's feature is said of a large value of it: a small one goes unsaid.
    """
    usual = dict(zip(stage.features, stage.means, strict=False))

    def is_true(name: str, move: float) -> bool:
        distance = values[name] - usual.get(name, 0)
        return is_said_truly(name, distance, move) if name in TEXT_WORDS else distance > 0

    return tuple([each for each in moves if is_true(*each)][:_FEATURES_TOLD])


def _by_rule(context: Context, known: NamesKnown) -> Decision:
    nearest = context.unresolved[:_NEAREST_NAMES]
    names = [name for name in nearest if known.unresolved.get(name)]
    probability = 1.0 - 0.5 ** len(names)
    return Decision(
        retrieve=probability >= THRESHOLD,
        probability=probability,
        threshold=THRESHOLD,
        reason=rule_reason(context, names, len(nearest)),
        mode="auto",
    )
