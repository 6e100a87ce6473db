"""Whatever breaks, the commit is made, and it is what was staged."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from codebuddy.hook import stub
from tests.support.hook import Project

pytestmark = pytest.mark.process

LEFTOVER = "def f():\n    x = 1\n    breakpoint()\n    return x\n\n\ndef g(a):\n    pass\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An indexed repository with the hook installed and a change staged."""
    monkeypatch.setenv("CODEBUDDY_HOOK_LIMIT_MS", "60000")
    monkeypatch.setenv("CODEBUDDY_HOOK_BUDGET_S", "0")
    project = Project(tmp_path / "project", {"a.py": "x = 1\n", "b.py": "y = 1\n"})
    project.index()
    assert project.codebuddy("hook", "install").returncode == 0
    project.stage({"a.py": LEFTOVER})
    return project


def hook(project):
    """The installed script."""
    return project.root / ".git" / "hooks" / "pre-commit"


def commit(project, *, environment=None, prefix=(), **options):
    """Commit, check that the commit is what was staged, and return what was said."""
    expected = project.git("write-tree")
    done = subprocess.run(
        [*prefix, "git", "-C", str(project.root), "commit", "-m", "Change"],
        env={**os.environ, **(environment or {})},
        check=False,
        **{"capture_output": True, **options},
    )
    assert done.returncode == 0, done.stderr
    assert project.git("rev-parse", "HEAD^{tree}") == expected
    return (done.stdout or b"") + (done.stderr or b"")


def call_instead(project, program, limit_s=2):
    """Let the script call another program in the place of Python."""
    file = project.root.parent / "python"
    file.write_text(program)
    file.chmod(0o755)
    hook(project).write_text(stub.script("pre-commit", file, limit_s))


def test_nothing_is_wrong(project):
    """The fault-free case says what the others leave out."""
    assert b"a.py:3:5 CB108" in commit(project)


def test_the_environment_was_removed(project):
    """Without the interpreter the script ends with 0 and says nothing."""
    hook(project).write_text(stub.script("pre-commit", Path("/nowhere/bin/python"), 2))
    assert b"CB108" not in commit(project)


def test_codebuddy_was_removed_from_the_environment(project):
    """An interpreter without codebuddy complains to nobody."""
    call_instead(project, f'#!/bin/sh\nexec {sys.executable} -S -P "$@"\n')
    told = commit(project)
    assert b"No module" not in told
    assert b"CB108" not in told


@pytest.mark.parametrize(
    "program",
    [
        "#!/bin/sh\necho garbage\nexit 3\n",
        "#!/bin/sh\nkill -KILL $$\n",
        "#!/bin/sh\nkill -SEGV $$\n",
        "#!/bin/sh\ncat\n",
        "#!/nowhere/interpreter\n",
        "no program at all\x00\n",
        "",
    ],
    ids=["fails", "killed", "crashes", "reads stdin", "no interpreter", "no program", "empty"],
)
def test_a_broken_interpreter_does_no_harm(project, program):
    """Whatever stands in the place of Python, the script ends with 0."""
    call_instead(project, program)
    commit(project)


