"""The transformer's vectors of the evaluation's texts, computed once and kept.

A transformer encodes some 40 functions a second, so that its side of the comparison takes
longer than everything else; what is done is kept when a run is stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codebuddy.index.vectors import Encoder

Vectors = npt.NDArray[np.float32]

_BLOCK_TEXTS = 128


class KeptEncoder:
    """An encoder whose vectors are kept in a folder; it is opened when a text is new.

    Args:
        folder: Takes one file a block of texts.
        open_it: Opens the encoder.
        note: Called with the number of new texts done and of all.
    """

    def __init__(
        self, folder: Path, open_it: Callable[[], Encoder], note: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._open = open_it
        self._note = note
        self._encoder: Encoder | None = None
        self._kept: dict[str, npt.NDArray[np.float16]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(folder.glob("*.npz")):
            with np.load(file) as block:
                self._kept.update(zip(block["keys"].tolist(), block["vectors"], strict=True))

    @property
    def dim(self) -> int:
        """As the encoder's."""
        return self._opened().dim

    @property
    def fingerprint(self) -> str:
        """As the encoder's."""
        return self._opened().fingerprint

    def encode(self, texts: Sequence[str]) -> Vectors:
        """As the encoder's, in half precision."""
        keys = [_key(text) for text in texts]
        fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._kept}
        # Texts of one length together, so that none is padded.
        ordered = sorted(fresh.items(), key=lambda item: len(item[1]))
        for start in range(0, len(ordered), _BLOCK_TEXTS):
            block = ordered[start : start + _BLOCK_TEXTS]
            vectors = self._opened().encode([text for _, text in block]).astype(np.float16)
            names = [key for key, _ in block]
            np.savez(self._folder / f"{names[0]}.npz", keys=np.array(names), vectors=vectors)
            self._kept.update(zip(names, vectors, strict=True))
            self._note(f"{start + len(block)} of {len(ordered)} texts")
        return np.array([self._kept[key] for key in keys], np.float32)

    def _opened(self) -> Encoder:
        if self._encoder is None:
            self._encoder = self._open()
        return self._encoder


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:24]
