"""Vectors as bytes: a file's chunks in one row, 8 bits a number and a scale a vector.

A vector v is kept as s = max|v| / 127 and the rounded v / s. On unit vectors of 256 numbers
that moves an inner product by about 0.001. It knows neither SQL nor where vectors come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

_LARGEST = 127.0
# Vectors are about as long as 1, and what is computed of them must stay finite.
_LARGEST_SCALE = 1e6
_SCALE = np.dtype("<f4")


class Encoder(Protocol):
    """A model that turns texts into vectors whose inner product is their similarity."""

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        ...

    @property
    def fingerprint(self) -> str:
        """A digest of the weights: vectors of another one cannot be compared with these."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """`[len(texts), dim]`, each row of unit length, or zeros where a text says nothing."""
        ...


def row_bytes(n_chunks: int, dim: int) -> int:
    """The length of the row of a file with so many chunks."""
    return n_chunks * (dim + _SCALE.itemsize)


def pack_vectors(vectors: npt.NDArray[Any]) -> bytes:
    """`[n, dim]` as a row; a vector that is not finite becomes zeros, which nothing finds."""
    vectors = np.where(np.isfinite(vectors).all(axis=1, keepdims=True), vectors, 0)
    scales = (np.abs(vectors).max(axis=1, initial=0.0) / _LARGEST).astype(_SCALE)
    scales = np.minimum(scales, _LARGEST_SCALE).astype(_SCALE)
    divisors = np.where(scales > 0, scales, 1).astype(np.float32)
    quantized = np.rint(vectors / divisors[:, None]).clip(-_LARGEST, _LARGEST).astype(np.int8)
    return bytes(scales.tobytes() + quantized.tobytes())


def unpack_vectors(data: bytes, n_chunks: int, dim: int, out: Vectors) -> bool:
    """Fill `out`, `[n_chunks, dim]`, with a row's vectors; false if it is no such row."""
    if n_chunks < 0 or len(data) != row_bytes(n_chunks, dim):
        return False
    scales = np.frombuffer(data, _SCALE, n_chunks)
    if not ((scales >= 0) & (scales <= _LARGEST_SCALE)).all():
        return False
    quantized = np.frombuffer(data, np.int8, offset=scales.nbytes).reshape(n_chunks, dim)
    np.multiply(quantized, scales[:, None], out=out)
    return True
