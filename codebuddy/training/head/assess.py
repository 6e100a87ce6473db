"""What policies win and cost, on repositories that their heads were not trained on.

Leave one repository out: the stages and their calibration see all repositories but one and
judge that one's holes. Out of those judgements comes what a policy would have won and cost: edit
similarity, lookups, time. A policy decides from what is known before, at the price that the
pipeline reckons, and then pays for the tokens that were really read and written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from codebuddy.completion.cost import cost_of_tokens
from codebuddy.completion.decision import POINTS_PER_SECOND, RetrievalCost, is_cheaper_than_retry
from codebuddy.completion.head import Prediction
from codebuddy.completion.latency import LatencyModel
from codebuddy.settings import CompletionSettings
from codebuddy.training.head.examples import Arm, Example, repositories
from codebuddy.training.head.fit import Recipe, fit_stage, values_of
from codebuddy.training.head.metrics import Interval, interval_over


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

    def price(self, example: Example, points_per_second: float) -> RetrievalCost:
        """What the pipeline would take a lookup to cost there, with an empty cache."""
        pace = LatencyModel()
        pace.ms_per_token = self.prompt_token_ms
        price = cost_of_tokens(example.never.prompt_tokens, CompletionSettings(), pace)
        return replace(price, points_per_second=points_per_second)


@dataclass(frozen=True, slots=True)
class Judged:
    """A hole with what stages that never saw its repository say of it.

    `before` judges from syntax, `after` from the completion without a lookup besides.
    """

    example: Example
    before: Prediction
    after: Prediction


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy does with one hole: how good its text is, and what it spent.

    `exact` and `lookups` are 0 or 1, or in between where chance decides.
    """

    edit_similarity: float
    exact: float
    lookups: float
    ms: float
    first_ms: float


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What a policy does over all holes.

    `edit_similarity` and `exact_match` are means, `lookup_rate` a share; `relative_ms` and
    `relative_first_ms`, until the final and until a first suggestion, are relative to always.
    `against_always` is the difference in edit similarity. Intervals draw repositories.
    """

    name: str
    edit_similarity: float
    exact_match: float
    against_always: float
    against_interval: Interval | None
    lookup_rate: float
    lookup_interval: Interval | None
    relative_ms: float
    ms_interval: Interval | None
    relative_first_ms: float


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
                verdicts = [stage.predict(values_of(example)) for stage in stages]
                judged[row] = Judged(example, *verdicts)
    return [judged[row] for row in range(len(wanted))]


def never(costs: Costs) -> Policy:
    """No lookup anywhere."""
    return lambda judged: _at_once(judged.example.never, costs, lookups=0.0)


def always(costs: Costs) -> Policy:
    """A lookup everywhere."""
    return lambda judged: _at_once(judged.example.always, costs, lookups=1.0)


def where(looks_up: Callable[[Judged], bool], costs: Costs) -> Policy:
    """A lookup, before the model runs, where `looks_up` says so."""
    yes, no = always(costs), never(costs)
    return lambda judged: (yes if looks_up(judged) else no)(judged)


def by_chance(rate: float, costs: Costs) -> Policy:
    """What a lookup in a random share of the places comes to on average."""
    yes, no = always(costs), never(costs)

    def act(judged: Judged) -> Outcome:
        both = zip(_numbers(yes(judged)), _numbers(no(judged)), strict=True)
        return Outcome(*(rate * one + (1 - rate) * other for one, other in both))

    return act


def before_the_model(points_per_second: float, costs: Costs) -> Policy:
    """The first stage alone: a lookup where its expected gain is worth its price."""

    def looks_up(judged: Judged) -> bool:
        return judged.before.gain >= costs.price(judged.example, points_per_second).break_even_gain

    return where(looks_up, costs)


def after_the_model(points_per_second: float, costs: Costs) -> Policy:
    """A completion without a lookup is shown, and made again with one where it is poor."""
    no = never(costs)

    def act(judged: Judged) -> Outcome:
        first, example = no(judged), judged.example
        price = costs.price(example, points_per_second)
        writing_ms = example.never.generated_tokens * costs.written_token_ms
        if (
            judged.after.gain
            < replace(price, expected_ms=price.prompt_ms + writing_ms).break_even_gain
        ):
            return first
        kept = _at_once(example.kept, costs, lookups=1.0)
        return replace(kept, ms=first.ms + costs.of(example.always), first_ms=first.ms)

    return act


def both_looks(
    points_per_second: float, costs: Costs, asked_again: Callable[[str], float], *, is_shown: bool
) -> Policy:
    """As the pipeline does: a lookup at once where it is worth it and cheap, else the second look.

    Args:
        points_per_second: What a second of waiting must bring.
        costs: Of tokens.
        asked_again: The share of places where the second look of the head that judges a
            repository asks for a lookup.
        is_shown: Whether a first text is shown meanwhile; else the first is the final one.
    """
    at_once = before_the_model(points_per_second, costs)
    later = after_the_model(points_per_second, costs)

    def act(judged: Judged) -> Outcome:
        outcome, example = at_once(judged), judged.example
        price = costs.price(example, points_per_second)
        cheap = is_cheaper_than_retry(price, asked_again(example.repository), is_shown=is_shown)
        found = outcome if outcome.lookups and cheap else later(judged)
        return found if is_shown else replace(found, first_ms=found.ms)

    return act


def shares_asked_again(judged: Sequence[Judged], costs: Costs) -> Callable[[str], float]:
    """The share of places where a second look asks for a lookup, of repositories but the named."""
    again = after_the_model(POINTS_PER_SECOND["balanced"], costs)
    asked = {
        name: [again(each).lookups for each in judged if each.example.repository == name]
        for name in repositories([each.example for each in judged])
    }

    def share(repository: str) -> float:
        others = [one for name, each in asked.items() if name != repository for one in each]
        return sum(others) / len(others) if others else 0.0

    return share


def policies(
    judged: Sequence[Judged],
    points_per_second: float,
    costs: Costs,
    asked_again: Callable[[str], float],
) -> dict[str, list[Outcome]]:
    """What each policy does with each hole.

    `never`, `always`, the `rule` of names, the first stage alone (`before`), the second alone
    (`after`), both as the pipeline has them (`auto`, and `shown` for who sees a first text
    meanwhile), chance at the rates of both, and the `oracle`, which knows the better text
    beforehand.
    """

    def outcomes(policy: Policy) -> list[Outcome]:
        return [policy(each) for each in judged]

    auto, shown = (
        outcomes(both_looks(points_per_second, costs, asked_again, is_shown=is_shown))
        for is_shown in (False, True)
    )
    return {
        "never": outcomes(never(costs)),
        "always": outcomes(always(costs)),
        "rule": outcomes(where(lambda each: each.example.features["elsewhere_6"] >= 1, costs)),
        "before": outcomes(before_the_model(points_per_second, costs)),
        "after": outcomes(after_the_model(points_per_second, costs)),
        "auto": auto,
        "chance_auto": outcomes(by_chance(lookup_share(auto), costs)),
        "shown": shown,
        "chance_shown": outcomes(by_chance(lookup_share(shown), costs)),
        "oracle": outcomes(where(lambda each: each.example.helps, costs)),
    }


def lookup_share(outcomes: Sequence[Outcome]) -> float:
    """The share of holes in which something was looked up."""
    return sum(each.lookups for each in outcomes) / len(outcomes)


def summed_up(
    name: str, outcomes: Sequence[Outcome], judged: Sequence[Judged], costs: Costs
) -> PolicyResult:
    """A policy's outcomes in means, beside always."""
    import numpy as np

    similarities, exact, lookups, ms, first_ms = np.array([_numbers(each) for each in outcomes]).T
    always_ms = np.array([costs.of(each.example.always) for each in judged])
    gains = similarities - np.array([each.example.always.edit_similarity for each in judged])
    of_each = [each.example.repository for each in judged]
    return PolicyResult(
        name=name,
        edit_similarity=float(similarities.mean()),
        exact_match=float(exact.mean()),
        against_always=float(gains.mean()),
        against_interval=interval_over(of_each, lambda rows: float(gains[rows].mean())),
        lookup_rate=float(lookups.mean()),
        lookup_interval=interval_over(of_each, lambda rows: float(lookups[rows].mean())),
        relative_ms=float(ms.sum() / always_ms.sum()),
        ms_interval=interval_over(
            of_each, lambda rows: float(ms[rows].sum() / always_ms[rows].sum())
        ),
        relative_first_ms=float(first_ms.sum() / always_ms.sum()),
    )


def _at_once(arm: Arm, costs: Costs, lookups: float) -> Outcome:
    ms = costs.of(arm)
    return Outcome(arm.edit_similarity, float(arm.exact), lookups, ms, ms)


def _numbers(outcome: Outcome) -> tuple[float, ...]:
    return (
        outcome.edit_similarity,
        outcome.exact,
        outcome.lookups,
        outcome.ms,
        outcome.first_ms,
    )
