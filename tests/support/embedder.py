"""A small static embedding model for tests: real format, real tokenizer, random vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from codebuddy.training.embedder.export import write_model
from codebuddy.training.embedder.vocabulary import train_vocabulary

DIM = 48


def save_model(folder: Path, texts: list[str], seed: int = 0) -> Path:
    """A model over the words of this file and of `texts`."""
    source = Path(__file__).read_text(encoding="utf-8")
    tokenizer = train_vocabulary([source, *texts], 800)
    size = (tokenizer.get_vocab_size(), DIM)
    write_model(folder, tokenizer, np.random.default_rng(seed).normal(size=size).astype("f4"))
    return folder


def make_embedder(
    folder: Path,
    text: str,
    synonyms: Sequence[tuple[str, str]] = (),
    *,
    dim: int = 32,
    seed: int = 0,
) -> str:
    """Write a model to which both words of each pair of `synonyms` mean the same.

    `text` must hold those words; its words become tokens as wholes. Returns the model's name
    for `--embedder`.
    """
    # Words that are met often become tokens as wholes.
    tokenizer = train_vocabulary([text] * 50, 2_000)
    rows = np.zeros((tokenizer.get_vocab_size(), dim), np.float32)
    # By the token, not by its number: training numbers tokens that are equally frequent anyhow.
    for token, number in tokenizer.get_vocab().items():
        rng = np.random.default_rng([seed, *token.encode()])
        rows[number] = rng.normal(size=dim)
    for first, second in synonyms:
        number, other = tokenizer.token_to_id(first), tokenizer.token_to_id(second)
        assert number is not None, f"{first} is no token"
        assert other is not None, f"{second} is no token"
        rows[other] = rows[number]
    write_model(folder, tokenizer, rows)
    return str(folder)
