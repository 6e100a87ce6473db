"""Documents: what can be read, and that writing changes nothing but the insertion."""

from __future__ import annotations

import os
import stat

import pytest

from codebuddy.completion.document import apply_suggestion, decode, encode, load_document
from codebuddy.datatypes import Position
from codebuddy.errors import DocumentError, UsageError


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A work tree that is the current folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"plain \xc3\xa4\r\n", "utf-8"),
        (b"\xef\xbb\xbfmarked\n", "utf-8-sig"),
        ("sixteen ä\n".encode("utf-16-le"), None),
        (b"\xff\xfe" + "sixteen ä\n".encode("utf-16-le"), "utf-16-le"),
        (b"\xfe\xff" + "sixteen\n".encode("utf-16-be"), "utf-16-be"),
        (b"", "utf-8"),
    ],
)
def test_bytes_survive_the_round_trip(content, encoding):
    """What is decoded is encoded to the same bytes, marks included."""
    if encoding is None:
        with pytest.raises(DocumentError):
            decode(content, "f")
        return
    text, found = decode(content, "f")
    assert found == encoding
    assert encode(text, found) == content


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfa\x00", b"a\0b", "x = 1\n".encode("utf-16-le"), "x = 1\n".encode("utf-32")],
)
def test_binary_files_and_what_is_not_read_are_refused(root, content):
    """They are refused by name, and the file stays as it is."""
    (root / "f.py").write_bytes(content)
    with pytest.raises(DocumentError) as caught:
        load_document("f.py", root)
    assert "f.py" in caught.value.message
    assert (root / "f.py").read_bytes() == content


def test_places_that_cannot_be_completed(root, tmp_path):
    """Missing files, folders, pipes, files outside and git's own are refused by name."""
    (root / "folder").mkdir()
    (tmp_path / "outside.py").write_text("x")
    (root / "link.py").symlink_to(tmp_path / "outside.py")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("")
    os.mkfifo(root / "pipe.py")
    for name in ("missing.py", "folder", "../outside.py", "link.py", ".git/config", "pipe.py"):
        with pytest.raises(UsageError) as caught:
            load_document(name, root)
        assert name.rpartition("/")[2].split(".")[0] in caught.value.message


def test_unsaved_text_needs_no_file(root):
    """The buffer's text is taken, also for a file that is not on disk yet."""
    document = load_document("new.py", root, b"x = 1\n")
    assert (document.path, document.text) == ("new.py", "x = 1\n")


@pytest.mark.parametrize(
    "content",
    [
        b"a = \r\nb\r\n",
        b"\xef\xbb\xbfa = \nb\n",
        b"\xff\xfe" + "a = \n".encode("utf-16-le"),
        b"a = \n# caf\xe9\r\n",
        b"a = \n# \x81\xff\r\n",
    ],
)
def test_apply_inserts_and_keeps_everything_else(root, content):
    """Encoding, mark, line endings and mode stay; only the text goes in."""
    file = root / "f.py"
    file.write_bytes(content)
    file.chmod(0o750)
    document = load_document("f.py", root)
    apply_suggestion(document, Position(1, 5), "42")
    encoding = "utf-16-le" if content.startswith(b"\xff\xfe") else "utf-8"
    at = content.index("a = ".encode(encoding)) + len("a = ".encode(encoding))
    assert file.read_bytes() == content[:at] + "42".encode(encoding) + content[at:]
    assert stat.S_IMODE(file.stat().st_mode) == 0o750
    assert [entry.name for entry in root.iterdir()] == ["f.py"]


@pytest.mark.parametrize("content", [b"a = \n# caf\xe9\n", b"a = \n# \x81\n"])
def test_apply_writes_in_the_files_encoding_or_not_at_all(root, content):
    """What the encoding does not have is refused in a sentence, and the file is unchanged."""
    (root / "f.py").write_bytes(content)
    document = load_document("f.py", root)
    with pytest.raises(DocumentError, match=r"^f\.py cannot hold the character U\+03BB"):
        apply_suggestion(document, Position(1, 5), "'λ'")
    assert (root / "f.py").read_bytes() == content
    if document.encoding == "cp1252":
        apply_suggestion(document, Position(1, 5), "'é€'")
        assert (root / "f.py").read_bytes() == b"a = '\xe9\x80'\n# caf\xe9\n"


def test_apply_refuses_a_file_that_changed(root):
    """A file that was changed meanwhile is not overwritten."""
    (root / "f.py").write_text("a = \n")
    document = load_document("f.py", root)
    (root / "f.py").write_text("b = \n")
    with pytest.raises(DocumentError) as caught:
        apply_suggestion(document, Position(1, 5), "42")
    assert "changed" in caught.value.message
    assert (root / "f.py").read_text() == "b = \n"


def test_apply_writes_through_a_link_inside(root):
    """A link inside the repository stays a link; its target gets the text."""
    (root / "real.py").write_text("a = \n")
    (root / "link.py").symlink_to("real.py")
    apply_suggestion(load_document("link.py", root), Position(1, 5), "1")
    assert (root / "link.py").is_symlink()
    assert (root / "real.py").read_text() == "a = 1\n"


def test_an_applied_suggestion_keeps_hard_links_and_respects_read_only_files(tmp_path):
    """`--apply` changes the bytes of the file and nothing else of it."""
    file, other = tmp_path / "a.py", tmp_path / "b.py"
    file.write_bytes(b"x = \n")
    os.link(file, other)
    apply_suggestion(load_document(str(file), tmp_path), Position(1, 5), "1")
    assert other.read_bytes() == b"x = 1\n"
    assert other.samefile(file)
    file.chmod(0o444)
    with pytest.raises(DocumentError, match=r"cannot write a.py: it is read-only") as caught:
        apply_suggestion(load_document(str(file), tmp_path), Position(1, 5), "2")
    assert "chmod u+w a.py" in caught.value.hint
    assert file.read_bytes() == b"x = 1\n"
