"""Robustness as tables of plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codebuddy.evaluation.tables import FEW_TASKS, interval_in_words, number, table
from codebuddy.terminal import safe_line

if TYPE_CHECKING:
    from codebuddy.evaluation.robust.compare import RobustComparison
    from codebuddy.evaluation.robust.sensitivity import Sensitivity
    from codebuddy.evaluation.robust.summary import ArmFigures, Robustness


def robustness_tables(robustness: Robustness) -> list[str]:
    """The families by arm, then each transformation, then what changed nothing."""
    n_holes = robustness["holes"]
    lines = [f"robustness: {n_holes} hole{'' if n_holes == 1 else 's'}"]
    rows = [
        _row(f"{name} {mode}", arm)
        for name, arms in {**robustness["families"], "all": robustness["all"]}.items()
        for mode, arm in arms.items()
    ]
    lines += table(_headings("family, arm"), rows)
    lines += ["", *_transformation_table(robustness)]
    if 0 < n_holes < FEW_TASKS:
        verb = "is" if n_holes == 1 else "are"
        lines += ["", f"{n_holes} {verb} few: the intervals say more than the figures"]
    return lines


def sensitivity_tables(sensitivity: Sensitivity) -> list[str]:
    """Each group against the control, then completions that differ, side by side."""
    n_holes = sensitivity["holes"]
    rows = []
    for attribute, groups in sensitivity["attributes"].items():
        for group, each in groups.items():
            rows.append(
                [
                    f"{attribute}: {group}",
                    str(each["holes"]),
                    number(each["edit_similarity"]),
                    number(each["difference"], 1.0, 1, "+")
                    + interval_in_words(each["interval"], 1.0),
                    number(each["p"], 1.0, 3),
                    number(each["counterfactual"]),
                    number(each["counterfactual_control"]),
                    number(each["sensitivity"], 1.0, 1, "+"),
                    number(each["flips"], 100.0),
                    number(each["flips_control"], 100.0),
                    number(each["logprob_difference"], 1.0, 3, "+"),
                    number(each["accumulated"], 1.0, 3),
                ]
            )
    headings = [
        *("group", "holes", "edit sim", "over control", "p", "CF", "CF control", "sensitivity"),
        *("flips %", "control %", "log p", "accumulated"),
    ]
    lines = [f"sensitivity: {n_holes} hole{'' if n_holes == 1 else 's'}", *table(headings, rows)]
    for reason, count in sensitivity["unchanged"].items():
        lines.append(f"{count} without: {reason}")
    for pair in sensitivity["pairs"]:
        place = f"{pair['path']}:{pair['line']}"
        lines += ["", safe_line(f"{place}, {pair['attribute']}: {pair['group']}")]
        lines += _beside("control", pair["control"], pair["group"], pair["with_value"])
    return lines


def _beside(first: str, text: str, second: str, other: str) -> list[str]:
    """Two texts in two columns."""
    left, right = ([safe_line(line) for line in each.split("\n")] for each in (text, other))
    width = max(len(line) for line in [first, *left])
    longest = max(len(left), len(right))
    left += [""] * (longest - len(left))
    right += [""] * (longest - len(right))
    rows = [(first, second), *zip(left, right, strict=True)]
    return [f"  {a.ljust(width)} | {b}".rstrip() for a, b in rows]


def robust_comparison_table(comparison: RobustComparison, first: str, second: str) -> list[str]:
    """Two runs side by side, on the versions that both have."""
    rows = []
    for family, arms in comparison["families"].items():
        for mode, scores in arms.items():
            for name, values in scores.items():
                factor = 100.0 if name == "robust_exact_match" else 1.0
                rows.append(
                    [
                        f"{family} {mode} {_SHORT[name]}",
                        number(values["first"], factor),
                        number(values["second"], factor),
                        number(values["difference"], factor, 1, "+")
                        + interval_in_words(values["interval"], factor),
                    ]
                )
    return table(["", first, second, "difference"], rows)


_SHORT = {"robust_exact_match": "robust exact %", "robust_edit_similarity": "robust edit sim"}


def _headings(first: str) -> list[str]:
    return [
        first,
        *("holes", "exact %", "robust %", "drop %", "relative %"),
        *("edit sim", "robust", "drop %", "flips %", "chunks %"),
    ]


def _row(name: str, arm: ArmFigures) -> list[str]:
    return [
        name,
        str(arm["holes"]),
        number(arm["exact_match"], 100.0),
        number(arm["robust_exact_match"], 100.0) + _bounds(arm, "robust_exact_match", 100.0),
        number(arm["robust_drop"], 100.0),
        number(arm["robust_relative"], 100.0),
        number(arm["edit_similarity"]),
        number(arm["robust_edit_similarity"]) + _bounds(arm, "robust_edit_similarity", 1.0),
        number(arm["edit_similarity_drop"], 100.0) + _bounds(arm, "edit_similarity_drop", 100.0),
        number(arm["flips"], 100.0),
        number(arm["chunks_changed"], 100.0),
    ]


def _transformation_table(robustness: Robustness) -> list[str]:
    """Each transformation: the holes that it changed, and what that cost each arm."""
    modes = list(robustness["all"])
    headings = ["transformation", "changed", "unseen", "unchanged"]
    for mode in modes:
        headings += [f"{mode} edit sim", "robust", "drop %"]
    headings += ["flips %", "chunks %"]
    rows: list[list[str]] = []
    for name, found in robustness["transformations"].items():
        row = [name, *(str(found[each]) for each in ("changed", "unseen", "unchanged"))]
        for mode in modes:
            arm = found["arms"][mode]
            row += [
                number(arm["edit_similarity"]),
                number(arm["robust_edit_similarity"]),
                number(arm["edit_similarity_drop"], 100.0),
            ]
        last = found["arms"][modes[-1]]
        rows.append([*row, number(last["flips"], 100.0), number(last["chunks_changed"], 100.0)])
    lines = table(headings, rows)
    for name, found in robustness["transformations"].items():
        if not found["changed"] and found["reasons"]:
            lines.append(f"{name} changed nothing: {next(iter(found['reasons']))}")
    return lines


def _bounds(arm: ArmFigures, name: str, factor: float) -> str:
    return interval_in_words(arm["intervals"].get(name), factor)
