"""Runs of `eval --robustness` and `--sensitivity` as numbers that are kept, and what they come to.

    python -m tests.bench.robust_rows collect REPOSITORY...
    python -m tests.bench.robust_rows table

`collect` adds the holes of the repositories' runs, finished or not, to robust_rows.jsonl beside
this file: a line of JSON for each hole, model and measurement, with scores, decisions, and numbers
that stand for prompts and chunks, and without any code. A hole that has more versions by now takes
the place of its line. `table` prints Markdown with the goals beside.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from codebuddy.evaluation.robust.results import NOMINAL, ArmResult, PlaceResult, places_of
from codebuddy.evaluation.robust.sensitivity import Measured, PairResult, summarize_sensitivity
from codebuddy.evaluation.robust.session import pairs_of
from codebuddy.evaluation.robust.summary import ArmFigures, summarize_robustness, versions_of
from codebuddy.evaluation.statistics import TAILS, draws
from codebuddy.evaluation.store import Run, list_runs
from codebuddy.evaluation.tables import table
from codebuddy.robustness.catalog import BY_NAME
from codebuddy.vcs.repository import open_repository

ROWS = Path(__file__).with_name("robust_rows.jsonl")
# What the goals of docs/robustness.md allow.
MOST_DROP_RATIO, MOST_FLIPS, MOST_WORSE = 0.75, 0.05, 1.0
_SEED = 0
Row = dict[str, Any]


def main() -> None:
    """Collect rows, or print tables of those that are there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("collect", "table"))
    parser.add_argument("repositories", nargs="*", type=Path)
    parser.add_argument("--rows", type=Path, default=ROWS)
    arguments = parser.parse_args()
    rows = read_rows(arguments.rows)
    if arguments.what == "collect":
        for root in arguments.repositories:
            for run in list_runs(open_repository(root)):
                add_rows(rows, rows_of(run))
        lines = [json.dumps(rows[key], separators=(",", ":")) for key in sorted(rows)]
        arguments.rows.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print("\n".join(lines_of(list(rows.values()))))


def read_rows(file: Path) -> dict[tuple[str, ...], Row]:
    """The rows of a file by what tells them apart; none where it is not there."""
    if not file.is_file():
        return {}
    found = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line)
    return {_key(row): row for row in found}


def add_rows(rows: dict[tuple[str, ...], Row], others: Iterable[Row]) -> None:
    """Take the rows that are new, or that have more than the one that is there."""
    for row in others:
        known = rows.get(_key(row))
        if known is None or len(row["values"]) >= len(known["values"]):
            rows[_key(row)] = row


def rows_of(run: Run) -> list[Row]:
    """A row for each hole of a run of either measurement; none of any other run."""
    header = run.header
    head = {
        "mode": header.get("mode"),
        "model": header.get("model"),
        "repository": header.get("repository"),
        "commit": str(header.get("commit"))[:12],
        "on": header.get("settings", {}).get("robustness", {}).get("on", ""),
    }
    values: dict[str, dict[str, Any]] = defaultdict(dict)
    if head["mode"] == "robustness":
        numbers: dict[str, dict[str, int]] = defaultdict(dict)
        for place in places_of(run):
            arms = {m: _of_arm(arm, numbers[place.hole]) for m, arm in place.arms.items()}
            values[place.hole][f"{place.transformation}:{place.seed}"] = arms
    elif head["mode"] == "sensitivity":
        for pair in pairs_of(run).values():
            hole = pair.id.rpartition(":")[0]
            values[hole][pair.attribute] = {
                group: [_of_measured(each) for each in measured]
                for group, measured in pair.values.items()
            }
    return [{**head, "hole": hole, "values": found} for hole, found in values.items()]


def lines_of(rows: Sequence[Row]) -> list[str]:
    """Tables by model, with the goals."""
    lines: list[str] = []
    for model in sorted({row["model"] for row in rows}):
        places = [p for row in _of(rows, model, "robustness") for p in _places(row)]
        if places:
            lines += _robustness_lines(model, places)
        pairs = [p for row in _of(rows, model, "sensitivity") for p in _pairs(row)]
        if pairs:
            lines += _sensitivity_lines(model, pairs)
    return lines


