"""Source files as text: which encodings are read, and how their bytes come back unchanged.

The one home of this, for the index, searches, completions, the hook and the editors:

- UTF-8, with or without a byte order mark;
- UTF-16, little or big endian, with a byte order mark;
- what is neither, holds no control characters and is hence text of an older encoding:
  as Windows-1252, which contains Latin-1, where each byte is a character of it;
- any other text: its valid UTF-8 as such, every other byte as one character that cannot be
  shown (a lone surrogate, as Python's `surrogateescape` makes them), kept when it is written.

Binary files and UTF-16 or UTF-32 that is damaged or unmarked are refused. A byte order mark
belongs to the file: it is no character of the text and comes back in `encode`. Line endings stay
as they are. The module knows no paths and reads no files.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import AnyStr, Literal

from codebuddy.errors import DocumentError

# The byte order mark as a character, which it must never be in a text.
MARK = "\ufeff"
UTF8 = "utf-8"
UTF8_MARKED = "utf-8-sig"
LEGACY = "cp1252"

Unreadable = Literal["", "binary", "encoding"]

# UTF-32's mark begins with UTF-16's, so it is looked for first.
_UTF32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_MARKS = (
    (codecs.BOM_UTF8, UTF8_MARKED),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Beside tab and line ends: backspace, form feed, the end mark of DOS, escape and the separators
# from 0x1c on occur in text.
_CONTROLS = re.compile(rb"[\x00-\x07\x0e-\x19\x7f]")
_ESCAPED = re.compile("[\udc80-\udcff]")
_HEAD_BYTES = 512

_CONVERT_HINT = "convert it to UTF-8 first"


@dataclass(frozen=True, slots=True)
class SourceText:
    """A file's text and how to write it: `encoding` is what `encode` takes.

    `text` is without a byte order mark, its line endings are the file's. `is_exact` is False
    where some bytes are no characters of the encoding; each is a lone surrogate in `text`.
    """

    text: str
    encoding: str
    is_exact: bool = True

    @property
    def utf8(self) -> bytes:
        """The text as valid UTF-8 for parsers and prompts; what has no character is U+FFFD."""
        if self.is_exact:
            return self.text.encode(UTF8)
        return _ESCAPED.sub("\ufffd", self.text).encode(UTF8, "replace")


def read_text(content: bytes, name: str) -> SourceText:
    """The text of a file's bytes.

    Args:
        content: The whole file.
        name: What errors call it.

    Raises:
        DocumentError: It is binary, or in an encoding that is not read.
    """
    found = _read(content)
    if isinstance(found, SourceText):
        return found
    _, complaint, hint = found
    raise DocumentError(f"{name} {complaint}", hint=hint)


def reason_unreadable(content: bytes) -> Unreadable:
    """Why `read_text` would refuse the bytes: `binary`, `encoding`, or empty."""
    found = _read(content)
    return "" if isinstance(found, SourceText) else found[0]


def as_utf8(content: bytes) -> bytes | None:
    """The text of a file's bytes as UTF-8 without a mark; `None` where it cannot be read."""
    found = _read(content)
    return found.utf8 if isinstance(found, SourceText) else None


def decode(content: bytes, name: str) -> tuple[str, str]:
    """As `read_text`: the text and its encoding.

    Raises:
        DocumentError: It is binary, or in an encoding that is not read.
    """
    found = read_text(content, name)
    return found.text, found.encoding


def encode(text: str, encoding: str) -> bytes:
    """The opposite of `decode`, byte order mark and undecodable bytes included.

    Raises:
        UnicodeEncodeError: A character of `text` is not in the encoding.
    """
    mark = next((m for m, e in _MARKS if e == encoding and e.startswith("utf-16")), b"")
    errors = "surrogateescape" if encoding in (UTF8, UTF8_MARKED) else "strict"
    return mark + text.encode(encoding, errors)


def check_insertable(text: str, into: SourceText, name: str) -> None:
    """Refuse `text` where the encoding of the file that it is to go into cannot hold it.

    Args:
        text: What is to be written into the file.
        into: The file's text.
        name: What the error calls the file.

    Raises:
        DocumentError: It cannot.
    """
    # The rest of an inexact file is in an encoding that is not known.
    _check(text, into.encoding if into.is_exact else "", name, names_line=False)


def check_storable(text: str, encoding: str, name: str) -> None:
    """As `check_insertable`, for the whole text of a file in `encoding`."""
    _check(text, encoding, name, names_line=True)


def _check(text: str, encoding: str, name: str, *, names_line: bool) -> None:
    try:
        text.encode(encoding or "ascii")
    except UnicodeEncodeError as error:
        what = f"its encoding is {encoding}" if encoding else "its encoding is not known"
        line = text.count("\n", 0, error.start) + 1
        where = f" of line {line}" if names_line else ""
        raise DocumentError(
            f"{name} cannot hold the character U+{ord(text[error.start]):04X}{where}, since {what};"
            " it is unchanged",
            hint=_CONVERT_HINT,
        ) from error


def _read(content: bytes) -> SourceText | tuple[Unreadable, str, str]:
    """The text, or why there is none: a word, what is wrong with the file, and the remedy."""
    if content.startswith(_UTF32_MARKS):
        return "encoding", "is UTF-32 text, which is not read", _CONVERT_HINT
    encoding = next((e for mark, e in _MARKS if content.startswith(mark)), UTF8)
    if encoding.startswith("utf-16"):
        return _utf16(content, encoding)
    if b"\0" in content:
        if _looks_like_utf16(content):
            return "encoding", "seems to be UTF-16 text without a byte order mark", _CONVERT_HINT
        return "binary", "is a binary file", "give a text file"
    try:
        return SourceText(content.decode(encoding), encoding)
    except UnicodeDecodeError:
        return _legacy(content, encoding)


def _utf16(content: bytes, encoding: str) -> SourceText | tuple[Unreadable, str, str]:
    try:
        text = content[2:].decode(encoding)
    except UnicodeDecodeError as error:
        complaint = f"is not whole UTF-16 text (byte {error.start + 2})"
        return "encoding", complaint, _CONVERT_HINT
    if "\0" in text:
        return "binary", "is a binary file", "give a text file"
    return SourceText(text, encoding)


def _legacy(content: bytes, encoding: str) -> SourceText | tuple[Unreadable, str, str]:
    if _CONTROLS.search(content):
        return "binary", "is a binary file", "give a text file"
    text = content.decode(encoding, "surrogateescape")
    n_escaped = len(_ESCAPED.findall(text))
    n_others = sum(character > "\x7f" for character in text) - n_escaped
    if encoding == UTF8 and n_others < n_escaped:
        try:
            return SourceText(content.decode(LEGACY), LEGACY)
        except UnicodeDecodeError:
            pass
    return SourceText(text, encoding, is_exact=False)


def _looks_like_utf16(content: bytes) -> bool:
    """Whether every other byte of the beginning is NUL and the rest is not."""
    head = content[:_HEAD_BYTES]
    halves = (head[::2], head[1::2])
    n_zeros = [half.count(0) for half in halves]
    return len(head) >= 4 and 2 * max(n_zeros) > len(halves[0]) and min(n_zeros) == 0


def common_length(one: AnyStr, other: AnyStr) -> int:
    """How many characters or bytes both begin with, by halving: comparing slices is fast."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
