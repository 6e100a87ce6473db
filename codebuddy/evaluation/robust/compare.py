"""Two measurements of robustness side by side, on the versions that both have done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypedDict

from codebuddy.evaluation.compare import ScorePair, pair_of
from codebuddy.evaluation.robust.results import NOMINAL, PlaceResult
from codebuddy.evaluation.robust.summary import is_read
from codebuddy.robustness.catalog import FAMILIES


class RobustComparison(TypedDict):
    """`tasks` that both have, and pairs by family, arm and figure; `nominal` is no change.

    As in each run's own figures, a version counts only where its prompt is another one than that
    of the place as it is, here in both runs.
    """

    tasks: int
    families: dict[str, dict[str, dict[str, ScorePair]]]


def compare_robustness(
    first: Sequence[PlaceResult], second: Sequence[PlaceResult], seed: int = 0
) -> RobustComparison:
    """The worst version of each hole in both runs, and the difference hole by hole.

    Args:
        first: Results of the earlier run.
        second: Those of the later one.
        seed: Of the bootstrap.
    """
    others = {each.id: each for each in second if each.arms}
    pairs = [(each, others[each.id]) for each in first if each.arms and each.id in others]
    plain = [{e.hole: e for e in run if e.transformation == NOMINAL} for run in (first, second)]
    families: dict[str, dict[str, dict[str, ScorePair]]] = {}
    for family in (NOMINAL, *FAMILIES):
        chosen = [(a, b) for a, b in pairs if a.family == family]
        modes = sorted({mode for a, b in chosen for mode in set(a.arms) & set(b.arms)})
        found = {}
        for mode in modes:
            read = [
                both
                for both in chosen
                if family == NOMINAL
                or all(is_read(e, run, mode) for e, run in zip(both, plain, strict=True))
            ]
            if read:
                found[mode] = _worst(read, mode, seed)
        if found:
            families[family] = found
    return {"tasks": len(pairs), "families": families}


def _worst(
    pairs: Sequence[tuple[PlaceResult, PlaceResult]], mode: str, seed: int
) -> dict[str, ScorePair]:
    exact: dict[str, list[tuple[float, float]]] = defaultdict(list)
    similar: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for a, b in pairs:
        if mode in a.arms and mode in b.arms:
            exact[a.hole].append((a.arms[mode].exact_match, b.arms[mode].exact_match))
            similar[a.hole].append((a.arms[mode].edit_similarity, b.arms[mode].edit_similarity))

    def least(found: dict[str, list[tuple[float, float]]]) -> list[tuple[float, float]]:
        return [(min(x for x, _ in both), min(y for _, y in both)) for both in found.values()]

    return {
        "robust_exact_match": pair_of(least(exact), seed),
        "robust_edit_similarity": pair_of(least(similar), seed),
    }
