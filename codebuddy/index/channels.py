"""The channels over one state of the index, each made when it is first asked.

Everything here reads inside the caller's snapshot. It decides nothing about how channels
are put together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import TypeVar

from codebuddy.datatypes import Chunk, Definition
from codebuddy.index.cochange import META_KEY, CoChange
from codebuddy.index.definition_finder import DefinitionFinder
from codebuddy.index.dense import DenseRanker
from codebuddy.index.embed import embedder_key, encoder_if_there
from codebuddy.index.forms import other_forms
from codebuddy.index.import_graph import ImportGraph
from codebuddy.index.lexical import LexicalRanker
from codebuddy.index.modules import ModuleMap
from codebuddy.index.path_channel import PathFinder
from codebuddy.index.query import kind_of
from codebuddy.index.query_filters import Keep
from codebuddy.index.spelling import Reading, read
from codebuddy.index.store import Store, StoredFile
from codebuddy.index.symbol_channel import Near, SymbolRanker
from codebuddy.index.terms import count_terms, words
from codebuddy.index.vectors import Encoder
from codebuddy.settings import Settings

# Over-fetched, so that a chunk that only one channel ranks high still meets the others.
POOL = 50
# A static model's mean over more text only blurs, and a megabyte must not be tokenized.
_MAX_ENCODED_CHARACTERS = 4_000
# Terms of a query whose other forms are looked for.
_MAX_WIDENED = 24

# Queries whose slips are mended: a name may be a word alone.
_READ = frozenset({"name", "words", "sentence", "documentation"})
# How common a word counts that is one, and stands nowhere in the index.
_BARELY = 0.01

# Looked at for a filter, which must not read the whole of a large index.
_MAX_FILTERED = 20_000
# Files whose chunks stay in memory, and how large one may be: those of some lookups.
_FILES_KEPT, _KEPT_FILE_BYTES = 100, 1 << 16

T = TypeVar("T")
Ranking = list[tuple[int, float]]


def kept(ranked: Iterable[tuple[int, float]], keep: Keep | None) -> Iterator[tuple[int, float]]:
    """The entries that `keep` takes, of the first 20,000."""
    if keep is None:
        return iter(ranked)
    return (each for each in islice(ranked, _MAX_FILTERED) if keep(each[0]))


class Channels:
    """Rankings of chunk ids; make new ones when the index's state changes.

    Args:
        store: The index.
        settings: The encoder of a query.
        lexical: Over the same state; made by default.
    """

    def __init__(
        self, store: Store, settings: Settings, lexical: LexicalRanker | None = None
    ) -> None:
        self._store = store
        self._settings = settings
        self.lexical = lexical or LexicalRanker(store)
        self._chunks: dict[str, list[Chunk]] = {}
        self._definitions: dict[str, list[Definition]] = {}
        # The last query that was compared with all vectors, and what that found.
        self._compared: tuple[str, int, Ranking] = ("", 0, [])

    @cached_property
    def modules(self) -> ModuleMap:
        """The files as modules."""
        return ModuleMap(os.fsdecode(path) for path in self._store.paths())

    @cached_property
    def paths(self) -> PathFinder:
        """The files by how their paths end."""
        return PathFinder(self._store.paths())

    @cached_property
    def import_graph(self) -> ImportGraph:
        """The files around a file."""
        return ImportGraph(self._store, self.modules)

    @cached_property
    def history(self) -> CoChange:
        """Which files change together."""
        return CoChange(self._store.meta(META_KEY))

    @cached_property
    def _encoder(self) -> Encoder | None:
        """The encoder that is set, where there are vectors.

        Kept as long as they are: its files may be replaced by those of another training.
        """
        has_vectors = self._store.vector_space() is not None
        return encoder_if_there(self._settings) if has_vectors else None

    @cached_property
    def _dense(self) -> DenseRanker | None:
        space, encoder = self._store.vector_space(), self._encoder
        if space is None or encoder is None:
            return None
        # Vectors of another model cannot be compared with this one's.
        is_same = space.key == embedder_key(encoder) and space.dim == encoder.dim
        return DenseRanker(self._store, space) if is_same else None

    @property
    def has_dense(self) -> bool:
        """Whether the index holds vectors of the encoder that is set."""
        return self._dense is not None

    def read(self, query: str) -> Reading:
        """A query in words with its slips of the keyboard mended; any other as it is.

        Which words there are is told by an encoder with a vocabulary of words; without one
        nothing is mended.
        """
        if kind_of(query) not in _READ:
            return Reading(query)

        def is_known(word: str) -> bool:
            lowered = word.lower()
            forms = [lowered, *other_forms(lowered)]
            if any(self.lexical.frequencies(forms).values()):
                return True
            # The beginning of a name finds it.
            if self.lexical.terms_beginning(lowered):
                return True
            has_word = self._has_word
            is_word = has_word is None or any(map(has_word, forms))
            return is_word or self.paths.has_any_with(lowered)

        def frequencies(words: Sequence[str]) -> dict[str, float]:
            held, has_word = self.lexical.frequencies(words), self._has_word
            assert has_word is not None
            return {each: held[each] or (_BARELY if has_word(each) else 0.0) for each in words}

        return read(query, is_known, frequencies)

    @cached_property
    def _has_word(self) -> Callable[[str], bool] | None:
        """Whether a word in lower case is one, as far as the encoder's vocabulary tells."""
        from codebuddy.index.encoder import StaticEncoder

        # No transformer of a person's own is loaded for it, nor missed.
        encoder = self._encoder if not self._settings.index.embedder else None
        if not isinstance(encoder, StaticEncoder) or not encoder.reads_bags:
            return None
        number_of = encoder.tokenizer.token_to_id
        return lambda word: number_of(word) is not None

    def search_lexical(
        self, query: str, forms_weight: float = 0.0, keep: Keep | None = None
    ) -> Ranking:
        """BM25 over the query's terms; another form of one counts `forms_weight` times.

        `keep` says which chunks may be among them, here and in the other channels.
        """
        weights: dict[str, float] = {**count_terms(query)}
        if forms_weight > 0:
            for term in list(weights)[:_MAX_WIDENED]:
                for form in other_forms(term):
                    weights.setdefault(form, forms_weight)
        return list(islice(kept(self.lexical.ranked(weights), keep), POOL))

    def search_symbol(
        self, query: str, by_words: Ranking, near: str, keep: Keep | None = None
    ) -> tuple[Ranking, Near]:
        """Names of definitions; `near` is the file that the query comes from.

        The second value says by chunk what `near` has to do with it.
        """
        finder = self.finder(near, None, words(query)) if near else None
        limit = POOL if keep is None else _MAX_FILTERED
        found, reasons = SymbolRanker(self._store).ranked(query, by_words, limit, finder)
        return list(islice(kept(found, keep), POOL)), reasons

    def search_dense(self, query: str, limit: int = POOL, keep: Keep | None = None) -> Ranking:
        """Similarity of vectors; nothing where there are none of the encoder that is set.

        The same query again costs nothing: a question is searched for, and judged by its nearest.

        Raises:
            ModelError: The encoder that is set cannot be opened.
        """
        encoder = self._encoder
        if encoder is None or self._dense is None:
            return []
        needed = limit if keep is None else _MAX_FILTERED
        compared, n_found, found = self._compared
        if compared != query or n_found < needed:
            (vector,) = encoder.encode([query[:_MAX_ENCODED_CHARACTERS]])
            found = self._dense.ranked(vector, needed)
            self._compared = (query, needed, found)
        return list(islice(kept(found, keep), limit))

    def chunks_of(self, path: str) -> list[Chunk]:
        """A file's chunks in their order."""
        return self._kept(path, self._chunks, self._store.chunks_of)

    def definitions_of(self, path: str) -> list[Definition]:
        """A file's definitions in their order."""
        return self._kept(path, self._definitions, self._store.definitions_of)

    def _kept(
        self, path: str, known: dict[str, list[T]], read: Callable[[StoredFile], list[T]]
    ) -> list[T]:
        """What a file holds: who types asks for that of the same files at each key."""
        if path not in known:
            stored = self._store.file_of(os.fsencode(path))
            found = [] if stored is None else read(stored)
            if stored is None or stored.stat.size > _KEPT_FILE_BYTES:
                return found
            if len(known) == _FILES_KEPT:
                known.clear()
            known[path] = found
        return known[path]

    def finder(
        self, path: str, imports: Sequence[str] | None, names: Sequence[str]
    ) -> DefinitionFinder:
        """What leads from the file `path` to definitions."""
        return DefinitionFinder(
            self._store, self.modules, self.import_graph, self.history, path, imports, names
        )
