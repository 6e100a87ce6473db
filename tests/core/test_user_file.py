"""Files of the user are written whole or not at all, and keep what they have beside their bytes."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from codebuddy import user_file
from codebuddy.user_file import (
    FileChange,
    FileChangedError,
    ReadOnlyFileError,
    write_user_file,
    write_user_files,
)

_SOMEBODY = 54321
is_root = os.name == "posix" and os.geteuid() == 0
needs_root = pytest.mark.skipif(not is_root, reason="only root gives files away")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that other users may reach."""
    folder = tmp_path / "files"
    folder.mkdir()
    for each in (folder, *folder.parents):
        if each.is_relative_to(tmp_path.parent.parent):
            each.chmod(each.stat().st_mode | 0o055)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def in_child(work: Callable[[], None], user: int | None = None) -> None:
    """Do `work` in a process of its own, as another user if wanted; it must come to its end."""
    child = os.fork()
    if child == 0:
        try:
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def access_list(user: int, rights: int) -> bytes:
    """A POSIX access control list that gives one user more rights, as the kernel keeps it."""
    nobody = 0xFFFFFFFF
    entries = [(1, 6, nobody), (2, rights, user), (4, 4, nobody), (0x10, 6, nobody)]
    entries.append((0x20, 4, nobody))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)


def test_a_new_file_gets_the_usual_mode_or_the_wanted_one(folder):
    write_user_file(folder / "a", b"one")
    write_user_file(folder / "b", b"two", mode=0o700)
    assert (folder / "a").read_bytes() == b"one"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((folder / "a").stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((folder / "b").stat().st_mode) == 0o700
    assert names(folder) == ["a", "b"]


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o755, 0o664, 0o4755])
def test_the_mode_stays(folder, mode):
    file = folder / "a"
    file.write_bytes(b"old")
    file.chmod(mode)
    write_user_file(file, b"new")
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert file.read_bytes() == b"new"


@pytest.mark.parametrize("content", [b"", b"short", b"much longer than it was before"])
def test_hard_links_stay_links(folder, content):
    """Every name of the file shows the new bytes: it is still one file."""
    file, other = folder / "a", folder / "b"
    file.write_bytes(b"the old bytes")
    os.link(file, other)
    write_user_file(file, content)
    assert other.read_bytes() == content
    assert file.stat().st_ino == other.stat().st_ino
    assert names(folder) == ["a", "b"]


@pytest.mark.parametrize("is_linked", [False, True])
def test_a_symbolic_link_is_followed_and_stays(folder, is_linked):
    target, link = folder / "a", folder / "link"
    target.write_bytes(b"old")
    if is_linked:
        os.link(target, folder / "b")
    link.symlink_to("a")
    write_user_file(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_link_to_nothing_makes_what_it_names(folder):
    (folder / "link").symlink_to("made")
    write_user_file(folder / "link", b"new")
    assert (folder / "link").is_symlink()
    assert (folder / "made").read_bytes() == b"new"


def test_extended_attributes_and_access_lists_stay(folder):
    file = folder / "a"
    file.write_bytes(b"old")
    try:
        os.setxattr(file, "user.note", b"mine")
        os.setxattr(file, "system.posix_acl_access", access_list(_SOMEBODY, 6))
    except OSError:
        pytest.skip("this file system has none")
    before = {name: os.getxattr(file, name) for name in os.listxattr(file)}
    assert len(before) >= 2
    write_user_file(file, b"new")
    assert {name: os.getxattr(file, name) for name in os.listxattr(file)} == before
    assert file.read_bytes() == b"new"


def test_a_list_that_new_files_inherit_is_not_given_to_an_old_one(folder):
    """The folder's default list is for files that are made there, not for those that are."""
    file = folder / "a"
    file.write_bytes(b"old")
    file.chmod(0o640)
    try:
        os.setxattr(folder, "system.posix_acl_default", access_list(_SOMEBODY, 6))
    except OSError:
        pytest.skip("this file system has none")
    write_user_file(file, b"new")
    assert "system.posix_acl_access" not in os.listxattr(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@needs_root
def test_the_owner_stays_where_it_may_be_given(folder):
    file = folder / "a"
    file.write_bytes(b"old")
    os.chown(file, _SOMEBODY, _SOMEBODY + 1)
    write_user_file(file, b"new")
    status = file.stat()
    assert (status.st_uid, status.st_gid) == (_SOMEBODY, _SOMEBODY + 1)


@pytest.mark.process
@needs_root
@pytest.mark.parametrize("owner", [(0, _SOMEBODY), (_SOMEBODY + 2, _SOMEBODY), (_SOMEBODY, 0)])
def test_the_owner_stays_where_it_may_not_be_given(folder, owner):
    """Another user's file that this one may write keeps its owner and group."""
    folder.chmod(0o777)
    file = folder / "a"
    file.write_bytes(b"old")
    file.chmod(0o664)
    os.chown(file, *owner)
    in_child(lambda: write_user_file(file, b"new"), user=_SOMEBODY)
    status = file.stat()
    assert (status.st_uid, status.st_gid) == owner
    assert stat.S_IMODE(status.st_mode) == 0o664
    assert file.read_bytes() == b"new"
    assert names(folder) == ["a"]


@pytest.mark.process
@pytest.mark.parametrize("user", [None, _SOMEBODY] if is_root else [None])
def test_a_read_only_file_is_refused(folder, user):
    """Nobody has asked for that; root, who could, is refused too."""
    folder.chmod(0o777)
    file = folder / "a"
    file.write_bytes(b"old")
    file.chmod(0o444)

    def work() -> None:
        with pytest.raises(ReadOnlyFileError, match="read-only"):
            write_user_file(file, b"new")

    in_child(work, user)
    assert file.read_bytes() == b"old"
    assert names(folder) == ["a"]


@pytest.mark.process
@needs_root
def test_a_file_that_this_user_may_not_write_is_refused(folder):
    folder.chmod(0o777)
    file = folder / "a"
    file.write_bytes(b"old")
    file.chmod(0o644)

    def work() -> None:
        with pytest.raises(ReadOnlyFileError, match="Permission denied"):
            write_user_file(file, b"new")

    in_child(work, _SOMEBODY)
    assert file.read_bytes() == b"old"


def test_what_is_no_regular_file_is_refused(folder):
    os.mkfifo(folder / "pipe")
    (folder / "inner").mkdir()
    for name in ("pipe", "inner"):
        with pytest.raises(OSError, match="not a regular file"):
            write_user_file(folder / name, b"new")
    assert names(folder) == ["inner", "pipe"]


def test_other_bytes_than_expected_are_left_alone(folder):
    file = folder / "a"
    file.write_bytes(b"theirs")
    with pytest.raises(FileChangedError):
        write_user_file(file, b"new", expected=b"old")
    with pytest.raises(FileChangedError):
        write_user_file(folder / "gone", b"new", expected=b"old")
    assert file.read_bytes() == b"theirs"
    assert names(folder) == ["a"]


@pytest.mark.process
def test_a_full_disk_leaves_hard_links_as_they_were(folder):
    """A write in place that fails half-way gives the old bytes back."""
    file = folder / "a"
    old = b"the old bytes\n" * 1000
    file.write_bytes(old)
    os.link(file, folder / "b")

    def work() -> None:
        # Both files beside it fit under the limit, which falls before the bytes are written.
        real = user_file._overwrite

        def limited(target, content, known):
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(old) + 4096, resource.RLIM_INFINITY))
            real(target, content, known)

        user_file._overwrite = limited
        with pytest.raises(OSError) as caught:
            write_user_file(file, b"x" * (len(old) * 4))
        assert caught.value.errno == errno.EFBIG

    in_child(work)
    assert file.read_bytes() == old
    assert (folder / "b").read_bytes() == old
    assert names(folder) == ["a", "b"]


