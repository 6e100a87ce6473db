"""Files are chosen and read without harm, and every one that is left out has its reason."""

from __future__ import annotations

import itertools
import os
import socket
import tempfile
import threading
import time
from pathlib import Path

import pytest

from codebuddy import platforms
from codebuddy.index import file_walker
from codebuddy.index.file_walker import ReadFile, Skipped
from tests.support.index import database, dump, index, make_repository, module, run_git, write

KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gun\n"
    "-----END RSA PRIVATE KEY-----\n"
)


def _read(root: Path, name: str, max_bytes: int = 1_000_000):
    return file_walker.read_file(os.fsencode(root), os.fsencode(name), max_bytes, time.time_ns())


def _reason(root: Path, name: str) -> str:
    outcome = _read(root, name)
    assert isinstance(outcome, Skipped), outcome
    return outcome.reason


def _indexed(root: Path) -> set[str]:
    return {name[2:-1] for name in dump(database(root))["files"]}


def test_links_are_never_followed(tmp_path):
    """A tracked link to a file outside, inside or nowhere is skipped and its target unread."""
    (tmp_path / "outside.py").write_text("outside_word = 1\n")
    root = make_repository(tmp_path / "r", {"real.py": "inside_word = 1\n"})
    (root / "to_outside.py").symlink_to(tmp_path / "outside.py")
    (root / "to_passwd").symlink_to("/etc/passwd")
    (root / "to_inside.py").symlink_to("real.py")
    (root / "dangling").symlink_to("nowhere")
    run_git(root, "add", "-A")
    report = index(root)
    assert (report.files, report.skipped) == (1, {"symlink": 4})
    assert "outside_word" not in dump(database(root))["postings"]


def test_a_folder_swapped_for_a_link_leads_nowhere(tmp_path):
    """When a tracked folder becomes a link to elsewhere, what is behind it is not read."""
    root = make_repository(tmp_path / "r", {"sub/a.py": "inside_word = 1\n"})
    run_git(root, "add", "-A")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.py").write_text("outside_word = 1\n")
    (root / "sub" / "a.py").unlink()
    (root / "sub").rmdir()
    (root / "sub").symlink_to(tmp_path / "outside")
    assert _reason(root, "sub/a.py") == "symlink"
    index(root)
    assert "outside_word" not in dump(database(root))["postings"]


@pytest.mark.parametrize("path", [b"../x", b"a/../../x", b"/etc/passwd", b"a//b"])
def test_a_path_that_is_not_plainly_below_the_root_is_refused(tmp_path, path):
    """`..`, absolute and doubled slashes never reach the system."""
    with pytest.raises(OSError, match="not a plain relative path"):
        platforms.open_beneath(os.fsencode(tmp_path), path)


def test_a_fifo_and_a_socket_are_skipped_without_waiting(tmp_path):
    """Opening either could block for ever; the walk looks first and the reader never waits."""
    root = make_repository(tmp_path / "r", {"pipe.py": "", "sock.py": "", "a.py": "x = 1\n"})
    run_git(root, "add", "-A")
    (root / "pipe.py").unlink()
    os.mkfifo(root / "pipe.py")
    (root / "sock.py").unlink()
    # Bound through a relative name, since a socket's path must be short.
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(root)
        server.bind("sock.py")
        os.chdir(here)
        assert _reason(root, "pipe.py") == "special"
        assert _reason(root, "sock.py") == "special"
        report = index(root)
    assert (report.files, report.skipped) == (1, {"special": 2})


def test_a_file_of_five_gigabytes_is_skipped_by_its_size(tmp_path):
    """A sparse 5 GB file costs a look at its size."""
    root = make_repository(tmp_path / "r", {"a.py": "x = 1\n"})
    with (root / "huge.bin").open("wb") as stream:
        stream.truncate(5 * 1024**3)
    report = index(root)
    assert (report.files, report.skipped) == (1, {"large": 1})
    assert _reason(root, "huge.bin") == "large"


