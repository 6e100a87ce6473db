"""Tables about a head: discrimination, gains and costs, ablations."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from codebuddy.completion.confidence import NAMES as TEXT_FEATURES
from codebuddy.completion.decision import POINTS_PER_SECOND
from codebuddy.completion.features import NAMES as PLACE_FEATURES
from codebuddy.completion.head import Head
from codebuddy.evaluation.statistics import percentile
from codebuddy.evaluation.tables import number, table
from codebuddy.training.head.adapt import adapt, gain_thresholds
from codebuddy.training.head.assess import (
    Policy,
    PolicyResult,
    PredictedExample,
    TokenCosts,
    confidence_policy,
    policies,
    predict_left_out,
    retry_rates,
    summed_up,
    syntax_policy,
    two_stage_policy,
)
from codebuddy.training.head.examples import Example, repositories
from codebuddy.training.head.fit import (
    AFTER_FEATURES,
    MIN_EXAMPLES,
    FitConfig,
    fit_stage,
    values_of,
)
from codebuddy.training.head.metrics import Interval, classifier_report, within

# What a second of waiting must bring, along the curve.
RATES = (0.0, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0)
_GROUPS = {
    "names": PLACE_FEATURES[:15],
    "position": PLACE_FEATURES[15:29],
    "file": PLACE_FEATURES[29:],
    "the place: all three": PLACE_FEATURES,
    "the text's first tokens": tuple(name for name in TEXT_FEATURES if name.startswith("first_")),
    "the text: the five that are used": AFTER_FEATURES,
    "the text: all": TEXT_FEATURES,
    "the five and the place": (*AFTER_FEATURES, *PLACE_FEATURES),
    "all": (*TEXT_FEATURES, *PLACE_FEATURES),
}
_SAID = {
    "never": "never",
    "always": "always",
    "rule": "the rule of names",
    "before": "syntax stage alone",
    "after": "confidence stage alone",
    "auto": "auto: both stages, final text waited for",
    "chance_auto": "chance, as many lookups as the row above",
    "shown": "auto: both stages, first text shown",
    "chance_shown": "chance, as many lookups as the row above",
    "oracle": "oracle, knows the better text",
}


def report_lines(
    examples: Sequence[Example], predicted: Sequence[PredictedExample], costs: TokenCosts
) -> list[str]:
    """All tables, as Markdown."""
    return [
        *label_lines(examples),
        "",
        *classifier_lines(examples, predicted),
        "",
        *policy_lines(predicted, costs),
        "",
        *curve_lines(predicted, costs),
        "",
        *ablation_lines(examples),
        "",
        *personal_lines(examples, costs),
        *speed_lines(examples),
    ]


def other_model_lines(
    name: str, examples: Sequence[Example], theirs: Sequence[Example], costs: TokenCosts
) -> list[str]:
    """The head, fitted to the default model's holes, as a policy for another model."""
    predicted = predict_left_out(examples, PLACE_FEATURES, AFTER_FEATURES, predicted_instead=theirs)
    own = predict_left_out(examples, PLACE_FEATURES, AFTER_FEATURES)
    shares = retry_rates(own, costs)
    found = policies(predicted, POINTS_PER_SECOND["balanced"], costs, shares)
    results = [summed_up(_SAID[each], found[each], predicted, costs) for each in _SAID]
    return [
        f"The same heads with {name}, of which they never saw a hole ({len(theirs)} holes):",
        "",
        *classifier_lines(theirs, predicted)[2:],
        "",
        *_policy_table(results),
    ]


def label_lines(examples: Sequence[Example]) -> list[str]:
    """How many holes there are, and what lookups did to them."""
    parts: dict[str, list[Example]] = {"all": list(examples)}
    for kind in ("line", "call", "block"):
        parts[kind] = [each for each in examples if each.kind == kind]
    for language, _ in Counter(each.language for each in examples).most_common():
        parts[language] = [each for each in examples if each.language == language]
    for repository in repositories(examples):
        parts[repository] = [each for each in examples if each.repository == repository]
    rows = []
    for name, part in parts.items():
        if not part:
            continue
        n = len(part)
        rows.append(
            [
                name,
                str(n),
                number(sum(e.gain > 0 for e in part) / n, 100, 0),
                number(sum(e.gain < 0 for e in part) / n, 100, 0),
                number(sum(e.never.edit_similarity for e in part) / n, 1, 1),
                number(sum(e.always.edit_similarity for e in part) / n, 1, 1),
            ]
        )
    headings = ["holes", "number", "helped %", "hurt %", "never", "always"]
    return ["What a lookup did; edit similarity from 0 to 100:", "", *table(headings, rows)]


