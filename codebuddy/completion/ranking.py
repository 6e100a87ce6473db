"""Which of the candidates are worth their tokens: an expected gain for each, the best first.

The gain is a linear function of how alike a candidate and the code before the cursor are and of
how it was found. Its weights were fitted to what candidates taught at cursors whose text is
known (`codebuddy.training.ranker`, docs/completion.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from codebuddy.completion.lookalikes import CursorText, Likeness, likeness
from codebuddy.datatypes import Chunk


@dataclass(frozen=True, slots=True)
class Weights:
    """Points of edit similarity: for each unit of likeness, and for how a candidate was found."""

    likeness: Likeness
    kinds: Mapping[str, float]


# How candidates are found: as a window, a chunk, or in a list of `candidates`.
KIND_GAINS = {
    "window": -1.954,
    "chunk": -2.071,
    "call": -3.323,
    "member": -0.565,
    "name": -1.584,
    "import": -1.34,
    "beside": -2.009,
}
WEIGHTS = Weights(Likeness(begun=1.427, words=4.085, match=1.742), KIND_GAINS)
# A long candidate takes the room of others: its gain counts by its tokens to this power.
_TOKENS_POWER = 0.3
CHARACTERS_PER_TOKEN = 3.3
# A candidate that shares more of its lines with a better one than this is left out.
_MAX_OVERLAP = 0.3
_MAX_KNOWN_LINES = 0.8
_TRIVIAL_LINE_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk, window or signature that may help.

    `kind` is a key of `KIND_GAINS`; `channels` says which lists found the chunk and how it scored.
    """

    kind: str
    chunk: Chunk
    channels: Mapping[str, float]

    @property
    def is_signature(self) -> bool:
        """Whether the text is what the chunk defines and not the chunk's lines."""
        return self.kind not in ("chunk", "window")


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """A candidate with its expected gain in points of edit similarity (0 to 100)."""

    candidate: Candidate
    gain: float


def rank(
    candidates: Iterable[Candidate], cursor: CursorText, top_k: int, weights: Weights = WEIGHTS
) -> list[RankedCandidate]:
    """The best candidates that say different things, from the best down."""
    scored = []
    for number, candidate in enumerate(candidates):
        gain = expected_gain(candidate.kind, likeness(candidate.chunk.text, cursor), weights)
        tokens = max(1.0, len(candidate.chunk.text) / CHARACTERS_PER_TOKEN)
        scored.append((gain / tokens**_TOKENS_POWER, -number, RankedCandidate(candidate, gain)))
    chosen: list[RankedCandidate] = []
    known: set[str] = set()
    for _, _, ranked in sorted(scored, key=lambda each: each[:2], reverse=True):
        chunk = ranked.candidate.chunk
        lines = informative_lines(chunk.text.split("\n"))
        is_known = sum(line in known for line in lines) > _MAX_KNOWN_LINES * len(lines)
        if not lines or is_known or _overlaps(ranked.candidate, chosen):
            continue
        chosen.append(ranked)
        known.update(lines)
        if len(chosen) == top_k:
            break
    return chosen


def expected_gain(kind: str, alike: Likeness, weights: Weights = WEIGHTS) -> float:
    """Points of edit similarity that a candidate is expected to win alone."""
    each = weights.likeness
    return (
        weights.kinds[kind]
        + each.begun * alike.begun
        + each.words * alike.words
        + each.match * alike.match
    )


def informative_lines(lines: Iterable[str]) -> list[str]:
    """The lines that say something, without indentation."""
    return [s for line in lines if len(s := line.strip()) >= _TRIVIAL_LINE_LENGTH]


def _overlaps(candidate: Candidate, chosen: Sequence[RankedCandidate]) -> bool:
    chunk = candidate.chunk
    for other in (each.candidate for each in chosen):
        if candidate.is_signature or other.is_signature or other.chunk.path != chunk.path:
            continue
        begin = max(chunk.start_line, other.chunk.start_line)
        shared = min(chunk.end_line, other.chunk.end_line) - begin + 1
        if shared > _MAX_OVERLAP * (chunk.end_line - chunk.start_line + 1):
            return True
    return False
