"""What a comment that says who is at work does to a completion: `codebuddy eval --sensitivity`.

For each hole and attribute (`robustness.identity`) f is measured with the first control, with the
second one, and with each value. Counterfactual difference: `CF = mean_a |f(x_a) - f(x)|`, x the
first control. Accumulated prediction sensitivity (arXiv 2203.08670), `P = w^T J v`, with finite
differences for the Jacobian: f are the log-probabilities of the true text's tokens, w weighs them
alike, and v is 1 on the words that tell the groups apart, which are left out. Groups are compared
with the first control by a paired test of signs drawn at random, corrected for their number by
Holm's step-down method.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from codebuddy.evaluation.holes import Hole
from codebuddy.evaluation.masked_index import mask
from codebuddy.evaluation.metrics import edit_similarity
from codebuddy.evaluation.results import EvaluatedMode
from codebuddy.evaluation.runner import EvaluationSetup, run_mode
from codebuddy.evaluation.statistics import Interval, mean, mean_interval
from codebuddy.robustness.identity import ATTRIBUTES, Attribute, with_comment
from codebuddy.robustness.place import NothingToChangeError, Place, open_view

_N_DRAWS = 10_000
_MAX_PAIRS = 5
CONTROL, OTHER_CONTROL, BARE = "control", "other control", "bare"


@dataclass(frozen=True, slots=True)
class Measured:
    """A completion with one comment: f in its several meanings.

    `logprobs` are those of the true text's tokens; empty where the model cannot tell.
    """

    text: str
    edit_similarity: float
    probability: float
    retrieve: bool
    logprobs: tuple[float, ...]

    @property
    def mean_logprob(self) -> float | None:
        """The mean log-probability of a token of the true text."""
        return sum(self.logprobs) / len(self.logprobs) if self.logprobs else None


@dataclass(frozen=True, slots=True)
class PairResult:
    """A hole with each comment of an attribute; `values` are by group, the controls among them."""

    id: str
    attribute: str
    path: str
    line: int
    reason: str
    values: dict[str, list[Measured]]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


class GroupFigures(TypedDict):
    """A group against the control: positive differences are better than with it.

    `sensitivity` is CF less that of the other control; `p` is corrected for all groups.
    """

    holes: int
    edit_similarity: float | None
    difference: float | None
    interval: Interval
    counterfactual: float | None
    counterfactual_control: float | None
    sensitivity: float | None
    flips: float | None
    flips_control: float | None
    logprob_difference: float | None
    accumulated: float | None
    p: float | None


class Pair(TypedDict):
    """Two completions of one place that differ."""

    attribute: str
    group: str
    path: str
    line: int
    control: str
    with_value: str


class Sensitivity(TypedDict):
    """The key `sensitivity` of `eval --sensitivity --json`; `worst` is the least difference.

    `unchanged` counts by reason the pairs of hole and attribute where no comment could stand.
    """

    holes: int
    unchanged: dict[str, int]
    worst: float | None
    largest_sensitivity: float | None
    attributes: dict[str, dict[str, GroupFigures]]
    pairs: list[Pair]


def measure(
    hole: Hole, attribute: Attribute, setup: EvaluationSetup, known: dict[str, Measured]
) -> PairResult:
    """Complete a hole with each comment of an attribute, in the setup's first mode.

    `known` has the hole's completions by comment, which attributes share; new ones are added.

    Raises:
        CodebuddyError: The model or the index failed.
    """
    name = f"{hole.id}:{attribute.name}"
    mode = setup.modes[0]
    place = Place(hole.source, hole.language, hole.start_byte, hole.end_byte)
    masked: Any = mask(setup.index, hole)
    wanted = [
        (CONTROL, attribute.controls[0]),
        (OTHER_CONTROL, attribute.controls[1]),
        (BARE, attribute.bare),
        *attribute.values,
    ]
    values: dict[str, list[Measured]] = defaultdict(list)
    try:
        view = open_view(place)
        for group, text in wanted:
            if text not in known:
                changed = with_comment(view, text)
                shown = dataclasses.replace(
                    hole, source=changed.source, start_byte=changed.start, end_byte=changed.end
                )
                known[text] = _measured(shown, mode, masked, setup)
            values[group].append(known[text])
    except NothingToChangeError as error:
        return PairResult(name, attribute.name, hole.path, hole.position.line, str(error), {})
    return PairResult(name, attribute.name, hole.path, hole.position.line, "", dict(values))


def pair_from_json(value: Mapping[str, Any]) -> PairResult:
    """The opposite of `as_json`.

    Raises:
        ValueError: A key is missing, unknown or of another type.
    """
    try:
        values = {
            str(group): [Measured(**{**m, "logprobs": tuple(m["logprobs"])}) for m in measured]
            for group, measured in value["values"].items()
        }
        return PairResult(**{**dict(value), "values": values})
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no task of a run: {error}") from error


def summarize_sensitivity(results: Sequence[PairResult], seed: int) -> Sensitivity:
    """The figures of each group, with tests corrected for their number."""
    found: dict[str, dict[str, GroupFigures]] = {}
    tests: dict[tuple[str, str], float] = {}
    for attribute in ATTRIBUTES:
        rows = [r for r in results if r.attribute == attribute.name and r.values]
        if not rows:
            continue
        found[attribute.name] = {}
        for group in attribute.groups:
            figures = _group(rows, group, seed)
            found[attribute.name][group] = figures
            differences = [mean(_differences(row, group)) or 0.0 for row in rows]
            tests[attribute.name, group] = sign_test(differences, seed)
    for (name, group), p in holm(tests).items():
        found[name][group]["p"] = p
    every = [each for groups in found.values() for each in groups.values()]
    worst = [each["difference"] for each in every if each["difference"] is not None]
    largest = [each["sensitivity"] for each in every if each["sensitivity"] is not None]
    return {
        "holes": len({each.id.partition(":")[0] for each in results}),
        "unchanged": dict(Counter(each.reason for each in results if not each.values)),
        "worst": min(worst, default=None),
        "largest_sensitivity": max(largest, default=None),
        "attributes": found,
        "pairs": _pairs(results),
    }


def sign_test(differences: Sequence[float], seed: int) -> float:
    """The chance of a mean this far from 0 if each difference might as well be negative.

    1 where nothing differs; with twelve pairs or fewer all signs are tried.
    """
    import numpy as np

    values = np.asarray([each for each in differences if each], dtype=np.float64)
    if not len(values):
        return 1.0
    if len(values) <= 12:
        numbers = np.arange(2 ** len(values))[:, None]
        signs = 1.0 - 2.0 * ((numbers >> np.arange(len(values))) & 1)
        sums = np.abs(signs @ values)
        return float((sums >= abs(values.sum()) - 1e-9).mean())
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(_N_DRAWS, len(values)))
    n_as_far = int((np.abs(signs @ values) >= abs(values.sum()) - 1e-9).sum())
    return (n_as_far + 1) / (_N_DRAWS + 1)


def holm(tests: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Chances corrected for their number, by Holm's step-down method (1979)."""
    ordered = sorted(tests.items(), key=lambda each: each[1])
    corrected: dict[tuple[str, str], float] = {}
    highest = 0.0
    for place, (name, p) in enumerate(ordered):
        highest = max(highest, min(1.0, (len(ordered) - place) * p))
        corrected[name] = highest
    return corrected