def classifier_lines(
    examples: Sequence[Example], predicted: Sequence[PredictedExample]
) -> list[str]:
    """How well each stage predicts where retrieval helps, beside guessing."""
    stages = {
        "before the model runs": (
            [each.before.probability for each in predicted],
            [each.gain for each in examples],
        ),
        "after the text without a lookup": (
            [each.after.probability for each in predicted],
            [each.gain_of(each.kept) for each in examples],
        ),
    }
    of_each = [each.repository for each in examples]
    rows = []
    for name, (probabilities, gains) in stages.items():
        found = classifier_report(probabilities, gains, of_each)

        def told(key: str, factor: float = 1, digits: int = 3, found: Any = found) -> str:
            return _with_interval(found[key], found[f"{key}_interval"], factor, digits)

        rows.append(
            [
                name,
                *map(told, ("auroc", "auroc_within", "calibration_error")),
                told("even_calibration_error"),
                number(found["brier"], 1, 3),
                told("accuracy", 100, 0),
                number(found["majority_accuracy"], 100, 0),
                number(found["balanced_accuracy"], 100, 0),
            ]
        )
    said = (
        "Each repository judged by a head that was fitted without it; intervals of 95%,"
        " repositories being drawn. AUROC over all pairs of holes, and over those of one"
        " repository; ECE over bins of equal width, and over bins of as many holes each:"
    )
    headings = ["stage", "AUROC", "within one", "ECE", "even ECE", "Brier"]
    return [said, "", *table([*headings, "accuracy %", "majority %", "balanced %"], rows)]


def policy_lines(predicted: Sequence[PredictedExample], costs: TokenCosts) -> list[str]:
    """What each policy wins and costs, at each preference."""
    lines = []
    shares = retry_rates(predicted, costs)
    for preference, rate in POINTS_PER_SECOND.items():
        found = policies(predicted, rate, costs, shares)
        results = [summed_up(_SAID[name], found[name], predicted, costs) for name in _SAID]
        lines += [f"`{preference}`, {rate:g} points a second:", "", *_policy_table(results), ""]
    return lines[:-1]


def curve_points(
    predicted: Sequence[PredictedExample], costs: TokenCosts
) -> dict[str, list[tuple[float, PolicyResult]]]:
    """Each kind of head at each rate of `RATES`."""
    shares = retry_rates(predicted, costs)
    kinds: dict[str, Callable[[float], Policy]] = {
        "before": lambda rate: syntax_policy(rate, costs),
        "after": lambda rate: confidence_policy(rate, costs),
        "auto": lambda rate: two_stage_policy(rate, costs, shares, is_shown=False),
        "shown": lambda rate: two_stage_policy(rate, costs, shares, is_shown=True),
    }
    return {
        kind: [
            (rate, summed_up(kind, [*map(make(rate), predicted)], predicted, costs))
            for rate in RATES
        ]
        for kind, make in kinds.items()
    }


def plotted(
    predicted: Sequence[PredictedExample], costs: TokenCosts
) -> tuple[dict[str, tuple[float, float]], dict[str, list[tuple[float, float]]]]:
    """What a plot shows: time and edit similarity of policies without a knob, and of heads."""
    shares = retry_rates(predicted, costs)
    found = policies(predicted, POINTS_PER_SECOND["balanced"], costs, shares)
    fixed = ("never", "always", "rule", "chance_auto", "chance_shown", "oracle")

    def place(result: PolicyResult) -> tuple[float, float]:
        return result.relative_ms, result.edit_similarity

    return (
        {name: place(summed_up(name, found[name], predicted, costs)) for name in fixed},
        {
            _SAID[kind]: [place(result) for _, result in points]
            for kind, points in curve_points(predicted, costs).items()
        },
    )


def curve_lines(predicted: Sequence[PredictedExample], costs: TokenCosts) -> list[str]:
    """Quality against time along the rate at which a second is valued."""
    rows = [
        [
            _SAID[kind],
            f"{rate:g}",
            number(result.edit_similarity, 1, 1),
            number(result.against_always, 1, 1),
            number(result.lookup_rate, 100, 0),
            number(result.relative_ms, 1, 2),
            number(result.relative_first_ms, 1, 2),
        ]
        for kind, points in curve_points(predicted, costs).items()
        for rate, result in points
    ]
    headings = ["policy", "points a second", "edit sim", "less always", "lookups %", "time"]
    return ["By points a second:", "", *table([*headings, "first text"], rows)]


