"""Label holes of the public repositories for the shipped head; stops and goes on at will.

    python -m codebuddy.training.head label --minutes 60 FOLDER FOLDER...

Each folder is a git repository; its rows go to LABELS/NAME.jsonl. The repositories take
turns, some holes each, so that labels are balanced whenever the time is up.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from codebuddy.assembly import open_generator
from codebuddy.config import load_settings
from codebuddy.heads import default_labels_folder
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.terminal import StatusLine, note
from codebuddy.training.head.labels import Labelling, label_holes
from codebuddy.vcs.repository import open_repository

# Holes of each kind that a repository labels before the next one has its turn.
_PER_TURN = 4


def main() -> None:
    """Read the arguments and label until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m codebuddy.training.head")
    parser.add_argument("action", choices=["label"])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--labels", type=Path, default=default_labels_folder())
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--per-kind", type=int, default=60, help="holes of each kind and folder")
    arguments = parser.parse_args()
    label(arguments.folders, arguments.labels, arguments.minutes, arguments.per_kind)


def label(folders: list[Path], labels: Path, minutes: float, per_kind: int) -> None:
    """Label up to `per_kind` holes of each kind in every repository, in turns."""
    deadline = time.monotonic() + 60 * minutes
    settings = load_settings().settings
    generator = open_generator(settings, StatusLine())
    repositories = [open_repository(folder) for folder in folders]
    for repository in repositories:
        update_index(repository, settings)
    for so_far in range(_PER_TURN, per_kind + _PER_TURN, _PER_TURN):
        for repository in repositories:
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


if __name__ == "__main__":
    main()
