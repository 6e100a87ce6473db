"""Step 4: token ids for the model, within the budgets.

Fill-in-the-middle as the vocabulary's own tokens say it, with retrieved chunks as files of
the same repository before the current one (the repository-level form of Qwen2.5-Coder,
arXiv 2409.12186). The order goes from what changes least to what changes most while a
person types: chunks, file name, prefix, suffix. The prefix's window begins at a place that
moves only every few lines, so that most keystrokes leave the KV cache valid.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence

from codebuddy.datatypes import Context, Generator, PackedChunk, Prompt, SearchResult
from codebuddy.settings import CompletionSettings
from codebuddy.syntax import line_comment

# What the prefix's window holds of its budget at least, where the file has that much. The rest
# is the room in which its beginning can stay where it is while a person types.
_LEAST_SHARE_PERCENT = 90
# Characters per token that are tried first: code has 3 to 4 mostly, runs of blanks far more.
_CHARACTERS_PER_TOKEN = 5
# Room for the tokens between the parts and for file names.
_OVERHEAD_TOKENS = 48
# A name may take one part in so many of the model's context.
_NAME_SHARE = 8


def build_prompt(
    context: Context,
    results: Sequence[SearchResult],
    generator: Generator,
    settings: CompletionSettings,
    repository_name: str,
) -> Prompt:
    """Pack prefix, suffix and chunks.

    The file's own text comes first in the budget; chunks take what is left, in their order,
    whole where they fit and else cut after a line.
    """
    # A high limit of tokens to write must not leave the file without room.
    reserved = min(settings.max_tokens, generator.n_ctx // 2)
    room = generator.n_ctx - reserved - _OVERHEAD_TOKENS
    prefix_budget = max(1, min(settings.prefix_tokens, room * 3 // 5))
    suffix_budget = max(0, min(settings.suffix_tokens, room - prefix_budget))
    prefix = prefix_window(context.prefix, prefix_budget, generator)
    has_middle = generator.fim.is_supported
    suffix = suffix_window(context.suffix, suffix_budget, generator) if has_middle else []
    budget = max(0, min(settings.context_tokens, room - len(prefix) - len(suffix)))
    packed = pack_chunks(results, budget, generator)
    start = [] if generator.bos is None else [generator.bos]
    if has_middle:
        tokens = start + _fim_tokens(context, packed, prefix, suffix, generator, repository_name)
    else:
        tokens = start + _comment_tokens(context, packed, prefix, generator)
    return Prompt(tuple(tokens), tuple(chunk for chunk, _ in packed))


def prefix_window(prefix: str, budget: int, generator: Generator) -> list[int]:
    """The last tokens of `prefix`: all of them, or 90 to 100% of `budget`.

    The window begins at the line whose number is divisible by the highest power of two, of
    all lines that the budget allows for; in a line that alone exceeds the budget, at such an
    offset in it. That place stays the best one while text is added at the end, until the
    budget no longer reaches it.
    """
    tail, tokens = _tail(prefix, budget, generator)
    if len(tokens) <= budget:
        return tokens
    least = -(-budget * _LEAST_SHARE_PERCENT // 100)
    # A window from `begin` is too long, one from `end` too short.
    begin, end = len(prefix) - len(tail), len(prefix)
    for candidates in (_LineStarts(prefix, begin), _Offsets(prefix)):
        while (place := candidates.best_between(begin, end)) is not None:
            found = generator.tokenize(prefix[place:])
            if len(found) > budget:
                begin, tokens = place, found
            elif len(found) < least:
                end = place
            else:
                return found
    # A single character is more than a tenth of the budget.
    return tokens[-budget:] if budget > 0 else []


def _tail(prefix: str, budget: int, generator: Generator) -> tuple[str, list[int]]:
    """The end of `prefix` that has more tokens than `budget`, or all of it, and its tokens."""
    size = max(1, budget) * _CHARACTERS_PER_TOKEN
    while True:
        tail = prefix[-size:]
        tokens = generator.tokenize(tail) if tail else []
        if len(tokens) > budget or len(tail) == len(prefix):
            return tail, tokens
        size *= 2


class _LineStarts:
    """The beginnings of lines as places where a window may begin."""

    def __init__(self, text: str, begin: int) -> None:
        self._first_number = text.count("\n", 0, begin) + 1
        self._starts = [match.end() for match in re.compile("\n").finditer(text, begin)]

    def best_between(self, begin: int, end: int) -> int | None:
        """The line start strictly between, of the number that more halvings leave whole."""
        low = bisect.bisect_right(self._starts, begin)
        high = bisect.bisect_left(self._starts, end)
        if low >= high:
            return None
        number = _most_even(self._first_number + low, self._first_number + high - 1)
        return self._starts[number - self._first_number]


class _Offsets:
    """All places in a line, counted from its beginning."""

    def __init__(self, text: str) -> None:
        self._text = text

    def best_between(self, begin: int, end: int) -> int | None:
        """The offset strictly between, of the number that more halvings leave whole."""
        if end - begin < 2:
            return None
        line = self._text.rfind("\n", 0, begin + 1) + 1
        return line + _most_even(begin + 1 - line, end - 1 - line)


def _most_even(low: int, high: int) -> int:
    """The number in [low, high] that is divisible by the highest power of two."""
    # The bits that both bounds share, then the first one in which they differ.
    shift = max(0, (low - 1) ^ high).bit_length() - 1
    return high >> shift << shift


def suffix_window(suffix: str, budget: int, generator: Generator) -> list[int]:
    """The first tokens of `suffix`: all of them, or `budget` of them."""
    size = max(1, budget) * _CHARACTERS_PER_TOKEN
    while True:
        head = suffix[:size]
        tokens = generator.tokenize(head) if head else []
        if len(tokens) >= budget or len(head) == len(suffix):
            return tokens[: max(0, budget)]
        size *= 2


def pack_chunks(
    results: Sequence[SearchResult], budget: int, generator: Generator
) -> list[tuple[PackedChunk, list[int]]]:
    """Chunks with their tokens, in order, until the budget is used up.

    The first chunk that does not fit is cut after a line if a fair part of it fits.
    """
    packed = []
    for result in results:
        text = result.chunk.text.replace("\r\n", "\n").rstrip() + "\n"
        heading = len(_name_tokens(result.chunk.path, generator)) + 2
        tokens = generator.tokenize(text)
        if heading + len(tokens) > budget:
            tokens = _cut_after_line(text, tokens, budget - heading, generator)
            if not tokens:
                continue
        packed.append((PackedChunk(result, heading + len(tokens)), tokens))
        budget -= heading + len(tokens)
    return packed


def _cut_after_line(text: str, tokens: list[int], budget: int, generator: Generator) -> list[int]:
    """The tokens of as many whole lines as fit; none if that is less than a quarter of all."""
    if budget < len(tokens) / 4:
        return []
    ends = [match.end() for match in re.finditer("\n", text)]
    best: list[int] = []
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high) // 2
        cut = generator.tokenize(text[: ends[middle]])
        if len(cut) <= budget:
            best, low = cut, middle + 1
        else:
            high = middle
    return best if len(best) >= len(tokens) / 4 else []


def _name_tokens(name: str, generator: Generator) -> list[int]:
    """A name's tokens with the end of its line; of a very long one, the last ones."""
    return generator.tokenize(name + "\n")[-(generator.n_ctx // _NAME_SHARE) :]


def _fim_tokens(
    context: Context,
    packed: Sequence[tuple[PackedChunk, list[int]]],
    prefix: list[int],
    suffix: list[int],
    generator: Generator,
    repository_name: str,
) -> list[int]:
    fim = generator.fim
    tokens: list[int] = []
    if fim.separator is not None and (packed or fim.repository is not None):
        if fim.repository is not None:
            tokens += [fim.repository, *_name_tokens(repository_name, generator)]
        for chunk, body in packed:
            tokens += [fim.separator, *_name_tokens(chunk.result.chunk.path, generator), *body]
        tokens += [fim.separator, *_name_tokens(context.document.path, generator)]
    elif packed:
        prefix = generator.tokenize(_as_comments(packed, context.language)) + prefix
    assert fim.prefix is not None
    assert fim.suffix is not None
    assert fim.middle is not None
    return [*tokens, fim.prefix, *prefix, fim.suffix, *suffix, fim.middle]


def _comment_tokens(
    context: Context,
    packed: Sequence[tuple[PackedChunk, list[int]]],
    prefix: list[int],
    generator: Generator,
) -> list[int]:
    """For models that only continue: chunks as comments, the file's name, then the prefix."""
    mark = line_comment(context.language)
    heading = generator.tokenize(
        _as_comments(packed, context.language) + f"{mark} {context.document.path}\n"
    )
    # A prompt must not be empty; an empty file still has its name.
    return heading + prefix


def _as_comments(packed: Sequence[tuple[PackedChunk, list[int]]], language: str) -> str:
    mark = line_comment(language)
    parts = []
    for chunk, _ in packed:
        source = chunk.result.chunk
        lines = [source.path, *source.text.rstrip().split("\n")]
        parts.append("".join(f"{mark} {line.rstrip()}\n" for line in lines))
    return "".join(parts)
