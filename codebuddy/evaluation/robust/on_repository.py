"""Robustness and sensitivity of one repository, with all that they need opened.

`codebuddy eval` and `codebuddy models add --gate` both call it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from codebuddy.evaluation.on_repository import open_for_evaluation
from codebuddy.evaluation.robust.sensitivity import summarize_sensitivity
from codebuddy.evaluation.robust.session import (
    RobustnessOptions,
    RobustnessResult,
    SensitivityResult,
    evaluate_robustness,
    evaluate_sensitivity,
)
from codebuddy.evaluation.robust.summary import summarize_robustness
from codebuddy.evaluation.session import EvaluationOptions, EvaluationResult, find_holes
from codebuddy.service.refresh import with_index

if TYPE_CHECKING:
    from collections.abc import Callable

    from codebuddy.index.search import RepositoryIndex
    from codebuddy.service.context import RepositoryContext

Result = TypeVar("Result", bound="EvaluationResult[Any]")
Options = TypeVar("Options", bound=EvaluationOptions)


def measure_robustness(
    context: RepositoryContext, options: RobustnessOptions
) -> tuple[dict[str, Any], RobustnessResult]:
    """The report with its key `robustness`, and the run, going on where an earlier one stopped.

    Raises:
        UsageError: There is no code to cut holes into.
        CodebuddyError: The model or the index failed; what was done before is kept.
    """
    result = _run(context, options, evaluate_robustness)
    figures = summarize_robustness(result.results, options.seed)
    return {**_facts(result), "robustness": figures}, result


def measure_sensitivity(
    context: RepositoryContext, options: EvaluationOptions
) -> tuple[dict[str, Any], SensitivityResult]:
    """The report with its key `sensitivity`, and the run; errors as of `measure_robustness`."""
    result = _run(context, options, evaluate_sensitivity)
    figures = summarize_sensitivity(result.results, options.seed)
    return {**_facts(result), "sensitivity": figures}, result


def _run(context: RepositoryContext, options: Options, evaluate: Callable[..., Result]) -> Result:
    def run(index: RepositoryIndex) -> Result:
        holes = find_holes(context.repository, index, options)
        opened = open_for_evaluation(context, options.modes)
        return evaluate(
            context.repository,
            index,
            opened.generator,
            context.settings,
            options,
            holes,
            opened.policy.head,
            opened.policy.latency,
            opened.adapter,
        )

    return with_index(context, run, should_update=True)


def _facts(result: EvaluationResult[Any]) -> dict[str, Any]:
    return {
        **result.run.facts,
        "tasks": len(result.results),
        "ended": result.ended,
        "resumed": result.resumed,
    }
