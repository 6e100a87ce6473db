"""`codebuddy eval --robustness` and `--sensitivity`: what should make no difference, and does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from codebuddy.commands.eval_runs import print_run
from codebuddy.terminal import answer, answer_json, note, safe_line

if TYPE_CHECKING:
    from codebuddy.commands.eval_asked import Asked
    from codebuddy.evaluation.gate import Limit
    from codebuddy.evaluation.robust.results import Target
    from codebuddy.evaluation.robust.session import RobustnessOptions
    from codebuddy.evaluation.session import EvaluationOptions, EvaluationResult
    from codebuddy.service.context import RepositoryContext


def measure(
    repository_context: RepositoryContext,
    options: EvaluationOptions,
    asked: Asked,
    limits: list[Limit],
    *,
    as_json: bool,
) -> int:
    """Measure with a model, report, and judge by the limits; the exit status."""
    from codebuddy.commands.eval_gate import exit_status, pass_gate
    from codebuddy.errors import EXIT_INTERRUPTED
    from codebuddy.evaluation.robust.on_repository import measure_robustness, measure_sensitivity

    result: EvaluationResult[Any]
    if asked.is_of_people:
        report, result = measure_sensitivity(repository_context, options)
    else:
        wanted = _robustness_options(options, asked)
        report, result = measure_robustness(repository_context, wanted)
    is_whole = result.ended == "done"
    verdict = pass_gate(report, limits, is_whole=is_whole)
    _print(report, as_json=as_json)
    if asked.plot is not None and report["robustness"]["holes"]:
        from codebuddy.evaluation.plot import plot_robustness

        found = report["robustness"]
        title = f"{report['repository']}, {report['model']}, {found['holes']} holes"
        plot_robustness(title, found["families"], asked.plot)
        note(f"drew {safe_line(str(asked.plot))}")
    status = exit_status(verdict, is_whole=is_whole)
    return EXIT_INTERRUPTED if result.ended == "interrupted" else status


def measure_search(
    repository_context: RepositoryContext,
    options: EvaluationOptions,
    limits: list[Limit],
    *,
    as_json: bool,
) -> int:
    """Measure search with slips of the keyboard, report, and judge; the exit status."""
    from codebuddy.commands.eval_gate import exit_status, pass_gate
    from codebuddy.evaluation.robust.search import search_robustness, search_table
    from codebuddy.service.refresh import with_index

    repository = repository_context.repository
    found = with_index(
        repository_context,
        lambda index: search_robustness(
            repository, index, repository_context.settings, options.tasks, options.seed
        ),
        should_update=True,
    )
    report: dict[str, Any] = {
        "repository": repository.root.name,
        "commit": repository.head_commit(),
        "seed": options.seed,
        "search": found,
    }
    verdict = pass_gate(report, limits)
    if as_json:
        answer_json(report)
    elif found["queries"]:
        answer("\n".join(search_table(found)))
    else:
        note("there are no documented functions to search for")
    return exit_status(verdict)


def _robustness_options(options: EvaluationOptions, asked: Asked) -> RobustnessOptions:
    from codebuddy.evaluation.robust.session import RobustnessOptions
    from codebuddy.robustness.catalog import FAMILIES

    chosen = [each for each in FAMILIES if not asked.families or each in asked.families]
    return RobustnessOptions(
        kinds=options.kinds,
        modes=options.modes,
        tasks=options.tasks,
        seed=options.seed,
        minutes=options.minutes,
        families=chosen,
        n_seeds=asked.n_seeds or 1,
        target=cast("Target", asked.target or "place"),
    )


def _print(report: dict[str, Any], *, as_json: bool) -> None:
    from codebuddy.evaluation.robust.tables import robustness_tables, sensitivity_tables

    lines = []
    if report["tasks"] and not as_json:
        lines = (
            robustness_tables(report["robustness"])
            if "robustness" in report
            else sensitivity_tables(report["sensitivity"])
        )
    print_run(report, lines, "versions", as_json=as_json)
