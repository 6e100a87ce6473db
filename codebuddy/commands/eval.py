"""`codebuddy eval`: how well completion and retrieval work on the user's own repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from codebuddy.commands.eval_runs import print_run
from codebuddy.paths import whole_model_name
from codebuddy.terminal import answer, answer_json, note, safe_line

if TYPE_CHECKING:
    from codebuddy.evaluation.gate import Limit
    from codebuddy.evaluation.session import EvaluationOptions
    from codebuddy.evaluation.summary import Report
    from codebuddy.service.context import RepositoryContext

_DEFAULT_TASKS = 20
_DEFAULT_RETRIEVAL_TASKS = 150


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
@click.option("--arms", metavar="A,B", help="never, always, auto; of --robustness: never, auto.")
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
@click.option(
    "--robustness",
    is_flag=True,
    help="Measure what changes that should not matter do to completions.",
)
@click.option(
    "--family",
    "families",
    type=click.Choice(["comments", "names", "syntax", "format"]),
    multiple=True,
    help="Of --robustness: only these changes; may be given again.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    metavar="S",
    help="Of --robustness: versions of each change that is made by chance (1).",
)
@click.option(
    "--on",
    "target",
    type=click.Choice(["place", "chunks", "both"]),
    help="Of --robustness: what is changed, the text around the hole (place) or what is looked up.",
)
@click.option(
    "--sensitivity",
    is_flag=True,
    help="Measure what comments that say who is at work do to completions.",
)
@click.option(
    "--gate",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Limits, as TOML, that the figures must keep; otherwise the exit status is 1.",
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
    arms: str | None,
    added: tuple[str, ...],
    minutes: float | None,
    seed: int,
    model: str | None,
    adapter: str | None,
    compare: tuple[str, str] | None,
    plot: Path | None,
    gate: Path | None,
    families: tuple[str, ...],
    seeds: int | None,
    target: str | None,
    *,
    robustness: bool,
    sensitivity: bool,
    retrieval_only: bool,
    should_list: bool,
    as_json: bool,
) -> int:
    """Measure completion on your own code: never, always and sometimes looking things up.

    Holes are cut into files that recent commits changed, in memory alone, and completed.
    Runs are kept beside the index; a run that was stopped goes on when the same command is
    given again.
    """
    from codebuddy.commands import eval_asked, eval_gate, eval_robust, eval_runs
    from codebuddy.service.context import open_repository_context

    named = None if adapter is None else whole_model_name(adapter)
    context = open_repository_context({"model.name": model, "model.adapter": named})
    if should_list or compare:
        eval_asked.check_shown(gate, plot)
        return eval_runs.show(context, compare, as_json=as_json)
    asked = eval_asked.Asked(
        families, seeds, target, plot, is_of_people=sensitivity, is_of_changes=robustness
    )
    tasks, kinds, arms = eval_asked.defaults(asked, tasks, kinds, arms, added, retrieval_only)
    limits = eval_gate.open_gate(gate, asked, retrieval_only=retrieval_only)
    if plot is not None:
        from codebuddy.evaluation.plot import check_plot

        check_plot(plot)
    options = _options(tasks, kinds, arms, minutes, seed, retrieval_only=retrieval_only)
    if retrieval_only and robustness:
        return eval_robust.measure_search(context, options, limits, as_json=as_json)
    if robustness or sensitivity:
        return eval_robust.measure(context, options, asked, limits, as_json=as_json)
    if retrieval_only:
        return _evaluate_retrieval(context, options, limits, as_json=as_json)
    return _evaluate(context, options, plot, limits, as_json=as_json)


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


def _evaluate(
    repository_context: RepositoryContext,
    options: EvaluationOptions,
    plot: Path | None,
    limits: list[Limit],
    *,
    as_json: bool,
) -> int:
    from codebuddy.commands.eval_gate import exit_status, pass_gate
    from codebuddy.errors import EXIT_INTERRUPTED
    from codebuddy.evaluation.on_repository import evaluate_repository

    report, result = evaluate_repository(repository_context, options)
    is_whole = result.ended == "done"
    verdict = pass_gate(cast("dict[str, Any]", report), limits, is_whole=is_whole)
    _print_report(report, as_json=as_json)
    if plot is not None and result.results:
        from codebuddy.evaluation.plot import plot_modes

        plot_modes(report, plot)
        note(f"drew {safe_line(str(plot))}")
    status = exit_status(verdict, is_whole=is_whole)
    return EXIT_INTERRUPTED if result.ended == "interrupted" else status


def _print_report(report: Report, *, as_json: bool) -> None:
    """The report on stdout, what was left out on stderr."""
    from codebuddy.evaluation.tables import completion_tables, retrieval_tables

    lines: list[str] = []
    if not as_json:
        lines = completion_tables(report) if report["tasks"] else []
        found = retrieval_tables(report["retrieval"])
        lines += [*([""] if found else []), *found]
    print_run(report, lines, "tasks", as_json=as_json)


def _evaluate_retrieval(
    repository_context: RepositoryContext,
    options: EvaluationOptions,
    limits: list[Limit],
    *,
    as_json: bool,
) -> int:
    """The figures that need no model."""
    from codebuddy.commands.eval_gate import exit_status, pass_gate
    from codebuddy.evaluation.on_repository import measure_search
    from codebuddy.evaluation.tables import retrieval_tables

    report = measure_search(repository_context, options)
    verdict = pass_gate(report, limits)
    if as_json:
        answer_json(report)
        return exit_status(verdict)
    lines = retrieval_tables(report["retrieval"])
    if lines:
        commit = str(report["commit"])[:12] or "no commit"
        answer("\n".join([f"{report['repository']} at {commit}", "", *lines]).rstrip())
    else:
        note("there are neither calls across files nor documented functions to search for")
    return exit_status(verdict)
