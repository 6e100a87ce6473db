"""Runs of `codebuddy eval`, as it shows them: one, two beside each other, the list of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from codebuddy.terminal import answer, answer_json, note, safe_line

if TYPE_CHECKING:
    from codebuddy.service.context import RepositoryContext


# Why a run has fewer tasks than it was to have.
_ENDINGS = {
    "interrupted": "interrupted; the same command goes on with the rest",
    "time": "the time is up; the same command goes on with the rest",
    "changed": "files were edited meanwhile",
}


def show(
    repository_context: RepositoryContext, names: tuple[str, str] | None, *, as_json: bool
) -> int:
    """Every run, or the two of these names side by side."""
    if names:
        compare_two(repository_context, names, as_json=as_json)
    else:
        list_all(repository_context, as_json=as_json)
    return 0


def list_all(repository_context: RepositoryContext, *, as_json: bool) -> None:
    """Every run of the repository, the latest first."""
    from codebuddy.completion.receipt import model_in_words
    from codebuddy.evaluation.store import list_runs

    runs = list_runs(repository_context.repository)
    if as_json:
        answer_json(
            [
                {"run": run.name, "done": len(run.tasks), "planned": run.n_planned} | run.header
                for run in runs
            ]
        )
        return
    if not runs:
        note("there are no runs yet; make one with 'codebuddy eval'")
    for run in runs:
        header = run.header
        kinds = ",".join(map(str, header.get("kinds", [])))
        place = str(header.get("commit", ""))[:12] or "no commit"
        answer(
            safe_line(
                f"{run.name}  {len(run.tasks)} of {run.n_planned} tasks  {kinds}"
                f"  {place}  {model_in_words({'model': ''} | header)}"
                f"  {header.get('started', '')}"
            )
        )


def compare_two(
    repository_context: RepositoryContext, names: tuple[str, str], *, as_json: bool
) -> None:
    """Two runs of the same measurement side by side.

    Raises:
        UsageError: There is none of a name, or they have nothing in common.
    """
    from codebuddy.errors import UsageError
    from codebuddy.evaluation.compare import compare
    from codebuddy.evaluation.results import results_of
    from codebuddy.evaluation.robust.compare import compare_robustness
    from codebuddy.evaluation.robust.results import places_of
    from codebuddy.evaluation.robust.tables import robust_comparison_table
    from codebuddy.evaluation.store import load_run
    from codebuddy.evaluation.tables import comparison_table

    first, second = (load_run(repository_context.repository, name) for name in names)
    if "sensitivity" in (first.header.get("mode"), second.header.get("mode")):
        raise UsageError(
            "measurements of sensitivity are not compared, since each compares pairs of its own",
            hint="look at both with --json",
        )
    is_robust = first.header.get("mode") == second.header.get("mode") == "robustness"
    comparison: Any = (
        compare_robustness(places_of(first), places_of(second))
        if is_robust
        else compare(results_of(first), results_of(second))
    )
    if not comparison["tasks"]:
        raise UsageError(
            f"{first.name} and {second.name} have no task in common",
            hint="compare runs of the same commit, seed and kinds",
        )
    if as_json:
        answer_json({**comparison, "first": first.name, "second": second.name})
        return
    table = robust_comparison_table if is_robust else comparison_table
    answer("\n".join(table(comparison, first.name, second.name)))
    things = "versions" if is_robust else "tasks"
    note(f"on the {comparison['tasks']} {things} that both have done")


def print_run(report: Mapping[str, Any], lines: list[str], things: str, *, as_json: bool) -> None:
    """What a run came to on stdout, under what was measured; what was left out on stderr.

    Args:
        report: The report, with the facts of its run.
        lines: Its tables.
        things: What its `tasks` are, in words.
        as_json: Print the report itself.
    """
    from codebuddy.completion.receipt import model_in_words

    if as_json:
        answer_json(report)
    else:
        place = f"{report['repository']} at {report['commit'][:12] or 'no commit'}"
        title = f"{place}, {model_in_words(report)}, run {report['run']}"
        answer("\n".join([title, "", *lines]).rstrip())
    if report["tasks"] < report["planned"]:
        why = _ENDINGS.get(report["ended"], report["ended"])
        note(f"{report['tasks']} of {report['planned']} {things} are done: {why}")
