"""A patch is applied as a whole, and a file keeps its encoding, byte order mark and line ends."""

from __future__ import annotations

import os
import stat

import pytest

from codebuddy import user_file
from codebuddy.hook.apply import apply_edits
from codebuddy.hook.finding import FileEdit
from codebuddy.vcs.repository import open_repository
from tests.support.hook import Project

pytestmark = pytest.mark.process

SUMS = (
    "def add_up(values):\n    total = 0\n    for v in values:\n        total += v\n"
    "    return total\n"
)
FIRST = "from sums import add_up\n\nx = add_up([1])\n"
SECOND = "from sums import add_up\n\ny = add_up([2])\n"


@pytest.fixture
def project(tmp_path):
    """A renaming is staged that two other files did not follow."""
    project = Project(tmp_path / "project", {"sums.py": SUMS, "a.py": FIRST, "b.py": SECOND})
    project.index()
    project.stage({"sums.py": SUMS.replace("add_up", "sum_of")})
    done = project.codebuddy("hook", "run")
    assert "CB102" in done.stdout, done.stderr
    return project


def contents(project):
    return [(project.root / name).read_bytes() for name in ("a.py", "b.py")]


def leftovers(project):
    """Files that no commit and no test put there."""
    return project.git("status", "--porcelain", "--untracked-files=all", "--", ".").split("\n")


def test_both_files_get_the_patch(project):
    done = project.codebuddy("hook", "apply", "CB102")
    assert done.returncode == 0, done.stderr
    assert all(b"add_up" not in content and b"sum_of" in content for content in contents(project))


@pytest.mark.parametrize("name", ["a.py", "b.py"])
@pytest.mark.parametrize("fault", ["read-only", "changed", "gone", "folder", "pipe"])
def test_where_one_file_cannot_be_written_none_is(project, name, fault):
    """Whichever of the two it is: the other is as it was, bit for bit."""
    file = project.root / name
    other = project.root / ("b.py" if name == "a.py" else "a.py")
    if fault == "read-only":
        file.chmod(0o444)
    elif fault == "changed":
        file.write_text("from sums import other\n")
    else:
        file.unlink()
        if fault == "folder":
            file.mkdir()
        elif fault == "pipe":
            os.mkfifo(file)
    before, status = other.read_bytes(), other.stat()
    done = project.codebuddy("hook", "apply", "CB102")
    assert done.returncode in (1, 2)
    assert name in done.stderr
    assert done.stderr.count("\n") <= 2
    assert other.read_bytes() == before
    assert other.stat().st_ino == status.st_ino
    assert [line for line in leftovers(project) if line.endswith((".tmp", ".before"))] == []
    if fault == "read-only":
        assert "read-only (mode 0444)" in done.stderr
        assert "so are the other files" in done.stderr


def test_a_write_that_fails_after_another_is_undone(project, monkeypatch):
    """The second file's write fails when the first one is done already."""
    real = user_file._commit
    done: list[object] = []

    def commit(each):
        if done:
            raise OSError(28, "No space left on device")
        done.append(each)
        real(each)

    before = contents(project)
    monkeypatch.setattr(user_file, "_commit", commit)
    edits = [
        FileEdit("a.py", 1, 1, "from sums import add_up", "from sums import sum_of"),
        FileEdit("b.py", 1, 1, "from sums import add_up", "from sums import sum_of"),
    ]
    with pytest.raises(Exception, match="No space left on device; it is unchanged, and so are"):
        apply_edits(open_repository(project.root), edits)
    assert done
    assert contents(project) == before


def test_a_patch_that_a_kill_left_half_done_is_completed(project):
    """The same command again finds one file done and does the other; a third time it says so."""
    (project.root / "a.py").write_text(FIRST.replace("add_up", "sum_of"))
    done = project.codebuddy("hook", "apply", "CB102")
    assert (done.returncode, done.stdout.count("changed")) == (0, 1), done.stderr
    assert all(b"add_up" not in content for content in contents(project))
    done = project.codebuddy("hook", "apply", "CB102")
    assert done.returncode == 1
    assert "in the files already" in done.stderr


def test_hard_links_mode_and_links_stay(project):
    """What the file is beside its bytes is not the patch's business."""
    file, other = project.root / "a.py", project.root.parent / "second-name.py"
    os.link(file, other)
    (project.root / "b.py").chmod(0o755)
    assert project.codebuddy("hook", "apply", "CB102").returncode == 0
    assert other.samefile(file)
    assert b"sum_of" in other.read_bytes()
    assert stat.S_IMODE((project.root / "b.py").stat().st_mode) == 0o755


ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": b"\xef\xbb\xbf",
    "utf-16-le": b"\xff\xfe",
    "utf-16-be": b"\xfe\xff",
    "cp1252": b"",
}


