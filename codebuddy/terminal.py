"""The one way out to a person: every text from files, names, models or errors passes `safe_text`.

Control characters are shown, never sent (escape sequences can write the clipboard, move
the cursor or retitle the window); characters that reorder or hide text are named.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO, Any

import click

# Bidirectional controls, zero-width characters, line and paragraph separators, tags.
_INVISIBLE = frozenset(
    [0x00AD, 0x061C, 0x180E, 0x2028, 0x2029, 0xFEFF]
    + [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)]
    + [*range(0xE0000, 0xE0080)]
)


# Under which keys JSON answers name files and folders.
PATH_KEYS = frozenset(
    {"path", "file", "root", "index", "folder", "repository", "changed", "shared_from"}
    | {"seeded_from", "paths", "files", "socket", "python"}
)


class _Shown(dict[int, str]):
    """Translation table for `str.translate`, filled as characters are met."""

    def __missing__(self, code: int) -> str:
        if code < 0x20:
            shown = "^" + chr(code + 0x40)
        elif code == 0x7F:
            shown = "^?"
        elif 0x80 <= code < 0xA0:
            shown = "M-^" + chr(code - 0x40)
        elif 0xD800 <= code < 0xE000:
            # A byte that was not UTF-8, kept by surrogateescape.
            shown = f"\\x{code & 0xFF:02x}"
        elif code in _INVISIBLE:
            shown = f"<U+{code:04X}>"
        else:
            shown = chr(code)
        self[code] = shown
        return shown


_TEXT = _Shown({0x09: "\t", 0x0A: "\n"})
_LINE = _Shown({0x09: "^I", 0x0A: "^J"})


def safe_text(text: str) -> str:
    """`text` with control characters in caret notation; tabs and newlines stay.

    Works on any split of a stream: each character is handled by itself.
    """
    return text.replace("\r\n", "\n").translate(_TEXT)


def safe_line(text: str) -> str:
    """As `safe_text`, for names and messages: tabs and newlines are shown too."""
    return text.translate(_LINE)


def answer(text: str, *, newline: bool = True) -> None:
    """Write the command's answer to stdout."""
    click.echo(safe_text(text), nl=newline)


def answer_styled(text: str, *, newline: bool = True) -> None:
    """Write already safe text to stdout; its styles only where the terminal takes them."""
    click.echo(text, nl=newline, color=wants_color(sys.stdout))


def answer_json(value: Any) -> None:
    """Write the command's answer as one JSON document; non-ASCII is escaped.

    A path that is not UTF-8 is written as people see it (`caf\\xe9.py`), with its bytes
    percent-encoded under the same key and `_bytes` (`"path_bytes": "caf%E9.py"`).
    """
    click.echo(json.dumps(_encodable(value), ensure_ascii=True, allow_nan=False))


def note(text: str) -> None:
    """Print a message for the user on stderr."""
    click.echo(safe_text(text), err=True)


def styled(text: str, **style: Any) -> str:
    """`text` made safe, then styled by us; click strips the style where colour is not wanted."""
    return click.style(safe_line(text), **style)


def note_styled(parts: Iterable[str]) -> None:
    """Write already safe, styled parts to stderr as one line."""
    click.echo("".join(parts), err=True, color=wants_color(sys.stderr))


class StatusLine:
    """One line on a terminal's stderr that says what is being waited for; gone when it ends.

    Elsewhere it shows nothing. All of a process are one, as its terminal is: what else writes
    there clears it with a `StatusLine` of its own.
    """

    _is_there = False

    def __init__(self) -> None:
        self._can_show = is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"

    @property
    def is_shown(self) -> bool:
        """Whether somebody sees it."""
        return self._can_show

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.clear()

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._can_show:
            StatusLine._is_there = True
            click.echo(f"\r\x1b[K{safe_line(text)}…", nl=False, err=True, color=True)

    def clear(self) -> None:
        """Take the line away, and nothing that was written in its place."""
        if StatusLine._is_there:
            StatusLine._is_there = False
            click.echo("\r\x1b[K", nl=False, err=True, color=True)


def wants_color(stream: IO[str]) -> bool:
    """Whether `stream` is a terminal that takes colour (NO_COLOR and TERM=dumb say no)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return is_terminal(stream)


def is_terminal(stream: IO[str]) -> bool:
    """Whether a person looks at `stream`; a closed or missing stream is none."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def _encodable(value: Any) -> Any:
    """`value` with surrogates (bytes that were not UTF-8) replaced, so that JSON stays valid."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "".join(
                f"\\x{ord(c) & 0xFF:02x}" if 0xD800 <= ord(c) < 0xE000 else c for c in value
            )
        return value
    if isinstance(value, dict):
        found = {_encodable(key): _encodable(item) for key, item in value.items()}
        return found | {
            f"{key}_bytes": b for key in PATH_KEYS & value.keys() if (b := _bytes_of(value[key]))
        }
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    if isinstance(value, float):
        return round(value, 6)
    return value


def _bytes_of(path: Any) -> Any:
    """What names a path that is not UTF-8 without loss; `None` where nothing is lost.

    Of several paths it is a list, with `None` for each that is UTF-8.
    """
    if isinstance(path, list | tuple):
        found = [_bytes_of(each) for each in path]
        return found if any(found) else None
    if not isinstance(path, str) or _encodable(path) == path:
        return None
    from urllib.parse import quote_from_bytes

    try:
        return quote_from_bytes(os.fsencode(path), safe="/")
    except UnicodeEncodeError:
        # No name of this system's.
        return None


def counted(number: int, thing: str, things: str = "") -> str:
    """`1 file`, `2 files`: a number with what it counts; `things` where the plural is another."""
    return f"{number} {thing}" if number == 1 else f"{number} {things or thing + 's'}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