def test_an_interpreter_that_hangs_is_ended(project):
    """The script's own limit ends what does not end by itself, and leaves nothing behind."""
    mark = project.root.parent / "pid"
    call_instead(project, f"#!/bin/sh\necho $$ > {mark}\nexec sleep 600\n", limit_s=4)
    commit(project)
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_a_pipe_is_not_kept_open(project):
    """`git commit 2>&1 | cat` ends with the commit: nothing that stays holds the pipe."""
    call_instead(project, "#!/bin/sh\nexit 0\n", limit_s=300)
    done = subprocess.run(
        f"git -C '{project.root}' commit -m Change 2>&1 | cat",
        shell=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0
    assert b"Change" in done.stdout


@pytest.mark.parametrize("redirection", ["2>&-", ">&-", "<&-", ">&- 2>&- <&-", "2>/dev/full"])
def test_closed_streams_do_no_harm(project, redirection):
    """A closed or full stream costs the message at most."""
    expected = project.git("write-tree")
    done = subprocess.run(
        f"git -C '{project.root}' commit -q -m Change {redirection}", shell=True, check=False
    )
    assert done.returncode == 0
    assert project.git("rev-parse", "HEAD^{tree}") == expected


def test_input_that_never_ends_is_not_read(project):
    """A GUI client may leave a pipe open for ever."""
    reading, writing = os.pipe()
    try:
        assert b"CB108" in commit(project, stdin=reading)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("path", [os.environ["PATH"], "/usr/bin:/bin", "/nowhere", None])
def test_no_terminal_and_a_bare_environment(project, path):
    """A session of its own without a terminal, as GUI clients have, is enough."""
    environment = {"GIT_CONFIG_GLOBAL": os.environ["GIT_CONFIG_GLOBAL"]}
    if path is not None:
        environment["PATH"] = path
    expected = project.git("write-tree")
    done = subprocess.run(
        [str(shutil.which("git")), "-C", str(project.root), "commit", "-m", "Change"],
        env=environment,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert project.git("rev-parse", "HEAD^{tree}") == expected


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_to_the_hook_ends_it_with_0(project, name):
    """Ctrl-C, a closed terminal and a kill end the script and what it started, with 0."""
    mark = project.root.parent / "pid"
    call_instead(project, f"#!/bin/sh\necho $$ > {mark}\nexec sleep 600\n", limit_s=300)
    script = subprocess.Popen(
        ["sh", str(hook(project))],
        cwd=project.root,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A run under nohup would have a shell that cannot hear it.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    number = getattr(signal, name)
    # The child may be there before the script listens.
    while not (mark.exists() and mark.read_text().strip() and catches(script.pid, number)):
        time.sleep(0.02)
    script.send_signal(number)
    assert script.wait(timeout=60) == 0
    while is_alive(int(mark.read_text())):
        time.sleep(0.02)


def catches(process, number):
    """Whether a process has a handler for a signal."""
    (mask,) = re.findall(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{process}/status").read_text(), re.M)
    return bool(int(mask, 16) >> (number - 1) & 1)


def is_alive(number):
    """Whether a process of this id is there; the test's own timeout ends the wait for its end."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_commit_within_the_hook_starts_no_other_hook(project):
    """What runs in the hook may commit elsewhere without end only if nobody guards it."""
    other = Project(project.root.parent / "other", {"a.py": "x = 1\n"})
    other.codebuddy("hook", "install")
    count = project.root.parent / "count"
    call_instead(
        project,
        f"#!/bin/sh\necho once >> {count}\nenv -u GIT_INDEX_FILE -u GIT_DIR"
        f" git -C {other.root} commit --allow-empty -qm Inner\n",
        limit_s=60,
    )
    (other.root / ".git" / "hooks" / "pre-commit").write_text(hook(project).read_text())
    commit(project)
    assert count.read_text() == "once\n"
    assert other.git("log", "--format=%s").split() == ["Inner", "Begin"]


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "noise", "flipped", "folder", "locked", "unreadable settings"]
)
def test_a_broken_index_costs_the_rules_that_need_it(project, damage):
    """Rules that need no index still speak; nothing is rebuilt while git waits."""
    file = project.root / ".git" / "codebuddy" / "index.db"
    content = bytearray(file.read_bytes())
    holder = None
    if damage in ("missing", "folder"):
        file.unlink()
        if damage == "folder":
            file.mkdir()
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "noise":
        file.write_bytes(random.Random(7).randbytes(50_000))
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "locked":
        # A writer in the moment of its commit, for longer than the hook waits.
        holder = hold_lock(file)
    else:
        project.write({".codebuddy.toml": "[hook\n"})
    environment = {"CODEBUDDY_HOOK_LIMIT_MS": "3000"} if damage == "locked" else {}
    told = commit(project, environment=environment)
    if damage not in ("locked", "unreadable settings"):
        assert b"CB108" in told
    if holder is not None:
        holder.close()
    if damage == "missing":
        assert not file.exists()


def hold_lock(file):
    """An exclusive lock of SQLite's."""
    import sqlite3

    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


@pytest.fixture
def engine_socket(tmp_path, monkeypatch):
    """The place where a client looks for the engine's socket."""
    runtime = Path("/tmp") / f"cb-{os.getpid()}-{tmp_path.name[-12:]}"
    (runtime / "codebuddy").mkdir(parents=True, mode=0o700)
    runtime.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("CODEBUDDY_HOOK_BUDGET_S", "2")
    monkeypatch.setenv("CODEBUDDY_ENGINE_ENABLED", "true")
    yield runtime / "codebuddy" / "engine.sock"
    subprocess.run(["rm", "-rf", str(runtime)], check=True)


def hung(connection):
    """Accepts and says nothing."""
    connection.recv(1 << 16)
    time.sleep(30)


def garbage(connection):
    """Answers with noise."""
    connection.recv(1 << 16)
    connection.sendall(random.Random(1).randbytes(5000))


def slow(connection):
    """A byte of a good beginning now and then."""
    connection.recv(1 << 16)
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b" " * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def closed(connection):
    """Hangs up."""


def endless(connection):
    """Sends without end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(2000):
        connection.sendall(b'{"type": "text", "text": "' + b"x" * 10_000 + b'"}\n')


@pytest.mark.parametrize("behave", [hung, garbage, slow, closed, endless, None])
def test_a_broken_engine_costs_what_only_the_model_says(project, engine_socket, behave):
    """An engine that is dead, hung, slow or mad changes neither the commit nor the rules."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(engine_socket))
        engine_socket.chmod(0o600)
        if behave is not None:
            listener.listen(8)
            threading.Thread(target=serve, args=(listener, behave), daemon=True).start()
        told = commit(project)
    assert b"a.py:3:5 CB108" in told
    assert b"CB106" not in told


def serve(listener, behave):
    """Let every connection meet the behaviour."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return

        def meet(connection=connection):
            with connection, contextlib.suppress(OSError):
                behave(connection)

        threading.Thread(target=meet, daemon=True).start()


def test_hostile_names_are_shown_and_committed(project):
    """Line breaks, escapes, bytes that are no UTF-8 and option-like names stay off the terminal."""
    names = [
        b"new\nline.py", b"esc\x1b]52;c;AAAA\x07.py", b"\xff\xfe.py", b"-rf.py", b"tab\t.py",
        b"a" * 200 + b".py", "rtl\u202e.py".encode(), b"--help", b":(glob)x.py", b"quote'\".py",
    ]  # fmt: skip
    for name in names:
        (project.root / os.fsdecode(name)).write_text(LEFTOVER)
    project.git("add", "-A")
    told = commit(project, environment={"CODEBUDDY_HOOK_MAX_FINDINGS": "100"})
    hook_lines = [line for line in told.split(b"\n") if b"CB108" in line]
    assert len(hook_lines) == len(names)
    assert not any(b"\x1b" in line or b"\x07" in line or b"\t" in line for line in hook_lines)
    assert b"new^Jline.py:3:5 CB108" in told
    assert b"\\xff\\xfe.py:3:5 CB108" in told


def test_hostile_contents_are_survived(project):
    """Deep nesting, huge lines, noise, odd encodings and what parsers choke on."""
    noise = random.Random(3)
    project.stage(
        {
            "deep.py": "(" * 100_000,
            "deep.js": "[" * 100_000,
            "long.py": "x = '" + "a" * 900_000 + "'\n",
            "nul.py": b"x = 1\0\n",
            "noise.py": noise.randbytes(100_000).replace(b"\0", b"?"),
            "latin.py": b"# \xe9\xff\nbreakpoint()\n",
            "bom.py": b"\xef\xbb\xbfx = 1\n",
            "crlf.py": b"x = 1\r\nbreakpoint()\r\n",
            "utf16.py": "x = 1\n".encode("utf-16"),
            "markers.md": "<<<<<<<\n=======\n" * 1000,
            "many.py": "def f(a): return f(a)\n" * 5000,
            "backticks.scala": "`" * 36_000,
            "empty.py": b"",
        }
    )
    told = commit(project)
    assert b"latin.py:2:1 CB108" in told
    assert b"crlf.py:2:1 CB108" in told


def test_a_link_and_a_submodule_are_not_read(project, tmp_path):
    """A link's target and a submodule's files are not what is committed."""
    (tmp_path / "secret.py").write_text(LEFTOVER)
    (project.root / "link.py").symlink_to(tmp_path / "secret.py")
    inner = Project(tmp_path / "inner", {"a.py": LEFTOVER})
    project.git("submodule", "add", "-q", str(inner.root), "sub")
    project.git("add", "-A")
    told = commit(project)
    assert b"a.py:3:5 CB108" in told
    assert b"link.py:" not in told
    assert b"sub/a.py:" not in told


def test_ten_thousand_staged_files_are_capped(project):
    """Contents are read up to a number of files; the commit is made whole."""
    for folder in range(100):
        (project.root / f"d{folder}").mkdir()
        for number in range(100):
            (project.root / f"d{folder}" / f"f{number}.py").write_text(
                f"x = {folder * 100 + number}\n"
            )
    project.git("add", "-A")
    told = commit(project)
    assert b"CB108" in told
    assert b"not all new lines could be looked at" in told


def test_missing_objects_are_passed_over(project):
    """A content that the object store has lost cannot be judged, and does no harm by hand."""
    object_id = project.git("rev-parse", ":a.py").strip()
    (project.root / ".git" / "objects" / object_id[:2] / object_id[2:]).unlink()
    done = project.codebuddy("hook", "run", "--format", "json", "--no-update")
    assert (done.returncode, '"found": 0' in done.stdout) == (0, True), done.stderr


def test_a_stale_lock_of_gits_stays_and_is_no_obstacle_by_hand(project):
    """`index.lock` of a killed git is nobody's to delete."""
    lock = project.root / ".git" / "index.lock"
    lock.write_text("")
    done = project.codebuddy("hook", "run")
    assert "a.py:3:5 CB108" in done.stdout
    assert lock.exists()
