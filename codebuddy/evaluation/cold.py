"""A generator as it is on a prompt it has never seen, which never does the same work twice.

The modes of one task share most of their prompts, so that the second one would profit from the KV
cache of the first. Here the cache is emptied before each prompt, and a prompt
that comes again is answered from what was generated for it, at the cost it had then: greedy
generation is deterministic. It knows nothing of modes or tasks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from codebuddy.cancellation import CancellationToken
from codebuddy.datatypes import FimTokens, GenerationSettings, GenerationStats, Generator
from codebuddy.inference.kv_cache import KvCache


@dataclass(slots=True)
class _Recording:
    pieces: list[str] = field(default_factory=list)
    stats: GenerationStats = field(default_factory=GenerationStats)
    wall_ms: float = 0.0
    is_whole: bool = False


class ColdGenerator:
    """Wraps a generator; `saved_ms` grows by the time that recordings stood in for.

    `prompt_digest` tells whether two texts were generated from the same prompts. With
    `keeps_cache` prompts are not read anew: the texts are the same, their times are not.
    """

    def __init__(self, generator: Generator, *, keeps_cache: bool = False) -> None:
        self._generator = generator
        self._keeps_cache = keeps_cache
        self._recordings: dict[tuple[tuple[int, ...], GenerationSettings], _Recording] = {}
        self.saved_ms = 0.0
        self._prompts = hashlib.sha256()
        self._first: tuple[int, ...] = ()
        self._last: tuple[int, ...] = ()

    @property
    def prompt_digest(self) -> str:
        """Of the prompts since `begin`, in their order."""
        return self._prompts.hexdigest()[:16]

    def begin(self) -> None:
        """Another completion begins, which is charged its own time and prompts."""
        self.saved_ms = 0.0
        self._prompts = hashlib.sha256()
        self._first = self._last = ()

    def keep_first(self) -> None:
        """The first text since `begin` is the one that stays: `score` is behind its prompt."""
        self._last = self._first

    @property
    def name(self) -> str:
        """The model's name."""
        return self._generator.name

    @property
    def n_ctx(self) -> int:
        """Tokens that prompt and generation may take together."""
        return self._generator.n_ctx

    @property
    def fim(self) -> FimTokens:
        """The vocabulary's fill-in-the-middle tokens."""
        return self._generator.fim

    @property
    def bos(self) -> int | None:
        """The token that a prompt must begin with."""
        return self._generator.bos

    @property
    def runtime(self) -> dict[str, object]:
        """What was used."""
        return self._generator.runtime

    @property
    def has_probabilities(self) -> bool:
        """Whether token probabilities are reported."""
        return self._generator.has_probabilities

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text`."""
        return self._generator.tokenize(text)

    def forget(self) -> None:
        """Drop the recordings, once a task is done."""
        self._recordings.clear()
        self.saved_ms = 0.0

    def score(self, text: str) -> list[float] | None:
        """Log-probabilities of the tokens of `text` behind the prompt of the text that was kept.

        That is the last prompt since `begin`, or after `keep_first` the first. The adapter is
        left out.

        `None` where the generator cannot tell.
        """
        score = getattr(self._generator, "score", None)
        if score is None or not self._last or not text:
            return None
        found: list[float] = score(self._last, self.tokenize(text))
        return found

    def generate(
        self,
        tokens: Sequence[int],
        settings: GenerationSettings,
        stats: GenerationStats,
        cancellation: CancellationToken | None = None,
    ) -> Iterator[str]:
        """As the wrapped generator's, from an empty cache or from the recording."""
        key = (tuple(tokens), settings)
        self._first, self._last = self._first or key[0], key[0]
        self._prompts.update(repr(key[0]).encode())
        known = self._recordings.get(key)
        n_played = 0
        if known is not None:
            started = time.perf_counter()
            try:
                for piece in known.pieces:
                    if cancellation is not None:
                        cancellation.check()
                    n_played += 1
                    yield piece
            except GeneratorExit:
                self._account(known, started, stats)
                raise
            if known.is_whole:
                self._account(known, started, stats)
                return
        self._empty_cache()
        recording = self._recordings[key] = _Recording()
        started = time.perf_counter()
        pieces = self._generator.generate(tokens, settings, stats, cancellation)
        try:
            for index, piece in enumerate(pieces):
                recording.pieces.append(piece)
                if index >= n_played:
                    yield piece
            recording.is_whole = True
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()
            recording.wall_ms = (time.perf_counter() - started) * 1000
            _copy(stats, recording.stats)

    def _account(self, known: _Recording, started: float, stats: GenerationStats) -> None:
        """Charge what the recording cost when it was made."""
        _copy(known.stats, stats)
        self.saved_ms += known.wall_ms - (time.perf_counter() - started) * 1000

    def _empty_cache(self) -> None:
        """Make the generator forget every prompt, where it is one of this process."""
        cache = getattr(self._generator, "kv", None)
        if isinstance(cache, KvCache) and not self._keeps_cache:
            cache.clear()


def _copy(source: GenerationStats, target: GenerationStats) -> None:
    for each in dataclasses.fields(GenerationStats):
        setattr(target, each.name, getattr(source, each.name))
