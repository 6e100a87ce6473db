"""Gains and costs of policies on repositories that their heads were not trained on.

Leave-one-repository-out: the classifiers and their calibration are fitted on all repositories but
one and predict that one's holes. From the predictions follow each policy's edit similarity,
retrievals and time. A policy decides by the estimated cost and then pays for the tokens that were
really evaluated and generated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from codebuddy.completion.cost import cost_of_tokens
from codebuddy.completion.decision import POINTS_PER_SECOND, RetrievalCost, is_cheaper_than_retry
from codebuddy.completion.head import Prediction
from codebuddy.completion.latency import LatencyModel
from codebuddy.settings import CompletionSettings
from codebuddy.training.head.examples import Example, LabelledCompletion, repositories
from codebuddy.training.head.fit import FitConfig, fit_stage, values_of
from codebuddy.training.head.metrics import Interval, interval_over


@dataclass(frozen=True, slots=True)
class TokenCosts:
    """Milliseconds a token: of a prompt that is not cached, and of a text being written.

    The defaults were measured on a quiet machine with two cores and the default model
    (docs/log.md); times of rows would say more about what else ran while they were made.
    """

    prompt_token_ms: float = 4.0
    written_token_ms: float = 38.0

    def of(self, completion: LabelledCompletion) -> float:
        """The milliseconds of one completion from an empty cache."""
        return (
            completion.prompt_tokens * self.prompt_token_ms
            + completion.generated_tokens * self.written_token_ms
        )

    def retrieval_cost(self, example: Example, points_per_second: float) -> RetrievalCost:
        """The pipeline's estimated cost of retrieval there, with an empty KV cache."""
        latency = LatencyModel()
        latency.ms_per_token = self.prompt_token_ms
        cost = cost_of_tokens(example.never.prompt_tokens, CompletionSettings(), latency)
        return replace(cost, points_per_second=points_per_second)