def drop_ratio(
    places: Sequence[PlaceResult],
) -> tuple[float, tuple[float, float] | None, int] | None:
    """The drop of edit similarity of `auto` over that of `never`, over holes that both changed.

    With a 95% interval, `None` of fewer than two holes, and their number. `None` where nothing
    drops.
    """
    import numpy as np

    nominal = {each.hole: each for each in places if each.transformation == NOMINAL}
    varied = [each for each in places if each.transformation != NOMINAL and each.hole in nominal]
    never, auto = (versions_of(nominal, varied, mode) for mode in ("never", "auto"))
    holes = [hole for hole in never if hole in auto]
    similar = np.array(
        [
            [x for found in (never[hole], auto[hole]) for x in (_plain(found), _worst(found))]
            for hole in holes
        ]
    ).reshape(-1, 4)

    def ratio(sums: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            drops = 1 - sums[..., (1, 3)] / sums[..., (0, 2)]
            return drops[..., 1] / drops[..., 0]

    value = float(ratio(similar.sum(axis=0))) if len(similar) else float("nan")
    if not np.isfinite(value):
        return None
    found = ratio(similar[draws(len(similar), _SEED)].sum(axis=1))
    found = found[np.isfinite(found)]
    low, high = np.percentile(found, TAILS) if len(similar) > 1 else (0.0, 0.0)
    return value, (float(low), float(high)) if len(similar) > 1 else None, len(holes)


def _robustness_lines(model: str, places: list[PlaceResult]) -> list[str]:
    summary = summarize_robustness(places, _SEED)
    cells = []
    for name, arms in {**summary["families"], "all": summary["all"]}.items():
        cells += [[name, mode, *_cells(figures)] for mode, figures in arms.items()]
    heads = ["edit sim", "robust", "drop", "flips", "chunks changed"]
    lines = [f"{model}: {summary['holes']} holes", ""]
    lines += table(["changes", "arm", "holes", *heads], cells)
    if (found := drop_ratio(places)) is not None:
        value, interval, n_holes = found
        shown = "" if interval is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]"
        lines += ["", f"drop of auto / drop of never: {value:.2f}{shown} of {n_holes} holes,"]
        lines[-1] += f" goal {MOST_DROP_RATIO} at most"
    if "format" in summary["families"] and "auto" in summary["families"]["format"]:
        flips = _shown(summary["families"]["format"]["auto"], "flips", 100)
        by_version = _flips_by_version(places)
        lines += [f"holes whose decision some change of format flips: {flips} %; of all changes"]
        lines[-1] += f" of format {by_version}, goal {100 * MOST_FLIPS:.0f} % at most"
    return [*lines, ""]


def _flips_by_version(places: Sequence[PlaceResult]) -> str:
    nominal = {each.hole: each for each in places if each.transformation == NOMINAL}
    flips = [
        each.arms["auto"].retrieve != nominal[each.hole].arms["auto"].retrieve
        for each in places
        if each.family == "format" and "auto" in each.arms and each.hole in nominal
    ]
    return f"{sum(flips)} of {len(flips)}"


def _sensitivity_lines(model: str, pairs: list[PairResult]) -> list[str]:
    summary = summarize_sensitivity(pairs, _SEED)
    cells = []
    for attribute, groups in summary["attributes"].items():
        for group, each in groups.items():
            flips, of_control = each["flips"] or 0.0, each["flips_control"] or 0.0
            low, high = each["interval"] or (0.0, 0.0)
            worse = (each["p"] or 1.0) < 0.05 and (each["difference"] or 0.0) < -MOST_WORSE
            cells.append(
                [
                    f"{attribute}: {group}",
                    str(each["holes"]),
                    f"{each['difference'] or 0.0:+.2f} [{low:+.2f}, {high:+.2f}]",
                    f"{each['p'] or 0.0:.2f}",
                    f"{each['sensitivity'] or 0.0:+.2f}",
                    f"{100 * flips:.0f} / {100 * of_control:.0f}",
                    "missed" if worse else "",
                ]
            )
    heads = ["holes", "over control", "p", "sensitivity", "flips / control %"]
    goal = f"worse by more than {MOST_WORSE:.0f}"
    return [f"{model}, {summary['holes']} holes", "", *table(["group", *heads, goal], cells), ""]


