"""Latency model: measured milliseconds per prompt token and per retrieval, by model.

Retrieval itself takes few milliseconds; its cost is the longer prompt and the invalidated KV cache.
Values are running means over completions, stored in a small file, so that a new process starts with
them.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path

from codebuddy.datatypes import GenerationStats
from codebuddy.private_files import read_json, write_file

# Before anything was measured: a laptop's CPU with a model of 1.5 billion weights.
_FIRST_MS_PER_TOKEN = 8.0
_FIRST_LOOKUP_MS = 20.0
# Short evaluations say more about overhead than about speed.
_MIN_TOKENS = 64
_NEWEST_SHARE = 0.2
_MAX_BYTES = 1 << 16
_MAX_ENTRIES = 100
_SLOWEST_MS_PER_TOKEN, _SLOWEST_LOOKUP_MS = 10_000.0, 60_000.0


class LatencyModel:
    """Milliseconds per evaluated token and per lookup, for one model in one configuration."""

    def __init__(self, file: Path | None = None, key: str = "") -> None:
        """Begin with what `file` knows of `key`; without one, with a guess.

        Args:
            file: Where figures are kept between processes.
            key: Model and configuration.
        """
        self._file, self._key = file, key
        self.ms_per_token, self.lookup_ms = _FIRST_MS_PER_TOKEN, _FIRST_LOOKUP_MS
        self._is_measured = False
        known = _read(file).get(key) if file is not None else None
        if known is not None:
            self.ms_per_token, self.lookup_ms = known
            self._is_measured = True

    def record(self, stats: GenerationStats, retrieval_ms: float) -> None:
        """Learn from a completion; `retrieval_ms` is 0 where nothing was looked up."""
        if stats.evaluated_tokens >= _MIN_TOKENS and stats.prefill_ms > 0:
            measured = stats.prefill_ms / stats.evaluated_tokens
            share = _NEWEST_SHARE if self._is_measured else 1.0
            self.ms_per_token += share * (measured - self.ms_per_token)
            self._is_measured = True
        if retrieval_ms > 0:
            self.lookup_ms += _NEWEST_SHARE * (retrieval_ms - self.lookup_ms)

    def save(self) -> None:
        """Keep the figures; a disk that refuses costs only a guess next time."""
        if self._file is None or not self._is_measured:
            return
        figures = _read(self._file)
        figures.pop(self._key, None)
        figures[self._key] = (round(self.ms_per_token, 4), round(self.lookup_ms, 3))
        kept = dict(list(figures.items())[-_MAX_ENTRIES:])
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_file(self._file, json.dumps(kept).encode("ascii"))

    def retrieval_ms(self, without_tokens: int, with_tokens: int) -> float:
        """Milliseconds that a lookup adds, negative where its prompt is the warmer one.

        Args:
            without_tokens: To be evaluated for the prompt without a lookup.
            with_tokens: To be evaluated for the one with it.
        """
        return self.lookup_ms + (with_tokens - without_tokens) * self.ms_per_token


def _read(file: Path) -> dict[str, tuple[float, float]]:
    """The figures of a file; those that make no sense are left out."""
    try:
        content = read_json(file, _MAX_BYTES)
    except (OSError, ValueError):
        return {}
    found: dict[str, tuple[float, float]] = {}
    for key, value in content.items() if isinstance(content, dict) else ():
        with suppress(TypeError, ValueError, OverflowError):
            per_token, lookup = (float(each) for each in value)
            is_sane = 0 < per_token < _SLOWEST_MS_PER_TOKEN and 0 <= lookup < _SLOWEST_LOOKUP_MS
            if is_sane and math.isfinite(per_token + lookup):
                found[key] = (per_token, lookup)
    return found
