"""Which calls follow each other as a person types: an editor that asks by the shell command.

Each call of the command stands alone. That it is a keystroke shows from the text alone: the same
file, asked for a moment ago, with a few characters changed at the cursor. Pure; no model, no file.
"""

from __future__ import annotations

import time
from collections import OrderedDict

from codebuddy.source_text import common_length

# A person who thinks before the next key types on; who comes back later began anew.
_PAUSE_S = 120.0
# Characters between two calls: a word that was completed, a line that was indented.
_MAX_CHANGED = 64
_MAX_FILES = 8
# Longer texts are not kept.
_MAX_CHARACTERS = 1 << 20


class Keystrokes:
    """The last text that was asked for in each of a few files."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def follows(self, path: str, text: str, offset: int, now_s: float | None = None) -> bool:
        """Whether `text` is what the file's last call saw, and a little typed at `offset`.

        The call is remembered. The same text once more is no keystroke, so that asking again
        gives what a process of its own would say.

        Args:
            path: Absolute, or whatever tells files apart.
            text: The whole document.
            offset: Of the cursor, in characters.
            now_s: Monotonic seconds; now by default.
        """
        now_s = time.monotonic() if now_s is None else now_s
        last, at_s = self._texts.pop(path, ("", float("-inf")))
        if len(text) <= _MAX_CHARACTERS:
            self._texts[path] = (text, now_s)
            if len(self._texts) > _MAX_FILES:
                self._texts.popitem(last=False)
        return now_s - at_s <= _PAUSE_S and _is_typed(last, text, offset)


def _is_typed(last: str, text: str, offset: int) -> bool:
    """Whether few characters differ, all of them near `offset`."""
    if last == text or abs(len(last) - len(text)) > _MAX_CHANGED:
        return False
    head = common_length(last, text)
    tail = min(common_length(last[::-1], text[::-1]), min(len(last), len(text)) - head)
    changed = max(len(last), len(text)) - head - tail
    # What was typed may repeat what stands there, so that its place is not exact.
    return changed <= _MAX_CHANGED and abs(offset - head) <= _MAX_CHANGED
