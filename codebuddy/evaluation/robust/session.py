"""One measurement from beginning to end, robustness or sensitivity, resumable and bounded."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from codebuddy.completion.head import Head
from codebuddy.completion.latency import LatencyModel
from codebuddy.datatypes import Adapter, GenerationStats, Generator
from codebuddy.evaluation.holes import Hole, is_current
from codebuddy.evaluation.progress import TaskProgress
from codebuddy.evaluation.robust.results import MODE, PlaceResult, Target, places_of
from codebuddy.evaluation.robust.sensitivity import Measured, PairResult, measure, pair_from_json
from codebuddy.evaluation.robust.tasks import HoleTask, Variation, variations
from codebuddy.evaluation.runner import EvaluationSetup, make_setup
from codebuddy.evaluation.session import EvaluationOptions, EvaluationResult, header_of, weights_of
from codebuddy.evaluation.store import Run, RunWriter, begin_run
from codebuddy.index.search import RepositoryIndex
from codebuddy.robustness.catalog import FAMILIES, TRANSFORMATIONS, Family
from codebuddy.robustness.identity import ATTRIBUTES
from codebuddy.settings import Settings
from codebuddy.terminal import safe_line
from codebuddy.vcs.repository import Repository


@dataclass(frozen=True, slots=True)
class RobustnessOptions(EvaluationOptions):
    """What is to be measured: the same as of an evaluation, families, seeds, what is changed."""

    families: Sequence[Family] = FAMILIES
    n_seeds: int = 1
    target: Target = "place"


class SteadyLatency(LatencyModel):
    """A latency model that learns nothing more."""

    def __init__(self, measured: LatencyModel) -> None:
        super().__init__()
        self.ms_per_token, self.lookup_ms = measured.ms_per_token, measured.lookup_ms

    def record(self, stats: GenerationStats, retrieval_ms: float) -> None:
        """Leave the figures as they are."""

    @property
    def price(self) -> list[float]:
        """Milliseconds a token and a lookup, for the run's file."""
        return [self.ms_per_token, self.lookup_ms]

    def set_price(self, price: object) -> None:
        """Take the price of the run that goes on, if there is one."""
        with suppress(TypeError, ValueError):
            per_token, lookup = (float(each) for each in price)  # type: ignore[attr-defined]
            if 0 < per_token < math.inf and 0 <= lookup < math.inf:
                self.ms_per_token, self.lookup_ms = per_token, lookup


class RobustnessResult(EvaluationResult[PlaceResult]):
    """What a measurement of robustness came to."""


def _start(
    repository: Repository,
    index: RepositoryIndex,
    generator: Generator,
    settings: Settings,
    options: EvaluationOptions,
    header: dict[str, Any],
    head: Head | None,
    latency: LatencyModel | None,
    adapter: Adapter | None,
) -> tuple[RunWriter, EvaluationSetup, float]:
    """The run, begun or gone on with, how its holes are completed, and until when (monotonic)."""
    # What a lookup costs is learned while completing: here it must not move from task to task.
    steady = SteadyLatency(latency or LatencyModel())
    named = {"head": head.name if head is not None else "", "price": steady.price}
    writer = begin_run(repository, header | named)
    steady.set_price(writer.run.header.get("price"))
    setup = make_setup(
        repository,
        index,
        generator,
        settings.completion,
        options.modes,
        options.seed,
        head,
        steady if latency is not None else None,
        adapter,
    )
    limit = time.monotonic() + options.minutes * 60 if options.minutes else float("inf")
    return writer, setup, limit


def evaluate_robustness(
    repository: Repository,
    index: RepositoryIndex,
    generator: Generator,
    settings: Settings,
    options: RobustnessOptions,
    holes: Sequence[Hole],
    head: Head | None = None,
    latency: LatencyModel | None = None,
    adapter: Adapter | None = None,
) -> RobustnessResult:
    """Complete each hole in all its variations, those that are not done yet.

    Raises:
        CodebuddyError: The model or the index failed; what was done before is kept.
    """
    chosen = [each for each in TRANSFORMATIONS if each.family in options.families]
    wanted = variations(chosen, options.n_seeds)
    header = _header(repository, generator, settings, options, holes, adapter)
    header |= {"planned": len(holes) * len(wanted)}
    started = _start(
        repository, index, generator, settings, options, header, head, latency, adapter
    )
    writer, setup, deadline = started
    done = {each.id: each for each in places_of(writer.run)}
    resumed = len(done)
    try:
        ended = _run_all(holes, wanted, setup, options.target, deadline, writer, done)
    except KeyboardInterrupt:
        ended = "interrupted"
        done = {each.id: each for each in places_of(writer.read_again())}
    return RobustnessResult(writer.run, list(done.values()), ended, resumed)


