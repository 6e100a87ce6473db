"""Step 3: pieces of other places in the repository that may help at the cursor.

Definitions that the code is likely to use, as signatures with a line of documentation; and
chunks that look like the code around the cursor, whole. Lists are fused by reciprocal rank
with weights that were measured (docs/benchmarks.md). It knows the index only as `CodeIndex`.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping

from codebuddy.code_index import CodeIndex
from codebuddy.completion.candidates import find_candidates
from codebuddy.completion.expression import expression_at
from codebuddy.datatypes import Chunk, Context, Definition, SearchResult
from codebuddy.index.fusion import reciprocal_rank_fusion
from codebuddy.index.terms import terms

_QUERY_LINES_BEFORE = 20
_QUERY_LINES_AFTER = 4
_CANDIDATES = 40
# Lookalikes of one file teach the same; its definitions are different ones.
_MAX_LOOKALIKES_PER_FILE = 2
# Lookalikes weigh as much as the definition of what is called: often another file holds nearly
# the same code, and the line behind the resemblance is the answer (docs/log.md).
_WEIGHTS = {"call": 4.0, "member": 4.0, "name": 1.0, "import": 1.0, "beside": 1.0, "lexical": 4.0}
# Smaller than for search: the first of a short list of definitions counts for much.
_RRF_K = 10
# A piece from the editor of which this share of lines is in the prompt teaches nothing new.
_NEAR_COPY_SHARE = 0.6
_TRIVIAL_LINE_LENGTH = 4
# Lines of the document that every prompt holds anyway, if they are no longer than this together.
_WINDOW_LINES = 60
_WINDOW_CHARACTERS = 4800
# The channel, and the kind of chunk, of what an editor sent along.
EDITOR = "editor"


def retrieve(context: Context, index: CodeIndex, top_k: int) -> list[SearchResult]:
    """The best pieces for the place, from the best down.

    A result found as a definition has its chunk's signatures for text; never the text at the
    cursor itself. Code of another file that is nearly the same is welcome.
    """

    def is_unwanted(chunk: Chunk) -> bool:
        return _is_at_cursor(chunk, context) or not _informative_lines(chunk.text.split("\n"))

    found = find_candidates(context, expression_at(context.prefix), index)
    channels = {
        name: [
            result
            for result in _as_results(name, definitions, index)
            if not _is_at_cursor(result.chunk, context)
        ]
        for name, definitions in found.items()
    }
    channels["lexical"] = index.lexical(query_terms(context), _CANDIDATES, is_unwanted)
    chosen = _limit_lookalikes(fuse(channels, _WEIGHTS), top_k)
    return [_as_signature(result, index) for result in chosen]


def with_editor_chunks(
    results: list[SearchResult], context: Context, extras: Iterable[tuple[str, str]]
) -> list[SearchResult]:
    """The results, then the pieces that the editor had at hand, of channel `editor`.

    They come last, so that they take what the results leave of the budget; what stands at the
    cursor, in a result or in another piece already is left out.

    Args:
        results: What was looked up.
        context: What is around the cursor.
        extras: Paths and texts, the most useful first. Where in its file a text lies is not
            known: its lines are 0.
    """
    known = _lines_at_cursor(context)
    for result in results:
        known |= set(_informative_lines(result.chunk.text.split("\n")))
    added = []
    for number, (path, text) in enumerate(extras, 1):
        text = text.replace("\r\n", "\n")
        if _is_near_copy(text, known):
            continue
        known |= set(_informative_lines(text.split("\n")))
        chunk = Chunk(-number, path, "", EDITOR, "", "", 0, 0, 0, 0, text)
        added.append(SearchResult(chunk, 1 / number, {EDITOR: 1 / number}))
    return [*results, *added]


def query_terms(context: Context) -> list[str]:
    """Words around the cursor: the lines just before it, the next ones, the enclosing headers."""
    before = context.prefix[-_WINDOW_CHARACTERS:].split("\n")[-_QUERY_LINES_BEFORE:]
    after = context.suffix[:_WINDOW_CHARACTERS].split("\n")[: _QUERY_LINES_AFTER + 1]
    return list(dict.fromkeys(terms("\n".join([*before, *after, *context.scope]))))


def fuse(
    channels: Mapping[str, list[SearchResult]], weights: Mapping[str, float]
) -> list[SearchResult]:
    """Reciprocal rank fusion of ranked lists; each hit keeps what every channel scored it."""
    chunks = {r.chunk.id: r.chunk for results in channels.values() for r in results}
    rankings = {name: [(r.chunk.id, r.score) for r in found] for name, found in channels.items()}
    return [
        SearchResult(chunks[each], score, scores)
        for each, score, scores in reciprocal_rank_fusion(
            rankings, lambda channel, _score: weights[channel], k=_RRF_K
        )
    ]


def _as_results(
    name: str, definitions: Iterable[Definition], index: CodeIndex
) -> list[SearchResult]:
    """The chunks of the definitions, the first one's first, scored by place."""
    ids = list(dict.fromkeys(each.chunk_id for each in definitions))
    scores = {each: 1 / place for place, each in enumerate(ids, 1)}
    return [SearchResult(c, scores[c.id], {name: scores[c.id]}) for c in index.chunks(ids)]


