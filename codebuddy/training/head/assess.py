"""How good a head is, on repositories that it was not trained on.

Leave one repository out: the stages and their calibration see all repositories but one and
judge that one's holes. Out of those judgements come the usual numbers of a classifier, and
what a policy would have won and cost: edit similarity, lookups, time. Intervals are by
bootstrap over holes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from codebuddy.completion.decision import LookupPrice, is_cheap
from codebuddy.completion.head import Verdict
from codebuddy.evaluation.statistics import auroc, brier, draws, mean_interval, percentile
from codebuddy.training.head.examples import Arm, Example, repositories
from codebuddy.training.head.fit import Recipe, fit_stage, values_of

_BINS = 10
_SEED = 0


@dataclass(frozen=True, slots=True)
class Costs:
    """Milliseconds a token: of a prompt that is not cached, and of a text being written.

    The defaults were measured on a quiet machine with two cores and the default model
    (docs/log.md); times of rows would say more about what else ran while they were made.
    """

    prompt_token_ms: float = 4.0
    written_token_ms: float = 38.0

    def of(self, arm: Arm) -> float:
        """The milliseconds of one completion from an empty cache."""
        return (
            arm.prompt_tokens * self.prompt_token_ms + arm.generated_tokens * self.written_token_ms
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """A hole with what stages that never saw its repository say of it.

    `before` judges from syntax, `after` from the completion without a lookup besides.
    """

    example: Example
    before: Verdict
    after: Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy does with one hole: the text it ends with, and what it spent."""

    arm: Arm
    is_looked_up: bool
    ms: float
    first_ms: float


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What a policy does over all holes.

    `edit_similarity` and `exact_match` are means, `lookup_rate` a share; `relative_ms` and
    `relative_first_ms`, until the final and until a first suggestion, are relative to always.
    `against_always` is the difference in edit similarity, with its interval.
    """

    name: str
    edit_similarity: float
    interval: tuple[float, float] | None
    exact_match: float
    lookup_rate: float
    relative_ms: float
    relative_first_ms: float
    against_always: float
    against_interval: tuple[float, float] | None


Policy = Callable[[Judged], Outcome]


def judge_left_out(
    examples: Sequence[Example],
    before: Sequence[str],
    after: Sequence[str],
    recipe: Recipe | None = None,
    judged_instead: Sequence[Example] | None = None,
) -> list[Judged]:
    """Each example judged by stages that were fitted on the other repositories.

    Args:
        examples: Holes of at least two repositories.
        before: Features of the stage that judges from syntax.
        after: Features of the stage that knows the completion without a lookup.
        recipe: How to fit.
        judged_instead: Holes to judge in place of the examples, say of another model.
    """
    judged: dict[int, Judged] = {}
    recipe = recipe or Recipe()
    kept = replace(recipe, ends_with="kept")
    wanted = examples if judged_instead is None else judged_instead
    for repository in repositories(wanted):
        others = [each for each in examples if each.repository != repository]
        stages = [fit_stage(others, before, recipe), fit_stage(others, after, kept)]
        for row, example in enumerate(wanted):
            if example.repository == repository:
                verdicts = [stage.judge(values_of(example)) for stage in stages]
                judged[row] = Judged(example, *verdicts)
    return [judged[row] for row in range(len(wanted))]


def classifier_report(probabilities: Sequence[float], gains: Sequence[float]) -> dict[str, Any]:
    """AUROC, calibration and accuracy of `a lookup helps`, beside what guessing would get.

    `accuracy` is at probability 0.5; `balanced_accuracy` at the threshold that the share of
    helped holes gives, the mean of the rates at which yes and no are recognised.
    """
    labels = [each > 0 for each in gains]
    share = sum(labels) / len(labels)

    def again(statistic: Callable[[list[float], list[bool]], float | None]) -> Any:
        return _interval(probabilities, labels, statistic)

    return {
        "holes": len(labels),
        "helped": share,
        "hurt": sum(each < 0 for each in gains) / len(labels),
        "auroc": auroc(probabilities, labels),
        "auroc_interval": again(auroc),
        "calibration_error": calibration_error(probabilities, labels),
        "calibration_error_interval": again(calibration_error),
        "brier": brier(probabilities, labels),
        "accuracy": _accuracy(probabilities, labels),
        "accuracy_interval": again(_accuracy),
        "majority_accuracy": max(share, 1 - share),
        "balanced_accuracy": _balanced_accuracy(probabilities, labels, share),
    }


def calibration_error(probabilities: Sequence[float], labels: Sequence[bool]) -> float:
    """Expected calibration error over ten bins of equal width (Naeini et al. 2015)."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(_BINS)]
    for probability, label in zip(probabilities, labels, strict=True):
        bins[min(_BINS - 1, int(probability * _BINS))].append((probability, label))
    total = 0.0
    for each in bins:
        if each:
            total += abs(sum(p for p, _ in each) - sum(label for _, label in each))
    return total / len(labels)


def never(costs: Costs) -> Policy:
    """No lookup anywhere."""

    def act(judged: Judged) -> Outcome:
        ms = costs.of(judged.example.never)
        return Outcome(judged.example.never, is_looked_up=False, ms=ms, first_ms=ms)

    return act


def always(costs: Costs) -> Policy:
    """A lookup everywhere."""

    def act(judged: Judged) -> Outcome:
        ms = costs.of(judged.example.always)
        return Outcome(judged.example.always, is_looked_up=True, ms=ms, first_ms=ms)

    return act


