"""The first vectors of a vocabulary: what a transformer says of each token, made small.

Each token is encoded by itself; principal components keep the directions in which tokens
differ; frequent tokens are made short, because a mean of vectors is otherwise a mean of
`self`, `return` and `the`. In the spirit of model2vec; the weighting is the smooth inverse
frequency of Arora, Liang and Ma, 2017.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from codebuddy.index.vectors import Encoder

Rows = npt.NDArray[np.float32]

# Arora's `a`: tokens rarer than this share of all tokens keep most of their length.
SMOOTHING = 1e-3
_BLOCK_TEXTS = 4096


def token_counts(tokenizer: Any, texts: Iterable[str]) -> npt.NDArray[np.int64]:
    """How often each token of the vocabulary stands in `texts`."""
    counts = np.zeros(tokenizer.get_vocab_size(), np.int64)
    block: list[str] = []

    def count(block: list[str]) -> None:
        for encoding in tokenizer.encode_batch_fast(block, add_special_tokens=False):
            np.add.at(counts, encoding.ids, 1)

    for text in texts:
        block.append(text)
        if len(block) == _BLOCK_TEXTS:
            count(block)
            block = []
    count(block)
    return counts


def token_texts(tokenizer: Any) -> list[str]:
    """Each token as a text of its own, by number; a piece inside a word loses its mark."""
    by_number = sorted((number, token) for token, number in tokenizer.get_vocab().items())
    return [token.removeprefix("##") for _, token in by_number]


def distilled(teacher: Encoder, texts: list[str], dim: int) -> Rows:
    """`[tokens, dim]`: the teacher's vectors, centred, on their principal components.

    The components are scaled by the square root of their deviation, between the raw ones, of
    which a few drown the others, and whitened ones, which blow up noise.
    """
    vectors = teacher.encode(texts).astype(np.float64)
    vectors -= vectors.mean(axis=0)
    _, deviations, directions = np.linalg.svd(vectors, full_matrices=False)
    projected = vectors @ directions[:dim].T / np.sqrt(deviations[:dim] + 1e-9)
    return np.asarray(projected / projected.std(), np.float32)


def weighted(rows: Rows, counts: npt.NDArray[np.int64]) -> Rows:
    """The rows, each scaled by its token's smooth inverse frequency."""
    share = counts / max(1, int(counts.sum()))
    return np.asarray(rows * (SMOOTHING / (SMOOTHING + share))[:, None], np.float32)
