"""`codebuddy eval --robustness` and `--sensitivity`: what should make no difference, and does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from codebuddy.terminal import answer, answer_json, note, safe_line

if TYPE_CHECKING:
    from codebuddy.commands.eval_asked import Asked
    from codebuddy.evaluation.gate import Limit
    from codebuddy.evaluation.robust.results import Target
    from codebuddy.evaluation.robust.session import (
        RobustnessOptions,
        RobustnessResult,
        SensitivityResult,
    )
    from codebuddy.evaluation.session import EvaluationOptions
    from codebuddy.evaluation.store import Run
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.service.context import RepositoryContext

_ENDINGS = {
    "interrupted": "interrupted; the same command goes on with the rest",
    "time": "the time is up; the same command goes on with the rest",
    "changed": "files were edited meanwhile",
}


def measure(
    repository_context: RepositoryContext,
    options: EvaluationOptions,
    asked: Asked,
    plot: Path | None,
    limits: list[Limit],
    *,
    as_json: bool,
) -> int:
    """Measure with a model, report, and judge by the limits; the exit status."""
    from codebuddy.commands.eval_gate import exit_status, pass_gate
    from codebuddy.errors import EXIT_INTERRUPTED
    from codebuddy.evaluation.robust.sensitivity import summarize_sensitivity
    from codebuddy.evaluation.robust.session import RobustnessResult
    from codebuddy.evaluation.robust.summary import summarize_robustness
    from codebuddy.service.refresh import with_index

    result = with_index(
        repository_context,
        lambda index: _run(repository_context, options, asked, index),
        should_update=True,
    )
    header = result.run.header
    report: dict[str, Any] = {
        "repository": header.get("repository", ""),
        "commit": header.get("commit", ""),
        "model": header.get("model", ""),
        "adapter": header.get("adapter"),
        "run": result.run.name,
        "seed": header.get("seed", 0),
        "planned": result.run.n_planned,
        "tasks": len(result.results),
        "damaged_lines": result.run.n_damaged,
        "settings": header.get("settings", {}),
        "ended": result.ended,
        "resumed": result.resumed,
    }
    if isinstance(result, RobustnessResult):
        report["robustness"] = summarize_robustness(result.results, options.seed)
    else:
        report["sensitivity"] = summarize_sensitivity(result.results, options.seed)
    is_whole = result.ended == "done"
    verdict = pass_gate(report, limits, is_whole=is_whole)
    _print(report, as_json=as_json)
    if plot is not None and asked.is_of_changes and report["robustness"]["holes"]:
        from codebuddy.evaluation.plot import plot_robustness

        found = report["robustness"]
        title = f"{report['repository']}, {report['model']}, {found['holes']} holes"
        plot_robustness(title, found["families"], plot)
        note(f"drew {safe_line(str(plot))}")
    status = exit_status(verdict, is_whole=is_whole)
    return EXIT_INTERRUPTED if result.ended == "interrupted" else status


def measure_search(
    repository_context: RepositoryContext,
    options: EvaluationOptions,
    _asked: Asked,
    _plot: Path | None,
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


def compare_robust_runs(first: Run, second: Run, *, as_json: bool) -> None:
    """Set two runs side by side.

    Raises:
        UsageError: They have nothing in common.
    """
    from codebuddy.errors import UsageError
    from codebuddy.evaluation.robust.compare import compare_robustness
    from codebuddy.evaluation.robust.results import places_of
    from codebuddy.evaluation.robust.tables import robust_comparison_table

    comparison = compare_robustness(places_of(first), places_of(second))
    if not comparison["tasks"]:
        raise UsageError(
            f"{first.name} and {second.name} have no task in common",
            hint="compare runs of the same commit, seed and kinds",
        )
    if as_json:
        answer_json({**comparison, "first": first.name, "second": second.name})
        return
    answer("\n".join(robust_comparison_table(comparison, first.name, second.name)))
    note(f"on the {comparison['tasks']} versions that both have done")


def _run(
    repository_context: RepositoryContext,
    options: EvaluationOptions,
    asked: Asked,
    index: RepositoryIndex,
) -> RobustnessResult | SensitivityResult:
    from codebuddy.evaluation.robust.session import evaluate_robustness, evaluate_sensitivity
    from codebuddy.evaluation.session import find_holes
    from codebuddy.service.context import open_policy
    from codebuddy.service.models import open_model
    from codebuddy.terminal import StatusLine

    repository = repository_context.repository
    holes = find_holes(repository, index, options)
    generator, chosen = open_model(
        repository_context.settings, StatusLine(), repository_context.repository
    )
    policy = open_policy(repository_context, generator, chosen.adapter)
    for warning in (*chosen.warnings, *policy.warnings):
        note(f"warning: {safe_line(warning)}")
    settings = repository_context.settings
    rest = (holes, policy.head, policy.latency, chosen.adapter)
    if asked.is_of_people:
        return evaluate_sensitivity(repository, index, generator, settings, options, *rest)
    wanted = _robustness_options(options, asked)
    return evaluate_robustness(repository, index, generator, settings, wanted, *rest)


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
        n_seeds=asked.n_seeds,
        target=cast("Target", asked.target),
    )


def _print(report: dict[str, Any], *, as_json: bool) -> None:
    from codebuddy.completion.receipt import model_in_words
    from codebuddy.evaluation.robust.tables import robustness_tables, sensitivity_tables

    if as_json:
        answer_json(report)
    else:
        lines = [
            f"{report['repository']} at {report['commit'][:12] or 'no commit'},"
            f" {model_in_words(report)}, run {report['run']}",
            "",
        ]
        if report["tasks"] and "robustness" in report:
            lines += robustness_tables(report["robustness"])
        elif report["tasks"]:
            lines += sensitivity_tables(report["sensitivity"])
        answer("\n".join(lines).rstrip())
    if report["tasks"] < report["planned"]:
        why = _ENDINGS.get(report["ended"], report["ended"])
        note(f"{report['tasks']} of {report['planned']} versions are done: {why}")
