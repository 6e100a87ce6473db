"""Completes a hole whose surroundings were changed, with what the change did scored.

The index stays as it is: the person who writes otherwise than the repository has it has the
same index. A name that was changed is changed back in the text before it is compared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from codebuddy.code_index import CodeIndex
from codebuddy.datatypes import SearchResult
from codebuddy.evaluation.holes import Hole
from codebuddy.evaluation.masked_index import mask
from codebuddy.evaluation.metrics import edit_similarity, exact_match
from codebuddy.evaluation.results import ModeResult
from codebuddy.evaluation.robust.results import NOMINAL, ArmResult, PlaceResult, Target
from codebuddy.evaluation.runner import EvaluationSetup, run_mode
from codebuddy.robustness.catalog import BY_NAME, Outcome, Transformation, transformed
from codebuddy.robustness.names import rename_in
from codebuddy.robustness.place import NothingToChangeError, Place, View, open_view


@dataclasses.dataclass(frozen=True, slots=True)
class Variation:
    """A transformation with a seed; the name `nominal` stands for none."""

    name: str
    seed: int = 0

    def of(self, hole: Hole) -> str:
        """The id of this variation of a hole."""
        return f"{hole.id}:{self.name}:{self.seed}"


def variations(transformations: Sequence[Transformation], n_seeds: int) -> list[Variation]:
    """All that is done with a hole: as it is, then each transformation with its seeds."""
    found = [Variation(NOMINAL)]
    for each in transformations:
        seeds = range(n_seeds if each.is_random else 1)
        found += [Variation(each.name, seed) for seed in seeds]
    return found


class HoleTask:
    """A hole that is completed in many variations."""

    def __init__(self, hole: Hole, setup: EvaluationSetup, target: Target) -> None:
        self._hole, self._setup, self._target = hole, setup, target
        self._masked: CodeIndex = mask(setup.index, hole)
        self._view: View | None = None
        self._place = Place(hole.source, hole.language, hole.start_byte, hole.end_byte)

    def run(self, variation: Variation) -> PlaceResult:
        """Complete the hole in one variation, in each mode.

        Raises:
            CodebuddyError: The model or the index failed.
        """
        if variation.name == NOMINAL:
            return self._result(variation, "", self._arms(self._hole, None, {}))
        outcome = self._changed(variation)
        if outcome.place is None and (self._target == "place" or outcome.names):
            return self._result(variation, outcome.reason, {})
        hole = self._hole
        names = outcome.names if outcome.place is not None else {}
        if outcome.place is not None and self._target != "chunks":
            place = outcome.place
            hole = dataclasses.replace(
                hole, source=place.source, start_byte=place.start, end_byte=place.end
            )
        altered = None
        if self._target != "place":
            altered = _alter(BY_NAME[variation.name], variation.seed, names)
        return self._result(variation, "", self._arms(hole, altered, names))

    def close(self) -> None:
        """Forget what was generated."""
        self._setup.generator.forget()

    def _changed(self, variation: Variation) -> Outcome:
        try:
            self._view = self._view or open_view(self._place)
        except NothingToChangeError as error:
            return Outcome(None, {}, str(error))
        transformation = BY_NAME[variation.name]
        return transformed(transformation, self._place, variation.seed, view=self._view)

    def _arms(
        self,
        hole: Hole,
        altered: Callable[[list[SearchResult]], list[SearchResult]] | None,
        names: Mapping[str, str],
    ) -> dict[str, ArmResult]:
        back = [(new, old) for old, new in names.items()]

        def scored(text: str) -> dict[str, float | None]:
            # With the old names back, the hole is the one that was cut.
            text, wanted = (rename_in(text, back), self._hole.text) if back else (text, hole.text)
            return {
                "exact_match": float(exact_match(text, wanted)),
                "edit_similarity": edit_similarity(text, wanted),
            }

        arms = {}
        for mode in self._setup.modes:
            result = run_mode(hole, mode, self._masked, self._setup, altered, scored)
            arms[str(mode)] = _arm(result, self._setup.generator.prompt_digest)
        return arms

    def _result(self, variation: Variation, reason: str, arms: dict[str, ArmResult]) -> PlaceResult:
        hole = self._hole
        return PlaceResult(
            id=variation.of(hole),
            hole=hole.id,
            transformation=variation.name,
            seed=variation.seed,
            kind=hole.kind,
            path=hole.path,
            line=hole.position.line,
            language=hole.language,
            reason=reason,
            reference=hole.text,
            arms=arms,
        )


def _arm(result: ModeResult, prompt: str) -> ArmResult:
    return ArmResult(
        text=result.text,
        exact_match=result.scores["exact_match"] or 0.0,
        edit_similarity=result.scores["edit_similarity"] or 0.0,
        retrieve=result.retrieve,
        chunks=tuple(
            f"{each['path']}:{each['start_line']}-{each['end_line']}" for each in result.chunks
        ),
        prompt=prompt,
        latency_ms=result.latency_ms,
    )


def _alter(
    transformation: Transformation, seed: int, names: Mapping[str, str]
) -> Callable[[list[SearchResult]], list[SearchResult]]:
    """Make the same change in what was looked up; a new name is new there too."""
    pairs = list(names.items())

    def altered(results: list[SearchResult]) -> list[SearchResult]:
        return [_altered_chunk(each, transformation, seed, pairs) for each in results]

    return altered


def _altered_chunk(
    result: SearchResult, transformation: Transformation, seed: int, names: list[tuple[str, str]]
) -> SearchResult:
    chunk = result.chunk
    if transformation.check == "N":
        text = rename_in(chunk.text, names)
    else:
        source = chunk.text.encode("utf-8", "replace")
        place = Place(source, chunk.language, len(source), len(source))
        try:
            view = open_view(place, is_whole=True)
        except NothingToChangeError:
            return result
        outcome = transformed(transformation, place, seed, view=view)
        text = chunk.text if outcome.place is None else outcome.place.source.decode()
    return dataclasses.replace(result, chunk=dataclasses.replace(chunk, text=text))
