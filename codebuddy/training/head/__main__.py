"""The shipped head: labels of public repositories, fitting, and its figures.

    python -m codebuddy.training.head label --minutes 60 FOLDER FOLDER...
    python -m codebuddy.training.head fit
    python -m codebuddy.training.head report docs/head.md

`label` takes git repositories; the rows of each go to LABELS/NAME.jsonl. It stops and goes on
at will, and the repositories take turns, so that labels are balanced whenever the time is up.
`fit` writes the head. `report` evaluates each repository with a head that never saw it and puts the
tables between the page's markers, and a plot beside it; holes of other models, in folders beside
LABELS whose names begin alike, are evaluated with the same heads.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from codebuddy import heads
from codebuddy.completion.features import NAMES
from codebuddy.config import load_settings
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.service.models import open_generator
from codebuddy.terminal import StatusLine, note
from codebuddy.training.head.assess import TokenCosts, predict_left_out, retry_rates
from codebuddy.training.head.examples import read_folder
from codebuddy.training.head.fit import AFTER_FEATURES, FitConfig, fit_stage, head_content
from codebuddy.training.head.labels import Labelling, label_holes
from codebuddy.training.head.report import (
    other_model_lines,
    plotted,
    report_lines,
)
from codebuddy.vcs.repository import open_repository

# Holes of each kind that a repository labels before the next one has its turn.
_PER_TURN = 4
_BEGIN, _END = "<!-- head figures: begin -->", "<!-- head figures: end -->"


def main() -> None:
    """Read the arguments and do what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        prog="python -m codebuddy.training.head",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    labelling, fitting, reporting = (actions.add_parser(n) for n in ("label", "fit", "report"))
    labelling.add_argument("folders", nargs="+", type=Path)
    labelling.add_argument("--minutes", type=float, default=60.0)
    labelling.add_argument("--per-kind", type=int, default=60, help="holes of each kind and folder")
    reporting.add_argument("page", type=Path)
    fitting.add_argument("--out", type=Path, default=heads.default_head_file())
    for each in (labelling, fitting, reporting):
        each.add_argument("--labels", type=Path, default=heads.default_labels_folder())
    arguments = parser.parse_args()
    if arguments.action == "label":
        label(arguments.folders, arguments.labels, arguments.minutes, arguments.per_kind)
    elif arguments.action == "fit":
        fit(arguments.labels, arguments.out)
    else:
        report(arguments.labels, arguments.page)


def label(folders: list[Path], labels: Path, minutes: float, per_kind: int) -> None:
    """Label up to `per_kind` holes of each kind in every repository, in turns."""
    deadline = time.monotonic() + 60 * minutes
    settings = load_settings().settings
    generator = open_generator(settings, StatusLine())
    opened = [open_repository(folder) for folder in folders]
    for repository in opened:
        update_index(repository, settings)
    for so_far in range(_PER_TURN, per_kind + _PER_TURN, _PER_TURN):
        for repository in opened:
            name = repository.root.name
            with RepositoryIndex.open(repository, settings) as index:
                labelling = Labelling(repository, index, generator, settings.completion, name)
                file = labels / f"{name}.jsonl"
                count = min(so_far, per_kind)
                done = label_holes(labelling, file, count, deadline=deadline)
            helped = sum(example.helps for example in done)
            note(f"{name}: {len(done)} holes labelled, a lookup helped {helped}")
            if time.monotonic() >= deadline:
                return


def fit(labels: Path, out: Path) -> None:
    """Fit both stages on all labels and write the head."""
    about, examples = read_folder(labels)
    predicted = predict_left_out(examples, NAMES, AFTER_FEATURES)
    asked = retry_rates(predicted, TokenCosts())("")
    content = head_content(
        f"codebuddy, {len(examples)} holes of {about['model']}",
        {key: about.get(key) for key in heads.TRAINED_FOR},
        fit_stage(examples, NAMES),
        fit_stage(examples, AFTER_FEATURES, FitConfig(ends_with="kept")),
        asked,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    heads.save_head(out, content)
    heads.load_head_file(out)
    note(f"wrote {out}, {out.stat().st_size} bytes; {asked:.0%} of the holes asked for a lookup")


def report(labels: Path, page: Path) -> None:
    """Put the tables between the page's markers, and the plot into PAGE's name with .svg."""
    from codebuddy.evaluation.plot import plot_curves

    text = page.read_text(encoding="utf-8")
    if _BEGIN not in text or _END not in text:
        raise SystemExit(f"{page} has no markers {_BEGIN} and {_END}")
    _, examples = read_folder(labels, as_measured=True)
    costs = TokenCosts()
    predicted = predict_left_out(examples, NAMES, AFTER_FEATURES)
    found = report_lines(examples, predicted, costs)
    for folder in sorted(labels.parent.glob(f"{labels.name}-*")):
        about, theirs = read_folder(folder, as_measured=True)
        found += ["", *other_model_lines(about["model"], examples, theirs, costs)]
    lines = "\n".join(found)
    before, _, rest = text.partition(_BEGIN)
    page.write_text(f"{before}{_BEGIN}\n\n{lines}\n\n{_END}{rest.partition(_END)[2]}", "utf-8")
    plot_curves(*plotted(predicted, costs), page.with_suffix(".svg"))


if __name__ == "__main__":
    main()
