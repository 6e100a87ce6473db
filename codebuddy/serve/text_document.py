"""A text document that an editor has open, synchronized by its change events.

Lines end as the Language Server Protocol says (`\n`, `\r\n` and `\r`), which is neither what
`str.splitlines` does nor what the rest of the program counts; an offset in code points is the
bridge. It knows nothing of messages or paths.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from codebuddy.completion.document import MAX_DOCUMENT_BYTES
from codebuddy.errors import DocumentError, UsageError
from codebuddy.positions import Encoding, count_code_points, count_units

_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class EditorPosition:
    """A place as an editor says it: 0-based line, and code units from the line's beginning."""

    line: int
    units: int


@dataclass(slots=True)
class TextDocument:
    """A document that an editor owns; the editor's text counts, not the disk's.

    `problem` says why the text can no longer be trusted; it is empty while it can.
    """

    uri: str
    language_id: str
    text: str
    encoding: Encoding
    version: int = 0
    problem: str = ""
    _starts: list[int] = field(default_factory=list)

    def replace_all(self, text: str) -> None:
        """Take a whole new text, which ends any trouble.

        Raises:
            DocumentError: It is too large; the document stays as it was.
        """
        self._check_size(len(text))
        self.text, self._starts, self.problem = text, [], ""

    def replace(self, start: EditorPosition, end: EditorPosition, text: str) -> None:
        """Put `text` in the place of a range. An end past the last line means the text's end.

        Raises:
            UsageError: The range begins after the text or ends before it begins; the document
                stays as it was.
            DocumentError: The text would be too large; the document stays as it was.
        """
        if (end.line, end.units) < (start.line, start.units):
            raise UsageError(f"a change of {self.uri} ends before it begins")
        first = self.offset_at(start)
        last = len(self.text) if end.line >= len(self._line_starts()) else self.offset_at(end)
        self._check_size(len(self.text) - (last - first) + len(text))
        self.text = self.text[:first] + text + self.text[last:]
        self._starts = []

    def offset_at(self, position: EditorPosition) -> int:
        """The offset in code points; units past a line's end mean its end.

        Raises:
            UsageError: There is no such line.
        """
        starts = self._line_starts()
        if not 0 <= position.line < len(starts):
            raise UsageError(
                f"{self.uri} has {len(starts)} lines, so there is no line {position.line + 1}"
            )
        line = self._line(position.line)
        return starts[position.line] + count_code_points(line, position.units, self.encoding)

    def position_at(self, offset: int) -> EditorPosition:
        """The place of an offset in code points, as the editor counts."""
        starts = self._line_starts()
        line = bisect_right(starts, offset) - 1
        return EditorPosition(line, count_units(self.text[starts[line] : offset], self.encoding))

    def _line(self, line: int) -> str:
        """A line without its ending."""
        starts = self._line_starts()
        end = starts[line + 1] if line + 1 < len(starts) else len(self.text)
        text = self.text[starts[line] : end]
        return text.rstrip("\r\n") if line + 1 < len(starts) else text

    def _line_starts(self) -> list[int]:
        if not self._starts:
            self._starts = [0, *(match.end() for match in _LINE_END.finditer(self.text))]
        return self._starts

    def _check_size(self, characters: int) -> None:
        if characters > MAX_DOCUMENT_BYTES:
            raise DocumentError(
                f"{self.uri} is larger than {MAX_DOCUMENT_BYTES >> 20} MiB",
                hint="complete a smaller file",
            )
