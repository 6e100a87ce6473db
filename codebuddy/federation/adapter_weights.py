"""Adapters as matrices that travel: A `[rank, in]` and B `[out, rank]` of each part of a model.

The mean of A and the mean of B are not the mean of B A, which is what an adapter does. So the
clients' products are averaged: their factors, stacked, give the mean exactly (FLoRA, arXiv
2409.05976), and of that the largest singular values are kept, as many as the rank. It knows
neither Flower nor repositories.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codebuddy.inference.gguf import GgufHeader
from codebuddy.training.adapter.base_model import LINEAR

Array = npt.NDArray[Any]
# As for an adapter that is loaded: beyond any weight that training gives.
_LARGEST = 1_000.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What an adapter of a base changes: names of parts and the shapes of A and B, in one order."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    rank: int

    def are_of(self, weights: Sequence[Any]) -> bool:
        """Whether these are weights of such an adapter, all of them finite and of usual size."""
        return len(weights) == len(self.shapes) and all(
            isinstance(each, np.ndarray)
            and each.shape == shape
            and each.dtype.kind == "f"
            and bool(np.isfinite(each).all())
            and float(np.abs(each).max(initial=0.0)) < _LARGEST
            for each, shape in zip(weights, self.shapes, strict=True)
        )


def parts_of(base: GgufHeader, rank: int) -> Parts:
    """The parts of a base's file that adapters are trained for.

    Args:
        base: Of the model.
        rank: Of the adapters.
    """
    linear = set(LINEAR.values())
    names, shapes = [], []
    for tensor in sorted(base.tensors, key=lambda each: each.name):
        words = tensor.name.split(".")
        if len(words) != 4 or words[0] != "blk" or words[2] not in linear or words[3] != "weight":
            continue
        wide, tall = (int(each) for each in tensor.dimensions[:2])
        names.append(tensor.name.removesuffix(".weight"))
        shapes += [(rank, wide), (tall, rank)]
    return Parts(tuple(names), tuple(shapes), rank)


def averaged(taken: Sequence[tuple[Sequence[Array], int]], rank: int) -> tuple[list[Array], float]:
    """The mean of adapters, each counted by its number, at that rank.

    Returns:
        The weights, and the share of the mean's square that the rank could not hold.
    """
    total = sum(count for _, count in taken)
    found: list[Array] = []
    lost = whole = 0.0
    for at in range(0, len(taken[0][0]), 2):
        a = np.vstack([weights[at].astype(np.float64) for weights, _ in taken])
        b = np.hstack([weights[at + 1].astype(np.float64) * (n / total) for weights, n in taken])
        b_basis, b_core = np.linalg.qr(b)
        a_basis, a_core = np.linalg.qr(a.T)
        left, values, right = np.linalg.svd(b_core @ a_core.T, full_matrices=False)
        lost += float((values[rank:] ** 2).sum())
        whole += float((values**2).sum())
        root = np.sqrt(values[:rank])
        both = root[:, None] * (right[:rank] @ a_basis.T), (b_basis @ left[:, :rank]) * root
        # A part with fewer rows or columns than the rank needs no more.
        more = rank - len(root)
        found += [np.pad(both[0], ((0, more), (0, 0))), np.pad(both[1], ((0, 0), (0, more)))]
    return [each.astype(np.float16) for each in found], lost / whole if whole else 0.0


def norm(weights: Sequence[Array]) -> float:
    """The Euclidean norm of all products B A together."""
    total = 0.0
    for at in range(0, len(weights), 2):
        a, b = (each.astype(np.float64) for each in weights[at : at + 2])
        total += float(np.sum((b.T @ b) * (a @ a.T)))
    return math.sqrt(max(0.0, total))


def scaled(weights: Sequence[Array], factor: float) -> list[Array]:
    """The adapter whose products are `factor` times as large."""
    return [
        (each * factor).astype(each.dtype) if at % 2 else each for at, each in enumerate(weights)
    ]
