"""Figures of robustness, in the manner of ReCode (arXiv 2212.10264) without running anything.

A version is right where its text is, but for white space, what stood in the hole. Over s versions
of a hole (seeds, and in a family its transformations) the worst one counts:

    robust exact match  = share of holes that are right in every version         (RP_s@1, greedy)
    robust drop         = (exact match - robust exact match) / exact match        (RD_s@1)
    robust relative     = share of holes of which some version is right and the place as it is
                          not, or the other way round                            (RR_s@1)
    robust similarity   = mean over holes of the least edit similarity of the versions

Only holes count where the transformation changed something and the model read it: a prompt that
is the same was not robust, but not asked. Intervals are 95% bootstraps over holes. It knows
neither files nor models.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypedDict

from codebuddy.evaluation.robust.results import NOMINAL, ArmResult, PlaceResult
from codebuddy.evaluation.statistics import TAILS, Interval, draws, mean, mean_interval
from codebuddy.robustness.catalog import BY_NAME, FAMILIES

# The place as it is, and its versions, in one arm.
Versions = tuple[ArmResult, list[ArmResult]]


class ArmFigures(TypedDict):
    """An arm over the holes that were changed; `None` where there are none.

    Rates are 0 to 1, similarities 0 to 100. `stability` is the mean overlap (Jaccard) of the
    chunks in both prompts, over versions where either looked something up.
    """

    holes: int
    exact_match: float | None
    robust_exact_match: float | None
    robust_drop: float | None
    robust_relative: float | None
    edit_similarity: float | None
    robust_edit_similarity: float | None
    edit_similarity_drop: float | None
    flips: float | None
    chunks_changed: float | None
    stability: float | None
    intervals: dict[str, Interval]


class VariationFigures(TypedDict):
    """A transformation: how many holes it changed, and why not the others."""

    family: str
    changed: int
    unseen: int
    unchanged: int
    reasons: dict[str, int]
    arms: dict[str, ArmFigures]


class Robustness(TypedDict):
    """The key `robustness` of `eval --robustness --json`."""

    holes: int
    all: dict[str, ArmFigures]
    families: dict[str, dict[str, ArmFigures]]
    transformations: dict[str, VariationFigures]


def summarize_robustness(results: Sequence[PlaceResult], seed: int) -> Robustness:
    """The figures of a run: of all transformations, each family, each transformation.

    Args:
        results: What is done; holes that were not completed as they are do not count.
        seed: Of the bootstrap.
    """
    nominal = {each.hole: each for each in results if each.transformation == NOMINAL}
    varied = [each for each in results if each.transformation != NOMINAL and each.hole in nominal]
    modes = list(dict.fromkeys(mode for each in nominal.values() for mode in each.arms))

    def arms(chosen: Callable[[PlaceResult], bool]) -> dict[str, ArmFigures]:
        some = [each for each in varied if chosen(each)]
        return {mode: figures(versions_of(nominal, some, mode), seed) for mode in modes}

    names = [name for name in BY_NAME if any(each.transformation == name for each in varied)]
    families = [f for f in FAMILIES if any(BY_NAME[name].family == f for name in names)]
    return {
        "holes": len(nominal),
        "all": arms(lambda _each: True),
        "families": {
            family: arms(lambda each, f=family: each.family == f)  # type: ignore[misc]
            for family in families
        },
        "transformations": {
            name: {
                **_counts([e for e in varied if e.transformation == name], nominal),
                "arms": arms(lambda each, n=name: each.transformation == n),  # type: ignore[misc]
            }
            for name in names
        },
    }


def versions_of(
    nominal: dict[str, PlaceResult], varied: Iterable[PlaceResult], mode: str
) -> dict[str, Versions]:
    """By hole: its completion as it is, and those of the versions that the model read."""
    found: dict[str, list[ArmResult]] = defaultdict(list)
    for each in varied:
        if is_read(each, nominal, mode):
            found[each.hole].append(each.arms[mode])
    return {hole: (nominal[hole].arms[mode], arms) for hole, arms in found.items()}


def is_read(version: PlaceResult, nominal: Mapping[str, PlaceResult], mode: str) -> bool:
    """Whether the model read of the change: its prompt is not that of the place as it is."""
    place = nominal.get(version.hole)
    if place is None or mode not in place.arms or mode not in version.arms:
        return False
    return version.arms[mode].prompt != place.arms[mode].prompt


def figures(versions: dict[str, Versions], seed: int) -> ArmFigures:
    """The figures of one arm.

    Args:
        versions: By hole, each with one version at least.
        seed: Of the bootstrap.
    """
    rows = list(versions.values())
    plain = [first.exact_match for first, _ in rows]
    robust = [min(v.exact_match for v in vs) for _, vs in rows]
    similar = [first.edit_similarity for first, _ in rows]
    worst = [min(v.edit_similarity for v in vs) for _, vs in rows]
    relative = [float(any(v.exact_match != first.exact_match for v in vs)) for first, vs in rows]
    flips = [float(any(v.retrieve != first.retrieve for v in vs)) for first, vs in rows]
    overlaps = [
        [_overlap(first.chunks, v.chunks) for v in vs if first.chunks or v.chunks]
        for first, vs in rows
    ]
    looked = [each for each in overlaps if each]
    changed = [float(min(each) < 1) for each in looked]
    stability = [sum(each) / len(each) for each in looked]
    means = {
        "exact_match": plain,
        "robust_exact_match": robust,
        "robust_relative": relative,
        "edit_similarity": similar,
        "robust_edit_similarity": worst,
        "flips": flips,
        "chunks_changed": changed,
        "stability": stability,
    }
    intervals = {name: mean_interval(values, seed) for name, values in means.items()}
    intervals["robust_drop"] = _drop_interval(plain, robust, seed)
    intervals["edit_similarity_drop"] = _drop_interval(similar, worst, seed)
    return {
        "holes": len(rows),
        "exact_match": mean(plain),
        "robust_exact_match": mean(robust),
        "robust_drop": _drop(plain, robust),
        "robust_relative": mean(relative),
        "edit_similarity": mean(similar),
        "robust_edit_similarity": mean(worst),
        "edit_similarity_drop": _drop(similar, worst),
        "flips": mean(flips),
        "chunks_changed": mean(changed),
        "stability": mean(stability),
        "intervals": intervals,
    }


class _Counts(TypedDict):
    family: str
    changed: int
    unseen: int
    unchanged: int
    reasons: dict[str, int]


def _counts(results: Sequence[PlaceResult], nominal: dict[str, PlaceResult]) -> _Counts:
    """Holes by what became of them: changed, changed where no arm read it, or unchanged."""
    state: dict[str, int] = {}
    reasons: Counter[str] = Counter()
    for each in results:
        was_read = any(is_read(each, nominal, mode) for mode in each.arms)
        state[each.hole] = max(state.get(each.hole, 0), 2 if was_read else 1 if each.arms else 0)
        if each.reason:
            reasons[each.reason] += 1
    counts = Counter(state.values())
    return {
        "family": results[0].family,
        "changed": counts[2],
        "unseen": counts[1],
        "unchanged": counts[0],
        "reasons": dict(reasons.most_common()),
    }


def _overlap(first: Sequence[str], second: Sequence[str]) -> float:
    a, b = set(first), set(second)
    return len(a & b) / len(a | b) if a | b else 1.0


def _drop(before: Sequence[float], after: Sequence[float]) -> float | None:
    total = sum(before)
    return (total - sum(after)) / total if total else None


def _drop_interval(before: Sequence[float], after: Sequence[float], seed: int) -> Interval:
    """Resamples without anything that could drop do not count."""
    import numpy as np

    if len(before) < 2 or not sum(before):
        return None
    chosen = draws(len(before), seed)
    totals = np.asarray(before)[chosen].sum(axis=1)
    lost = totals - np.asarray(after)[chosen].sum(axis=1)
    drops = lost[totals > 0] / totals[totals > 0]
    low, high = np.percentile(drops, TAILS)
    return float(low), float(high)
