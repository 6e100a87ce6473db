"""The second tier: any sentence-transformers model scores the best results of a question.

Its vectors of chunks are kept on disk by content and by the model's digest. Nothing of it is
imported or loaded before a question waits for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from codebuddy import paths
from codebuddy.datatypes import Chunk, SearchResult
from codebuddy.errors import ModelError
from codebuddy.index.rerank import BODY_POOL, BODY_WEIGHT, HEAD_WEIGHT, POOL, combined

if TYPE_CHECKING:
    from codebuddy.index.vectors import Encoder, Vectors
    from codebuddy.settings import Settings

CACHE_NAME = "reranker.db"
# Models that `codebuddy models pull` brings, by name (inference/rerankers.py).
PULLED = ("all-minilm-l6-v2",)
_MAX_QUERY_CHARACTERS = 2_000
# Some 50 tokens and 90.
_HEAD_CHARACTERS = 200
_BODY_CHARACTERS = 250


class SecondTier:
    """The model that `search.reranker` names.

    Args:
        settings: Its name, as for `encoder.open_encoder`, or one that can be pulled; empty for
            none. And where pulled models are.
        folder: The private one of the index, where vectors are kept.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.name = settings.search.reranker
        self._folder = folder
        self._models = paths.models_folder(settings.model.folder)

    def check(self) -> None:
        """Say so where there is none, before anything is searched.

        Raises:
            ModelError: None is set, or it has not been pulled.
        """
        if not self.name:
            raise ModelError(
                "there is no second tier: search.reranker names no model",
                hint="set search.reranker in your config.toml, or CODEBUDDY_SEARCH_RERANKER, to the"
                f" folder of a sentence-transformers model or to {PULLED[0]}, or leave out --best",
            )
        if fault := self.fault():
            raise ModelError(f"the second tier {self.name} {fault}", hint=self.remedy())

    def fault(self) -> str:
        """Why the model that is set cannot be used, as far as a look at the disk tells.

        Empty where it is there or none is set. Nothing is imported or loaded for it.
        """
        if not self.name:
            return ""
        if self.name in PULLED:
            return "" if (self._models / self.name).is_dir() else "is not installed"
        path = os.path.expanduser(self.name)  # noqa: PTH111
        if self.name.startswith(("./", "../", "~")) or os.path.isabs(path):  # noqa: PTH117
            return "" if os.path.isdir(path) else "is no folder"  # noqa: PTH112
        names = (self.name, f"sentence-transformers/{self.name}")
        folders = [_hub_cache() / f"models--{name.replace('/', '--')}" for name in names]
        is_there = any(folder.is_dir() for folder in folders)
        return "" if is_there else "is not in the hub's cache, and the network is not used"

    def remedy(self) -> str:
        """What to do about a fault."""
        if self.name in PULLED:
            return f"codebuddy models pull {self.name}"
        return (
            "set search.reranker to the folder of a sentence-transformers model, or to"
            f" {PULLED[0]} and codebuddy models pull {PULLED[0]}"
        )

    def order(
        self, query: str, results: Sequence[SearchResult]
    ) -> tuple[list[SearchResult], dict[int, float]]:
        """The results in their new order, and the similarities of the first 50, by chunk.

        The model reads the name and the documentation's first lines of all 50, and the beginning
        of the best 20 by that. Those behind the first 50 stay behind them, and the other 30 behind
        the 20.

        Raises:
            ModelError: The model is gone or damaged, or gives no vectors.
        """
        from codebuddy.index.embed import encoder_named

        first, rest = list(results[:POOL]), list(results[POOL:])
        if not first:
            return rest, {}
        pulled = self._models / self.name
        try:
            encoder = encoder_named(str(pulled) if self.name in PULLED else self.name)
        except ModelError as error:
            message = f"the second tier {self.name} cannot be used: {error}"
            raise ModelError(message, hint=self.remedy()) from error
        (asked,) = _encoded(encoder, [query[:_MAX_QUERY_CHARACTERS]])
        scores = [each.score for each in first]
        similarities = self._similarities(encoder, asked, [head_text(each.chunk) for each in first])
        order = combined(scores, similarities, HEAD_WEIGHT)
        best, others = order[:BODY_POOL], order[BODY_POOL:]
        bodies = self._similarities(encoder, asked, [body_text(first[each].chunk) for each in best])
        weight = HEAD_WEIGHT + BODY_WEIGHT
        for place, body in zip(best, bodies, strict=True):
            head = similarities[place]
            similarities[place] = (HEAD_WEIGHT * head + BODY_WEIGHT * body) / weight
        again = combined(
            [scores[each] for each in best], [similarities[each] for each in best], weight
        )
        places = [*(best[each] for each in again), *others]
        of_chunks = {
            each.chunk.id: similarity for each, similarity in zip(first, similarities, strict=True)
        }
        return [*(first[place] for place in places), *rest], of_chunks

    def _similarities(self, encoder: Encoder, asked: Vectors, texts: list[str]) -> list[float]:
        return [float(vector @ asked) for vector in self._vectors(encoder, texts)]

    def _vectors(self, encoder: Encoder, texts: list[str]) -> list[Vectors]:
        import numpy as np

        from codebuddy.index.vector_cache import VectorCache

        cache = VectorCache(self._folder / CACHE_NAME, encoder.fingerprint, encoder.dim)
        found = cache.get(texts)
        missing = [place for place in range(len(texts)) if place not in found]
        if missing:
            new_texts = [texts[place] for place in missing]
            # Rounded as on disk, so that a second search says the same.
            new = _encoded(encoder, new_texts).astype(np.float16)
            cache.put(new_texts, new)
            new = new.astype(np.float32)
            found |= dict(zip(missing, new, strict=True))
        return [found[place] for place in range(len(texts))]


def head_text(chunk: Chunk) -> str:
    """A chunk's name in words, and the first line of each documentation in it."""
    from codebuddy.index.chunk_bag import MAX_CHARACTERS, first_lines
    from codebuddy.index.encoder import CAMEL_BORDER

    name = re.sub(CAMEL_BORDER, " ", chunk.symbol)
    for mark in ("_", ".", "::"):
        name = name.replace(mark, " ")
    return f"{name}. {first_lines(chunk.text[:MAX_CHARACTERS])}"[:_HEAD_CHARACTERS]


def body_text(chunk: Chunk) -> str:
    """Where a chunk stands, what it is called, and how it begins; some 90 tokens."""
    return f"{chunk.path}\n{chunk.symbol}\n{chunk.text[:_BODY_CHARACTERS]}"


def _hub_cache() -> Path:
    """Where models of the hub are kept, by the variables that its own library reads."""
    if own := os.environ.get("SENTENCE_TRANSFORMERS_HOME"):
        return Path(own).expanduser()
    home = os.environ.get("HF_HOME") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "huggingface"
    )
    cache = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return Path(cache or Path(home, "hub")).expanduser()


def _encoded(encoder: Encoder, texts: list[str]) -> Vectors:
    """`[len(texts), dim]`.

    Raises:
        ModelError: The model gives something else.
    """
    import numpy as np

    vectors = np.asarray(encoder.encode(texts), np.float32)
    if vectors.shape != (len(texts), encoder.dim) or not np.isfinite(vectors).all():
        raise ModelError(
            f"the model of search.reranker gives no vectors of {encoder.dim} numbers",
            hint="name another one",
        )
    return vectors
