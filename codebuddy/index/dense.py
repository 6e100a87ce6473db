"""The dense channel: a query's vector -> chunk ids ranked by inner product with every chunk's.

All vectors are held as one float32 matrix, so that a query is one matrix product: 100,000
chunks of 256 numbers take 100 MB and about 8 ms on two cores. Everything here reads inside
the caller's snapshot; it knows nothing of what a chunk is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codebuddy.index.schema import DamagedIndexError
from codebuddy.index.store import Store, VectorSpace
from codebuddy.index.vectors import Vectors, row_bytes, unpack_vectors


class DenseRanker:
    """Inner products over one state of the index; make a new one when the state changes.

    Raises:
        DamagedIndexError: A row of vectors is not one that codebuddy wrote: another dimension,
            values that are no numbers, or a wrong checksum.
    """

    def __init__(self, store: Store, space: VectorSpace) -> None:
        rows = list(store.vectors())
        for row in rows:
            # Before room for so many is made.
            if len(row.data) != row_bytes(row.n_chunks, space.dim):
                raise _damaged(row.file_id)
        n_chunks = sum(row.n_chunks for row in rows)
        self._ids = np.empty(n_chunks, np.int64)
        self._matrix: Vectors = np.empty((n_chunks, space.dim), np.float32)
        done = 0
        for row in rows:
            end = done + row.n_chunks
            self._ids[done:end] = np.arange(row.first_chunk, row.first_chunk + row.n_chunks)
            if not unpack_vectors(row.data, row.n_chunks, space.dim, self._matrix[done:end]):
                raise _damaged(row.file_id)
            done = end
        self._dim = space.dim

    @property
    def n_chunks(self) -> int:
        """Chunks that have a vector."""
        return len(self._ids)

    def ranked(self, query: npt.NDArray[np.float32], limit: int) -> list[tuple[int, float]]:
        """(chunk id, inner product) from the best down; what points away is left out.

        Args:
            query: `[dim]`, of unit length; zeros or no numbers find nothing.
            limit: How many at most.
        """
        if not len(self._ids) or query.shape != (self._dim,) or not np.isfinite(query).all():
            return []
        scores = self._matrix @ query
        if limit < len(scores):
            top = np.argpartition(scores, len(scores) - limit)[-limit:]
        else:
            top = np.arange(len(scores))
        top = top[np.lexsort((self._ids[top], -scores[top]))]
        return [
            (int(self._ids[place]), float(scores[place]))
            for place in top.tolist()
            if scores[place] > 0
        ]


def _damaged(file_id: int) -> DamagedIndexError:
    return DamagedIndexError(f"the index is damaged: the vectors of file {file_id} are none")
