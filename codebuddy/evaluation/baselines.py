"""Baselines of `eval`: the plainest lookups that could work, for the product to be judged by.

`windows` ranks windows of 20 lines, 10 lines apart, of all other files by BM25 against the last
20 lines before the cursor. `jaccard` ranks the same windows by the share of words that both have
(the lookup of Repoformer, arXiv 2403.10059, and of RepoCoder, arXiv 2303.12570). Both give what
they find to the same prompt, within the same budget of tokens, as the product's own lookup.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from codebuddy.datatypes import Chunk, SearchResult

if TYPE_CHECKING:
    from codebuddy.datatypes import Context
    from codebuddy.index.search import RepositoryIndex
    from codebuddy.vcs.repository import Repository

Baseline = Literal["windows", "jaccard"]
BASELINES: tuple[Baseline, ...] = ("windows", "jaccard")

WINDOW_LINES = 20
STRIDE_LINES = 10
QUERY_LINES = 20
_WORD = re.compile(r"\w+")


class WindowRetriever:
    """All windows of a repository, read once; a copy of the hole's own file gives none."""

    def __init__(self, repository: Repository, index: RepositoryIndex) -> None:
        self._repository = repository
        self._index = index

    def prepare(self, baseline: Baseline) -> None:
        """Read and count all windows now, so that no lookup's time holds it."""
        _ = self._statistics if baseline == "windows" else self._word_sets

    def search(self, baseline: Baseline, context: Context, top_k: int) -> list[SearchResult]:
        """The best windows of other files, from the best down.

        Args:
            baseline: How windows are ranked.
            context: The place; its file and copies of that give no window.
            top_k: Windows wanted.
        """
        query = _words("\n".join(context.prefix.split("\n")[-QUERY_LINES:]))
        scores = self._bm25(query) if baseline == "windows" else self._jaccard(query)
        own_text = self._texts.get(context.document.path)
        found: list[SearchResult] = []
        for number in sorted(range(len(scores)), key=lambda each: (-scores[each], each)):
            window = self._windows[number]
            if scores[number] <= 0 or len(found) == top_k:
                break
            if self._texts[window.path] != own_text:
                score = float(scores[number])
                found.append(SearchResult(window, score, {"lexical": score}))
        return found

    def _bm25(self, query: Sequence[str]) -> Sequence[float]:
        if self._statistics is None:
            return []
        scores: Sequence[float] = self._statistics.get_scores(query)
        return scores

    def _jaccard(self, query: Sequence[str]) -> Sequence[float]:
        wanted = set(query)
        return [len(wanted & words) / len(wanted | words) for words in self._word_sets]

    @cached_property
    def _texts(self) -> dict[str, str]:
        paths = (os.fsdecode(each) for each in self._repository.list_files())
        texts = {path: "".join(each.text for each in self._index.chunks_of(path)) for path in paths}
        return {path: text for path, text in sorted(texts.items()) if text}

    @cached_property
    def _windows(self) -> list[Chunk]:
        windows: list[Chunk] = []
        for path, text in self._texts.items():
            lines = text.split("\n")
            for first in range(0, max(1, len(lines) - STRIDE_LINES), STRIDE_LINES):
                part = "\n".join(lines[first : first + WINDOW_LINES])
                if _WORD.search(part):
                    last = min(first + WINDOW_LINES, len(lines))
                    # No chunk of the index: negative ids are of no row.
                    number = -1 - len(windows)
                    windows.append(
                        Chunk(number, path, "", "window", "", "", first + 1, last, 0, 0, part)
                    )
        return windows

    @cached_property
    def _statistics(self) -> Any:
        from codebuddy.index.sparse import plain_bm25

        return plain_bm25([_words(each.text) for each in self._windows])

    @cached_property
    def _word_sets(self) -> list[frozenset[str]]:
        return [frozenset(_words(each.text)) for each in self._windows]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
