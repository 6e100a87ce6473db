"""Fill-in-the-middle samples cut from a repository as `eval` cuts holes, as token ids.

A sample is a prompt in the very form that completion builds (chunks that a lookup finds, then
the file before and after the cursor) and the text that stood at the cursor, ended by the
model's end token. Budgets vary from sample to sample, so that the adapter serves short prompts
and long ones. It knows nothing of training.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from codebuddy.completion.context import build_context
from codebuddy.completion.prompt import build_prompt
from codebuddy.completion.retrieval import retrieve
from codebuddy.datatypes import Chunk, FimTokens, Generator, SearchResult
from codebuddy.evaluation.holes import KINDS, Hole, cut_holes
from codebuddy.evaluation.masked_index import mask
from codebuddy.index.search import RepositoryIndex
from codebuddy.inference.vocabulary import Vocabulary
from codebuddy.settings import CompletionSettings
from codebuddy.vcs.repository import Repository

# Shares of the kinds of holes. `line`, `call` and `block` are those of `eval`; `inner` ends
# inside its line, before what an editor has closed already; `word` begins inside a name;
# `lines` goes on for some lines; in `nothing` the line is finished.
SHARES = {
    "line": 0.32,
    "call": 0.20,
    "inner": 0.14,
    "block": 0.13,
    "word": 0.11,
    "lines": 0.07,
    "nothing": 0.03,
}
# (tokens before, tokens after) of a prompt, and tokens of chunks; one of each is drawn.
WINDOWS = ((192, 64), (256, 96), (384, 128), (512, 192), (768, 256))
CHUNK_TOKENS = (0, 0, 0, 256, 384, 512)
# Of the samples with chunks, the share whose chunks come from anywhere in the repository.
_UNRELATED_SHARE = 0.15
_TOP_K = 10
_MAX_MIDDLE_TOKENS = 160
_WORD = re.compile(rb"[A-Za-z_]\w{3,}")
_OPENERS, _CLOSERS, _QUOTES = b"([{", b")]}", b"\"'`"


@dataclass(frozen=True, slots=True)
class Sample:
    """Token ids of a prompt, which ends with the middle token, and of what follows it."""

    kind: str
    language: str
    path: str
    start_byte: int
    end_byte: int
    prompt: list[int]
    middle: list[int]


def cut_samples(
    repository: Repository,
    index: RepositoryIndex,
    vocabulary: Vocabulary,
    end_token: int,
    count: int,
    seed: int,
) -> Iterator[Sample]:
    """Up to about `count` samples of a repository, in random order.

    Args:
        repository: Whose files; it is not changed.
        index: Its index, up to date.
        vocabulary: Of the model that is to be trained.
        end_token: Ends each middle.
        count: Samples wanted; fewer where the code does not have them.
        seed: Of all choices.
    """
    rng = random.Random(f"{seed}:{repository.root.name}")
    holes = cut_holes(repository, index, KINDS, count, seed)
    by_kind = {kind: [hole for hole in holes if hole.kind == kind] for kind in KINDS}
    picked: list[tuple[str, Hole]] = []
    for kind, share in SHARES.items():
        wanted = round(share * count)
        source = by_kind[kind if kind in by_kind else "line"]
        for _ in range(wanted):
            if not source:
                break
            hole = _derived(kind, source.pop(), rng)
            if hole is not None:
                picked.append((kind, hole))
    rng.shuffle(picked)
    for kind, hole in picked:
        sample = _sample(kind, hole, repository, index, vocabulary, end_token, rng)
        if sample is not None:
            yield sample


def _derived(kind: str, hole: Hole, rng: random.Random) -> Hole | None:
    """A hole of one of the kinds that `eval` does not have, made from one of a line."""
    source, start, end = hole.source, hole.start_byte, hole.end_byte
    if kind == "word":
        line_start = source.rfind(b"\n", 0, start) + 1
        words = list(_WORD.finditer(source, line_start, end))
        if not words:
            return None
        word = rng.choice(words)
        start = rng.randrange(word.start() + 1, word.end())
    elif kind == "inner":
        closing = _closed_behind(source, start, end)
        if closing is None:
            return None
        end = closing
    elif kind == "lines":
        for _ in range(rng.randint(1, 5)):
            following = source.find(b"\n", end + 1)
            if following < 0:
                break
            end = following
        end = start + len(source[start:end].rstrip())
    elif kind == "nothing":
        start = end
    if source[start:end].decode("utf-8", "replace").encode() != source[start:end]:
        return None
    return dataclasses.replace(hole, start_byte=start, end_byte=end)


def _closed_behind(source: bytes, start: int, end: int) -> int | None:
    """Where text from `start` on closes what its line opened before `start`: as editors do."""
    line = source[source.rfind(b"\n", 0, start) + 1 : start]
    depth, quote = 0, next((q for q in _QUOTES if line.count(bytes([q])) % 2), 0)
    for at in range(start, end):
        byte = source[at]
        if quote:
            if byte == quote:
                return at if at > start else None
        elif byte in _OPENERS:
            depth += 1
        elif byte in _CLOSERS:
            if depth == 0:
                return at if at > start else None
            depth -= 1
    return None


def _sample(
    kind: str,
    hole: Hole,
    repository: Repository,
    index: RepositoryIndex,
    vocabulary: Vocabulary,
    end_token: int,
    rng: random.Random,
) -> Sample | None:
    prefix, suffix = rng.choice(WINDOWS)
    chunk_tokens = rng.choice(CHUNK_TOKENS)
    settings = CompletionSettings(
        prefix_tokens=prefix, suffix_tokens=suffix, context_tokens=chunk_tokens
    )
    context = build_context(hole.as_document(repository), hole.position, hole.language)
    results: list[SearchResult] = []
    if chunk_tokens:
        masked = mask(index, hole)
        results = list(retrieve(context, masked, _TOP_K))
        if rng.random() < _UNRELATED_SHARE:
            results = _unrelated(hole, index, repository, rng, results)
    middle = vocabulary.tokenize(hole.text)
    if len(middle) > _MAX_MIDDLE_TOKENS:
        return None
    name = repository.root.name
    target = cast("Generator", _PromptTarget(vocabulary.tokenize, vocabulary.fim, vocabulary.bos))
    prompt = build_prompt(context, results, target, settings, name)
    return Sample(
        kind=kind,
        language=hole.language,
        path=hole.path,
        start_byte=hole.start_byte,
        end_byte=hole.end_byte,
        prompt=list(prompt.tokens),
        middle=[*middle, end_token],
    )


@dataclass(frozen=True, slots=True)
class _PromptTarget:
    """What a prompt needs to know of the model that it is for: all but how it generates."""

    tokenize: Callable[[str], list[int]]
    fim: FimTokens
    bos: int | None
    n_ctx: int = 4096


def _unrelated(
    hole: Hole,
    index: RepositoryIndex,
    repository: Repository,
    rng: random.Random,
    found: Sequence[SearchResult],
) -> list[SearchResult]:
    """As many chunks of other files, chosen blindly: the adapter learns to pass over such."""
    paths = [path.decode("utf-8", "replace") for path in repository.list_files()]
    chosen: list[Chunk] = [
        rng.choice(chunks)
        for path in rng.sample(paths, min(len(paths), 12))
        if path != hole.path and (chunks := index.chunks_of(path))
    ]
    return [SearchResult(chunk, 1.0, {"lexical": 1.0}) for chunk in chosen[: max(3, len(found))]]