def made(folder: Path, count: int) -> list[FileChange]:
    changes = []
    for number in range(count):
        file = folder / f"{number}.txt"
        file.write_bytes(f"old {number}".encode())
        changes.append(FileChange(file, f"new {number}".encode()))
    return changes


def contents(changes: list[FileChange]) -> set[bytes]:
    return {each.file.read_bytes()[:3] for each in changes}


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_of_several_files_all_or_none_are_written(folder, bad):
    """One that is refused, wherever it stands in the row, leaves the others as they were."""
    changes = made(folder, 3)
    changes[bad].file.chmod(0o444)
    before = [each.file.stat().st_ino for each in changes]
    with pytest.raises(ReadOnlyFileError) as caught:
        write_user_files(changes)
    assert caught.value.filename == str(changes[bad].file)
    assert contents(changes) == {b"old"}
    assert [each.file.stat().st_ino for each in changes] == before
    assert names(folder) == ["0.txt", "1.txt", "2.txt"]


@pytest.mark.parametrize("is_linked", [False, True])
def test_what_fails_while_files_are_written_is_undone(folder, is_linked, monkeypatch):
    """The last file's folder is replaced under it between the check and the write."""
    changes = made(folder, 2)
    inner = folder / "inner"
    inner.mkdir()
    new = FileChange(folder / "made.txt", b"new")
    last = FileChange(inner / "last.txt", b"new")
    last.file.write_bytes(b"old")
    if is_linked:
        os.link(changes[0].file, folder / "second-name")
    real = user_file._commit

    def commit(each):
        if each.change is last:
            inner.rename(folder / "moved")
        real(each)

    monkeypatch.setattr(user_file, "_commit", commit)
    inodes = [each.file.stat().st_ino for each in changes]
    with pytest.raises(FileNotFoundError) as caught:
        write_user_files([*changes, new, last])
    assert caught.value.filename == str(last.file)
    assert contents(changes) == {b"old"}
    assert [each.file.stat().st_ino for each in changes] == inodes
    assert not new.file.exists()


def test_requests_to_end_wait_until_all_files_are_written(folder, monkeypatch):
    """Ctrl-C between two files ends with none of them written."""
    changes = made(folder, 3)
    real = user_file._commit

    def commit(each):
        real(each)
        if each.change is changes[0]:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(user_file, "_commit", commit)
    with pytest.raises(KeyboardInterrupt):
        write_user_files(changes)
    assert contents(changes) in ({b"old"}, {b"new"})
    assert names(folder) == ["0.txt", "1.txt", "2.txt"]


@pytest.mark.process
@pytest.mark.skipif(not is_root or sys.platform != "linux", reason="mounts need root")
def test_a_file_that_is_mounted_by_itself_is_written(folder):
    """As containers mount single files: a rename over it fails with 'busy'."""
    file, outer = folder / "a", folder / "outer"
    file.write_bytes(b"covered")
    outer.write_bytes(b"old")
    done = subprocess.run(["mount", "--bind", outer, file], capture_output=True)
    if done.returncode:
        pytest.skip("mounts are not allowed here")
    try:
        write_user_file(file, b"new")
        assert file.read_bytes() == b"new"
        assert names(folder) == ["a", "outer"]
    finally:
        subprocess.run(["umount", file], check=True)
    assert outer.read_bytes() == b"new"
