"""An evaluation of one repository, with all that it needs opened: index, model, policy.

`codebuddy eval` and `codebuddy fleet eval` both call it. It prints warnings and progress on stderr.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from codebuddy.errors import UsageError
from codebuddy.evaluation.results import BASE_MODES, EvaluatedMode, TaskResult
from codebuddy.evaluation.session import EvaluationOptions, EvaluationResult
from codebuddy.terminal import StatusLine, note, safe_line

if TYPE_CHECKING:
    from codebuddy.datatypes import Adapter, Generator
    from codebuddy.evaluation.retrieval import RetrievalReport
    from codebuddy.evaluation.summary import Report
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.service.context import RepositoryContext, RetrievalPolicy


def evaluate_repository(
    repository_context: RepositoryContext, options: EvaluationOptions
) -> tuple[Report, EvaluationResult[TaskResult]]:
    """Complete the repository's holes in each mode, going on where an earlier run stopped.

    Raises:
        UsageError: There is no code to cut holes into, or no adapter to compare the base with.
        CodebuddyError: The model or the index failed; the tasks before it are kept.
    """
    from codebuddy.evaluation.summary import summarize
    from codebuddy.service.refresh import with_index

    result, retrieval = with_index(
        repository_context,
        lambda index: _run(repository_context, options, index),
        should_update=True,
    )
    report = {
        **result.run.facts,
        **summarize(result.results, options.seed),
        "ended": result.ended,
        "resumed": result.resumed,
        "retrieval": retrieval,
    }
    return cast("Report", report), result


def measure_search(
    repository_context: RepositoryContext, options: EvaluationOptions
) -> dict[str, Any]:
    """The figures that need no model: how well definitions and documented functions are found."""
    from codebuddy.evaluation.docstrings import docstring_report
    from codebuddy.evaluation.holes import cut_holes
    from codebuddy.evaluation.retrieval import definition_report
    from codebuddy.service.refresh import with_index

    repository = repository_context.repository

    def run(index: RepositoryIndex) -> RetrievalReport:
        holes = cut_holes(repository, index, options.kinds, options.tasks, options.seed)
        report = definition_report(holes, repository, index, options.seed)
        report["docstrings"] = docstring_report(
            repository, index, repository_context.settings, options.tasks, options.seed
        )
        return report

    return {
        "repository": repository.root.name,
        "commit": repository.head_commit(),
        "seed": options.seed,
        "retrieval": with_index(repository_context, run, should_update=True),
    }


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """What completes a repository's holes: model, policy, adapter."""

    generator: Generator
    policy: RetrievalPolicy
    adapter: Adapter | None


def open_for_evaluation(
    repository_context: RepositoryContext, modes: Sequence[EvaluatedMode]
) -> OpenedModel:
    """Open the settings' model with what belongs to it, and note what is wrong on stderr.

    Raises:
        ModelError: There is none, or it is damaged.
        UsageError: The modes compare an adapter with the base, and there is none.
    """
    from codebuddy.service.context import open_policy
    from codebuddy.service.models import open_model
    from codebuddy.vcs.worktrees import adapters_folder

    repository = repository_context.repository
    generator, chosen = open_model(repository_context.settings, StatusLine(), repository)
    if chosen.adapter is None and set(modes) & set(BASE_MODES):
        raise UsageError(
            f"there is no adapter to compare the base with: {chosen.reason}",
            hint="--adapter PATH, or leave out --arm base",
        )
    if chosen.adapter is not None and chosen.adapter.path.parent == adapters_folder(repository):
        note(
            f"warning: {safe_line(chosen.adapter.name)} learned from this repository's files, which"
            " makes these figures better than it is ('codebuddy adapters show' has fair ones)"
        )
    policy = open_policy(repository_context, generator, chosen.adapter)
    for warning in (*chosen.warnings, *policy.warnings):
        note(f"warning: {safe_line(warning)}")
    return OpenedModel(generator, policy, chosen.adapter)


def _run(
    repository_context: RepositoryContext, options: EvaluationOptions, index: RepositoryIndex
) -> tuple[EvaluationResult[TaskResult], RetrievalReport]:
    from codebuddy.evaluation.retrieval import definition_report
    from codebuddy.evaluation.session import evaluate, find_holes

    repository = repository_context.repository
    holes = find_holes(repository, index, options)
    opened = open_for_evaluation(repository_context, options.modes)
    # Before the long part, while the index is as it was when the holes were cut.
    retrieval = definition_report(holes, repository, index, options.seed)
    result = evaluate(
        repository,
        index,
        opened.generator,
        repository_context.settings,
        options,
        holes,
        opened.policy.head,
        opened.policy.latency,
        opened.adapter,
    )
    return result, retrieval
