"""The suggestion shown at the cursor: typed over, accepted in parts, cycled. It draws nothing.

Line endings are `\\n` here, as in the buffer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from codebuddy.tui.text.buffer import Location

# What became of a suggestion, or of a part of it.
GhostUse = Literal["accepted", "typed", "overtyped", "dismissed", "left"]

# Blanks and then a word or a run of signs; a newline comes with the indentation after it.
_WORD = re.compile(r"\n?[ \t]*(?:\w+|[^\w\s]+)?|\s+")


@dataclass(frozen=True, slots=True)
class Ghost:
    """A suggestion for the place `at`; `texts[chosen]` is shown.

    `is_growing` while the model still writes. `typed` counts the characters that the person
    typed in agreement with it.
    """

    at: Location
    texts: tuple[str, ...]
    chosen: int = 0
    is_growing: bool = False
    typed: int = 0

    @property
    def text(self) -> str:
        """What is shown."""
        return self.texts[self.chosen] if self.texts else ""

    def after_typing(self, inserted: str) -> Ghost | None:
        """The rest of it once `inserted` was typed; `None` if that says something else."""
        remaining = tuple(
            text[len(inserted) :]
            for text in (self.text, *self._others())
            if text.startswith(inserted) and len(text) > len(inserted)
        )
        if not inserted or not self.text.startswith(inserted) or not remaining:
            return None
        at = Location(self.at.line, self.at.column + len(inserted))
        if "\n" in inserted:
            at = Location(self.at.line + inserted.count("\n"), len(inserted.rpartition("\n")[2]))
        return replace(
            self, at=at, texts=remaining, chosen=0, typed=self.typed + len(inserted.strip())
        )

    def next_word(self) -> str:
        """The part that accepting a word inserts."""
        match = _WORD.match(self.text)
        return match[0] if match and match[0] else self.text[:1]

    def next_line(self) -> str:
        """The part that accepting a line inserts: up to its end, never nothing."""
        head, newline, rest = self.text.partition("\n")
        if head or not newline:
            return head
        return newline + rest.partition("\n")[0]

    def cycled(self, step: int) -> Ghost:
        """With the next alternative shown."""
        return replace(self, chosen=(self.chosen + step) % max(1, len(self.texts)))

    def _others(self) -> list[str]:
        return [text for index, text in enumerate(self.texts) if index != self.chosen]


def is_worth_asking(line_before: str, line_after: str) -> bool:
    """Whether a suggestion could go in here without being asked for.

    In the middle of a word it would only get in the way; behind closing brackets and quotes
    there is still something to say.
    """
    return not line_after[:1].isalnum() and line_after[:1] != "_" and len(line_before) < 2000
