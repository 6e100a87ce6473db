"""Quality against time, and what changes of the place cost, as a PNG or SVG file.

The only module that imports matplotlib, which the `plot` extra brings.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codebuddy.errors import CodebuddyError, UsageError

if TYPE_CHECKING:
    from codebuddy.evaluation.robust.summary import ArmFigures
    from codebuddy.evaluation.summary import ModeFigures, OracleFigures, Report

_SUFFIXES = (".png", ".svg")
_COLORS = {"never": "#4477aa", "always": "#cc6677", "auto": "#228833", "oracle": "#777777"}
_MARKERS = {"never": "o", "always": "s", "auto": "D", "oracle": "*"}


def check_plot(file: Path) -> None:
    """Find out before the long work whether a plot can be drawn into `file`.

    Raises:
        UsageError: Its name ends in neither .png nor .svg, or its folder does not exist.
        CodebuddyError: matplotlib is missing.
    """
    if file.suffix.lower() not in _SUFFIXES:
        raise UsageError(
            f"cannot draw into {file}: its name must end in .png or .svg",
            hint="codebuddy eval --plot eval.svg",
        )
    if not file.absolute().parent.is_dir():
        raise UsageError(f"the folder {file.absolute().parent} does not exist")
    _figure_class()


def plot_modes(report: Report, file: Path) -> None:
    """Draw each arm's edit similarity, with its interval, over its median latency.

    Args:
        report: Of a run.
        file: Where to; an existing file is replaced.

    Raises:
        CodebuddyError: matplotlib is missing, or the file cannot be written.
    """
    figure = _figure_class()(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    modes: Mapping[str, ModeFigures | OracleFigures]
    modes = {**report["arms"], "oracle": report["oracle"]}
    for name, mode in modes.items():
        height = mode["edit_similarity"]
        if height is None:
            continue
        bounds = mode["intervals"]["edit_similarity"] or (height, height)
        axes.errorbar(
            [mode["latency_ms"]["p50"] / 1000],
            [height],
            yerr=[[max(0.0, height - bounds[0])], [max(0.0, bounds[1] - height)]],
            fmt=_MARKERS.get(name, "^"),
            # Baselines, and arms without the adapter, in matplotlib's own turn of colours.
            color=_COLORS.get(name),
            capsize=4,
            markersize=8,
            label=name,
        )
    axes.set_xlabel("median latency of a cold prompt, s")
    axes.set_ylabel("edit similarity, 0 to 100")
    # Names of repositories and models are text, not formulas.
    title = f"{report['repository']}, {report['model']}, {report['tasks']} tasks"
    axes.set_title(title.replace("$", r"\$"), fontsize=10)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    _save(figure, file)


def plot_curves(
    points: Mapping[str, tuple[float, float]],
    curves: Mapping[str, Sequence[tuple[float, float]]],
    file: Path,
) -> None:
    """Draw policies as points and curves of (time relative to always, edit similarity).

    Raises:
        CodebuddyError: matplotlib is missing, or the file cannot be written.
    """
    figure = _figure_class()(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves.items():
        axes.plot([x for x, _ in curve], [y for _, y in curve], marker=".", label=name)
    for name, (x, y) in points.items():
        style = {"color": _COLORS[name], "marker": _MARKERS[name]} if name in _COLORS else {}
        axes.plot(
            [x], [y], linestyle="none", **{"marker": "x", "markersize": 8, **style}, label=name
        )
    axes.set_xlabel("time of a completion, relative to always looking up")
    axes.set_ylabel("edit similarity, 0 to 100")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)
    _save(figure, file)


def plot_robustness(
    title: str, families: Mapping[str, Mapping[str, ArmFigures]], file: Path
) -> None:
    """Draw what of the edit similarity each family of changes costs each arm, with intervals.

    Args:
        title: Of the plot.
        families: Figures by family and arm.
        file: Where to; an existing file is replaced.

    Raises:
        CodebuddyError: matplotlib is missing, or the file cannot be written.
    """
    figure = _figure_class()(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    modes = list(dict.fromkeys(mode for arms in families.values() for mode in arms))
    width = 0.8 / max(1, len(modes))
    for number, mode in enumerate(modes):
        for place, arms in enumerate(families.values()):
            arm = arms[mode]
            drop = arm["edit_similarity_drop"]
            if drop is None:
                continue
            low, high = arm["intervals"].get("edit_similarity_drop") or (drop, drop)
            axes.bar(
                [place + (number - (len(modes) - 1) / 2) * width],
                [100 * drop],
                width,
                yerr=[[100 * max(0.0, drop - low)], [100 * max(0.0, high - drop)]],
                color=_COLORS.get(mode, "#777777"),
                capsize=3,
                label=mode if place == 0 else None,
            )
    axes.set_xticks(range(len(families)), list(families))
    axes.set_ylabel("edit similarity lost in the worst version, %")
    axes.set_title(title.replace("$", r"\$"), fontsize=10)
    axes.grid(visible=True, axis="y", alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    _save(figure, file)


def _save(figure: Any, file: Path) -> None:
    try:
        figure.savefig(file, format=file.suffix[1:].lower(), dpi=150, metadata={"Date": None})
    except OSError as error:
        raise CodebuddyError(f"cannot write the plot {file}: {error.strerror}") from error


def _figure_class() -> Any:
    """matplotlib's figure, without a window system (about 0.5 s to import)."""
    # Settings of matplotlib's in the working folder, which is the repository, would be read.
    here = Path.cwd()
    os.chdir(Path(__file__).parent)
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CodebuddyError(
            "plots need matplotlib, which is not installed",
            hint="install it with: pip install 'codebuddy[plot]'",
        ) from error
    finally:
        os.chdir(here)
    return Figure