def ablation_lines(examples: Sequence[Example]) -> list[str]:
    """AUROC of groups of features alone, for whether a lookup helps and for the text kept."""
    import numpy as np

    of_each = np.array([each.repository for each in examples])
    helped = np.array([each.helps for each in examples])
    kept = np.array([each.gain_of(each.kept) > 0 for each in examples])
    rows = []
    for name, group in _GROUPS.items():
        predicted = predict_left_out(examples, group, group)
        before = within(np.array([each.before.score for each in predicted]), helped, of_each)
        after = within(np.array([each.after.score for each in predicted]), kept, of_each)
        rows.append([name, str(len(group)), number(before, 1, 3), number(after, 1, 3)])
    headings = ["features", "number", "the text with it is better", "the text kept is better"]
    said = "AUROC of groups of features, over pairs of holes of one repository:"
    return [said, "", *table(headings, rows)]


def personal_lines(examples: Sequence[Example], costs: TokenCosts) -> list[str]:
    """What adapting would do for each repository, from a head fitted on the others.

    Empty where no repository has enough holes.
    """
    rows = []
    for repository in repositories(examples):
        own = [each for each in examples if each.repository == repository]
        if len(own) < MIN_EXAMPLES:
            continue
        others = [each for each in examples if each.repository != repository]
        default = Head(
            "without it",
            {},
            fit_stage(others, PLACE_FEATURES),
            fit_stage(others, AFTER_FEATURES, FitConfig(ends_with="kept")),
        )
        thresholds = gain_thresholds(
            [costs.of(each.always) for each in own], [costs.of(each.never) for each in own]
        )
        found = adapt(default, others, own, thresholds)
        for look, compared in (("first", found.syntax), ("second", found.confidence)):
            assert compared is not None
            scores = (compared.default, compared.adapted)
            rows.append(
                [
                    repository,
                    str(len(own)),
                    look,
                    " / ".join(f"{score.gain_error:.1f}" for score in scores),
                    " / ".join(f"{score.net_gain:+.2f}" for score in scores),
                    "yes" if compared.is_better else "no",
                ]
            )
    if not rows:
        return []
    headings = ["repository", "holes", "look", "gain error", "points won a hole", "kept"]
    return [
        "Personalisation, on files left out: a head of the other repositories / the same adapted:",
        "",
        *table(headings, rows),
        "",
    ]


def speed_lines(examples: Sequence[Example]) -> list[str]:
    """What judging takes in this process, and what a lookup took while labels were made."""
    stages = {
        "place": fit_stage(examples, PLACE_FEATURES),
        "text": fit_stage(examples, AFTER_FEATURES, FitConfig(ends_with="kept")),
    }
    said = []
    for name, stage in stages.items():
        spent = []
        for example in examples:
            values = values_of(example)
            started = time.perf_counter()
            stage.predict(values)
            spent.append((time.perf_counter() - started) * 1000)
        said.append(f"{percentile(spent, 95):.3f} ms for the {name}")
    lookups = [each.found["lookup_ms"] for each in examples]
    shares = [
        each.found["lookup_ms"] / max(1e-9, each.never.prompt_tokens * TokenCosts().prompt_token_ms)
        for each in examples
    ]
    return [
        f"Judging from features that are there takes {' and '.join(said)} (p95). A lookup took"
        f" {percentile(lookups, 50):.1f} ms (p95 {percentile(lookups, 95):.1f}), "
        f"{100 * percentile(shares, 50):.1f}% of the time that the prompt without it takes"
        " on a quiet machine of two cores."
    ]


def _policy_table(results: Sequence[PolicyResult]) -> list[str]:
    rows = [
        [
            each.name,
            number(each.edit_similarity, 1, 1),
            number(each.exact_match, 100, 1),
            _with_interval(each.against_always, each.against_interval, 1, 1),
            _with_interval(each.lookup_rate, each.lookup_interval, 100, 0),
            _with_interval(each.relative_ms, each.ms_interval, 1, 2),
            number(each.relative_first_ms, 1, 2),
        ]
        for each in results
    ]
    headings = ["policy", "edit sim", "exact %", "less always", "lookups %", "time", "first text"]
    return table(headings, rows)


def _with_interval(value: float | None, bounds: Interval | None, factor: float, digits: int) -> str:
    if value is None:
        return "-"
    shown = number(value, factor, digits)
    if bounds is None:
        return shown
    return f"{shown} [{number(bounds[0], factor, digits)}, {number(bounds[1], factor, digits)}]"
