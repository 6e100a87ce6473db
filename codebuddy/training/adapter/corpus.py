"""Packages -> samples: each archive becomes a git repository for a moment, and is cut.

Archives are only read, as for the embedder; licences that are not permissive are left out.
What is kept are token ids and places, a file of arrays for each package.
"""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from codebuddy import platforms
from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.inference.vocabulary import Vocabulary
from codebuddy.settings import Settings
from codebuddy.training.adapter.samples import Sample, cut_samples
from codebuddy.training.packages import Package, identify, is_permissive
from codebuddy.training.sources import LANGUAGES, written_by_hand
from codebuddy.vcs.repository import Repository, open_repository

# What is taken of a package: enough for its samples, in neighbouring files.
MAX_BYTES = 1_000_000
MAX_FILES = 200


def cut_archive(
    archive: Path,
    folder: Path,
    vocabulary: Vocabulary,
    end_token: int,
    count: int,
    seed: int,
) -> str:
    """Cut the samples of one archive into `folder`; what became of it, in words."""
    package, files = identify(archive, LANGUAGES)
    target = folder / f"{package.key}.npz"
    if target.exists():
        return "kept"
    if not is_permissive(package.licence):
        return f"licence {package.licence!r}"
    chosen = _neighbours(written_by_hand(files), seed, package)
    if not chosen:
        return "no sources"
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / PurePosixPath(package.name).name
        for path, content in chosen:
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        repository = _as_repository(root)
        settings = Settings()
        settings = replace(settings, index=replace(settings.index, embedder="none", jobs=1))
        update_index(repository, settings)
        index = RepositoryIndex.open(repository, settings)
        try:
            samples = list(cut_samples(repository, index, vocabulary, end_token, count, seed))
        finally:
            index.close()
    if not samples:
        return "no samples"
    write_samples(target, package, samples)
    return f"{len(samples)} samples"


def write_samples(file: Path, package: Package, samples: list[Sample]) -> None:
    """Token ids one after the other with their lengths; places and kinds as JSON."""
    about = {
        "package": [package.registry, package.name, package.version, package.licence],
        "samples": [[s.kind, s.language, s.path, s.start_byte, s.end_byte] for s in samples],
    }
    partial = file.with_suffix(".partial.npz")
    np.savez_compressed(
        partial,
        tokens=np.array([t for s in samples for t in (*s.prompt, *s.middle)], np.int32),
        prompt_lengths=np.array([len(s.prompt) for s in samples], np.int32),
        middle_lengths=np.array([len(s.middle) for s in samples], np.int32),
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
    )
    partial.replace(file)


def _neighbours(
    files: list[tuple[str, bytes]], seed: int, package: Package
) -> list[tuple[str, bytes]]:
    """Up to `MAX_BYTES` of files that lie beside each other, from a random place on."""
    files = sorted(files)
    if not files:
        return []
    start = random.Random(f"{seed}:{package.key}").randrange(len(files))
    if sum(len(content) for _, content in files) <= MAX_BYTES:
        start = 0
    chosen: list[tuple[str, bytes]] = []
    total = 0
    for path, content in files[start:] + files[:start]:
        if total + len(content) > MAX_BYTES or len(chosen) == MAX_FILES:
            break
        chosen.append((path.removeprefix("package/"), content))
        total += len(content)
    return chosen


def _as_repository(root: Path) -> Repository:
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all", "--force"],
        ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "-m", "x"],
    ):
        subprocess.run(
            ["git", "-C", str(root), *command],
            check=True,
            capture_output=True,
            env=platforms.child_environment(),
        )
    return open_repository(root)
