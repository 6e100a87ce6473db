"""From pairs to the shipped model, in order: clean, vocabulary, distil, contrast, export.

What each step made is kept in the work folder, so that a run that was stopped goes on.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from codebuddy.index.vectors import Encoder
from codebuddy.training.embedder.contrast import Rows, TrainingConfig, train
from codebuddy.training.embedder.corpus import is_near_copy, read_pairs, shingles_of_repository
from codebuddy.training.embedder.distil import distilled, token_counts, token_texts, weighted
from codebuddy.training.embedder.export import write_model
from codebuddy.training.embedder.pairs import Pair
from codebuddy.training.embedder.tasks import read_repositories
from codebuddy.training.embedder.vocabulary import train_vocabulary
from codebuddy.training.packages import Package

VOCABULARY_SIZE = 45_000
VOCABULARY_CHARACTERS = 60_000_000
DIM = 256

Repositories = list[tuple[Package, list[Pair]]]


def clean_pairs(work: Path, seed: int) -> Repositories:
    """Every package's pairs, without near-copies of evaluated repositories and repetitions."""
    evaluated: set[int] = set()
    for _, files in read_repositories(work / "held_out", seed):
        evaluated |= shingles_of_repository(files)
    seen: set[tuple[str, str]] = set()
    repositories: Repositories = []
    for file in sorted((work / "pairs").glob("*.jsonl")):
        package, pairs = read_pairs(file)
        kept = []
        for pair in pairs:
            key = (pair.query, pair.positive[:200])
            if key not in seen and not is_near_copy(pair, evaluated):
                seen.add(key)
                kept.append(pair)
        if kept:
            repositories.append((package, kept))
    return repositories


def sampled_texts(repositories: Repositories, seed: int) -> Iterator[str]:
    """Texts of all packages in random order, `VOCABULARY_CHARACTERS` in all."""
    pairs = [pair for _, found in repositories for pair in found]
    random.Random(seed).shuffle(pairs)
    total = 0
    for pair in pairs:
        if total > VOCABULARY_CHARACTERS:
            return
        total += len(pair.query) + len(pair.positive)
        yield pair.query
        yield pair.positive


def first_vectors(
    work: Path, repositories: Repositories, teacher: Callable[[], Encoder], seed: int
) -> tuple[Any, Rows]:
    """The vocabulary and its distilled, weighted vectors, made once and kept in `work`."""
    from tokenizers import Tokenizer

    file, vectors = work / "tokenizer.json", work / "distilled.npz"
    if not file.exists():
        train_vocabulary(sampled_texts(repositories, seed), VOCABULARY_SIZE).save(str(file))
        vectors.unlink(missing_ok=True)
    tokenizer = Tokenizer.from_file(str(file))
    if not vectors.exists():
        counts = token_counts(tokenizer, sampled_texts(repositories, seed))
        rows = distilled(teacher(), token_texts(tokenizer), DIM)
        np.savez(vectors, rows=rows, counts=counts)
    with np.load(vectors) as kept:
        return tokenizer, weighted(kept["rows"], kept["counts"])


def train_model(
    work: Path,
    folder: Path,
    repositories: Repositories,
    teacher: Callable[[], Encoder],
    config: TrainingConfig,
) -> Counter[str]:
    """Train and write the model to `folder`; how many pairs of each kind it learned from."""
    tokenizer, rows = first_vectors(work, repositories, teacher, config.seed)
    write_model(work / "distilled", tokenizer, rows)
    rows = train(tokenizer, rows, [pairs for _, pairs in repositories], work / "run", config)
    write_model(folder, tokenizer, rows)
    return Counter(pair.kind for _, pairs in repositories for pair in pairs)