def _as_signature(result: SearchResult, index: CodeIndex) -> SearchResult:
    """Signatures in the place of the text, where the text was found for what it defines."""
    if set(result.channels) == {"lexical"}:
        return result
    form = index.signature_form(result.chunk)
    if not form:
        return result
    return dataclasses.replace(result, chunk=dataclasses.replace(result.chunk, text=form + "\n"))


def _limit_lookalikes(results: Iterable[SearchResult], top_k: int) -> list[SearchResult]:
    taken: Counter[str] = Counter()
    kept = []
    for result in results:
        if set(result.channels) == {"lexical"}:
            if taken[result.chunk.path] >= _MAX_LOOKALIKES_PER_FILE:
                continue
            taken[result.chunk.path] += 1
        kept.append(result)
        if len(kept) == top_k:
            break
    return kept


def _is_at_cursor(chunk: Chunk, context: Context) -> bool:
    """Whether the chunk overlaps the lines of this document that the prompt holds anyway."""
    if chunk.path != context.document.path:
        return False
    before, after = _window(context)
    first = context.position.line - _reach(before, context.prefix)
    last = context.position.line + _reach(after, context.suffix)
    return chunk.start_line <= last and chunk.end_line >= first


def _reach(lines: list[str], text: str) -> int:
    """How many lines beside the cursor's own the prompt holds, of which `lines` are known."""
    is_cut = len(lines) < _WINDOW_LINES and len(text) > _WINDOW_CHARACTERS
    return len(lines) - 1 if is_cut else _WINDOW_LINES


def _lines_at_cursor(context: Context) -> set[str]:
    before, after = _window(context)
    return set(_informative_lines([*before, *after]))


def _window(context: Context) -> tuple[list[str], list[str]]:
    """The lines before and after the cursor that the prompt holds anyway.

    Fewer where they are long: a file whose lines have thousands of characters is mostly outside
    of the prompt, a few lines away from the cursor.
    """
    before = context.prefix[-_WINDOW_CHARACTERS - 1 :].split("\n")[-_WINDOW_LINES:]
    after = context.suffix[: _WINDOW_CHARACTERS + 1].split("\n")[:_WINDOW_LINES]
    return before, after


def _is_near_copy(text: str, window: set[str]) -> bool:
    lines = _informative_lines(text.split("\n"))
    if not lines:
        return True
    return sum(line in window for line in lines) >= _NEAR_COPY_SHARE * len(lines)


def _informative_lines(lines: Iterable[str]) -> list[str]:
    return [s for line in lines if len(s := line.strip()) >= _TRIVIAL_LINE_LENGTH]
