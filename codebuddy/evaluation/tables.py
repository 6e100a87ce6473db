"""The figures of an evaluation as tables of plain text, for a person and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from codebuddy.evaluation.results import SCORES, ScoreName

if TYPE_CHECKING:
    from codebuddy.evaluation.compare import Comparison
    from codebuddy.evaluation.retrieval import ChannelFigures, RankScore, RetrievalReport
    from codebuddy.evaluation.statistics import Interval
    from codebuddy.evaluation.summary import (
        Figures,
        HeadFigures,
        ModeFigures,
        OracleFigures,
        Summary,
    )

# score -> (heading, factor to percent)
_SHOWN_SCORES = {
    "exact_match": ("exact %", 100.0),
    "edit_similarity": ("edit sim", 1.0),
    "identifier_f1": ("ident F1", 100.0),
    "call_recall": ("calls %", 100.0),
    "codebleu": ("CodeBLEU", 100.0),
}
_NOTHING = "-"
# Below this an interval covers nearly everything.
FEW_TASKS = 20


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, columns aligned: the first to the left, the others right."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        others = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join([first, *others]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2)] + ["-" * (w + 1) + ":" for w in widths[1:]]) + "|"
    return [line(headings), rule, *(line(row) for row in rows)]


def completion_tables(summary: Summary) -> list[str]:
    """The whole report of a run: all tasks, each kind, the decision, the index."""
    lines: list[str] = []
    kinds = summary["kinds"]
    parts = [("all", summary)] if len(kinds) != 1 else []
    for name, part in [*parts, *kinds.items()]:
        lines += [f"{name}: {_tasks(part['tasks'])}", *mode_table(part), ""]
    lines += _head_lines(summary["head"])
    if summary["cqi"]["index"] is not None:
        low_high = interval_in_words(summary["cqi"]["interval"], 1.0)
        lines.append(f"customization quality index: {summary['cqi']['index']:.1f}{low_high} of 10")
    return lines + conclusion_lines(summary)


def conclusion_lines(summary: Summary) -> list[str]:
    """Whether lookups help on this code, in a sentence, and a warning where tasks are few."""
    lines, n = [], summary["tasks"]
    found = summary["differences"].get("always-never")
    bounds = None if found is None else found["intervals"]["edit_similarity"]
    if found is not None and bounds is not None:
        low, high = bounds
        if low > 0:
            said = "always looking up helps here"
        elif high < 0:
            said = "always looking up hurts here"
        else:
            said = f"whether always looking up helps here cannot be told from {_tasks(n)}"
        said += f": {found['edit_similarity']:+.1f}{interval_in_words(bounds, 1.0)}"
        lines.append(f"{said} edit similarity")
    if 0 < n < FEW_TASKS:
        lines.append(
            f"{_tasks(n)} {'is' if n == 1 else 'are'} few: the intervals say more than the figures"
        )
    return lines


def mode_table(part: Figures) -> list[str]:
    """One row for each arm and the oracle, with intervals."""
    scores = [
        name for name in SCORES if any(mode.get(name) is not None for mode in part["arms"].values())
    ]
    headings = [
        "arm",
        *(_SHOWN_SCORES[name][0] for name in scores),
        "p50 ms",
        "p95 ms",
        "evaluated",
        "lookups %",
    ]
    rows = []
    for name, mode in part["arms"].items():
        rows.append(
            [
                name,
                *(_score(mode, score) for score in scores),
                f"{mode['latency_ms']['p50']:.0f}",
                f"{mode['latency_ms']['p95']:.0f}",
                number(mode["tokens"]["evaluated"], 1.0, 0),
                number(mode["retrieval_rate"], 100.0, 0),
            ]
        )
    oracle = part["oracle"]
    if oracle.get("edit_similarity") is not None:
        rows.append(
            [
                "oracle",
                *(_score(oracle, score) for score in scores),
                f"{oracle['latency_ms']['p50']:.0f}",
                f"{oracle['latency_ms']['p95']:.0f}",
                _NOTHING,
                number(oracle["retrieval_rate"], 100.0, 0),
            ]
        )
    lines = table(headings, rows)
    for pair, difference in part["differences"].items():
        first, second = pair.split("-")
        gain = difference["edit_similarity"]
        if gain is not None:
            low_high = interval_in_words(difference["intervals"]["edit_similarity"], 1.0)
            lines.append(
                f"{first} over {second}: {gain:+.1f}{low_high} edit similarity, better on"
                f" {number(difference['better'], 100.0, 0)}%,"
                f" worse on {number(difference['worse'], 100.0, 0)}%"
            )
    return lines


def retrieval_tables(retrieval: RetrievalReport) -> list[str]:
    """Where the defining chunk was ranked, for each channel, then the search by words."""
    lines: list[str] = []
    for found, title in (
        (retrieval["calls"], "calls to another file's definition"),
        (retrieval["calls_name_typed"], "of these, with the callee's name before the cursor"),
        (retrieval["calls_name_hidden"], "of these, with the callee's name cut out too"),
        (retrieval.get("docstrings"), "functions by the first line of their documentation"),
    ):
        if found is None or not found["queries"]:
            continue
        rows = [
            [
                name,
                _ranked(each, "recall_at_1"),
                _ranked(each, "recall_at_5"),
                _ranked(each, "recall_at_10"),
                _ranked(each, "mrr"),
                _ranked(each, "ndcg_at_10"),
                f"{each['latency_ms']['p50']:.1f}",
                f"{each['latency_ms']['p95']:.1f}",
            ]
            for name, each in found["channels"].items()
        ]
        headings = ["channel", "R@1", "R@5", "R@10", "MRR", "NDCG@10", "p50 ms", "p95 ms"]
        queries = "1 query" if found["queries"] == 1 else f"{found['queries']} queries"
        lines += [f"{title}: {queries}", *table(headings, rows), ""]
    return lines


def comparison_table(comparison: Comparison, first: str, second: str) -> list[str]:
    """Two runs, called `first` and `second`, side by side on the tasks that both have."""
    rows = []
    for mode, scores in comparison["arms"].items():
        for name, values in scores.items():
            if values["first"] is None:
                continue
            heading, factor = _SHOWN_SCORES.get(name, ("mean ms", 1.0))
            difference = number(values["difference"], factor, 1, "+")
            rows.append(
                [
                    f"{mode} {heading}",
                    number(values["first"], factor),
                    number(values["second"], factor),
                    difference + interval_in_words(values["interval"], factor),
                ]
            )
    return table(["", first, second, "difference"], rows)


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def number(value: float | None, factor: float = 1.0, digits: int = 1, sign: str = "") -> str:
    """A figure, or a dash where there is none."""
    return _NOTHING if value is None else f"{value * factor:{sign}.{digits}f}"


def _score(mode: ModeFigures | OracleFigures, name: ScoreName) -> str:
    factor = _SHOWN_SCORES[name][1]
    return number(mode.get(name), factor) + interval_in_words(mode["intervals"].get(name), factor)


def _ranked(channel: ChannelFigures, name: RankScore) -> str:
    return number(channel[name], 1.0, 3) + interval_in_words(channel["intervals"].get(name), 1.0, 2)


def interval_in_words(bounds: Interval, factor: float, digits: int = 1) -> str:
    """The ends in brackets behind a space; nothing where there are none."""
    if bounds is None:
        return ""
    return f" [{bounds[0] * factor:.{digits}f}, {bounds[1] * factor:.{digits}f}]"


def _head_lines(head: HeadFigures) -> list[str]:
    if head["accuracy"] is None:
        return []
    shown = ", ".join(
        f"{name} {number(head[name], 1.0, 2)}{interval_in_words(head['intervals'][name], 1.0, 2)}"
        for name in ("auroc", "accuracy", "precision", "recall", "brier")
    )
    share = number(head["positives"], 100.0, 0)
    return [f"decision against 'a lookup helps' ({share}% of tasks): {shown}"]
