"""Fill-in-the-middle samples cut from a repository as `eval` cuts holes, as token ids.

A sample is a prompt in the very form that completion builds (chunks that a lookup finds, then
the file before and after the cursor) and the text that stood at the cursor. Samples come in
groups: holes of one stretch of a file, whose prompts begin alike (`packing`). Budgets vary from
group to group, so that the adapter serves short prompts and long ones. It knows nothing of
training.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from codebuddy.completion.context import build_context
from codebuddy.completion.prompt import build_prompt
from codebuddy.completion.retrieval import retrieve
from codebuddy.datatypes import Chunk, FimTokens, Generator, SearchResult
from codebuddy.evaluation.holes import KINDS, Hole, HoleKind, holes_of_file
from codebuddy.evaluation.masked_index import mask
from codebuddy.index.search import RepositoryIndex
from codebuddy.inference.vocabulary import Vocabulary
from codebuddy.settings import CompletionSettings
from codebuddy.training.adapter.packing import Branch, SampleGroup
from codebuddy.vcs.repository import Repository

# Shares of the kinds of holes. `line`, `call` and `block` are those of `eval`; `inner` ends
# inside its line, before what an editor has closed already; `word` begins inside a name;
# `lines` goes on for some lines; in `nothing` the line is finished.
SHARES = {
    "line": 0.36,
    "call": 0.20,
    "inner": 0.12,
    "word": 0.12,
    "block": 0.10,
    "lines": 0.06,
    "nothing": 0.04,
}
# Of a prompt: tokens before the first hole, tokens after, and tokens of chunks; one of each is
# drawn. The last hole of a group has the whole stretch before it besides.
PREFIX_TOKENS = (192, 192, 256, 384, 512)
SUFFIX_TOKENS = (64, 64, 96, 128)
CHUNK_TOKENS = (0, 0, 256, 384, 384, 512)
# Bytes of a stretch; the holes of one, at most and at least.
_STRETCH_BYTES = (900, 1300, 1700)
_MAX_HOLES, _MIN_HOLES = 8, 3
_DRAWS = 40
_MIN_FILE_BYTES = 1200
_BYTES_PER_TOKEN = 3.3
# Room for all that stands before a hole: the window begins where the group says.
_WHOLE_PREFIX_TOKENS = 2200
_MAX_MIDDLE_TOKENS, _MAX_BRANCH_TOKENS, _MAX_TRUNK_TOKENS = 120, 240, 1500
# Of the groups with chunks, the share whose chunks come from anywhere in the repository.
_UNRELATED_SHARE = 0.12
_TOP_K = 10
# The kinds of `eval` that a file has by itself.
_OWN_KINDS: tuple[HoleKind, ...] = ("line", "block")
_WORD = re.compile(rb"[A-Za-z_]\w{3,}")
_OPENERS, _CLOSERS, _QUOTES = b"([{", b")]}", b"\"'`"

_Picked = tuple[str, Hole]


def cut_group(
    repository: Repository,
    index: RepositoryIndex,
    vocabulary: Vocabulary,
    path: str,
    rng: random.Random,
    is_left_out: Callable[[Hole], bool] | None = None,
    *,
    stands_alone: bool = False,
) -> SampleGroup | None:
    """Holes of one stretch of a file; `None` where it has too few.

    Args:
        repository: Whose file; it is not changed.
        index: Its index, up to date.
        vocabulary: Of the model that is to be trained.
        path: Of the file.
        rng: Makes all choices.
        is_left_out: Which holes nothing is to be learned from.
        stands_alone: Whether the group depends on no other file: no chunks in its prompts, and
            no holes that are chosen since another file defines what they call.
    """
    kinds = _OWN_KINDS if stands_alone else KINDS
    holes = holes_of_file(repository, index, path, kinds, rng.getrandbits(32))
    if is_left_out is not None:
        holes = [hole for hole in holes if not is_left_out(hole)]
    by_kind = {kind: [hole for hole in holes if hole.kind == kind] for kind in kinds}
    if not by_kind["line"] or len(holes[0].source) < _MIN_FILE_BYTES:
        return None
    picked = _pick(by_kind, vocabulary, rng)
    if len(picked) < _MIN_HOLES:
        return None
    chunk_tokens = 0 if stands_alone else rng.choice(CHUNK_TOKENS)
    settings = CompletionSettings(
        prefix_tokens=_WHOLE_PREFIX_TOKENS,
        suffix_tokens=rng.choice(SUFFIX_TOKENS),
        context_tokens=chunk_tokens,
    )
    begin = window_start(picked[0][1], rng.choice(PREFIX_TOKENS))
    # The stretch has one lookup, that of the hole in its middle.
    middle = picked[len(picked) // 2][1]
    found = chunks_for(middle, repository, index, rng) if chunk_tokens else []
    prompts = [prompt_of(h, begin, found, settings, vocabulary, repository) for _, h in picked]
    return as_group(picked, prompts, vocabulary)


def prompt_of(
    hole: Hole,
    begin: int,
    found: Sequence[SearchResult],
    settings: CompletionSettings,
    vocabulary: Vocabulary,
    repository: Repository,
) -> list[int]:
    """The prompt of a hole, as completion builds it.

    Args:
        hole: Its place; its file need not stand so in the repository.
        begin: The first byte of the file that the prompt may hold.
        found: Chunks to put before the file.
        settings: Budgets in tokens.
        vocabulary: Of the model.
        repository: Whose name the prompt has.
    """
    target = cast("Generator", _PromptTarget(vocabulary.tokenize, vocabulary.fim, vocabulary.bos))
    window = dataclasses.replace(
        hole,
        source=hole.source[begin:],
        start_byte=hole.start_byte - begin,
        end_byte=hole.end_byte - begin,
    )
    context = build_context(window.as_document(repository), window.position, hole.language)
    name = repository.root.name
    return list(build_prompt(context, found, target, settings, name).tokens)


def _pick(
    by_kind: Mapping[HoleKind, list[Hole]], vocabulary: Vocabulary, rng: random.Random
) -> list[_Picked]:
    """Holes of a stretch that begins at one of a line, by place; none touches another."""
    first = rng.choice(by_kind["line"]).start_byte
    last = first + rng.choice(_STRETCH_BYTES)
    near: dict[str, list[Hole]] = {
        kind: [hole for hole in holes if first <= hole.start_byte and hole.end_byte <= last]
        for kind, holes in by_kind.items()
    }
    picked: list[_Picked] = []
    # What only continues a text cannot know that something follows on the line.
    shares = {k: s for k, s in SHARES.items() if k != "inner" or vocabulary.fim.is_supported}
    for kind in rng.choices(list(shares), list(shares.values()), k=_DRAWS):
        source = near[kind if kind in near else "line"]
        hole = _derived(kind, source.pop(), rng) if source else None
        if hole is None or len(picked) == _MAX_HOLES:
            continue
        is_apart = all(
            hole.start_byte > other.end_byte or other.start_byte > hole.end_byte
            for _, other in picked
        )
        if is_apart and len(vocabulary.tokenize(hole.text)) <= _MAX_MIDDLE_TOKENS:
            picked.append((kind, hole))
    return sorted(picked, key=lambda each: each[1].start_byte)


def window_start(hole: Hole, tokens: int) -> int:
    """The first byte of a line about `tokens` before the hole."""
    at = max(0, hole.start_byte - int(tokens * _BYTES_PER_TOKEN))
    return hole.source.rfind(b"\n", 0, at) + 1


def chunks_for(
    hole: Hole, repository: Repository, index: RepositoryIndex, rng: random.Random
) -> list[SearchResult]:
    """What a lookup finds in other files; sometimes what has nothing to do with the hole."""
    context = build_context(hole.as_document(repository), hole.position, hole.language)
    found = retrieve(context, mask(index, hole), _TOP_K)
    if rng.random() < _UNRELATED_SHARE:
        found = _unrelated(hole, index, repository, rng, found)
    # Other holes of the group lie in this file, too.
    return [result for result in found if result.chunk.path != hole.path]


def as_group(
    picked: Sequence[_Picked], prompts: Sequence[list[int]], vocabulary: Vocabulary
) -> SampleGroup | None:
    """Trunk and branches of prompts, of which the last has the longest text before the cursor."""
    suffix = vocabulary.fim.suffix
    last = prompts[-1]
    # A prompt without a suffix ends with the text before the cursor.
    trunk = last[:-1] if suffix is None else last[: len(last) - 1 - last[::-1].index(suffix)]
    branches = []
    for (kind, hole), prompt in zip(picked, prompts, strict=True):
        pairs = enumerate(zip(prompt, trunk, strict=False))
        shared = next((at for at, (a, b) in pairs if a != b), min(len(prompt), len(trunk)))
        # From its last token on the adapter acts.
        shared = min(shared, len(prompt) - 1)
        middle, ending = split_middle(hole, vocabulary)
        branches.append(
            Branch(kind, hole.start_byte, hole.end_byte, shared, prompt[shared:], middle, ending)
        )
    is_long = any(len(each.prompt) > _MAX_BRANCH_TOKENS for each in branches)
    if is_long or len(trunk) > _MAX_TRUNK_TOKENS:
        return None
    return SampleGroup(picked[0][1].path, picked[0][1].language, trunk, tuple(branches))


def split_middle(hole: Hole, vocabulary: Vocabulary) -> tuple[list[int], str | None]:
    """The tokens of a hole's text, and what of it the token that ends it holds.

    Where a line break follows, a model writes the text's end and the break as one token if
    there is such a one. Inside a line nothing but an end token ends the text: `None`.
    """
    text = hole.text
    if hole.source[hole.end_byte : hole.end_byte + 1] != b"\n":
        return vocabulary.tokenize(text), None
    tokens = vocabulary.tokenize(text + "\n")
    held = vocabulary.piece(tokens[-1]).removesuffix(b"\n")
    ending = held.decode("utf-8", "replace")
    # A token may begin inside a character, and then holds no text.
    if not text.endswith(ending):
        return vocabulary.tokenize(text), ""
    return tokens[:-1], ending


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