def _run_all(
    holes: Sequence[Hole],
    wanted: Sequence[Variation],
    setup: EvaluationSetup,
    target: Target,
    deadline: float,
    writer: RunWriter,
    done: dict[str, PlaceResult],
) -> str:
    """Do what is not in `done` yet, until `deadline` (of `time.monotonic`); why it ended."""
    ended = "done"
    with TaskProgress("completing", len(holes) * len(wanted), len(done)) as progress:
        for hole in holes:
            missing = [each for each in wanted if each.of(hole) not in done]
            if not is_current(hole, setup.index):
                # The file was edited since; its hole would be cut in the wrong place.
                ended = "changed" if missing else ended
                continue
            task = HoleTask(hole, setup, target)
            try:
                for variation in missing:
                    if time.monotonic() > deadline:
                        return "time"
                    result = task.run(variation)
                    writer.add(result.as_json())
                    done[result.id] = result
                    progress.advance(safe_line(f"{variation.name} {hole.path}"))
            finally:
                task.close()
    return ended


def _header(
    repository: Repository,
    generator: Generator,
    settings: Settings,
    options: RobustnessOptions,
    holes: Sequence[Hole],
    adapter: Adapter | None,
) -> dict[str, Any]:
    """The first line of a run: that of an evaluation, with what is special here."""
    weights = weights_of(generator)
    header = header_of(repository, generator.name, settings, options, holes, adapter, weights)
    special = {
        "families": list(options.families),
        "seeds": options.n_seeds,
        "on": options.target,
    }
    return header | {"mode": MODE, "settings": header["settings"] | {"robustness": special}}


SENSITIVITY_MODE = "sensitivity"


class SensitivityResult(EvaluationResult[PairResult]):
    """What a measurement of sensitivity came to."""


def evaluate_sensitivity(
    repository: Repository,
    index: RepositoryIndex,
    generator: Generator,
    settings: Settings,
    options: EvaluationOptions,
    holes: Sequence[Hole],
    head: Head | None = None,
    latency: LatencyModel | None = None,
    adapter: Adapter | None = None,
) -> SensitivityResult:
    """Complete each hole with each comment of each attribute, those that are not done yet.

    Raises:
        CodebuddyError: The model or the index failed; what was done before is kept.
    """
    weights = weights_of(generator)
    header = header_of(repository, generator.name, settings, options, holes, adapter, weights)
    header |= {"mode": SENSITIVITY_MODE, "planned": len(holes) * len(ATTRIBUTES)}
    started = _start(
        repository, index, generator, settings, options, header, head, latency, adapter
    )
    writer, setup, deadline = started
    done = pairs_of(writer.run)
    resumed = len(done)
    try:
        ended = _measure_all(holes, setup, deadline, writer, done)
    except KeyboardInterrupt:
        ended = "interrupted"
        done = pairs_of(writer.read_again())
    return SensitivityResult(writer.run, list(done.values()), ended, resumed)


def pairs_of(run: Run) -> dict[str, PairResult]:
    """The results of a run; damaged ones are left out and counted with its damaged lines."""
    return {each.id: each for each in run.parsed(pair_from_json)}


def _measure_all(
    holes: Sequence[Hole],
    setup: EvaluationSetup,
    deadline: float,
    writer: RunWriter,
    done: dict[str, PairResult],
) -> str:
    """Do what is not in `done` yet, until `deadline`; why it ended."""
    ended = "done"
    with TaskProgress("completing", len(holes) * len(ATTRIBUTES), len(done)) as progress:
        for hole in holes:
            missing = [each for each in ATTRIBUTES if f"{hole.id}:{each.name}" not in done]
            if not is_current(hole, setup.index):
                ended = "changed" if missing else ended
                continue
            known: dict[str, Measured] = {}
            try:
                for attribute in missing:
                    if time.monotonic() > deadline:
                        return "time"
                    result = measure(hole, attribute, setup, known)
                    writer.add(result.as_json())
                    done[result.id] = result
                    progress.advance(safe_line(f"{attribute.name} {hole.path}"))
            finally:
                setup.generator.forget()
    return ended
