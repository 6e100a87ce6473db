"""Suggestion cache: hits while the user types on, accepts or deletes.

Pure and light: no model, no index, no file. An entry holds only where the whole text before
and after it is the same, so that a change elsewhere in the buffer never brings back a wrong
one. Lookups cost a few hashes of the buffer (BLAKE2b, about 1 GB/s).
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

# Characters that may have been deleted since a suggestion was asked for.
_MAX_DELETED = 128
# A suggestion may have been asked for at any place of the cursor's line or of the lines above
# it: one that is accepted line by line moves the cursor further than typing does.
_LOOK_BACK_LINES = 24
# Texts asked for from one beginning of a line: older ones are forgotten.
_MAX_PER_LINE = 8
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class CacheKey:
    """Where a suggestion is wanted, and everything that it depends on.

    `fingerprint` names what else decides: model, settings, path, language. Whether the files that
    a suggestion was made from have changed since (index, heads, weights), the caller looks at
    when it is found (`engine.dependencies`).
    """

    prefix: str
    suffix: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class CachedSuggestion(Generic[T]):
    """A suggestion found again: what is left of `text`, and what was kept with it.

    `typed` counts the characters since, negative if some were deleted; `age_s` the seconds.
    """

    text: str
    typed: int
    value: T
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    # `head` is the line up to the cursor where the suggestion was asked for.
    head: str
    text: str
    value: T
    made: float

    @property
    def size_bytes(self) -> int:
        return 256 + 4 * (len(self.head) + len(self.text))


class SuggestionCache(Generic[T]):
    """Suggestions by place, the least recently used forgotten first."""

    def __init__(self, max_bytes: int = 4 << 20, max_lines: int = 512) -> None:
        """Hold about `max_bytes` of texts; values beside them are not counted.

        Args:
            max_bytes: Of all texts together.
            max_lines: Lines of code that suggestions are kept for, a few at each.
        """
        self._max_bytes, self._max_lines = max_bytes, max_lines
        self._size_bytes = 0
        self._lines: OrderedDict[bytes, list[_Entry[T]]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._lines.values())

    def put(self, cache_key: CacheKey, text: str, value: T) -> None:
        """Cache `text` under `cache_key`; an earlier one is replaced."""
        start = cache_key.prefix.rfind("\n") + 1
        key = next(iter(_keys(cache_key, [start])))[1]
        entry = _Entry(cache_key.prefix[start:], text, value, time.monotonic())
        if entry.size_bytes > self._max_bytes:
            return
        kept = [each for each in self._lines.pop(key, []) if self._stays(each, entry)]
        kept.append(entry)
        self._size_bytes += entry.size_bytes
        while len(kept) > _MAX_PER_LINE:
            self._size_bytes -= kept.pop(0).size_bytes
        self._lines[key] = kept
        while self._size_bytes > self._max_bytes or len(self._lines) > self._max_lines:
            _, dropped = self._lines.popitem(last=False)
            self._size_bytes -= sum(each.size_bytes for each in dropped)

    def get(self, cache_key: CacheKey) -> CachedSuggestion[T] | None:
        """What was suggested here, or a little before and typed since, or a little after.

        The nearest earlier place wins. Only where there is none, a suggestion made after
        characters that have been deleted since comes back with those characters before it.
        """
        deleted: CachedSuggestion[T] | None = None
        for start, key in _keys(cache_key, _line_starts(cache_key.prefix)):
            entries = self._lines.get(key)
            if entries is None:
                continue
            tail = cache_key.prefix[start:]
            best = _nearest(entries, tail)
            if best is not None:
                self._lines.move_to_end(key)
                return best
            deleted = deleted or _after_deletion(entries, tail)
        return deleted

    def clear(self) -> None:
        """Forget everything."""
        self._lines.clear()
        self._size_bytes = 0

    def _stays(self, old: _Entry[T], new: _Entry[T]) -> bool:
        if old.head != new.head:
            return True
        self._size_bytes -= old.size_bytes
        return False


def is_still_wanted(asked: CacheKey, text_so_far: str, now: CacheKey) -> bool:
    """Whether a generation that runs for `asked` serves `now` too.

    It does while only characters were typed at its place and they agree with what has been
    generated so far, or run ahead of it without disagreeing.
    """
    if asked.fingerprint != now.fingerprint or asked.suffix != now.suffix:
        return False
    if not now.prefix.startswith(asked.prefix):
        return False
    typed = now.prefix[len(asked.prefix) :]
    return text_so_far.startswith(typed) or typed.startswith(text_so_far)


def _nearest(entries: list[_Entry[T]], tail: str) -> CachedSuggestion[T] | None:
    """The entry asked for latest before the end of `tail` that agrees with what was typed."""
    best: CachedSuggestion[T] | None = None
    for entry in entries:
        if not tail.startswith(entry.head):
            continue
        typed = tail[len(entry.head) :]
        # An empty suggestion is an answer too, at exactly its own place.
        is_right = entry.text.startswith(typed) and (len(entry.text) > len(typed) or not typed)
        if is_right and (best is None or len(typed) <= best.typed):
            best = CachedSuggestion(
                entry.text[len(typed) :], len(typed), entry.value, _age_s(entry)
            )
    return best


def _after_deletion(entries: list[_Entry[T]], tail: str) -> CachedSuggestion[T] | None:
    for entry in reversed(entries):
        deleted = len(entry.head) - len(tail)
        if 0 < deleted <= _MAX_DELETED and entry.head.startswith(tail) and entry.text:
            text = entry.head[len(tail) :] + entry.text
            return CachedSuggestion(text, -deleted, entry.value, _age_s(entry))
    return None


def _age_s(entry: _Entry[T]) -> float:
    return time.monotonic() - entry.made


def _line_starts(prefix: str) -> list[int]:
    """Where the last lines begin, from the cursor's own backwards."""
    starts: list[int] = []
    end = len(prefix)
    while len(starts) < _LOOK_BACK_LINES:
        start = prefix.rfind("\n", 0, end) + 1
        starts.append(start)
        if start == 0:
            break
        end = start - 1
    return starts


def _keys(key: CacheKey, starts: list[int]) -> Iterator[tuple[int, bytes]]:
    """For each start (descending) a digest of the text before it, the suffix and the rest."""
    common = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    common.update(key.fingerprint.encode("utf-8", "surrogatepass") + b"\0")
    common.update(key.suffix.encode("utf-8", "surrogatepass"))
    common.update(f"\0{len(key.suffix)}\0".encode())
    earliest = starts[-1]
    digests = []
    common.update(key.prefix[:earliest].encode("utf-8", "surrogatepass"))
    at = earliest
    for start in reversed(starts):
        common.update(key.prefix[at:start].encode("utf-8", "surrogatepass"))
        at = start
        digests.append((start, common.digest()))
    return reversed(digests)
