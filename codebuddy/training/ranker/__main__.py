"""Fit the weights of `codebuddy.completion.ranking` and judge them on unseen repositories.

    python -m codebuddy.training.ranker --per-kind 90 FOLDER FOLDER...

Holes are cut into each repository; each candidate of a hole is labelled with what it would teach
(`gains`); ridge regression foretells that from its likeness to the code before the cursor and
from how it was found. Each repository is judged with weights that never saw it: what the pieces
that fill the prompt teach together, beside plain windows. Prints the weights of all and the table.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codebuddy.completion.context import build_context
from codebuddy.completion.lookalikes import CursorText, Likeness, cursor_text, likeness
from codebuddy.completion.ranking import CHARACTERS_PER_TOKEN, KIND_GAINS, Candidate, Weights, rank
from codebuddy.completion.retrieval import find_pieces
from codebuddy.config import load_settings
from codebuddy.evaluation.baselines import WindowRetriever
from codebuddy.evaluation.holes import KINDS, cut_holes
from codebuddy.evaluation.masked_index import mask
from codebuddy.evaluation.statistics import mean_interval
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.terminal import note
from codebuddy.training.ranker.gains import CutText, cut_text, gain_of
from codebuddy.vcs.repository import open_repository

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PENALTY = 10.0
_TOP_K = 10


@dataclass(frozen=True, slots=True)
class LabelledHole:
    """A hole with its candidates, what each would teach, and what plain windows teach."""

    repository: str
    kind: str
    cut: CutText
    cursor: CursorText
    candidates: tuple[Candidate, ...]
    alike: tuple[Likeness, ...]
    gains: tuple[float, ...]
    windows_gain: float


def main() -> None:
    """Label, fit, judge and print."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        prog="python -m codebuddy.training.ranker",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--per-kind", type=int, default=90, help="holes of each kind and folder")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--budget", type=int, default=512, help="tokens of pieces in a prompt")
    arguments = parser.parse_args()
    folders = list(dict.fromkeys(folder.resolve() for folder in arguments.folders))
    settings = load_settings().settings
    holes: list[LabelledHole] = []
    for folder in folders:
        found = list(label(folder, settings, arguments.per_kind, arguments.seed, arguments.budget))
        note(f"{folder.name}: {len(found)} holes")
        holes.extend(found)
    if len({hole.repository for hole in holes if hole.candidates}) < 2:
        parser.error("two repositories with code are needed: each is judged by the others' weights")
    click.echo(str(fit(holes)))
    for line in report(holes, arguments.budget, arguments.seed):
        click.echo(line)


def label(
    folder: Path, settings: Settings, per_kind: int, seed: int, budget: int
) -> Iterator[LabelledHole]:
    """Holes of a repository with labelled candidates."""
    repository = open_repository(folder)
    update_index(repository, settings)
    with RepositoryIndex.open(repository, settings) as index:
        windows = WindowRetriever(repository, index)
        for hole in cut_holes(repository, index, KINDS, per_kind, seed):
            context = build_context(hole.as_document(repository), hole.position, hole.language)
            cursor, cut = cursor_text(context), cut_text(hole.text, context)
            candidates = tuple(find_pieces(context, mask(index, hole), cursor))
            plain = windows.search("windows", context, _TOP_K)
            yield LabelledHole(
                str(folder),
                hole.kind,
                cut,
                cursor,
                candidates,
                tuple(likeness(each.chunk.text, cursor) for each in candidates),
                tuple(gain_of(cut, [each.chunk.text]) for each in candidates),
                gain_of(cut, packed([each.chunk.text for each in plain], budget)),
            )


def fit(holes: Sequence[LabelledHole]) -> Weights:
    """Ridge regression of each candidate's gain, features standardised."""
    import numpy as np

    features, gains = _matrix(holes)
    means, spread = features.mean(0), features.std(0) + 1e-9
    scaled = (features - means) / spread
    penalty = _PENALTY * np.eye(scaled.shape[1])
    raw = np.linalg.solve(scaled.T @ scaled + penalty, scaled.T @ (gains - gains.mean())) / spread
    base = float(gains.mean() - means @ raw)
    weights = [round(float(each), 3) for each in raw]
    return Weights(
        Likeness(*weights[:3]),
        {kind: round(base + each, 3) for kind, each in zip(KIND_GAINS, weights[3:], strict=True)},
    )


def _matrix(holes: Sequence[LabelledHole]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

    rows = [
        [alike.begun, alike.words, alike.match, *(candidate.kind == kind for kind in KIND_GAINS)]
        for hole in holes
        for candidate, alike in zip(hole.candidates, hole.alike, strict=True)
    ]
    return np.array(rows, float), np.array([gain for hole in holes for gain in hole.gains], float)


def report(holes: Sequence[LabelledHole], budget: int, seed: int) -> Iterator[str]:
    """What the pieces that fill a prompt teach, each repository by weights that never saw it."""
    ranked: dict[int, float] = {}
    for repository in dict.fromkeys(hole.repository for hole in holes):
        weights = fit([hole for hole in holes if hole.repository != repository])
        for number, hole in enumerate(holes):
            if hole.repository == repository:
                ranked[number] = _taught(hole, weights, budget)
    yield "| holes | number | plain windows | ranked pieces | difference |"
    yield "|---|--:|--:|--:|--:|"
    for kind in ("", *dict.fromkeys(hole.kind for hole in holes)):
        own = [number for number, hole in enumerate(holes) if not kind or hole.kind == kind]
        gaps = [ranked[each] - holes[each].windows_gain for each in own]
        low, high = mean_interval(gaps, seed) or (math.nan, math.nan)
        plain = _mean(holes[each].windows_gain for each in own)
        ours, gap = _mean(ranked[each] for each in own), _mean(gaps)
        figures = f"{len(own)} | {plain:.1f} | {ours:.1f} | {gap:+.1f} [{low:.1f}, {high:.1f}]"
        yield f"| {kind or 'all'} | {figures} |"


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / max(1, len(known))


def _taught(hole: LabelledHole, weights: Weights, budget: int) -> float:
    best = rank(hole.candidates, hole.cursor, _TOP_K, weights)
    return gain_of(hole.cut, packed([each.candidate.chunk.text for each in best], budget))


def packed(texts: Sequence[str], budget: int) -> list[str]:
    """The texts that fit into `budget` tokens, about as `completion.prompt` packs them."""
    left, kept = budget * CHARACTERS_PER_TOKEN, []
    for text in texts:
        if len(text) > left:
            cut = text[: int(left)].rpartition("\n")[0]
            text = cut if 4 * len(cut) >= len(text) else ""
        if text:
            kept.append(text)
            left -= len(text)
    return kept


if __name__ == "__main__":
    main()
