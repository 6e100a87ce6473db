"""A head of one's own: label the repository's holes, adapt the shipped head, keep the better.

It begins where the last run ended; what is kept lies beside the index, never in the work tree.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codebuddy import heads
from codebuddy.completion.head import Head
from codebuddy.errors import HeadError
from codebuddy.training.head.adapt import (
    Adaptation,
    GainThresholds,
    adapt,
    as_json,
    gain_thresholds,
    head_to_start_from,
)
from codebuddy.training.head.examples import Example, read_folder
from codebuddy.training.head.fit import MIN_EXAMPLES
from codebuddy.training.head.labels import Labelling, OnProgress, label_holes
from codebuddy.training.privacy import Goal
from codebuddy.vcs.repository import Repository


@dataclass(frozen=True, slots=True)
class Training:
    """What came of it; `adaptation` is None where there are too few holes yet.

    `is_exhausted` says that all holes which may be cut were labelled, so that more time gives
    no more of them.
    """

    n_holes: int
    n_missing: int
    is_exhausted: bool
    adaptation: Adaptation | None
    privacy: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The outcome in numbers."""
        compared: Mapping[str, Any] = as_json(self.adaptation) if self.adaptation else {}
        is_kept = self.adaptation is not None and self.adaptation.is_better
        return {
            "holes": self.n_holes,
            "missing": self.n_missing,
            "exhausted": self.is_exhausted,
            "kept": is_kept,
            **({} if self.privacy is None else {"privacy": dict(self.privacy)}),
            **compared,
        }


def train_personal(
    labelling: Labelling,
    per_kind: int,
    minutes: float,
    on_progress: OnProgress | None = None,
    goal: Goal | None = None,
) -> Training:
    """Label up to `per_kind` holes of each kind within `minutes`, then adapt the shipped head.

    With a `goal` it is adapted privately.

    Raises:
        TrainingError: The repository has too little code, or there is no head to start from.
        CodebuddyError: The model or the index failed; what was labelled stays.
    """
    default = head_to_start_from()
    repository = labelling.repository
    deadline = time.monotonic() + 60 * minutes
    own = label_holes(
        labelling,
        heads.personal_labels_file(repository),
        per_kind,
        deadline=deadline,
        on_progress=on_progress,
    )
    is_exhausted = time.monotonic() < deadline
    if len(own) < MIN_EXAMPLES:
        return Training(len(own), MIN_EXAMPLES - len(own), is_exhausted, None)
    _, shared = read_folder(heads.default_labels_folder())
    thresholds = gain_thresholds([each.always.ms for each in own], [each.never.ms for each in own])
    adaptation, privacy = _adapted(default, shared, own, thresholds, goal, repository)
    file = heads.personal_head_file(repository)
    if adaptation.is_better:
        name, settings = labelling.generator.name, labelling.settings
        trained_for = heads.trained_for(name, settings, labelling.adapter)
        content = adaptation.head_content(
            f"{repository.root.name}, {len(own)} holes{_privately(privacy)}", trained_for, default
        )
        heads.save_head(file, content)
    elif is_of(file, labelling.generator.name):
        # One that fewer holes had spoken for.
        file.unlink(missing_ok=True)
    return Training(len(own), 0, is_exhausted, adaptation, privacy)


def _adapted(
    default: Head,
    shared: Sequence[Example],
    own: Sequence[Example],
    thresholds: GainThresholds,
    goal: Goal | None,
    repository: Repository,
) -> tuple[Adaptation, dict[str, Any] | None]:
    if goal is None:
        return adapt(default, shared, own, thresholds), None
    from codebuddy.training.head.private import adapt_privately
    from codebuddy.training.own.choosing import authors_of

    authors = authors_of(repository) if goal.unit == "author" else {}
    return adapt_privately(default, shared, own, thresholds, goal, authors)


def is_of(file: Path, model: str) -> bool:
    """Whether a head in `file` is of that model, or cannot be read; not where there is none."""
    if not os.path.lexists(file):
        return False
    try:
        return heads.load_head_file(file).trained_for.get("model") == model
    except HeadError:
        return True


def _privately(privacy: Mapping[str, Any] | None) -> str:
    return "" if privacy is None else f", private at epsilon {privacy['epsilon']:.2f}"
