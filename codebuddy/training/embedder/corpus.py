"""All packages' pairs: cut once and kept by package, then cleaned of what is evaluated.

Repositories that the embedder is measured on are never cut for training; pairs that look
like their code are taken out too, because code is copied between repositories. It knows
nothing of models.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from pathlib import Path

from codebuddy.training.embedder.pairs import Pair, ParsedFile, cut_pairs, parse_files
from codebuddy.training.packages import Package, identify, is_permissive
from codebuddy.training.sources import LANGUAGES

SHINGLE_WORDS = 8
# A text of which this share of shingles stands in an evaluated repository is a near-copy.
MAX_SHARED_SHINGLES = 0.2

_WORD = re.compile(r"\w+")


def cut_archives(
    archives: Sequence[Path], folder: Path, held_out: frozenset[str], seed: int
) -> Iterator[tuple[Package, str]]:
    """Cut each archive's pairs into a file of `folder`; those that are there are kept.

    Args:
        archives: Wheels, npm packages and Debian packages.
        folder: Takes one file of JSON lines a package, with the package on the first.
        held_out: `Package.key` of what is not to be learned from.
        seed: Chooses among what a package has too much of.

    Yields:
        Each package with what became of it: `cut`, `kept`, or why it was left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for archive in archives:
        mark = folder / f"{archive.name}.done"
        if mark.exists():
            continue
        try:
            package, files = identify(archive, LANGUAGES)
        except (ValueError, KeyError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
            print(f"{archive.name}: {error}", file=sys.stderr)  # noqa: T201
            continue
        outcome = "cut"
        if package.key in held_out:
            outcome = "held out"
        elif not is_permissive(package.licence):
            outcome = f"licence {package.licence!r}"
        elif not _write(folder / f"{package.key}.jsonl", package, files, seed):
            outcome = "no pairs"
        mark.write_text(outcome + "\n", encoding="utf-8")
        yield package, outcome


def _write(file: Path, package: Package, files: list[tuple[str, bytes]], seed: int) -> bool:
    pairs = cut_pairs(parse_files(files, seed), seed)
    if len(pairs) < 20:
        return False
    partial = file.with_suffix(f".{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8", errors="replace") as stream:
        stream.write(json.dumps(astuple(package)) + "\n")
        for pair in pairs:
            stream.write(json.dumps(astuple(pair)) + "\n")
    os.replace(partial, file)  # noqa: PTH105
    return True


def read_pairs(file: Path) -> tuple[Package, list[Pair]]:
    """What `cut_archives` wrote of one package."""
    with file.open(encoding="utf-8") as stream:
        package = Package(*json.loads(next(stream)))
        return package, [Pair(*json.loads(line)) for line in stream]


def shingles(text: str) -> set[int]:
    """Hashes of each `SHINGLE_WORDS` words in a row, stable within a process."""
    words = _WORD.findall(text.lower())
    return {
        hash(tuple(words[index : index + SHINGLE_WORDS]))
        for index in range(len(words) - SHINGLE_WORDS + 1)
    }


def shingles_of_repository(files: Iterable[ParsedFile]) -> set[int]:
    """Every shingle of a repository that is evaluated on."""
    found: set[int] = set()
    for file in files:
        found |= shingles(file.text)
    return found


def is_near_copy(pair: Pair, evaluated: set[int]) -> bool:
    """Whether either text of `pair` stands in an evaluated repository, by its shingles."""
    for text in (pair.query, pair.positive):
        own = shingles(text)
        if own and len(own & evaluated) > MAX_SHARED_SHINGLES * len(own):
            return True
    return False