@dataclass(frozen=True, slots=True)
class PredictedExample:
    """A hole with the predictions of classifiers that never saw its repository.

    `before` is the syntax stage's, `after` the confidence stage's.
    """

    example: Example
    before: Prediction
    after: Prediction


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """What a policy does with one hole: quality of the text, and its cost.

    `exact` and `lookups` are 0 or 1, or in between for a random policy.
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


Policy = Callable[[PredictedExample], PolicyOutcome]


def predict_left_out(
    examples: Sequence[Example],
    before: Sequence[str],
    after: Sequence[str],
    predicted_instead: Sequence[Example] | None = None,
) -> list[PredictedExample]:
    """Predictions for each example by classifiers that were fitted on the other repositories.

    Args:
        examples: Holes of at least two repositories.
        before: Features of the syntax stage.
        after: Features of the confidence stage.
        predicted_instead: Holes to predict in place of the examples, say of another model.
    """
    predicted: dict[int, PredictedExample] = {}
    config = FitConfig()
    kept = replace(config, ends_with="kept")
    wanted = examples if predicted_instead is None else predicted_instead
    for repository in repositories(wanted):
        others = [each for each in examples if each.repository != repository]
        stages = [fit_stage(others, before, config), fit_stage(others, after, kept)]
        for row, example in enumerate(wanted):
            if example.repository == repository:
                predictions = [stage.predict(values_of(example)) for stage in stages]
                predicted[row] = PredictedExample(example, *predictions)
    return [predicted[row] for row in range(len(wanted))]


def never(costs: TokenCosts) -> Policy:
    """No lookup anywhere."""
    return lambda predicted: _at_once(predicted.example.never, costs, lookups=0.0)


def always(costs: TokenCosts) -> Policy:
    """A lookup everywhere."""
    return lambda predicted: _at_once(predicted.example.always, costs, lookups=1.0)


def where(looks_up: Callable[[PredictedExample], bool], costs: TokenCosts) -> Policy:
    """A lookup, before the model runs, where `looks_up` says so."""
    yes, no = always(costs), never(costs)
    return lambda predicted: (yes if looks_up(predicted) else no)(predicted)


def random_policy(rate: float, costs: TokenCosts) -> Policy:
    """What a lookup in a random share of the places comes to on average."""
    yes, no = always(costs), never(costs)

    def act(predicted: PredictedExample) -> PolicyOutcome:
        both = zip(_numbers(yes(predicted)), _numbers(no(predicted)), strict=True)
        return PolicyOutcome(*(rate * one + (1 - rate) * other for one, other in both))

    return act


def syntax_policy(points_per_second: float, costs: TokenCosts) -> Policy:
    """The syntax stage alone: retrieval where the expected gain is worth the cost."""

    def looks_up(predicted: PredictedExample) -> bool:
        return (
            predicted.before.gain
            >= costs.retrieval_cost(predicted.example, points_per_second).break_even_gain
        )

    return where(looks_up, costs)


def confidence_policy(points_per_second: float, costs: TokenCosts) -> Policy:
    """The confidence stage alone: retrieval and a second generation if the first text is poor."""
    no = never(costs)

    def act(predicted: PredictedExample) -> PolicyOutcome:
        first, example = no(predicted), predicted.example
        cost = costs.retrieval_cost(example, points_per_second)
        writing_ms = example.never.generated_tokens * costs.written_token_ms
        if (
            predicted.after.gain
            < replace(cost, expected_ms=cost.prompt_ms + writing_ms).break_even_gain
        ):
            return first
        kept = _at_once(example.kept, costs, lookups=1.0)
        return replace(kept, ms=first.ms + costs.of(example.always), first_ms=first.ms)

    return act


def two_stage_policy(
    points_per_second: float,
    costs: TokenCosts,
    asked_again: Callable[[str], float],
    *,
    is_shown: bool,
) -> Policy:
    """As the pipeline does: retrieval at once where worth it and cheap, else the confidence stage.

    Args:
        points_per_second: What a second of waiting must bring.
        costs: Of tokens.
        asked_again: The rate at which the confidence stage of a repository's head asks for
            retrieval.
        is_shown: Whether the first text is shown meanwhile; else the first shown is the final one.
    """
    at_once = syntax_policy(points_per_second, costs)
    later = confidence_policy(points_per_second, costs)

    def act(predicted: PredictedExample) -> PolicyOutcome:
        outcome, example = at_once(predicted), predicted.example
        cost = costs.retrieval_cost(example, points_per_second)
        is_cheaper = is_cheaper_than_retry(cost, asked_again(example.repository), is_shown=is_shown)
        found = outcome if outcome.lookups and is_cheaper else later(predicted)
        return found if is_shown else replace(found, first_ms=found.ms)

    return act


def retry_rates(predicted: Sequence[PredictedExample], costs: TokenCosts) -> Callable[[str], float]:
    """How often the confidence stage asks for retrieval, in all repositories but the named."""
    again = confidence_policy(POINTS_PER_SECOND["balanced"], costs)
    asked = {
        name: [again(each).lookups for each in predicted if each.example.repository == name]
        for name in repositories([each.example for each in predicted])
    }

    def share(repository: str) -> float:
        others = [one for name, each in asked.items() if name != repository for one in each]
        return sum(others) / len(others) if others else 0.0

    return share


def policies(
    predicted: Sequence[PredictedExample],
    points_per_second: float,
    costs: TokenCosts,
    asked_again: Callable[[str], float],
) -> dict[str, list[PolicyOutcome]]:
    """What each policy does with each hole.

    `never`, `always`, the `rule` of names, the syntax stage alone (`before`), the confidence stage
    alone (`after`), both as the pipeline has them (`auto`, and `shown` where the first text is
    shown meanwhile), random policies at the rates of both, and the `oracle`, which knows the better
    text beforehand.
    """

    def outcomes(policy: Policy) -> list[PolicyOutcome]:
        return [policy(each) for each in predicted]

    auto, shown = (
        outcomes(two_stage_policy(points_per_second, costs, asked_again, is_shown=is_shown))
        for is_shown in (False, True)
    )
    return {
        "never": outcomes(never(costs)),
        "always": outcomes(always(costs)),
        "rule": outcomes(where(lambda each: each.example.features["elsewhere_6"] >= 1, costs)),
        "before": outcomes(syntax_policy(points_per_second, costs)),
        "after": outcomes(confidence_policy(points_per_second, costs)),
        "auto": auto,
        "chance_auto": outcomes(random_policy(lookup_share(auto), costs)),
        "shown": shown,
        "chance_shown": outcomes(random_policy(lookup_share(shown), costs)),
        "oracle": outcomes(where(lambda each: each.example.helps, costs)),
    }


def lookup_share(outcomes: Sequence[PolicyOutcome]) -> float:
    """The share of holes in which something was looked up."""
    return sum(each.lookups for each in outcomes) / len(outcomes)


def summed_up(
    name: str,
    outcomes: Sequence[PolicyOutcome],
    predicted: Sequence[PredictedExample],
    costs: TokenCosts,
) -> PolicyResult:
    """A policy's outcomes in means, beside always."""
    import numpy as np

    similarities, exact, lookups, ms, first_ms = np.array([_numbers(each) for each in outcomes]).T
    always_ms = np.array([costs.of(each.example.always) for each in predicted])
    gains = similarities - np.array([each.example.always.edit_similarity for each in predicted])
    of_each = [each.example.repository for each in predicted]
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


def _at_once(completion: LabelledCompletion, costs: TokenCosts, lookups: float) -> PolicyOutcome:
    ms = costs.of(completion)
    return PolicyOutcome(completion.edit_similarity, float(completion.exact), lookups, ms, ms)


def _numbers(outcome: PolicyOutcome) -> tuple[float, ...]:
    return (
        outcome.edit_similarity,
        outcome.exact,
        outcome.lookups,
        outcome.ms,
        outcome.first_ms,
    )
