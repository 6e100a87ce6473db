"""`codebuddy eval --robustness`: what changes that should not matter do to completions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from codebuddy.terminal import answer, answer_json, note, safe_line

if TYPE_CHECKING:
    from codebuddy.evaluation.robust.results import Target
    from codebuddy.evaluation.robust.session import RobustnessResult
    from codebuddy.evaluation.session import EvaluationOptions
    from codebuddy.evaluation.store import Run
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.robustness.catalog import Family
    from codebuddy.service.context import RepositoryContext

DEFAULT_TASKS = 12
_ENDINGS = {
    "interrupted": "interrupted; the same command goes on with the rest",
    "time": "the time is up; the same command goes on with the rest",
    "changed": "files were edited meanwhile",
}


def measure_robustness(
    repository_context: RepositoryContext,
    options: EvaluationOptions,
    asked: tuple[tuple[str, ...], int, str],
    plot: Path | None,
    *,
    as_json: bool,
) -> int:
    """Measure and report.

    Args:
        repository_context: Where.
        options: As of any evaluation.
        asked: Families (none for all), seeds, and what is changed.
        plot: A file to draw into.
        as_json: Whether one JSON object is printed.
    """
    from codebuddy.errors import EXIT_INTERRUPTED
    from codebuddy.evaluation.robust.summary import summarize_robustness
    from codebuddy.service.refresh import with_index

    result = with_index(
        repository_context,
        lambda index: _run(repository_context, options, asked, index),
        should_update=True,
    )
    header = result.run.header
    robustness = summarize_robustness(result.results, options.seed)
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
        "robustness": robustness,
    }
    _print(report, as_json=as_json)
    if plot is not None and robustness["holes"]:
        from codebuddy.evaluation.plot import plot_robustness

        title = f"{report['repository']}, {report['model']}, {robustness['holes']} holes"
        plot_robustness(title, robustness["families"], plot)
        note(f"drew {safe_line(str(plot))}")
    return EXIT_INTERRUPTED if result.ended == "interrupted" else 0


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
    asked: tuple[tuple[str, ...], int, str],
    index: RepositoryIndex,
) -> RobustnessResult:
    from codebuddy.evaluation.robust.session import RobustnessOptions, evaluate_robustness
    from codebuddy.evaluation.session import find_holes
    from codebuddy.robustness.catalog import FAMILIES
    from codebuddy.service.context import open_policy
    from codebuddy.service.models import open_model
    from codebuddy.terminal import StatusLine

    families, n_seeds, target = asked
    wanted = RobustnessOptions(
        kinds=options.kinds,
        modes=options.modes,
        tasks=options.tasks,
        seed=options.seed,
        minutes=options.minutes,
        families=cast(
            "list[Family]", [each for each in FAMILIES if not families or each in families]
        ),
        n_seeds=n_seeds,
        target=cast("Target", target),
    )
    repository = repository_context.repository
    holes = find_holes(repository, index, options)
    generator, chosen = open_model(repository_context.settings, StatusLine())
    policy = open_policy(repository_context, generator, chosen.adapter)
    for warning in (*chosen.warnings, *policy.warnings):
        note(f"warning: {safe_line(warning)}")
    return evaluate_robustness(
        repository,
        index,
        generator,
        repository_context.settings,
        wanted,
        holes,
        policy.head,
        policy.latency,
        chosen.adapter,
    )


def _print(report: dict[str, Any], *, as_json: bool) -> None:
    from codebuddy.completion.receipt import model_in_words
    from codebuddy.evaluation.robust.tables import robustness_tables

    if as_json:
        answer_json(report)
    else:
        lines = [
            f"{report['repository']} at {report['commit'][:12] or 'no commit'},"
            f" {model_in_words(report)}, run {report['run']}",
            "",
        ]
        lines += robustness_tables(report["robustness"]) if report["tasks"] else []
        answer("\n".join(lines).rstrip())
    if report["tasks"] < report["planned"]:
        why = _ENDINGS.get(report["ended"], report["ended"])
        note(f"{report['tasks']} of {report['planned']} versions are done: {why}")
