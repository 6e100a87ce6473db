"""Whether a repository's adapter is better: the same holes by the base, the default and its own.

Holes are cut into files that took part in no training, and completed by the very path that
completes in an editor. What is not clearly better is not used.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codebuddy.datatypes import Adapter, Generator
from codebuddy.evaluation import gate
from codebuddy.evaluation.cold import ColdGenerator
from codebuddy.evaluation.gate import Limit
from codebuddy.evaluation.holes import KINDS, Hole, cut_holes
from codebuddy.evaluation.metrics import customization_quality_index, quality
from codebuddy.evaluation.results import ModeResult
from codebuddy.evaluation.runner import make_setup, run_task
from codebuddy.evaluation.statistics import mean_interval
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import CompletionSettings
from codebuddy.training.own.choosing import Deprecated
from codebuddy.training.own.pausing import PausableClock
from codebuddy.vcs.repository import Repository

PER_KIND = 24
# Of fewer holes nothing is concluded.
MIN_HOLES = 12
# Points of edit similarity that it must win, and what code from elsewhere may lose at most.
LEAST_GAIN, MOST_LOST_SHARE = 0.5, 0.05

BASE, DEFAULT, OWN = "base", "default", "own"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Figures by arm, how many holes they are of, and whether the adapter is to be used.

    `gain` is the mean over holes of what it wins over the best other arm, in points of edit
    similarity, with a 95% interval. `reason` says in words why it is better, or is not.
    """

    holes: int
    arms: Mapping[str, Mapping[str, float | None]]
    rival: str
    gain: float
    interval: tuple[float, float] | None
    cqi: float
    is_better: bool
    reason: str

    def as_json(self) -> dict[str, Any]:
        """The figures of a card."""
        return {
            "holes": self.holes,
            "arms": {name: dict(arm) for name, arm in self.arms.items()},
            "against": self.rival,
            "gain": self.gain,
            "interval": None if self.interval is None else list(self.interval),
            "cqi": self.cqi,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Trial:
    """What is compared, where, and until when (`deadline`, on the clock)."""

    repository: Repository
    index: RepositoryIndex
    generator: Generator
    settings: CompletionSettings
    own: Adapter
    default: Adapter | None
    deprecated: Deprecated
    seed: int
    clock: PausableClock
    deadline: float = float("inf")


def complete_holes(
    trial: Trial, files: Sequence[str], show: Callable[[str], None]
) -> dict[str, list[ModeResult]]:
    """The completions of holes in `files` by arm, in one order.

    Raises:
        CodebuddyError: The model or the index failed.
    """
    only = frozenset(files)
    holes = cut_holes(trial.repository, trial.index, KINDS, PER_KIND, trial.seed, only)
    arms: dict[str, tuple[Adapter | None, Any]] = {
        BASE: (trial.own, "base_never"),
        OWN: (trial.own, "never"),
    }
    if trial.default is not None:
        arms[DEFAULT] = (trial.default, "never")
    found: dict[str, list[ModeResult]] = {name: [] for name in arms}
    for number, hole in enumerate(holes):
        if trial.clock() > trial.deadline and number >= MIN_HOLES:
            break
        trial.clock.wait()
        for name, (adapter, mode) in arms.items():
            found[name].append(_complete(hole, trial, adapter, mode))
        show(f"comparing: {number + 1} of {len(holes)} holes")
    return found


def _complete(hole: Hole, trial: Trial, adapter: Adapter | None, mode: Any) -> ModeResult:
    setup = make_setup(
        trial.repository,
        trial.index,
        trial.generator,
        trial.settings,
        [mode],
        trial.seed,
        adapter=adapter,
    )
    # All arms share the prompt, and no time is measured.
    warm = ColdGenerator(trial.generator, keeps_cache=True)
    return run_task(hole, dataclasses.replace(setup, generator=warm)).arms[mode]


def pass_gate(
    limits: Sequence[Limit], loss: Mapping[str, Mapping[str, float]], verdict: Verdict
) -> tuple[gate.Verdict | None, Verdict]:
    """The judgement by the limits, and the verdict with them counted; none without limits."""
    if not limits:
        return None, verdict
    figures = {"compared": verdict.as_json(), "loss": loss}
    judged = gate.judge(figures, list(limits), is_whole=True)
    if judged["passed"]:
        return judged, verdict
    return judged, dataclasses.replace(
        verdict, is_better=False, reason="the gate's limits are not kept"
    )


def judge_nothing(limits: Sequence[Limit]) -> gate.Verdict | None:
    """The judgement where nothing was measured, which passes no limit; none without limits."""
    return gate.judge({}, list(limits), is_whole=False) if limits else None


def judge(
    found: Mapping[str, Sequence[ModeResult]],
    deprecated: Deprecated,
    gains: Sequence[float],
    loss: Mapping[str, Mapping[str, float]],
    seed: int,
) -> Verdict:
    """Say whether the adapter is better.

    It must win edit similarity over the best of the others and lose no quality, explain the
    files held out better in all of an interval, and not forget code from elsewhere.

    Args:
        found: Results by arm, in one order.
        deprecated: Names whose use is counted.
        gains: For each middle held out, how much smaller its loss became.
        loss: Nats a token before and after, by part.
        seed: Of the intervals.
    """
    arms = {name: _figures(results, deprecated) for name, results in found.items()}
    others = [name for name in (BASE, DEFAULT) if found.get(name)]
    count = len(found[OWN])
    if not count or not others:
        return Verdict(0, arms, BASE, 0.0, None, 1.0, is_better=False, reason=_too_few(0))
    rival = max(others, key=lambda name: _edits(found[name]))
    pairs = zip(found[OWN], found[rival], strict=True)
    won = [_edit(own) - _edit(other) for own, other in pairs]
    gain, interval = statistics.fmean(won), mean_interval(won, seed)
    own_quality, rival_quality = (quality([r.scores for r in found[n]]) for n in (OWN, rival))
    reason = _why_not(count, gain, own_quality - rival_quality, mean_interval(gains, seed), loss)
    return Verdict(
        holes=count,
        arms=arms,
        rival=rival,
        gain=round(gain, 2),
        interval=interval and (round(interval[0], 2), round(interval[1], 2)),
        cqi=round(customization_quality_index(own_quality, rival_quality), 2),
        is_better=not reason,
        reason=reason or f"{gain:+.1f} points of edit similarity over the {rival} on {count} holes",
    )


def _why_not(
    count: int,
    gain: float,
    quality_gain: float,
    loss_gain: tuple[float, float] | None,
    loss: Mapping[str, Mapping[str, float]],
) -> str:
    """Why the adapter is not better, in words; empty where it is."""
    if count < MIN_HOLES:
        return _too_few(count)
    if gain < LEAST_GAIN:
        return f"it wins {gain:+.1f} points of edit similarity, less than {LEAST_GAIN}"
    if quality_gain < 0:
        return "exact matches, names and calls together are no better"
    if loss_gain is None or loss_gain[0] <= 0:
        return "it does not explain the files held out better"
    elsewhere = loss.get("elsewhere")
    if elsewhere and elsewhere["after"] > (1 + MOST_LOST_SHARE) * elsewhere["before"]:
        lost = elsewhere["after"] / elsewhere["before"] - 1
        return f"code from elsewhere costs it {lost:.0%} more"
    return ""


def _too_few(count: int) -> str:
    return f"{count} holes can be compared, fewer than {MIN_HOLES}"


def _figures(results: Sequence[ModeResult], deprecated: Deprecated) -> dict[str, float | None]:
    calls = [c for each in results if (c := each.scores["call_recall"]) is not None]
    return {
        "edit_similarity": round(_edits(results), 2),
        "exact_match": round(_share(each.scores["exact_match"] for each in results), 4),
        "call_recall": round(_share(calls), 4) if calls else None,
        "quality": round(quality([each.scores for each in results]), 4),
        "deprecated": sum(deprecated.count(each.text) > 0 for each in results),
    }


def _edits(results: Sequence[ModeResult]) -> float:
    return _share(map(_edit, results))


def _edit(result: ModeResult) -> float:
    return float(result.scores["edit_similarity"] or 0.0)


def _share(values: Any) -> float:
    found = [float(each or 0.0) for each in values]
    return statistics.fmean(found) if found else 0.0
