"""How often a change that should not matter moves the decision to look up, without a model.

    python -m tests.bench.robust_decisions REPOSITORY... [--holes N] [--model NAME] [--seeds S]

The syntax stage of the shipped head rates each hole as it is and in every version, at break-even
gains of some points, and at the median of the holes' own, where most can flip. Beside the shares
that flip: how far the gain moves, and the features of the head that move it most. What the
confidence stage makes of a model's text is left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codebuddy import heads
from codebuddy.completion.context import build_context
from codebuddy.completion.decision import count_definitions
from codebuddy.completion.features import extract_features
from codebuddy.completion.head import Classifier
from codebuddy.evaluation.holes import Hole, cut_holes
from codebuddy.evaluation.masked_index import mask
from codebuddy.evaluation.statistics import mean_interval
from codebuddy.evaluation.tables import table
from codebuddy.index.search import RepositoryIndex
from codebuddy.robustness.catalog import FAMILIES, TRANSFORMATIONS, transformed
from codebuddy.robustness.place import NothingToChangeError, Place, open_view
from codebuddy.service.context import RepositoryContext, repository_context_of_folder
from codebuddy.service.refresh import with_index

# Points of edit similarity that a lookup must win.
GAINS = (1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Moved:
    """A version of a hole: the gain as it is and in the version, and what moved it most."""

    family: str
    name: str
    gain: float
    now: float
    feature: str

    def flips(self, least: float) -> bool:
        """Whether a lookup that must win `least` points is decided otherwise."""
        return (self.gain >= least) != (self.now >= least)


def main() -> None:
    """Rate holes of each repository, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("repositories", nargs="+", type=Path)
    parser.add_argument("--holes", type=int, default=100)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    moved: list[list[Moved]] = []
    for root in arguments.repositories:
        context = repository_context_of_folder(root)
        wanted = heads.trained_for(arguments.model, context.settings.completion, None)
        head = heads.choose_head(None, wanted).head
        assert head is not None, f"there is no head for {arguments.model}"
        stage = head.syntax

        def rate(
            index: RepositoryIndex,
            context: RepositoryContext = context,
            stage: Classifier = stage,
        ) -> list[list[Moved]]:
            holes = cut_holes(context.repository, index, ["line"], arguments.holes, 0)
            return [
                list(versions_of(hole, context, index, stage, arguments.seeds)) for hole in holes
            ]

        moved += with_index(context, rate, should_update=True)
        print(f"{root.name}: {len(moved)} holes", file=sys.stderr, flush=True)
    print("\n".join(lines_of(moved)))


def versions_of(
    hole: Hole, context: RepositoryContext, index: RepositoryIndex, stage: Classifier, n_seeds: int
) -> Iterator[Moved]:
    """What each change of a hole does to the rating."""
    masked = mask(index, hole)
    place = Place(hole.source, hole.language, hole.start_byte, hole.end_byte)

    def features(of: Hole) -> dict[str, float]:
        document = of.as_document(context.repository)
        around = build_context(document, of.position, of.language)
        return extract_features(around, count_definitions(around, masked))

    before = features(hole)
    gain = stage.predict(before).gain
    try:
        view = open_view(place)
    except NothingToChangeError:
        return
    for each in TRANSFORMATIONS:
        for seed in range(n_seeds if each.is_random else 1):
            changed = transformed(each, place, seed, view=view).place
            if changed is None:
                continue
            after = features(
                dataclasses.replace(
                    hole, source=changed.source, start_byte=changed.start, end_byte=changed.end
                )
            )
            now = stage.predict(after).gain
            yield Moved(each.family, each.name, gain, now, _most(stage, before, after))


def _most(stage: Classifier, before: dict[str, float], after: dict[str, float]) -> str:
    """The feature whose change alone moves the gain most; empty where none does."""
    gain = stage.predict(before).gain
    moved = {
        name: abs(stage.predict({**before, name: after[name]}).gain - gain)
        for name in stage.features
        if name in after and after[name] != before[name]
    }
    return max(moved, key=lambda name: moved[name]) if moved else ""


def lines_of(holes: list[list[Moved]]) -> list[str]:
    """A row for each family and each change of format; intervals are over holes."""
    median = statistics.median(hole[0].gain for hole in holes if hole)
    rows = []
    names = [each.name for each in TRANSFORMATIONS if each.family == "format"]
    for label in (*FAMILIES, *names):
        of_holes = [[m for m in hole if label in (m.family, m.name)] for hole in holes]
        of_holes = [each for each in of_holes if each]
        every = [m for hole in of_holes for m in hole]
        if not every:
            continue
        cells = [label, str(len(every))]
        for least in (*GAINS, median):
            shares = [sum(m.flips(least) for m in hole) / len(hole) for hole in of_holes]
            low, high = mean_interval(shares, 0) or (0.0, 0.0)
            mean = sum(shares) / len(shares)
            cells.append(f"{100 * mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]")
        cells.append(f"{sum(abs(m.now - m.gain) for m in every) / len(every):.2f}")
        by_feature: dict[str, float] = defaultdict(float)
        for each in every:
            by_feature[each.feature] += abs(each.now - each.gain)
        most = Counter(by_feature).most_common(3)
        cells.append(", ".join(name for name, value in most if name and value > 0))
        rows.append(cells)
    heads_of_gains = [f"flips % at {gain:.0f}" for gain in GAINS]
    heads_of_gains.append(f"at the median, {median:.1f}")
    return table(["changes", "versions", *heads_of_gains, "points moved", "most by"], rows)


if __name__ == "__main__":
    main()
