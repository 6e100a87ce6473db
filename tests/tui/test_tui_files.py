"""The editor's files: opened within limits, saved whole, recovered, never over a stranger."""

from __future__ import annotations

import os
import stat

import pytest

from codebuddy import user_file
from codebuddy.errors import DocumentError
from codebuddy.tui.session import OpenFileState, SessionState, load_session, save_session
from codebuddy.tui.text.files import ChangedOnDiskError, has_changed, open_file, save_file
from codebuddy.tui.text.journal import Journal, Record
from codebuddy.user_file import write_user_file


@pytest.mark.parametrize(
    "content",
    [
        b"a\nb\n",
        b"a\r\nb\r\n",
        b"mixed\r\nends\nhere\r",
        b"no end",
        b"",
        b"\xef\xbb\xbfmark\n",
        "中文\x85\u2028x\n".encode(),
        "utf16\n".encode("utf-16"),
        b"\x0c form feed \x1b[31m\n",
        b"caf\xe9 \x80\r\n",
        b"twice\r\r\nonce\r\n",
        b"alone\rin it\r\n",
    ],
)
def test_a_file_comes_back_byte_for_byte(tmp_path, content):
    """Opening and saving without a change writes the same bytes, whatever the line ends."""
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    opened = open_file(path)
    assert not opened.is_read_only
    save_file(opened, opened.text)
    assert path.read_bytes() == content


def test_line_ends_of_what_is_typed_are_the_files_own(tmp_path):
    """A line typed into a CRLF file ends with CRLF."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\r\nb\r\n")
    save_file(open_file(path), "a\nnew\nb\n")
    assert path.read_bytes() == b"a\r\nnew\r\nb\r\n"


def test_a_text_of_mixed_line_ends_comes_into_a_crlf_file_as_crlf(tmp_path):
    """What undo or a paste brings into a file that ends every line with CRLF ends so too."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\r\nb\r\n")
    save_file(open_file(path), "a\r\nnew\nb\n")
    assert path.read_bytes() == b"a\r\nnew\r\nb\r\n"


def test_what_the_encoding_cannot_hold_is_not_saved(tmp_path):
    """A Windows-1252 file stays one: a character that it does not have is named."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"caf\xe9\n")
    opened = open_file(path)
    save_file(opened, "café €\n")
    assert path.read_bytes() == b"caf\xe9 \x80\n"
    with pytest.raises(DocumentError, match=r"U\+03BB.*unchanged"):
        save_file(open_file(path), "λ\n")
    assert path.read_bytes() == b"caf\xe9 \x80\n"


def test_bytes_of_no_encoding_are_read_only_and_shown(tmp_path):
    """Files in an unknown encoding and binary files open read-only; saving them is refused."""
    for content in (b"caf\xe9 \x81\n", b"a\0b"):
        path = tmp_path / "a.bin"
        path.write_bytes(content)
        opened = open_file(path)
        assert opened.is_read_only
        with pytest.raises(DocumentError):
            save_file(opened, opened.text)
        assert path.read_bytes() == content


def test_folders_pipes_and_huge_files_are_refused(tmp_path):
    """A folder, a FIFO and a file of 1 GB are refused at once, by name."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(DocumentError, match="folder is a folder"):
        open_file(tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DocumentError, match="pipe is not a regular file"):
        open_file(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(DocumentError, match="larger than 32 MiB"):
        open_file(tmp_path / "huge")


def test_a_file_written_by_another_program_is_not_overwritten(tmp_path):
    """A save after a foreign change raises and leaves the file; a wish to overwrite wins."""
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    opened = open_file(path)
    path.write_text("two\n")
    assert has_changed(opened)
    with pytest.raises(ChangedOnDiskError):
        save_file(opened, "mine\n")
    assert path.read_text() == "two\n"
    save_file(opened, "mine\n", should_overwrite=True)
    assert path.read_text() == "mine\n"


def test_a_file_written_while_it_is_saved_is_not_overwritten(tmp_path, monkeypatch):
    """Another program writes between the last look and the write: that is noticed."""
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    opened = open_file(path)

    def slow(*arguments, **options):
        path.write_text("two\n")
        write_user_file(*arguments, **options)

    monkeypatch.setattr(user_file, "write_user_file", slow)
    with pytest.raises(ChangedOnDiskError):
        save_file(opened, "mine\n")
    assert path.read_text() == "two\n"


def test_a_touched_file_has_not_changed(tmp_path):
    """The same bytes with another time are no change."""
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    opened = open_file(path)
    os.utime(path, ns=(1, 1))
    assert not has_changed(opened)
    save_file(opened, "two\n")
    assert path.read_text() == "two\n"


def test_a_new_file_that_somebody_made_meanwhile_is_not_overwritten(tmp_path):
    """A file that did not exist when it was opened may exist when it is saved."""
    path = tmp_path / "new.txt"
    opened = open_file(path)
    assert opened.on_disk is None
    path.write_text("theirs\n")
    with pytest.raises(ChangedOnDiskError):
        save_file(opened, "mine\n")
    assert path.read_text() == "theirs\n"


def test_mode_and_link_survive_a_save(tmp_path):
    """An executable stays one, a link still leads to the file that was written."""
    path = tmp_path / "run.sh"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    link = tmp_path / "link"
    link.symlink_to(path)
    save_file(open_file(link), "#!/bin/sh\nexit 0\n")
    assert link.is_symlink()
    assert path.read_text() == "#!/bin/sh\nexit 0\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_a_save_that_fails_leaves_the_old_bytes(tmp_path, monkeypatch):
    """Where the rename fails, the file is as before and nothing lies beside it."""
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    opened = open_file(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(DocumentError):
        save_file(opened, "two\n", should_overwrite=True)
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".a.txt")] == []


