"""`codebuddy eval`: how well completion and retrieval work on the user's own repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from codebuddy.paths import whole_model_name
from codebuddy.terminal import answer, answer_json, note, safe_line

if TYPE_CHECKING:
    from codebuddy.evaluation.retrieval import RetrievalReport
    from codebuddy.evaluation.session import EvaluationOptions, EvaluationResult
    from codebuddy.evaluation.summary import Report
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.service.context import RepositoryContext

_DEFAULT_TASKS = 20
_DEFAULT_RETRIEVAL_TASKS = 150
# Why a run has fewer tasks than it was to have.
_ENDINGS = {
    "interrupted": "interrupted; the same command goes on with the rest",
    "time": "the time is up; the same command goes on with the rest",
    "changed": "files were edited meanwhile",
}


@click.command(
    name="eval",
    epilog="Example: codebuddy eval --kind call --tasks 50 --minutes 30",
)
@click.option(
    "--tasks",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help=f"Holes of each kind ({_DEFAULT_TASKS}; {_DEFAULT_RETRIEVAL_TASKS} without a model).",
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(["line", "call", "block"]),
    multiple=True,
    help="Only this kind; may be given twice.",
)
@click.option("--arms", metavar="A,B", default="never,always,auto", help="never, always, auto.")
@click.option(
    "--arm",
    "added",
    type=click.Choice(["windows", "jaccard", "base"]),
    multiple=True,
    help="A plain baseline beside them, or all without the adapter; may be given again.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, 100_000, min_open=True),
    metavar="M",
    help="Begin no task after this long.",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, help="Of all choices (0).")
@click.option("--model", metavar="NAME|PATH", help="A model of the catalog, or a GGUF file.")
@click.option("--adapter", metavar="auto|none|PATH", help="The model's adapter, or a GGUF file.")
@click.option(
    "--retrieval-only",
    "--no-model",
    "retrieval_only",
    is_flag=True,
    help="Measure the search alone, without a model: about a minute.",
)
@click.option("--compare", nargs=2, metavar="RUN RUN", help="Set two runs side by side.")
@click.option("--list", "should_list", is_flag=True, help="List the runs of this repository.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Draw quality against latency into a PNG or SVG file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    tasks: int | None,
    kinds: tuple[str, ...],
    arms: str,
    added: tuple[str, ...],
    minutes: float | None,
    seed: int,
    model: str | None,
    adapter: str | None,
    compare: tuple[str, str] | None,
    plot: Path | None,
    *,
    retrieval_only: bool,
    should_list: bool,
    as_json: bool,
) -> int:
    """Measure completion on your own code: never, always and sometimes looking things up.

    Holes are cut into files that recent commits changed, in memory alone, and completed.
    Runs are kept beside the index; a run that was stopped goes on when the same command is
    given again.
    """
    from codebuddy.service.context import open_repository_context

    named = None if adapter is None else whole_model_name(adapter)
    repository_context = open_repository_context({"model.name": model, "model.adapter": named})
    if should_list:
        _list(repository_context, as_json=as_json)
        return 0
    if compare:
        _compare(repository_context, compare, as_json=as_json)
        return 0
    if plot is not None:
        from codebuddy.evaluation.plot import check_plot

        check_plot(plot)
    options = _options(
        tasks, kinds, ",".join([arms, *added]), minutes, seed, retrieval_only=retrieval_only
    )
    if retrieval_only:
        return _evaluate_retrieval(repository_context, options, as_json=as_json)
    return _evaluate(repository_context, options, plot, as_json=as_json)


def _options(
    tasks: int | None,
    kinds: tuple[str, ...],
    arms: str,
    minutes: float | None,
    seed: int,
    *,
    retrieval_only: bool,
) -> EvaluationOptions:
    """What the options ask for, checked."""
    from codebuddy.errors import UsageError
    from codebuddy.evaluation.holes import KINDS
    from codebuddy.evaluation.results import BASE_MODES, EVALUATED_MODES
    from codebuddy.evaluation.session import EvaluationOptions

    named = [each.strip() for each in arms.split(",") if each.strip()]
    if "base" in named:
        named.remove("base")
        named += [base for base, mode in BASE_MODES.items() if mode in named]
    unknown = [each for each in named if each not in EVALUATED_MODES]
    if unknown or not named:
        raise UsageError(
            f"--arms takes never, always, auto, windows and jaccard, not {arms!r}",
            hint="--arms never,always",
        )
    default = _DEFAULT_RETRIEVAL_TASKS if retrieval_only else _DEFAULT_TASKS
    return EvaluationOptions(
        kinds=["call"] if retrieval_only else [k for k in KINDS if not kinds or k in kinds],
        modes=[mode for mode in EVALUATED_MODES if mode in named],
        tasks=tasks or default,
        seed=seed,
        minutes=minutes or 0.0,
    )


def _run(
    repository_context: RepositoryContext, options: EvaluationOptions, index: RepositoryIndex
) -> tuple[EvaluationResult, RetrievalReport]:
    from codebuddy.errors import UsageError
    from codebuddy.evaluation.results import BASE_MODES
    from codebuddy.evaluation.retrieval import definition_report
    from codebuddy.evaluation.session import evaluate, find_holes
    from codebuddy.service.context import open_policy
    from codebuddy.service.models import open_model
    from codebuddy.terminal import StatusLine
    from codebuddy.vcs.worktrees import adapters_folder

    repository = repository_context.repository
    holes = find_holes(repository, index, options)
    generator, chosen = open_model(repository_context.settings, StatusLine(), repository)
    if chosen.adapter is None and set(options.modes) & set(BASE_MODES):
        raise UsageError(
            f"there is no adapter to compare the base with: {chosen.reason}",
            hint="--adapter PATH, or leave out --arm base",
        )
    if chosen.adapter is not None and chosen.adapter.path.parent == adapters_folder(repository):
        note(
            f"warning: {safe_line(chosen.adapter.name)} learned from this repository's files, which"
            " makes these figures better than it is ('codebuddy adapters show' has fair ones)"
        )
    # Before the long part, while the index is as it was when the holes were cut.
    retrieval = definition_report(holes, repository, index, options.seed)
    policy = open_policy(repository_context, generator, chosen.adapter)
    for warning in (*chosen.warnings, *policy.warnings):
        note(f"warning: {safe_line(warning)}")
    settings = repository_context.settings
    result = evaluate(
        repository,
        index,
        generator,
        settings,
        options,
        holes,
        policy.head,
        policy.latency,
        chosen.adapter,
    )
    return result, retrieval


def _evaluate(
    repository_context: RepositoryContext,
    options: EvaluationOptions,
    plot: Path | None,
    *,
    as_json: bool,
) -> int:
    from codebuddy.errors import EXIT_INTERRUPTED
    from codebuddy.evaluation.summary import summarize
    from codebuddy.service.refresh import with_index

    result, retrieval = with_index(
        repository_context,
        lambda index: _run(repository_context, options, index),
        should_update=True,
    )
    header = result.run.header
    report: Report = {
        "repository": header.get("repository", ""),
        "commit": header.get("commit", ""),
        "model": header.get("model", ""),
        "adapter": header.get("adapter"),
        "run": result.run.name,
        "seed": header.get("seed", 0),
        "planned": result.run.n_planned,
        "damaged_lines": result.run.n_damaged,
        "settings": header.get("settings", {}),
        **summarize(result.results, options.seed),
        "ended": result.ended,
        "resumed": result.resumed,
        "retrieval": retrieval,
    }
    _print_report(report, as_json=as_json)
    if plot is not None and result.results:
        from codebuddy.evaluation.plot import plot_modes

        plot_modes(report, plot)
        note(f"drew {safe_line(str(plot))}")
    return EXIT_INTERRUPTED if result.ended == "interrupted" else 0


def _print_report(report: Report, *, as_json: bool) -> None:
    """The report on stdout, what was left out on stderr."""
    from codebuddy.completion.receipt import model_in_words
    from codebuddy.evaluation.tables import completion_tables, retrieval_tables

    if as_json:
        answer_json(report)
    else:
        lines = [
            f"{report['repository']} at {report['commit'][:12] or 'no commit'},"
            f" {model_in_words(report)}, run {report['run']}",
            "",
        ]
        lines += completion_tables(report) if report["tasks"] else []
        found = retrieval_tables(report["retrieval"])
        answer("\n".join([*lines, *([""] if found else []), *found]).rstrip())
    if report["tasks"] < report["planned"]:
        why = _ENDINGS.get(report["ended"], report["ended"])
        note(f"{report['tasks']} of {report['planned']} tasks are done: {why}")


def _evaluate_retrieval(
    repository_context: RepositoryContext, options: EvaluationOptions, *, as_json: bool
) -> int:
    """The figures that need no model."""
    from codebuddy.evaluation.docstrings import docstring_report
    from codebuddy.evaluation.holes import cut_holes
    from codebuddy.evaluation.retrieval import definition_report
    from codebuddy.evaluation.tables import retrieval_tables
    from codebuddy.service.refresh import with_index

    repository = repository_context.repository

    def run(index: RepositoryIndex) -> RetrievalReport:
        holes = cut_holes(repository, index, options.kinds, options.tasks, options.seed)
        report = definition_report(holes, repository, index, options.seed)
        report["docstrings"] = docstring_report(
            repository, index, repository_context.settings, options.tasks, options.seed
        )
        return report

    retrieval = with_index(repository_context, run, should_update=True)
    report = {
        "repository": repository.root.name,
        "commit": repository.head_commit(),
        "seed": options.seed,
        "retrieval": retrieval,
    }
    if as_json:
        answer_json(report)
        return 0
    lines = retrieval_tables(retrieval)
    if lines:
        commit = str(report["commit"])[:12] or "no commit"
        answer("\n".join([f"{repository.root.name} at {commit}", "", *lines]).rstrip())
    else:
        note("there are neither calls across files nor documented functions to search for")
    return 0


def _list(repository_context: RepositoryContext, *, as_json: bool) -> None:
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


def _compare(
    repository_context: RepositoryContext, names: tuple[str, str], *, as_json: bool
) -> None:
    from codebuddy.errors import UsageError
    from codebuddy.evaluation.compare import compare
    from codebuddy.evaluation.results import results_of
    from codebuddy.evaluation.store import load_run
    from codebuddy.evaluation.tables import comparison_table

    first, second = (load_run(repository_context.repository, name) for name in names)
    comparison = compare(results_of(first), results_of(second))
    if not comparison["tasks"]:
        raise UsageError(
            f"{first.name} and {second.name} have no task in common",
            hint="compare runs of the same commit, seed and kinds",
        )
    if as_json:
        answer_json({**comparison, "first": first.name, "second": second.name})
        return
    answer("\n".join(comparison_table(comparison, first.name, second.name)))
    note(f"on the {comparison['tasks']} tasks that both have done")