def where(looks_up: Callable[[Judged], bool], costs: Costs) -> Policy:
    """A lookup, before the model runs, where `looks_up` says so."""
    yes, no = always(costs), never(costs)
    return lambda judged: (yes if looks_up(judged) else no)(judged)


def before_the_model(points_per_second: float, costs: Costs) -> Policy:
    """The first stage alone: a lookup where its expected gain is worth what it adds."""

    def looks_up(judged: Judged) -> bool:
        added_ms = costs.of(judged.example.always) - costs.of(judged.example.never)
        return judged.before.gain >= max(0.0, added_ms) / 1000 * points_per_second

    return where(looks_up, costs)


def both_looks(
    points_per_second: float, costs: Costs, asked_again: float, *, is_shown: bool
) -> Policy:
    """As the pipeline does: a lookup at once where it is worth it and cheap, else the second look.

    Args:
        points_per_second: What a second of waiting must bring.
        costs: Of tokens.
        asked_again: A head's share of places where the second look asks for a lookup.
        is_shown: Whether a first text is shown meanwhile; else the first is the final one.
    """
    at_once = before_the_model(points_per_second, costs)
    later = after_the_model(points_per_second, costs)

    def act(judged: Judged) -> Outcome:
        whole_ms = costs.of(judged.example.always)
        added_ms = whole_ms - costs.of(judged.example.never)
        outcome = at_once(judged)
        price = LookupPrice(added_ms, points_per_second, whole_ms)
        is_final = outcome.is_looked_up and is_cheap(price, asked_again, is_shown=is_shown)
        found = outcome if is_final else later(judged)
        return found if is_shown else replace(found, first_ms=found.ms)

    return act


def after_the_model(points_per_second: float, costs: Costs) -> Policy:
    """A completion without a lookup is shown, and made again with one where it is poor."""
    no = never(costs)

    def act(judged: Judged) -> Outcome:
        first = no(judged)
        added_ms = costs.of(judged.example.always)
        if judged.after.gain < added_ms / 1000 * points_per_second:
            return first
        return Outcome(
            judged.example.kept, is_looked_up=True, ms=first.ms + added_ms, first_ms=first.ms
        )

    return act


def policies(
    judged: Sequence[Judged], points_per_second: float, costs: Costs
) -> dict[str, list[Outcome]]:
    """What each policy does with each hole.

    `never`, `always`, the `rule` of names, the first stage alone (`before`), the second alone
    (`after`), both as the pipeline has them (`auto`, and `shown` for who sees a first text
    meanwhile), chance at the rate of `shown`, and the `oracle`, which knows the better text
    beforehand.
    """
    after = [after_the_model(points_per_second, costs)(each) for each in judged]
    asked_again = lookup_share(after)
    both = {
        name: both_looks(points_per_second, costs, asked_again, is_shown=name == "shown")
        for name in ("auto", "shown")
    }
    rate = lookup_share([both["shown"](each) for each in judged])
    chance = random.Random(_SEED)
    named: dict[str, Policy] = {
        "never": never(costs),
        "always": always(costs),
        "rule": where(lambda each: each.example.features["elsewhere_6"] >= 1, costs),
        "before": before_the_model(points_per_second, costs),
        **both,
        "random": where(lambda _each: chance.random() < rate, costs),
        "oracle": where(lambda each: each.example.helps, costs),
    }
    found = {name: [policy(each) for each in judged] for name, policy in named.items()}
    return {**found, "after": after}


def lookup_share(outcomes: Sequence[Outcome]) -> float:
    """The share of holes in which something was looked up."""
    return sum(each.is_looked_up for each in outcomes) / len(outcomes)


def summed_up(
    name: str, outcomes: Sequence[Outcome], judged: Sequence[Judged], costs: Costs
) -> PolicyResult:
    """A policy's outcomes in means, beside always."""
    every_ms = sum(costs.of(each.example.always) for each in judged)
    similarities = [each.arm.edit_similarity for each in outcomes]
    gains = [
        each.arm.edit_similarity - one.example.always.edit_similarity
        for each, one in zip(outcomes, judged, strict=True)
    ]
    return PolicyResult(
        name=name,
        edit_similarity=_mean(similarities),
        interval=mean_interval(similarities, _SEED),
        exact_match=_mean([float(each.arm.exact) for each in outcomes]),
        lookup_rate=lookup_share(outcomes),
        relative_ms=sum(each.ms for each in outcomes) / every_ms,
        relative_first_ms=sum(each.first_ms for each in outcomes) / every_ms,
        against_always=_mean(gains),
        against_interval=mean_interval(gains, _SEED),
    )


def _accuracy(
    probabilities: Sequence[float], labels: Sequence[bool], threshold: float = 0.5
) -> float:
    pairs = zip(probabilities, labels, strict=True)
    return _mean([float((probability >= threshold) == label) for probability, label in pairs])


def _balanced_accuracy(
    probabilities: Sequence[float], labels: Sequence[bool], threshold: float
) -> float:
    rates = []
    for wanted in (True, False):
        of_kind = [p for p, label in zip(probabilities, labels, strict=True) if label is wanted]
        rates.append(_mean([float((each >= threshold) is wanted) for each in of_kind]))
    return _mean(rates)


def _interval(
    probabilities: Sequence[float],
    labels: Sequence[bool],
    statistic: Callable[[list[float], list[bool]], float | None],
) -> tuple[float, float] | None:
    found = []
    for rows in draws(len(labels), _SEED):
        value = statistic([probabilities[row] for row in rows], [labels[row] for row in rows])
        if value is not None:
            found.append(value)
    return (percentile(found, 2.5), percentile(found, 97.5)) if found else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