def test_the_journal_keeps_the_last_text_for_its_owner(tmp_path):
    """A record is found by its path, replaced by the next, gone when dropped, and private."""
    journal = Journal(tmp_path / "unsaved")
    record = Record("a b/ü.py", "text \udce9 \x1b\n", 3, 4, "base", 1e10)
    journal.write_record(record)
    assert journal.record_of("a b/ü.py") == record
    assert stat.S_IMODE((tmp_path / "unsaved").stat().st_mode) == 0o700
    assert [stat.S_IMODE(f.stat().st_mode) for f in (tmp_path / "unsaved").iterdir()] == [0o600]
    journal.drop("a b/ü.py")
    assert journal.record_of("a b/ü.py") is None
    assert journal.records() == []


def test_what_comes_late_to_the_journal_undoes_nothing(tmp_path):
    """A thread that writes after the text was dropped, or after a newer one, writes nothing."""
    journal = Journal(tmp_path / "unsaved")
    old, new = (Record("a", text, 0, 0, "", 1e10) for text in ("old", "new"))
    late = journal.turn()
    journal.drop("a", journal.turn())
    journal.write_record(old, late)
    assert journal.record_of("a") is None
    late = journal.turn()
    journal.write_record(new)
    journal.write_record(old, late)
    journal.drop("a", late)
    assert journal.record_of("a") == new


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"path": 3}', "[" * 100_000, "null"],
    ids=["empty", "half", "list", "other type", "deep", "null"],
)
def test_a_damaged_record_is_none(tmp_path, content):
    """What cannot be read offers nothing and breaks nothing."""
    journal = Journal(tmp_path / "unsaved")
    journal.write_record(Record("a", "t", 0, 0, "", 1e10))
    (file,) = (tmp_path / "unsaved").iterdir()
    file.write_text(content)
    assert journal.record_of("a") is None
    assert journal.records() == []


def test_the_session_is_saved_and_a_damaged_one_is_empty(tmp_path):
    """Files and layout come back; garbage gives an empty session."""
    state = SessionState([OpenFileState("a.py", 3, 4, 5)], 0, shows_tree=False)
    save_session(tmp_path, state)
    assert load_session(tmp_path) == state
    for content in ("", "[]", '{"files": [{"path": 1}]}', '{"active": "x"}'):
        (tmp_path / "session.json").write_text(content)
        assert load_session(tmp_path).files == []