def _measured(hole: Hole, mode: EvaluatedMode, masked: Any, setup: EvaluationSetup) -> Measured:
    def scored(text: str) -> dict[str, float | None]:
        return {"edit_similarity": edit_similarity(text, hole.text)}

    result = run_mode(hole, mode, masked, setup, scored=scored)
    logprobs = setup.generator.score(hole.text) or []
    return Measured(
        text=result.text,
        edit_similarity=result.scores["edit_similarity"] or 0.0,
        probability=result.probability,
        retrieve=result.retrieve,
        logprobs=tuple(logprobs),
    )


def _group(rows: Sequence[PairResult], group: str, seed: int) -> GroupFigures:
    differences = [mean(_differences(row, group)) or 0.0 for row in rows]
    distances = [mean([abs(each) for each in _differences(row, group)]) or 0.0 for row in rows]
    controls = [abs(_differences(row, OTHER_CONTROL)[0]) for row in rows]
    counterfactual, control = mean(distances), mean(controls)
    return {
        "holes": len(rows),
        "edit_similarity": mean([e.edit_similarity for row in rows for e in row.values[group]]),
        "difference": mean(differences),
        "interval": mean_interval(differences, seed),
        "counterfactual": counterfactual,
        "counterfactual_control": control,
        "sensitivity": None
        if counterfactual is None or control is None
        else counterfactual - control,
        "flips": mean([_flips(row, group) for row in rows]),
        "flips_control": mean([_flips(row, OTHER_CONTROL) for row in rows]),
        "logprob_difference": mean([d for row in rows for d in _logprobs(row, group)]),
        "accumulated": mean([p for row in rows for p in _accumulated(row, group)]),
        "p": None,
    }


def _differences(row: PairResult, group: str) -> list[float]:
    control = row.values[CONTROL][0].edit_similarity
    return [each.edit_similarity - control for each in row.values[group]]


def _flips(row: PairResult, group: str) -> float:
    control = row.values[CONTROL][0].retrieve
    return mean([float(each.retrieve != control) for each in row.values[group]]) or 0.0


def _logprobs(row: PairResult, group: str) -> list[float]:
    control = row.values[CONTROL][0].mean_logprob
    means = [each.mean_logprob for each in row.values[group]]
    return [each - control for each in means if each is not None and control is not None]


def _accumulated(row: PairResult, group: str) -> list[float]:
    """P for each value of the group: the words that tell it left out, token by token."""
    bare = row.values[BARE][0].logprobs
    found = []
    for each in row.values[group]:
        if bare and len(each.logprobs) == len(bare):
            both = zip(each.logprobs, bare, strict=True)
            found.append(sum(abs(a - b) for a, b in both) / len(bare))
    return found


def _pairs(results: Sequence[PairResult]) -> list[Pair]:
    """The completions that differ most from those with the control."""
    found: list[tuple[float, Pair]] = []
    for row in results:
        for group, measured in row.values.items():
            if group in (CONTROL, OTHER_CONTROL, BARE):
                continue
            control = row.values[CONTROL][0]
            for each in measured:
                if each.text != control.text:
                    distance = abs(each.edit_similarity - control.edit_similarity)
                    pair: Pair = {
                        "attribute": row.attribute,
                        "group": group,
                        "path": row.path,
                        "line": row.line,
                        "control": control.text,
                        "with_value": each.text,
                    }
                    found.append((distance, pair))
    found.sort(key=lambda each: -each[0])
    return [pair for _, pair in found[:_MAX_PAIRS]]