@pytest.mark.parametrize(
    "content",
    [b"text\0more", b"x" * 9000 + b"\0", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\x1f\x8b\x08\x02\xe9"],
    ids=["nul", "late nul", "png", "gzip"],
)
def test_binary_content_is_skipped(tmp_path, content):
    """A NUL anywhere makes a file binary, as do control characters in what is no UTF-8."""
    root = make_repository(tmp_path / "r", {"b.py": content})
    assert index(root).skipped == {"binary": 1}
    assert index(root).skipped == {"binary": 1}


@pytest.mark.parametrize(
    "content",
    ["x = 1\n".encode("utf-32"), "x = 1\n".encode("utf-16-le"), b"\xff\xfex\0y"],
    ids=["utf-32", "utf-16 without a mark", "utf-16 cut off"],
)
def test_an_encoding_that_is_not_read_is_a_reason_of_its_own(tmp_path, content):
    """So that `codebuddy index` names such files."""
    root = make_repository(tmp_path / "r", {"b.py": content})
    report = index(root)
    assert report.skipped == {"encoding": 1}
    assert report.skipped_files == [("b.py", "encoding")]
    assert index(root).skipped == {"encoding": 1}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"caf\xe9 = 1\r\n", "café = 1\r\n"),
        (b"\xef\xbb\xbfx = 1\n", "x = 1\n"),
        (b"a = 1\r\nb = 2\nc = 3\r", "a = 1\r\nb = 2\nc = 3\r"),
        (b"\xff\xff\xff", "ÿÿÿ"),
        (b"x = '\x81'\n", "x = '\ufffd'\n"),
        (b"\xff\xfet\0e\0x\0t\0", "text"),
        (b"\xfe\xff\0t\0e", "te"),
    ],
    ids=["latin-1", "bom", "mixed line endings", "ones", "unknown", "utf-16-le", "utf-16-be"],
)
def test_odd_text_is_kept_character_for_character(tmp_path, content, text):
    """Chunks cover the file's text, as UTF-8 without a mark, byte for byte."""
    root = make_repository(tmp_path / "r", {"t.py": content})
    assert index(root).files == 1
    (entry,) = dump(database(root))["files"].values()
    spans = [(chunk[0], chunk[1]) for chunk in entry["chunks"]]
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text.encode())
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
    assert "".join(chunk[-1] for chunk in entry["chunks"]) == text


@pytest.mark.parametrize(
    "name",
    ".env .env.production deploy/.ENV server.pem tls.key .npmrc .pypirc .netrc .git-credentials"
    " home/.aws/credentials id_rsa keys/id_ed25519 store.jks vault.kdbx terraform.tfstate"
    " .docker/config.json".split(),
)
def test_files_that_hold_secrets_by_name_are_excluded(tmp_path, name):
    """Keys, passwords and tokens have well-known names."""
    root = make_repository(tmp_path / "r", {name: "planted_word = 1\n", "a.py": "x = 1\n"})
    report = index(root)
    assert (report.files, report.skipped) == (1, {"secret": 1})
    assert "planted_word" not in dump(database(root))["postings"]


@pytest.mark.parametrize("name", [".env.example", "environment.py", "monkey.py", "keys.md"])
def test_files_that_only_sound_secret_are_kept(tmp_path, name):
    """Examples and similar names are no secrets."""
    root = make_repository(tmp_path / "r", {name: "x = 1\n"})
    assert index(root).files == 1


@pytest.mark.parametrize(
    "content",
    [
        KEY,
        f"key = '''{KEY}'''  # pragma: allowlist secret\n",
        KEY.replace("\n", "\\n"),
        KEY.replace("RSA PRIVATE KEY-----\nM", "RSA PRIVATE KEY-----\nProc-Type: 4\n\nM", 1),
        KEY.replace("RSA PRIVATE", "OPENSSH PRIVATE"),
        KEY.replace("RSA PRIVATE", "PRIVATE").replace("\n", "\r\n"),
    ],
    ids=["plain", "in code, allowlisted", "escaped", "with headers", "openssh", "pkcs8 crlf"],
)
def test_a_private_key_in_a_file_excludes_it(tmp_path, content):
    """However it is quoted, and whatever a comment beside it says."""
    root = make_repository(tmp_path / "r", {"settings.py": content})
    assert index(root).skipped == {"secret": 1}


