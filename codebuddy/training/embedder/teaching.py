"""What the tuning learns from, out of the work folder: packages, recipes, titles, the teacher.

Cut once and kept by package; repositories come as clones at the commits of the data list. It
knows nothing of how the model is tuned.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codebuddy import platforms
from codebuddy.training.embedder.examples import (
    Example,
    commands,
    examples_of,
    question_titles,
    read_examples,
    recipes,
    write_examples,
)
from codebuddy.training.embedder.pairs import parse_files
from codebuddy.training.embedder.tuning import Teaching, Vectors
from codebuddy.training.packages import identify, is_permissive
from codebuddy.training.sources import LANGUAGES

# Titles and commands that the transformer teaches about, of those that there are.
MAX_TITLES = 15_000
MAX_COMMANDS = 5_000
# A transformer encodes a hundred lines a second: so many of 256 documented functions are asked for.
ASKED_OF_256 = 95
# One title of five is kept from training, to measure on.
_HELD_OUT_OF = 5


@dataclass(frozen=True, slots=True)
class Origin:
    """A public repository of the data list."""

    name: str
    url: str
    commit: str
    licence: str


def load_origins(file: Path) -> list[Origin]:
    """The repositories in the data list `file`."""
    listed = tomllib.loads(file.read_text(encoding="utf-8"))["repositories"]
    return [Origin(*entry) for entry in listed]


def clone(origin: Origin, folder: Path) -> bool:
    """Bring the repository into `folder`, bare; whether its commit is there."""
    git = platforms.find_program("git") or "git"
    if not folder.is_dir():
        subprocess.run(
            [git, "clone", "--bare", "--quiet", origin.url, str(folder)],
            env=platforms.child_environment(),
            check=False,
        )
    there = subprocess.run(
        [git, "--git-dir", str(folder), "cat-file", "-e", origin.commit],
        env=platforms.child_environment(),
        capture_output=True,
        check=False,
    )
    return there.returncode == 0


def cut_examples(
    archives: Sequence[Path], folder: Path, left_out: frozenset[str], seed: int
) -> int:
    """Cut each wheel's examples into a file of `folder`; returns how many files are there.

    Args:
        archives: Wheels.
        folder: Takes one file a package; those that are there are kept.
        left_out: `Package.key` of what is measured on.
        seed: Chooses among what a package has too much of.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for archive in archives:
        try:
            package, files = identify(archive, LANGUAGES)
        except (ValueError, KeyError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
            print(f"{archive.name}: {error}", file=sys.stderr)  # noqa: T201
            continue
        file = folder / f"{package.key}.jsonl"
        if package.key in left_out or not is_permissive(package.licence) or file.exists():
            continue
        write_examples(file, examples_of(parse_files(files, seed), seed))
    return len(list(folder.glob("*.jsonl")))


def is_held_out(title: str) -> bool:
    """Whether a recipe is measured on and not learned from."""
    return _digest(title)[0] % _HELD_OUT_OF == 0


def titled(origins: Sequence[Origin], folder: Path) -> list[Example]:
    """All recipes of the data list's repository of that kind."""
    origin = _named(origins, "recipes")
    return recipes(folder / f"{origin.name}.git", origin.commit)


def teaching_of(
    examples: Path,
    origins: Sequence[Origin],
    clones: Path,
    vectors_of: Callable[[Sequence[str]], Vectors],
    seed: int,
) -> Teaching:
    """All that is learned from; the transformer is asked for what is new."""
    kept = [each for each in titled(origins, clones) if not is_held_out(each.query)]
    rng = random.Random(seed)
    staqc, nl2bash = _named(origins, "titles"), _named(origins, "commands")
    titles = question_titles(clones / f"{staqc.name}.git", staqc.commit)
    said = commands(clones / f"{nl2bash.name}.git", nl2bash.commit)
    rng.shuffle(titles)
    rng.shuffle(said)
    titles = titles[:MAX_TITLES] + said[:MAX_COMMANDS]
    repositories: list[list[Example]] = []
    for file in sorted(examples.glob("*.jsonl")):
        found = [
            each
            for each in read_examples(file)
            if each.kind != "asked" or _digest(each.query)[1] < ASKED_OF_256
        ]
        random.Random(file.name).shuffle(found)
        repositories.append(found)
    asked = [each.query for found in repositories for each in found if each.kind == "asked"]
    vectors_of([*titles, *(each.query for each in kept), *asked])
    return Teaching([*repositories, kept], titles, vectors_of)


def _named(origins: Sequence[Origin], name: str) -> Origin:
    return next(each for each in origins if each.name == name)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
