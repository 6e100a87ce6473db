"""Source files as text: what is read, that bytes come back unchanged, and what is refused."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codebuddy import source_text
from codebuddy.errors import DocumentError
from codebuddy.source_text import check_insertable, encode, read_text

READ = {
    "empty": (b"", "utf-8", ""),
    "UTF-8": ("größe = 1\r\n".encode(), "utf-8", "größe = 1\r\n"),
    "UTF-8 with a mark": (b"\xef\xbb\xbfx = 1\n", "utf-8-sig", "x = 1\n"),
    "only a mark": (b"\xef\xbb\xbf", "utf-8-sig", ""),
    "UTF-16 LE": (codecs.BOM_UTF16_LE + "é😀\n".encode("utf-16-le"), "utf-16-le", "é😀\n"),
    "UTF-16 BE": (codecs.BOM_UTF16_BE + "é😀\n".encode("utf-16-be"), "utf-16-be", "é😀\n"),
    "Latin-1": (b"caf\xe9 = 1\n", "cp1252", "café = 1\n"),
    "Windows-1252": (b"# \x93quoted\x94 \x80\r\n", "cp1252", "# “quoted” €\r\n"),
    "no character of any": (b"x = '\x81\x8d'\n", "utf-8", "x = '\udc81\udc8d'\n"),
    "UTF-8 but for a byte": ("# größe ü \xff\n".encode("latin-1"), "cp1252", "# größe ü ÿ\n"),
    "mostly UTF-8": ("größe, öl, ".encode() + b"\xe9\n", "utf-8", "größe, öl, \udce9\n"),
    "marked and damaged": (b"\xef\xbb\xbfcaf\xe9\n", "utf-8-sig", "caf\udce9\n"),
    "form feed and escape": (b"\x0c caf\xe9 \x1b[0m\x1a", "cp1252", "\x0c café \x1b[0m\x1a"),
}
REFUSED = {
    "NUL": (b"a\0b", "binary", "binary"),
    "picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary", "binary"),
    "compressed": (b"\x1f\x8b\x08\xe9\xe8\x02", "binary", "binary"),
    "UTF-16 unmarked": ("x = 1\n".encode("utf-16-le"), "encoding", "byte order mark"),
    "UTF-16 BE unmarked": ("x = 1\n".encode("utf-16-be"), "encoding", "byte order mark"),
    "UTF-16 cut off": (codecs.BOM_UTF16_LE + b"x\0y", "encoding", "UTF-16"),
    "UTF-16 with a lone half": (codecs.BOM_UTF16_LE + b"\x00\xd8x\0", "encoding", "UTF-16"),
    "UTF-16 with NUL": (codecs.BOM_UTF16_LE + b"x\0\0\0", "binary", "binary"),
    "UTF-32 LE": (codecs.BOM_UTF32_LE + "x".encode("utf-32-le"), "encoding", "UTF-32"),
    "UTF-32 BE": (codecs.BOM_UTF32_BE + "x".encode("utf-32-be"), "encoding", "UTF-32"),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read_comes_back_byte_for_byte(name):
    """A mark is no character of the text, and comes back when it is written."""
    content, encoding, text = READ[name]
    found = read_text(content, "f")
    assert (found.text, found.encoding) == (text, encoding)
    assert "\ufeff" not in found.text
    assert encode(found.text, found.encoding) == content
    shown = "".join("\ufffd" if "\udc80" <= each <= "\udcff" else each for each in text)
    assert found.utf8.decode() == shown
    assert source_text.as_utf8(content) == found.utf8
    assert source_text.reason_unreadable(content) == ""


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_refused_by_name(name):
    """One sentence names the file and what is wrong with it; the hint says what to do."""
    content, reason, words = REFUSED[name]
    with pytest.raises(DocumentError) as caught:
        read_text(content, "some/file.py")
    assert "some/file.py" in caught.value.message
    assert words in caught.value.message
    assert caught.value.hint
    assert source_text.reason_unreadable(content) == reason
    assert source_text.as_utf8(content) is None


@given(st.binary(max_size=60))
def test_any_bytes_that_are_read_survive(content):
    """Whatever the bytes: refused, or the same bytes again, and always valid UTF-8 to parse."""
    if source_text.reason_unreadable(content):
        return
    found = read_text(content, "f")
    assert encode(found.text, found.encoding) == content
    found.utf8.decode()


def test_a_text_that_the_encoding_cannot_hold_is_refused():
    """An insertion is in the file's encoding or not made."""
    legacy = read_text(b"caf\xe9\n", "f")
    check_insertable("résumé €", legacy, "f.py")
    unknown, empty = read_text(b"\x81\n", "f"), read_text(b"", "f")
    for into, text in ((legacy, "λ"), (unknown, "é"), (empty, "\ud800")):
        with pytest.raises(DocumentError, match=r"f\.py cannot hold the character U\+"):
            check_insertable(text, into, "f.py")
    check_insertable("λ", read_text(b"\xef\xbb\xbf", "f"), "f.py")
    check_insertable("plain", unknown, "f.py")
