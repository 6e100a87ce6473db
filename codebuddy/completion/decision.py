"""Step 2: is a lookup in the repository worth its time here?

A trained head says how likely a lookup is to help and how many points of edit similarity it
wins on average; a lookup pays when that is worth the milliseconds that it costs on this
machine now, at the exchange rate that the user prefers.

Without a head an honest rule stands in: a lookup pays when the code near the cursor uses
names that this file does not define and the repository does. Its probability is the rule's
strength, not a calibrated one: each such name halves what is left of the doubt.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from codebuddy.code_index import CodeIndex
from codebuddy.completion.features import WORDS, NamesKnown, extract_features
from codebuddy.completion.head import Head
from codebuddy.datatypes import Context, Decision, RetrieveMode

THRESHOLD = 0.5
# Points of edit similarity that a second of waiting must bring, by preference.
POINTS_PER_SECOND = {"speed": 4.0, "balanced": 1.0, "quality": 0.25}
_NAMED_IN_REASON = 3
_FEATURES_IN_REASON = 2
# Names further away than these say little about what comes next.
_NEAREST_NAMES = 6


@dataclass(frozen=True, slots=True)
class LookupPrice:
    """What a lookup costs: milliseconds expected here and now, and the points that one is worth."""

    expected_ms: float
    points_per_second: float

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
) -> Decision:
    """Whether to retrieve.

    Args:
        context: What is around the cursor.
        mode: `always` and `never` are obeyed; `auto` asks the head, or the rule.
        known: In how many other files names are defined; `None` where there is no index.
        head: What judges, if there is one.
        price: What a lookup costs; needed with a head.
    """
    if known is None:
        return Decision(
            retrieve=False,
            probability=0.0,
            threshold=THRESHOLD,
            reason="retrieval is off" if mode == "never" else "there is no index to ask",
            mode=mode,
        )
    if head is not None and price is not None:
        judged = _by_head(context, known, head, price)
    else:
        judged = _by_rule(context, known)
    if mode == "auto":
        return judged
    reason = "retrieval is always on" if mode == "always" else "retrieval is off"
    return dataclasses.replace(judged, retrieve=mode == "always", reason=reason, mode=mode)


def _by_head(context: Context, known: NamesKnown, head: Head, price: LookupPrice) -> Decision:
    verdict = head.syntax.judge(extract_features(context, known))
    retrieve = verdict.gain >= price.points
    threshold = head.syntax.probability_at_gain(price.points)
    return Decision(
        retrieve=retrieve,
        probability=verdict.probability,
        # The readings are interpolated apart; the verdict is the gain's.
        threshold=min(threshold, verdict.probability) if retrieve else threshold,
        reason=_head_reason(verdict.gain, verdict.features, price),
        mode="auto",
        expected_gain=verdict.gain,
        expected_ms=price.expected_ms,
        features=verdict.features,
        head=head.name,
    )


def _head_reason(gain: float, features: tuple[tuple[str, float], ...], price: LookupPrice) -> str:
    is_worth = gain >= price.points
    cost = f"{max(0.0, price.expected_ms):.0f} ms"
    said = f"{gain:+.1f} points expected for {cost}, {'worth it' if is_worth else 'too little'}"
    pulls = [name for name, move in features if (move > 0) is is_worth][:_FEATURES_IN_REASON]
    return f"{said}: {'; '.join(WORDS[name] for name in pulls)}" if pulls else said


def _by_rule(context: Context, known: NamesKnown) -> Decision:
    nearest = context.unresolved[:_NEAREST_NAMES]
    names = [name for name in nearest if known.unresolved.get(name)]
    probability = 1.0 - 0.5 ** len(names)
    return Decision(
        retrieve=probability >= THRESHOLD,
        probability=probability,
        threshold=THRESHOLD,
        reason=_rule_reason(context, names),
        mode="auto",
    )


def _rule_reason(context: Context, names: list[str]) -> str:
    if names:
        shown = ", ".join(names[:_NAMED_IN_REASON])
        more = len(names) - _NAMED_IN_REASON
        tail = f" and {more} more" if more > 0 else ""
        return f"defined elsewhere in the repository: {shown}{tail}"
    if context.inside != "code":
        return f"inside a {context.inside}, no name to look up"
    if not context.near:
        return "no names near the cursor"
    return "the names near the cursor are defined in this file or not in the repository"
