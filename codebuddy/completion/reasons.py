"""Why it was looked up or not, as one plain sentence with the figures that decided.

Each reason is one sentence without its full stop, and says one thing. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from codebuddy.completion.confidence import WORDS as TEXT_WORDS
from codebuddy.completion.confidence import mean_probability
from codebuddy.completion.features import SPEAK_AGAINST, SPEAK_FOR
from codebuddy.completion.features import WORDS as PLACE_WORDS
from codebuddy.datatypes import Context, GenerationStats

_WORDS = {**{name: (said, said) for name, said in PLACE_WORDS.items()}, **TEXT_WORDS}
_NAMED = 3
_NAME_CHARACTERS = 40
_MOST_DIGITS = 6


def feature_phrase(feature: str, contribution: float) -> str:
    """The phrase of a feature that moved the score by `contribution`; else its name."""
    speaks_for, speaks_against = _WORDS.get(feature, (feature, feature))
    return speaks_for if contribution > 0 else speaks_against


def head_reason(
    gain: float,
    cost_ms: float,
    features: Sequence[tuple[str, float]],
    *,
    is_worth: bool,
    is_second: bool,
) -> str:
    """What a head expects of a lookup, what that costs, and what weighed most.

    Args:
        gain: Points of edit similarity.
        cost_ms: What it adds.
        features: What moved the score, the strongest first.
        is_worth: Whether the gain pays for the cost.
        is_second: Whether a text without a lookup was written already.
    """
    what = "a second text with a lookup" if is_second else "a lookup"
    points = f"{_rounded(gain)} points expected"
    cost = f"{max(0.0, cost_ms):.0f} ms"
    if is_worth and cost == "0 ms":
        return f"{what} costs no time here, with {points} from it"
    if not is_worth and gain < 0.0005:
        loss = "be no better" if is_second else "make the text no better"
        if gain <= -0.05:
            loss = loss.replace("no better", "worse")
        return f"with {points} from it, {what} would {loss}{_because(features, is_worth)}"
    verdict = "worth" if is_worth else "too little for"
    return f"{points} from {what} are {verdict} its {cost}{_because(features, is_worth)}"


def conditional_reason(gain: float, cost_ms: float) -> str:
    """A lookup would pay, and is made only where the text that is written first is poor."""
    return (
        f"the {_rounded(gain)} points expected from a lookup are worth its"
        f" {max(0.0, cost_ms):.0f} ms only if the text without one is poor"
    )


def too_late_reason(gain: float, cost_ms: float, left_ms: float) -> str:
    """A second generation is worth its cost but exceeds the budget."""
    return (
        f"a second text with a lookup would take {cost_ms:.0f} ms for the {_rounded(gain)} points"
        f" expected, and {left_ms:.0f} ms are left"
    )


def first_text_kept_reason(
    first: GenerationStats, second: GenerationStats, *, is_empty: bool, budget_ms: float
) -> str:
    """Why the first text stays although a second one was generated.

    Args:
        first: Of the text without a lookup.
        second: Of the one with it.
        is_empty: Whether nothing of the second one is left.
        budget_ms: How long everything may take.
    """
    kept = "the first text is kept because"
    if second.finish_reason == "budget":
        return f"{kept} the second one was not whole after {budget_ms:.0f} ms"
    if is_empty:
        return f"{kept} nothing was left of the one with a lookup"
    chances = mean_probability(first) or 0.0, mean_probability(second) or 0.0
    digits = 2
    while digits < _MOST_DIGITS and f"{chances[0]:.{digits}f}" == f"{chances[1]:.{digits}f}":
        digits += 1
    said = f"{chances[0]:.{digits}f} against {chances[1]:.{digits}f} a token"
    return f"{kept} the model finds it likelier than the second one, {said}"


def rule_reason(context: Context, found: Sequence[str], looked_at: int) -> str:
    """What the rule of names saw.

    Args:
        context: What is around the cursor.
        found: Names that this file does not define and another one does, the nearest first.
        looked_at: How many names were looked at that this file does not define.
    """
    if found:
        named = [_shortened(name) for name in found[:_NAMED]]
        if len(found) > _NAMED:
            named.append(f"{len(found) - _NAMED} more")
        listed = " and ".join([*([", ".join(named[:-1])] if len(named) > 1 else []), named[-1]])
        count = "1 name near the cursor is" if len(found) == 1 else f"{len(found)} names are"
        return f"{count} defined elsewhere in the repository: {listed}"
    if looked_at == 1:
        return "the repository does not define the 1 name near the cursor that this file lacks"
    if looked_at:
        return f"the repository defines none of the {looked_at} nearest names that this file lacks"
    if context.inside != "code":
        return f"the cursor is in a {context.inside} without a name to look up"
    if not context.near:
        return "there is no name near the cursor to look up"
    return "this file defines every name near the cursor"


def provisional_kept_reason(reason: str) -> str:
    """The decision's reason, where the text of a first step stays."""
    return (
        f"{reason}; the text from the nearest lines stays, since that of the whole is not likelier"
    )


def _rounded(points: float) -> str:
    """Rounded to a tenth, a head's precision; smaller values are not shown as 0."""
    if 0 < points < 0.05:
        return f"{points:.1g}" if points >= 0.0005 else "0.0"
    return f"{round(points, 1) + 0.0:.1f}"


def _because(features: Sequence[tuple[str, float]], is_worth: bool) -> str:  # noqa: FBT001
    """The phrase of the strongest feature that supports the decision."""
    misleading = SPEAK_AGAINST if is_worth else SPEAK_FOR
    for name, contribution in features:
        if (contribution > 0) is is_worth and name not in misleading:
            return f", mostly because {feature_phrase(name, contribution)}"
    return ""


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_CHARACTERS else f"{name[: _NAME_CHARACTERS - 1]}…"
