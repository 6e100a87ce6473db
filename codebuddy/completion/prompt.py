"""Step 4: token ids for the model, within the budgets.

Fill-in-the-middle as the vocabulary's own tokens say it, with retrieved chunks as files of
the same repository before the current one (the repository-level form of Qwen2.5-Coder,
arXiv 2409.12186). The order goes from what changes least to what changes most while a
person types: chunks, file name, prefix, suffix. The prefix's window begins at a line that
moves only every few lines, so that most keystrokes leave the KV cache valid.
"""

from __future__ import annotations

from collections.abc import Sequence

from codebuddy.datatypes import Context, Generator, PackedChunk, Prompt, SearchResult
from codebuddy.settings import CompletionSettings
from codebuddy.syntax import line_comment

# The prefix's window begins at a multiple of this many lines.
_WINDOW_STEP_LINES = 16
# No tokenizer in use makes fewer tokens than one per this many characters of code.
_MAX_CHARACTERS_PER_TOKEN = 12
# Room for the tokens between the parts and for file names.
_OVERHEAD_TOKENS = 48


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
    room = generator.n_ctx - settings.max_tokens - _OVERHEAD_TOKENS
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
    """The last tokens of `prefix`, `budget` at most, from a line that seldom moves."""
    tail = prefix[-budget * _MAX_CHARACTERS_PER_TOKEN :]
    skipped = prefix[: len(prefix) - len(tail)].count("\n")
    lines = tail.splitlines(keepends=True)
    step = _WINDOW_STEP_LINES
    # The tail's first line is cut off unless the tail is everything.
    begin = 0 if len(tail) == len(prefix) else step - skipped % step
    sizes = [
        (start, len(generator.tokenize("".join(lines[start : start + step]))))
        for start in range(begin, max(begin + 1, len(lines)), step)
    ]
    total = sum(size for _, size in sizes)
    while len(sizes) > 1 and total > budget:
        total -= sizes.pop(0)[1]
    first = sizes[0][0] if sizes else 0
    text = "".join(lines[first:])
    return generator.tokenize(text)[-budget:] if text else []


def suffix_window(suffix: str, budget: int, generator: Generator) -> list[int]:
    """The first tokens of `suffix`, `budget` at most."""
    return generator.tokenize(suffix[: budget * _MAX_CHARACTERS_PER_TOKEN])[:budget]


def pack_chunks(
    results: Sequence[SearchResult], budget: int, generator: Generator
) -> list[tuple[PackedChunk, list[int]]]:
    """Chunks with their tokens, in order, until the budget is used up.

    The first chunk that does not fit is cut after a line if a fair part of it fits.
    """
    packed = []
    for result in results:
        text = result.chunk.text.replace("\r\n", "\n").rstrip() + "\n"
        heading = len(generator.tokenize(result.chunk.path)) + 3
        tokens = generator.tokenize(text)
        if heading + len(tokens) > budget:
            tokens = _cut_after_line(text, tokens, budget - heading, generator)
            if not tokens:
                continue
        packed.append((PackedChunk(result, heading + len(tokens)), tokens))
        budget -= heading + len(tokens)
    return packed


def _cut_after_line(text: str, tokens: list[int], budget: int, generator: Generator) -> list[int]:
    """The tokens of as many whole lines as fit; none if that is less than a quarter."""
    if budget < len(tokens) / 4:
        return []
    lines = text.splitlines(keepends=True)
    keep = len(lines) * budget // len(tokens)
    while keep:
        cut = generator.tokenize("".join(lines[:keep]))
        if len(cut) <= budget:
            return cut
        keep -= 1
    return []


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
            tokens += [fim.repository, *generator.tokenize(repository_name + "\n")]
        for chunk, body in packed:
            tokens += [fim.separator, *generator.tokenize(chunk.result.chunk.path + "\n"), *body]
        tokens += [fim.separator, *generator.tokenize(context.document.path + "\n")]
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
