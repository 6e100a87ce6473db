"""An audit as text, and as one page of HTML that needs nothing besides itself."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codebuddy.errors import CodebuddyError, UsageError
from codebuddy.private_files import write_file

_SIZE, _EDGE = 320, 34
_COLORS = ("#4477aa", "#cc6677", "#228833", "#777777")
_TITLES = {
    "loss": "loss alone",
    "ratio": "loss against the base",
    "neighbours": "loss against neighbours",
    "words": "control: words of the files",
    "runs": "runs, longer than the base's",
    "shadows": "likelihood ratio of shadow heads",
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;"
    "border-bottom:1px solid #ccc}td:first-child,th:first-child{text-align:left}"
    ".verdict{font-size:1.2em;padding:.6em 1em;border-left:.4em solid #4477aa;background:#f4f6f8}"
    "svg{margin-right:2em}"
)


def lines_of(report: Mapping[str, Any]) -> list[str]:
    """The report in lines, the verdict first."""
    lines = [report["verdict"], *(f"  {fact}" for fact in facts_of(report["subject"]))]
    canaries = report.get("canaries")
    if canaries and canaries["rows"]:
        lines.append(
            f"planted secrets: {canaries['extracted']} of {canaries['planted']} extracted greedily"
            f" or in {canaries['samples']} samples"
        )
        lines.append("  kind       times  exposure  by the base  at most  greedy  in samples")
        lines += [
            f"  {row['kind']:<10} {row['repeats']:>5}  {row['exposure']:>8.1f}"
            f"  {row['exposure_base']:>11.1f}  {row['most']:>7.1f}"
            f"  {'yes' if row['greedy'] or row['greedy_with_lookup'] else 'no':>6}"
            f"  {row['chance_in_samples']:>10.1%}"
            for row in canaries["rows"]
        ]
    for name, told in report["membership"].items():
        low, high = told["interval"]
        lines.append(
            f"{_TITLES.get(name, name)}: AUROC {told['auroc']:.3f} [{low:.3f}, {high:.3f}] on"
            f" {told['members']} learned from and {told['others']} not"
        )
        lines += [
            f"  {rate['tpr']:.1%} [{rate['low']:.1%}, {rate['high']:.1%}] told at"
            f" {rate['fpr']:.1%} false positives{_few(rate['fpr'], told['others'])}"
            for rate in told["rates"]
        ]
    for side, runs in report.get("recitation", {}).items():
        where = "code that it learned from" if side == "members" else "other code"
        lines.append(
            f"longest run as it stood, {where}: {runs['adapter']:.0f} tokens, the base alone"
            f" {runs['base']:.0f} (mean {runs['adapter_mean']} and {runs['base_mean']})"
        )
    if report.get("epsilon_at_least") is not None:
        lines.append(f"the attacks show an epsilon of {report['epsilon_at_least']:.2f} at least")
    return [*lines, *report.get("notes", ())]


def facts_of(subject: Mapping[str, Any]) -> list[str]:
    """What was audited, in lines."""
    found = []
    named = subject.get("adapter") or subject.get("head")
    found.append(f"of {named}" if named else "of an adapter trained for this audit, with secrets")
    keys = ("model", "commit", "files", "rows", "steps")
    found += [f"{key}: {subject[key]}" for key in keys if subject.get(key)]
    if left_out := subject.get("left_out"):
        found.append("left out: " + ", ".join(f"{why} {n}" for why, n in left_out.items()))
    if privacy := subject.get("privacy"):
        found.append(
            f"private: epsilon {privacy['epsilon']:.2f} at delta {privacy['delta']:.2g} for one"
            f" {privacy['unit']} of {privacy['units']}"
        )
    return found


def check_page(file: Path) -> None:
    """Find out before the long work whether a page can be written.

    Raises:
        UsageError: Its name does not end in .html, or its folder does not exist.
    """
    if file.suffix.lower() not in (".html", ".htm"):
        raise UsageError(
            f"cannot write a page into {file}: its name must end in .html",
            hint="codebuddy audit adapter --html audit.html",
        )
    if not file.absolute().parent.is_dir():
        raise UsageError(f"the folder {file.absolute().parent} does not exist")


def write_page(report: Mapping[str, Any], file: Path) -> None:
    """Write the report as a page, for its owner alone.

    Raises:
        CodebuddyError: It cannot be written.
    """
    try:
        write_file(file, page_of(report).encode())
    except OSError as error:
        raise CodebuddyError(f"cannot write {file}: {error.strerror}") from error


def page_of(report: Mapping[str, Any]) -> str:
    """The page: verdict, plots as SVG, and the tables."""
    subject = report["subject"]
    title = f"Audit of {subject.get('adapter') or subject.get('head') or 'an adapter'}"
    facts = "".join(f"<li>{html.escape(fact)}</li>" for fact in facts_of(report["subject"]))
    rest = "".join(f"<li>{html.escape(note)}</li>" for note in report.get("notes", ()))
    body = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="verdict">{html.escape(report["verdict"])}</p>',
        f"<ul>{facts}</ul>",
        _curves(report["membership"]),
        _exposures(report.get("canaries", {}).get("rows", [])),
        _canary_table(report.get("canaries", {}).get("rows", [])),
        _membership_table(report["membership"]),
        _recitation_table(report.get("recitation", {})),
        f"<ul>{rest}</ul>" if rest else "",
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}'
        f"</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _few(rate: float, others: int) -> str:
    return f" (of {others}: none at all)" if rate * others < 1 else ""


def _curves(membership: Mapping[str, Any]) -> str:
    """True positives over false positives of each attack."""
    lines = [_line([(0.0, 0.0), (1.0, 1.0)], "#bbbbbb")]
    for number, (name, told) in enumerate(membership.items()):
        color = _COLORS[number % len(_COLORS)]
        lines.append(_line(told["curve"], color))
        title = html.escape(_TITLES.get(name, name))
        lines.append(
            f'<text x="150" y="{220 + 18 * number}" fill="{color}" font-size="13">{title}</text>'
        )
    return _svg(lines, "false positives", "true positives")


def _exposures(rows: Sequence[Mapping[str, Any]]) -> str:
    """Exposure over how often a secret was planted, as a share of the most that there is."""
    if not rows:
        return ""
    most_times = max(row["repeats"] for row in rows) or 1
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    marks = []
    for row in rows:
        x = _x(row["repeats"] / most_times)
        y = _y(row["exposure"] / row["most"] if row["most"] else 0.0)
        color = _COLORS[kinds.index(row["kind"]) % len(_COLORS)]
        name = html.escape(f"{row['kind']}, {row['repeats']} times: {row['exposure']} bits")
        marks.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{color}"><title>{name}</title></circle>'
        )
    return _svg(marks, f"times planted (at most {most_times})", "exposure, share of the most")


def _svg(parts: Sequence[str], x_title: str, y_title: str) -> str:
    whole = _SIZE + 2 * _EDGE
    frame = (
        f'<rect x="{_EDGE}" y="{_EDGE}" width="{_SIZE}" height="{_SIZE}" fill="none"'
        ' stroke="#888"/>'
    )
    titles = (
        f'<text x="{_EDGE}" y="{whole - 10}" font-size="13">0 to 1: {html.escape(x_title)}</text>'
        f'<text x="{_EDGE}" y="{_EDGE - 10}" font-size="13">0 to 1: {html.escape(y_title)}</text>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{whole}" role="img">'
        f"{frame}{titles}{''.join(parts)}</svg>"
    )


def _line(points: Sequence[Sequence[float]], color: str) -> str:
    path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>'


def _x(share: float) -> float:
    return _EDGE + _SIZE * share


def _y(share: float) -> float:
    return _EDGE + _SIZE * (1 - share)


def _canary_table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    head = ("kind", "times", "exposure", "by the base", "at most", "greedy", "in samples")
    cells = [
        (
            row["kind"],
            row["repeats"],
            row["exposure"],
            row["exposure_base"],
            row["most"],
            "yes" if row["greedy"] or row["greedy_with_lookup"] else "no",
            f"{row['chance_in_samples']:.1%}",
        )
        for row in rows
    ]
    return "<h2>Planted secrets</h2>" + _table(head, cells)


def _membership_table(membership: Mapping[str, Any]) -> str:
    head = ("attack", "AUROC", "95%", *(f"told at {r:.1%}" for r in (0.01, 0.001)))
    cells = [
        (
            _TITLES.get(name, name),
            f"{told['auroc']:.3f}",
            f"[{told['interval'][0]:.3f}, {told['interval'][1]:.3f}]",
            *(f"{r['tpr']:.1%} [{r['low']:.1%}, {r['high']:.1%}]" for r in told["rates"]),
        )
        for name, told in membership.items()
    ]
    return "<h2>Who was learned from</h2>" + _table(head, cells)


def _recitation_table(recitation: Mapping[str, Any]) -> str:
    if not recitation:
        return ""
    head = ("longest run, tokens", "adapter", "base", "adapter, mean", "base, mean")
    cells = [
        (side, *(runs[key] for key in ("adapter", "base", "adapter_mean", "base_mean")))
        for side, runs in recitation.items()
    ]
    return "<h2>Written as it stood</h2>" + _table(head, cells)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def row(cells: Sequence[Any], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(str(c))}</{tag}>' for c in cells)}</tr>"

    return f"<table>{row(head, 'th')}{''.join(row(each, 'td') for each in rows)}</table>"
