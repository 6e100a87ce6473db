"""Search hits -> the source lines that a prompt shows: each with a label that a claim can name.

`B12` is line 12 of the second source's file. It knows no prompt and no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codebuddy.errors import GenerationError
from codebuddy.service.request import AskSource

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Lines of the first sources and of those behind them: the first is the right one most often.
_LINES = (20, 12, 8)
_FURTHER_LINES = 6
_MAX_LINE_CHARACTERS = 160
# Of the line that matched, shown above it where a chunk's beginning is too far away.
_LINES_ABOVE = 3
_MIN_LINES = 3


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of a source from `start` on (1-based), as the prompt shows them."""

    label: str
    source: AskSource
    start: int
    lines: tuple[str, ...]
    tokens: int

    @property
    def end(self) -> int:
        """The last line."""
        return self.start + len(self.lines) - 1

    @property
    def text(self) -> str:
        """The lines behind their labels, below the file's name."""
        labelled = (f"{self.label}{self.start + n}| {line}" for n, line in enumerate(self.lines))
        return "\n".join((f"--- {self.label}: {_plain(self.source.path)} ---", *labelled, ""))


def take_excerpts(
    sources: Sequence[AskSource], budget: int, count_tokens: Callable[[str], int]
) -> list[Excerpt]:
    """What fits of the sources, in their order.

    Args:
        sources: The best first.
        budget: Tokens of all together.
        count_tokens: Of a text.

    Raises:
        GenerationError: Not even a few lines of the first one fit.
    """
    taken: list[Excerpt] = []
    for source in sources[: len(LETTERS)]:
        place = len(taken)
        n_lines = _LINES[place] if place < len(_LINES) else _FURTHER_LINES
        while n_lines >= _MIN_LINES:
            excerpt = _excerpt(LETTERS[place], source, n_lines)
            tokens = count_tokens(excerpt.text)
            if tokens <= budget:
                taken.append(Excerpt(excerpt.label, source, excerpt.start, excerpt.lines, tokens))
                budget -= tokens
                break
            n_lines = min(n_lines, len(excerpt.lines)) // 2
    if sources and not taken:
        raise GenerationError(
            "the model's context has no room for a source", hint="set model.n_ctx higher"
        )
    return taken


def _excerpt(label: str, source: AskSource, n_lines: int) -> Excerpt:
    """From the source's beginning if that reaches the line that matched, else around that line."""
    lines = [line.removesuffix("\r") for line in source.text.rstrip().split("\n")]
    at = min(max(0, source.line - source.start_line), len(lines) - 1)
    first = 0 if at < n_lines else max(0, at - min(_LINES_ABOVE, n_lines - 1))
    shown = tuple(_plain(line[:_MAX_LINE_CHARACTERS]) for line in lines[first : first + n_lines])
    return Excerpt(label, source, source.start_line + first, shown, 0)


def _plain(text: str) -> str:
    """A line break in a file's name, or of Unicode in a line, must not begin a new line."""
    return " ".join(text.splitlines())
