"""One evaluation from beginning to end: holes, the run on disk, the tasks that are left.

It stops where its time is up or Ctrl-C says so, and what is done stays done. It prints
nothing but progress.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from codebuddy.completion.head import Head
from codebuddy.completion.latency import LatencyModel
from codebuddy.datatypes import RETRIEVE_MODES, Adapter, Generator
from codebuddy.errors import UsageError
from codebuddy.evaluation.holes import Hole, HoleKind, cut_holes, is_current
from codebuddy.evaluation.progress import TaskProgress
from codebuddy.evaluation.results import EvaluatedMode, TaskResult, results_of
from codebuddy.evaluation.runner import make_setup, run_task
from codebuddy.evaluation.store import Run, begin_run, program_digest
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.terminal import safe_line
from codebuddy.vcs.repository import Repository

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What is to be evaluated: tasks of each kind, arms, and how long it may take.

    `minutes` is the time after which no task is begun any more; 0 for no limit.
    """

    kinds: Sequence[HoleKind]
    modes: Sequence[EvaluatedMode] = RETRIEVE_MODES
    tasks: int = 20
    seed: int = 0
    minutes: float = 0.0


@dataclass(frozen=True, slots=True)
class EvaluationResult(Generic[T]):
    """The run, its finished tasks, and why it ended.

    `ended` is `done`, `time`, `interrupted`, or `changed` where files were edited meanwhile.
    """

    run: Run
    results: list[T]
    ended: str
    resumed: int


def find_holes(
    repository: Repository, index: RepositoryIndex, options: EvaluationOptions
) -> list[Hole]:
    """The holes of an evaluation.

    Raises:
        UsageError: The repository has no code that one could be cut into.
    """
    holes = cut_holes(repository, index, options.kinds, options.tasks, options.seed)
    if not holes:
        kinds = ", ".join(options.kinds)
        raise UsageError(
            f"{repository.root} has no code to cut holes of the kind {kinds} into",
            hint="evaluate a repository with a few files of code",
        )
    return holes


def evaluate(
    repository: Repository,
    index: RepositoryIndex,
    generator: Generator,
    settings: Settings,
    options: EvaluationOptions,
    holes: Sequence[Hole],
    head: Head | None = None,
    latency: LatencyModel | None = None,
    adapter: Adapter | None = None,
) -> EvaluationResult[TaskResult]:
    """Run the tasks that are not done yet; `head` and `latency` decide in the mode `auto`.

    The generator writes with `adapter`.

    Raises:
        CodebuddyError: The model or the index failed; the tasks before it are kept.
    """
    weights = weights_of(generator)
    header = header_of(repository, generator.name, settings, options, holes, adapter, weights)
    writer = begin_run(repository, header | {"head": head.name if head is not None else ""})
    results = {each.id: each for each in results_of(writer.run)}
    resumed = len(results)
    setup = make_setup(
        repository,
        index,
        generator,
        settings.completion,
        options.modes,
        options.seed,
        head,
        latency,
        adapter,
    )
    deadline = time.monotonic() + options.minutes * 60 if options.minutes else float("inf")
    ended, changed = "done", 0
    try:
        with TaskProgress("completing", len(holes), resumed) as progress:
            for hole in holes:
                if hole.id in results:
                    continue
                if time.monotonic() > deadline:
                    ended = "time"
                    break
                if not is_current(hole, index):
                    # The file was edited since; its hole would be cut in the wrong place.
                    changed += 1
                    continue
                result = run_task(hole, setup)
                writer.add(result.as_json())
                results[hole.id] = result
                progress.advance(safe_line(f"{hole.kind} {hole.path}"))
    except KeyboardInterrupt:
        ended = "interrupted"
        results = {each.id: each for each in results_of(writer.read_again())}
    if changed and ended == "done":
        ended = "changed"
    return EvaluationResult(writer.run, list(results.values()), ended, resumed)


def weights_of(generator: Generator) -> str:
    """Identifies the weights of a model of this machine; empty for a server's and the echo's."""
    return str(getattr(generator, "digest", ""))


def header_of(
    repository: Repository,
    model: str,
    settings: Settings,
    options: EvaluationOptions,
    holes: Sequence[Hole],
    adapter: Adapter | None = None,
    weights: str = "",
) -> dict[str, Any]:
    """What a run's first line says; two runs with the same one are the same work.

    `weights` tells files of one name apart, as `weights_of` does.
    """
    names = hashlib.sha256("".join(hole.id for hole in holes).encode()).hexdigest()[:16]
    return {
        "mode": "completion",
        "repository": repository.root.name,
        "commit": repository.head_commit(),
        "model": model,
        "weights": weights,
        "adapter": adapter and {"name": adapter.name, "sha256": adapter.sha256},
        "settings": {
            "completion": dataclasses.asdict(settings.completion),
            "model": {"n_ctx": settings.model.n_ctx, "gpu_layers": settings.model.gpu_layers},
        },
        "seed": options.seed,
        "kinds": list(options.kinds),
        "arms": list(options.modes),
        "planned": len(holes),
        "holes": names,
        "program": program_digest(),
    }