def encoded(text, encoding, ending="\n"):
    mark = ENCODINGS[encoding] if encoding.startswith("utf-16") else b""
    return mark + text.replace("\n", ending).encode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("tail", ["# caf\u00e9\n", "# caf\u00e9"])
def test_an_encoding_is_read_and_kept(tmp_path, encoding, ending, tail):
    """Columns count characters, no mark is shown, and the patch changes its own lines alone."""
    text = f"breakpoint()\nx = 1\n    \nbreakpoint()\n{tail}"
    project = Project(tmp_path / "project", {"a.py": "z = 1\n"})
    project.stage({"a.py": encoded(text, encoding, ending)})
    done = project.codebuddy("hook", "run", "--max", "0")
    assert "a.py:1:1 CB108" in done.stdout, done.stderr
    assert "a.py:4:1 CB108" in done.stdout
    assert "\ufeff" not in done.stdout
    edit = FileEdit("a.py", 1, 1, "breakpoint()", "y = '\u00fc'")
    apply_edits(open_repository(project.root), [edit])
    wanted = text.replace("breakpoint()", "y = '\u00fc'", 1)
    assert (project.root / "a.py").read_bytes() == encoded(wanted, encoding, ending)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_hooks_own_patch_fits_the_file(tmp_path, encoding):
    """What the hook proposes for the first line can be applied, whatever the file begins with."""
    project = Project(tmp_path / "project", {"a.py": "z = 1\n"})
    project.stage({"a.py": encoded("breakpoint()\nx = '\u00e9'\n", encoding)})
    project.codebuddy("hook", "run")
    done = project.codebuddy("hook", "apply", "CB108")
    assert done.returncode == 0, done.stderr
    assert (project.root / "a.py").read_bytes() == encoded("x = '\u00e9'\n", encoding)


def test_only_the_mark_is_new_where_only_the_mark_was_added(tmp_path):
    """A byte order mark alone changes no line."""
    text = "breakpoint()\nx = 1\n"
    project = Project(tmp_path / "project", {"a.py": text})
    project.stage({"a.py": b"\xef\xbb\xbf" + text.encode()})
    assert project.codebuddy("hook", "run").stdout == ""


def test_a_character_that_the_encoding_lacks_is_refused(tmp_path):
    """No other character is written in its place."""
    content = "breakpoint()\nx = '\u00e9'\n".encode("cp1252")
    project = Project(tmp_path / "project", {"a.py": "z = 1\n"})
    project.write({"a.py": content})
    edit = FileEdit("a.py", 1, 1, "breakpoint()", "y = '\u4e2d'")
    with pytest.raises(Exception, match="cannot hold the patch in its encoding"):
        apply_edits(open_repository(project.root), [edit])
    assert (project.root / "a.py").read_bytes() == content


def test_a_text_file_of_another_encoding_is_no_binary_file(tmp_path):
    """UTF-16 has a NUL in every other byte, and is text."""
    project = Project(tmp_path / "project", {"a.txt": "x\n"})
    text = "\u00e9 word\n" * 120_000
    project.stage({"a.txt": encoded(text, "utf-16-le"), "b.bin": b"\0\1" * 600_000})
    told = project.codebuddy("hook", "run").stdout
    assert "b.bin:1:1 CB111" in told
    assert "a.txt" not in told


@pytest.mark.parametrize(
    ("before", "edit", "after"),
    [
        (b"1\r\n2\r\n3", FileEdit("a.py", 3, 3, "3", "x"), b"1\r\n2\r\nx"),
        (b"1\r\n2\r\n3", FileEdit("a.py", 3, 3, "3", "x\ny"), b"1\r\n2\r\nx\r\ny"),
        (b"1\r\n2\r\n3", FileEdit("a.py", 2, 3, "2\n3", "x"), b"1\r\nx"),
        (b"1\r\n2\r\n3", FileEdit("a.py", 3, 3, "3", None), b"1\r\n2"),
        (b"1\n2\n3", FileEdit("a.py", 3, 3, "3", None), b"1\n2"),
        (b"1\r\n2\r\n3\r\n", FileEdit("a.py", 3, 3, "3", "x\ny"), b"1\r\n2\r\nx\r\ny\r\n"),
        (b"1\r\n2\n3\r\n4\r\n", FileEdit("a.py", 2, 2, "2", "x\ny"), b"1\r\nx\ny\n3\r\n4\r\n"),
        (b"1\n2\r\n3\n", FileEdit("a.py", 2, 2, "2", "x"), b"1\nx\r\n3\n"),
    ],
)
def test_each_line_keeps_its_ending_and_the_last_one_has_none(tmp_path, before, edit, after):
    """A carriage return is added nowhere that the file has none."""
    project = Project(tmp_path / "repo", files={"a.py": before})
    apply_edits(open_repository(project.root), [edit])
    assert (project.root / "a.py").read_bytes() == after