def test_code_that_speaks_of_private_keys_is_kept(tmp_path):
    """The header alone is no key."""
    text = (
        "HEADER = '-----BEGIN PRIVATE KEY-----'\n\ndef is_key(text):\n    return HEADER in text\n"
    )
    root = make_repository(tmp_path / "r", {"detect.py": text})
    assert index(root).files == 1


def test_the_ignore_file_takes_away_and_brings_back(tmp_path):
    """Patterns are gitignore's; `!` brings back what git ignores, and nothing else does."""
    root = make_repository(
        tmp_path / "r",
        {
            ".gitignore": "generated/\n*.log\n",
            ".codebuddyignore": "/vendor/\n*.min.js\n!generated/api.py\nnot[a-valid\n",
            "vendor/lib.py": "x = 1\n",
            "src/vendor/own.py": "x = 1\n",
            "app.min.js": "x\n",
            "generated/api.py": "x = 1\n",
            "generated/junk.py": "x = 1\n",
            "run.log": "x\n",
        },
    )
    index(root)
    expected = {".gitignore", ".codebuddyignore", "src/vendor/own.py", "generated/api.py"}
    assert _indexed(root) == expected
    write(root, {".codebuddyignore": "# nothing\n"})
    index(root)
    expected = {".gitignore", ".codebuddyignore", "src/vendor/own.py", "vendor/lib.py"}
    assert _indexed(root) == expected | {"app.min.js"}


def test_a_linked_ignore_file_is_not_read(tmp_path):
    """`.codebuddyignore` as a link to elsewhere counts as absent."""
    (tmp_path / "patterns").write_text("*\n")
    root = make_repository(tmp_path / "r", {"a.py": "x = 1\n"})
    (root / ".codebuddyignore").symlink_to(tmp_path / "patterns")
    assert index(root).files == 1


def test_a_file_without_permission_is_skipped_and_counted():
    """The system's refusal is a reason like others, and is tried again when rights change."""
    # Under /tmp itself, since the test's own folder is closed to other users.
    with tempfile.TemporaryDirectory() as folder:
        root = make_repository(Path(folder) / "r", {"closed.py": "x = 1\n", "open.py": "y = 1\n"})
        Path(folder).chmod(0o755)
        (root / "closed.py").chmod(0)
        _as_nobody(lambda: _check_permission(root))


def _check_permission(root: Path) -> None:
    assert _reason(root, "closed.py") == "permission"
    assert isinstance(_read(root, "open.py"), ReadFile)


def _as_nobody(action) -> None:
    """Run `action` without root's rights, where the tests run with them."""
    if os.geteuid() != 0:
        action()
        return
    os.seteuid(65534)
    try:
        action()
    finally:
        os.seteuid(0)


def test_a_file_that_grows_while_it_is_read_is_whole_or_skipped(tmp_path):
    """What is returned has the size that its stat says; otherwise the file waits for next time."""
    root = tmp_path
    file = root / "growing.txt"
    file.write_bytes(b"x" * 2_000_000)
    stop = threading.Event()

    def grow() -> None:
        with file.open("ab") as stream:
            while not stop.wait(0.0002):
                stream.write(b"y" * 100)
                stream.flush()

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        outcomes = [_read(root, "growing.txt", 1 << 40) for _ in range(30)]
    finally:
        stop.set()
        writer.join()
    for outcome in outcomes:
        assert outcome is not None
        if isinstance(outcome, Skipped):
            assert outcome.reason == "changing"
        else:
            assert len(outcome.source) == outcome.stat.size


def test_a_file_that_is_gone_is_no_file(tmp_path):
    """Removed between the walk and the read: neither indexed nor counted."""
    assert _read(tmp_path, "gone.py") is None


def test_paths_two_hundred_deep_are_read(tmp_path):
    """Depth costs nothing but itself."""
    name = "/".join(["d"] * 200) + "/deep.py"
    root = make_repository(tmp_path / "r", {name: module("deep")})
    assert index(root).files == 1
    assert _indexed(root) == {name}
