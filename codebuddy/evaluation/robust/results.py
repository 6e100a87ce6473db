"""One completion of a changed place, as a value and as the JSON of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from codebuddy.evaluation.store import Run
from codebuddy.robustness.catalog import BY_NAME

# What is changed: the text around the hole, what is looked up, or both.
Target = Literal["place", "chunks", "both"]
# The name of no transformation: the place as it is.
NOMINAL = "nominal"
MODE = "robustness"


@dataclass(frozen=True, slots=True)
class ArmResult:
    """A completion in one retrieval mode.

    `exact_match` is 0 or 1, `edit_similarity` 0 to 100; `chunks` name what was in the prompt, as
    PATH:LINE-LINE, and `prompt` is a digest of all that the model read.
    """

    text: str
    exact_match: float
    edit_similarity: float
    retrieve: bool
    chunks: tuple[str, ...]
    prompt: str
    latency_ms: float


@dataclass(frozen=True, slots=True)
class PlaceResult:
    """A hole under one transformation and seed; `arms` is empty where nothing was changed.

    `reason` says why nothing was changed.
    """

    id: str
    hole: str
    transformation: str
    seed: int
    kind: str
    path: str
    line: int
    language: str
    reason: str
    reference: str
    arms: dict[str, ArmResult]

    @property
    def family(self) -> str:
        """That of its transformation, `nominal` of none; empty for one that is not known."""
        if self.transformation == NOMINAL:
            return NOMINAL
        known = BY_NAME.get(self.transformation)
        return known.family if known is not None else ""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


def place_from_json(value: Mapping[str, Any]) -> PlaceResult:
    """The opposite of `as_json`.

    Raises:
        ValueError: A key is missing, unknown or of another type.
    """
    try:
        fields = dict(value)
        arms = {str(name): _arm(arm) for name, arm in value["arms"].items()}
        return PlaceResult(**{**fields, "arms": arms})
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no task of a run: {error}") from error


def places_of(run: Run) -> list[PlaceResult]:
    """The results of a run; damaged ones are left out and counted with its damaged lines."""
    return run.parsed(place_from_json)


def _arm(value: Mapping[str, Any]) -> ArmResult:
    arm = ArmResult(**{**value, "chunks": tuple(value["chunks"])})
    numbers = (arm.exact_match, arm.edit_similarity, arm.latency_ms)
    if not all(isinstance(each, int | float) for each in numbers):
        raise TypeError("a number is missing")
    return arm