def _cells(figures: ArmFigures) -> list[str]:
    return [
        str(figures["holes"]),
        _shown(figures, "edit_similarity"),
        _shown(figures, "robust_edit_similarity"),
        _shown(figures, "edit_similarity_drop", 100),
        _shown(figures, "flips", 100),
        _shown(figures, "chunks_changed", 100),
    ]


def _shown(figures: ArmFigures, name: str, factor: float = 1.0) -> str:
    value = figures[name]  # type: ignore[literal-required]
    if value is None:
        return "-"
    interval = figures["intervals"].get(name)
    around = (
        "" if interval is None else f" [{factor * interval[0]:.1f}, {factor * interval[1]:.1f}]"
    )
    return f"{factor * value:.1f}{around}"


def _plain(found: tuple[ArmResult, list[ArmResult]]) -> float:
    return found[0].edit_similarity


def _worst(found: tuple[ArmResult, list[ArmResult]]) -> float:
    return min(each.edit_similarity for each in found[1])


def _key(row: Row) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("mode", "model", "repository", "commit", "on", "hole"))


def _of(rows: Sequence[Row], model: str, mode: str) -> list[Row]:
    on = ("place", "")
    return [r for r in rows if (r["model"], r["mode"]) == (model, mode) and r["on"] in on]


def _of_arm(arm: ArmResult, numbers: dict[str, int]) -> list[Any]:
    """Exact match, edit similarity, decision, the prompt's number, the chunks' numbers."""

    def number(name: str) -> int:
        return numbers.setdefault(name, len(numbers))

    chunks = [number(each) for each in arm.chunks]
    similar = round(arm.edit_similarity, 2)
    return [int(arm.exact_match), similar, int(arm.retrieve), number(arm.prompt), chunks]


def _of_measured(measured: Measured) -> list[float | None]:
    """Edit similarity, the head's probability, the decision, the mean log-probability."""
    logprob = measured.mean_logprob
    return [
        round(measured.edit_similarity, 2),
        round(measured.probability, 4),
        int(measured.retrieve),
        None if logprob is None else round(logprob, 4),
    ]


def _places(row: Row) -> list[PlaceResult]:
    hole = "/".join((row["repository"], row["commit"], row["hole"]))
    found = []
    for name, arms in row["values"].items():
        transformation, _, seed = name.rpartition(":")
        if transformation != NOMINAL and transformation not in BY_NAME:
            continue
        found.append(
            PlaceResult(
                id=f"{hole}:{name}",
                hole=hole,
                transformation=transformation,
                seed=int(seed),
                kind="",
                path="",
                line=0,
                language="",
                reason="" if arms else "unchanged",
                reference="",
                arms={mode: _arm(values) for mode, values in arms.items()},
            )
        )
    return found


def _arm(values: list[Any]) -> ArmResult:
    exact, similar, retrieve, prompt, chunks = values
    names = tuple(map(str, chunks))
    return ArmResult("", float(exact), float(similar), bool(retrieve), names, str(prompt), 0.0)


def _pairs(row: Row) -> list[PairResult]:
    hole = "/".join((row["repository"], row["commit"], row["hole"]))
    return [
        PairResult(
            f"{hole}:{attribute}",
            attribute,
            "",
            0,
            "" if values else "unchanged",
            {
                group: [
                    Measured("", similar, probability, bool(retrieve), _as_logprobs(logprob))
                    for similar, probability, retrieve, logprob in measured
                ]
                for group, measured in values.items()
            },
        )
        for attribute, values in row["values"].items()
    ]


def _as_logprobs(mean: float | None) -> tuple[float, ...]:
    return () if mean is None else (mean,)


if __name__ == "__main__":
    main()
