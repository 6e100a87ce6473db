"""The results of one task by retrieval mode, as values and as the JSON of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from codebuddy.datatypes import RETRIEVE_MODES, RetrieveMode
from codebuddy.evaluation.baselines import BASELINES, Baseline
from codebuddy.evaluation.store import Run

# The retrieve modes once more, without the adapter that the others are written with.
BaseMode = Literal["base_never", "base_always", "base_auto"]
BASE_MODES: dict[BaseMode, RetrieveMode] = {
    "base_never": "never",
    "base_always": "always",
    "base_auto": "auto",
}
EvaluatedMode = RetrieveMode | Baseline | BaseMode
EVALUATED_MODES: tuple[EvaluatedMode, ...] = (*RETRIEVE_MODES, *BASELINES, *BASE_MODES)
# Scores of a task; a score is `None` where there is nothing to be measured.
ScoreName = Literal["exact_match", "edit_similarity", "identifier_f1", "call_recall", "codebleu"]
SCORES: tuple[ScoreName, ...] = get_args(ScoreName)
TOKENS = ("prompt", "evaluated", "reused", "generated")


@dataclass(frozen=True, slots=True)
class ModeResult:
    """A completion of one hole in one retrieval mode.

    `scores` are named in `SCORES`, `tokens` in `TOKENS`; `latency_ms` is the whole path with
    an empty KV cache. `has_answer_in_chunks` says that what was looked up holds the
    hole's text word for word (a copy elsewhere in the repository).
    """

    text: str
    scores: dict[str, float | None]
    retrieve: bool
    probability: float
    threshold: float
    reason: str
    latency_ms: float
    timings_ms: dict[str, float]
    tokens: dict[str, int]
    chunks: list[dict[str, Any]]
    has_answer_in_chunks: bool
    finish_reason: str


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A hole and its result in each mode."""

    id: str
    kind: str
    path: str
    line: int
    column: int
    language: str
    reference: str
    callee: str
    is_callee_typed: bool
    arms: dict[str, ModeResult]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)

    def score(self, mode: str, name: str) -> float | None:
        """One score of one mode."""
        return self.arms[mode].scores.get(name)


def task_from_json(value: Mapping[str, Any]) -> TaskResult:
    """The opposite of `as_json`.

    Raises:
        ValueError: A key is missing, unknown or of another type.
    """
    try:
        fields = dict(value)
        fields["arms"] = {
            str(name): _checked(ModeResult(**mode)) for name, mode in value["arms"].items()
        }
        return TaskResult(**fields)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no task of a run: {error}") from error


def results_of(run: Run) -> list[TaskResult]:
    """The tasks of a run; damaged ones are left out and counted with its damaged lines."""
    return run.parsed(task_from_json)


def modes_of(results: Iterable[TaskResult]) -> list[str]:
    """The modes that every task has, in their usual order; none of no tasks."""
    known = [set(each.arms) for each in results]
    shared = set.intersection(*known) if known else set()
    return [mode for mode in EVALUATED_MODES if mode in shared]


def _checked(mode: ModeResult) -> ModeResult:
    numbers = [mode.probability, mode.latency_ms, *mode.tokens.values(), *mode.timings_ms.values()]
    numbers += [score for score in mode.scores.values() if score is not None]
    if not all(isinstance(number, int | float) for number in numbers):
        raise TypeError("a number is missing")
    return mode
