"""The spans of a buffer's lines, kept in step with typing while the tree is made elsewhere.

An edit shifts what is known at once; the tree follows from a worker, and only the lines
that it changed are asked for again. It knows no colours and no threads.
"""

from __future__ import annotations

from codebuddy.syntax.highlight import HighlightedText, Highlighter, Span
from codebuddy.tui.text.buffer import Edit, TextBuffer

# Lines that are asked for at once: asking for one costs nearly as much.
_BLOCK_LINES = 32

Spans = tuple[Span, ...]


class Colouring:
    """What is known of each line's spans; `highlighter` is for the worker's use alone."""

    def __init__(self, buffer: TextBuffer, language: str) -> None:
        self.highlighter = Highlighter(language)
        self._buffer = buffer
        self._spans: list[Spans | None] = [None] * len(buffer.lines)
        self._text: HighlightedText | None = None
        self._revision = -1
        self._is_out_of_step = False
        buffer.listeners.append(self._on_edit)

    @property
    def is_current(self) -> bool:
        """Whether the tree is that of the text as it stands."""
        return self._revision == self._buffer.revision

    def spans(self, line: int) -> Spans:
        """The spans of a line, as far as they are known."""
        known = self._spans[line]
        if known is not None:
            return known
        if self._text is None or not self.is_current:
            return ()
        first = line // _BLOCK_LINES * _BLOCK_LINES
        last = min(first + _BLOCK_LINES, len(self._spans)) - 1
        for number, spans in enumerate(self._text.spans(first, last), first):
            if self._spans[number] is None:
                self._spans[number] = spans
        return self._spans[line] or ()

    def highlight(self, text: str) -> tuple[HighlightedText | None, list[tuple[int, int]]]:
        """The tree of `text` and the lines that changed; for the worker, one at a time."""
        return self.highlighter.update(text.encode("utf-8", "replace"))

    def take(
        self, text: HighlightedText | None, changed: list[tuple[int, int]], revision: int
    ) -> list[tuple[int, int]]:
        """Take the worker's answer for `revision`; which lines may look different now."""
        if revision != self._buffer.revision:
            # Typing went on. Its lines have other numbers now, so the next answer counts for all.
            self._is_out_of_step = True
            return []
        if self._is_out_of_step or self._text is None:
            changed = [(0, len(self._spans) - 1)]
        self._text, self._revision, self._is_out_of_step = text, revision, False
        for first, last in changed:
            last = min(last, len(self._spans) - 1)
            if first <= last:
                self._spans[first : last + 1] = [None] * (last - first + 1)
        return changed

    def _on_edit(self, edit: Edit) -> None:
        start, old_end, new_end = edit.start, edit.old_end, edit.new_end
        if start.line == old_end.line == new_end.line:
            known = self._spans[start.line]
            if known is not None:
                self._spans[start.line] = _shifted(known, start.column, old_end.column, edit)
            return
        count = new_end.line - start.line + 1
        self._spans[start.line : old_end.line + 1] = [()] * count


def _shifted(spans: Spans, start: int, end: int, edit: Edit) -> Spans:
    """Spans after a change within their line: what the cursor stands in grows with it."""
    grown = len(edit.inserted) - len(edit.removed)
    found = []
    for span in spans:
        first = span.start if span.start < start else max(span.start, end) + grown
        last = span.end if span.end < start else max(span.end, end) + grown
        if last > first:
            found.append(Span(first, last, span.token))
    return tuple(found)
