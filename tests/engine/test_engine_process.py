"""One engine, never two: starting, leaving, being replaced, dying."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from codebuddy import __version__, paths
from codebuddy.engine import address, launcher
from codebuddy.engine import client as client_module
from codebuddy.engine.client import EngineClient, stop_engine
from codebuddy.errors import EngineError
from tests.support.engine import (
    call,
    codebuddy,
    engine_pid,
    is_gone,
    json_of,
    post,
    raw,
    wait_until,
    worker_pid,
)

pytestmark = pytest.mark.usefixtures("engine")

CONNECT = (
    "from codebuddy.engine.client import EngineClient as C; print(C.connect().status()['pid'])"
)


def engines():
    """Every process that is an engine of this test, by its runtime folder."""
    folder = str(paths.runtime_folder())
    found = []
    for each in psutil.process_iter(["cmdline"]):
        line = each.info["cmdline"] or []
        if "codebuddy.engine.daemon" in line and folder in line:
            found.append(each.pid)
    return found


@pytest.mark.slow
def test_fifty_simultaneous_starts_give_one_engine():
    """Whoever comes first starts it; all others find it."""
    # So many on few cores keep the one engine from its start for a while.
    program = CONNECT.replace("connect()", "connect(timeout_s=100)")
    callers = [
        subprocess.Popen([sys.executable, "-P", "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(50)
    ]
    answers = [caller.communicate(timeout=120)[0].strip() for caller in callers]
    assert len(set(answers)) == 1
    assert engines() == [int(answers[0])]


@pytest.mark.terminal
def test_it_outlives_the_client_that_started_it_and_its_terminal(repository):
    """An engine started by a command that is killed with its group and terminal goes on."""
    leader, follower = os.openpty()
    starter = subprocess.Popen(
        [sys.executable, "-P", "-c", CONNECT + "; import time; time.sleep(60)"],
        stdin=follower, stdout=subprocess.PIPE, stderr=follower, start_new_session=True, text=True,
    )  # fmt: skip
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    os.close(follower)
    os.close(leader)
    assert engine_pid() == pid
    assert os.getsid(pid) != os.getsid(0)
    assert os.getppid() != psutil.Process(pid).ppid()
    opened = {Path(f"/proc/{pid}/fd/{number}").readlink() for number in (0, 1, 2)}
    assert opened == {Path("/dev/null")}
    assert EngineClient.connect().complete(call(repository))["model"] == "echo"


def test_stop_ends_engine_workers_and_socket(repository):
    """Nothing of it is left, and stopping again says that none runs."""
    EngineClient.connect().complete(call(repository, retrieve="auto"))
    status = EngineClient.connect().status()
    pids = [status["pid"], *status["workers"].values()]
    assert len(pids) == 3
    assert json_of(codebuddy(repository, "engine", "stop", "--json")) == {"stopped": True}
    assert wait_until(lambda: all(is_gone(pid) for pid in pids))
    assert not Path(status["socket"]).exists()
    assert json_of(codebuddy(repository, "engine", "stop", "--json")) == {"stopped": False}
    assert json_of(codebuddy(repository, "engine", "status", "--json")) == {"running": False}


def test_an_engine_with_other_settings_is_replaced(repository, monkeypatch):
    """A changed [engine] setting reaches the next request by way of a new process."""
    first = EngineClient.connect()
    first.complete(call(repository))
    before = engine_pid()
    monkeypatch.setenv("CODEBUDDY_ENGINE_QUEUE_LENGTH", "7")
    EngineClient.connect().complete(call(repository))
    status = EngineClient.connect().status()
    assert status["pid"] != before
    assert status["queue"]["length"] == 7
    assert wait_until(lambda: is_gone(before))


def test_a_client_that_lives_long_takes_up_changed_settings(repository):
    """An editor's server does not end the engine of today's settings for its own old ones."""
    old = EngineClient.connect()
    old.complete(call(repository))
    file = paths.user_config_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[engine]\nqueue_length = 9\n")
    EngineClient.connect().complete(call(repository))
    today = engine_pid()
    assert old.complete(call(repository))["text"]
    assert engine_pid() == today
    assert old.status()["queue"]["length"] == 9


def test_a_client_older_than_the_installation_leaves_the_engine_alone(repository, monkeypatch):
    """After an upgrade an editor's old server says what to do, and ends nobody's engine."""
    EngineClient.connect().complete(call(repository))
    today = engine_pid()
    monkeypatch.setenv("CODEBUDDY_ENGINE_QUEUE_LENGTH", "7")
    old = EngineClient.connect()
    # What it read from its own file when it started.
    monkeypatch.setattr(client_module, "__version__", "0.0.1")
    for _ in range(2):
        with pytest.raises(EngineError, match="was installed since this program") as caught:
            old.complete(call(repository))
    assert caught.value.message.startswith(f"codebuddy {__version__} ")
    assert engine_pid() == today


def test_a_running_request_is_finished_before_the_engine_leaves(repository):
    """Draining answers what was begun, and takes nothing new."""
    client = EngineClient.connect()
    client.load("echo")
    worker = worker_pid()
    os.kill(worker, signal.SIGSTOP)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(client.complete(call(repository))))
    connection = address.connect(5)
    assert connection is not None
    thread.start()
    assert wait_until(lambda: client.status()["queue"]["running"] == "complete")
    raw(post("/v1/stop", b"{}\n"))
    os.kill(worker, signal.SIGCONT)
    thread.join(60)
    connection.close()
    assert answers[0]["model"] == "echo"
    assert wait_until(lambda: not launcher.is_running(paths.runtime_folder()))


@pytest.mark.slow
def test_it_leaves_when_nobody_asks(repository):
    """After its idle time it is gone with its workers and its socket; a request keeps it."""
    folder = address.prepare_folder()
    ours, its = os.pipe()
    program = (
        "import sys; from pathlib import Path; from codebuddy.engine.daemon import run_engine; "
        "run_engine(Path(sys.argv[1]), int(sys.argv[2]), idle_s=3.0)"
    )
    engine = subprocess.Popen(
        [sys.executable, "-P", "-c", program, str(folder), str(its)], pass_fds=(its,)
    )
    os.close(its)
    assert b"ready" in os.read(ours, 100)
    os.close(ours)
    client = EngineClient.connect(may_start=False)
    client.complete(call(repository, retrieve="auto"))
    pids = list(client.status()["workers"].values())
    assert engine.poll() is None
    engine.wait(60)
    assert wait_until(lambda: all(is_gone(pid) for pid in pids), 60)
    assert address.identity_of(folder) is None
    assert "nobody asked for anything for 0.05 minutes" in paths.engine_log_file().read_text()


def test_it_leaves_when_its_folder_is_taken_away(repository):
    """A logout removes the runtime folder; the next request starts a new engine elsewhere."""
    EngineClient.connect().load("echo")
    status = EngineClient.connect().status()
    folder = paths.runtime_folder()
    for file in folder.iterdir():
        # The engine may notice in between, and take away the rest.
        file.unlink(missing_ok=True)
    folder.rmdir()
    pids = [status["pid"], *status["workers"].values()]
    assert wait_until(lambda: all(is_gone(pid) for pid in pids))
    assert EngineClient.connect().complete(call(repository))["model"] == "echo"
    assert engine_pid() != status["pid"]


def test_a_killed_engine_leaves_no_orphans_and_is_started_again(repository):
    """kill -9 leaves a stale socket, which the next start takes over."""
    EngineClient.connect().complete(call(repository, retrieve="auto"))
    status = EngineClient.connect().status()
    os.kill(status["pid"], signal.SIGKILL)
    assert wait_until(lambda: all(is_gone(pid) for pid in status["workers"].values()), 60)
    assert Path(status["socket"]).is_socket()
    assert EngineClient.connect().complete(call(repository))["model"] == "echo"
    assert engine_pid() != status["pid"]


def test_the_command_works_without_an_engine_that_dies_under_it(repository):
    """One quiet sentence, and the answer all the same."""
    EngineClient.connect().load("echo")
    pid = engine_pid()
    os.kill(pid, signal.SIGSTOP)
    killer = threading.Timer(1.0, os.kill, (pid, signal.SIGKILL))
    killer.start()
    done = codebuddy(repository, "complete", "cart.py:6", "--model", "echo", "--retrieve", "never")
    killer.join()
    assert done.returncode == 0
    assert done.stdout != ""
    alone = codebuddy(
        repository, "complete", "cart.py:6", "--model", "echo", "--retrieve", "never", "--no-engine"
    )
    assert done.stdout == alone.stdout


def test_a_stopped_engine_is_killed_by_stop_and_by_nothing_else(repository):
    """An engine that does not answer is ended by the process that the system names."""
    EngineClient.connect().load("echo")
    pid = engine_pid()
    os.kill(pid, signal.SIGSTOP)
    assert stop_engine()
    assert wait_until(lambda: is_gone(pid))


def test_a_process_id_in_a_file_is_never_believed(repository):
    """Files of a dead engine that name a living process of somebody else's do it no harm."""
    bystander = subprocess.Popen(["sleep", "60"])
    folder = address.prepare_folder()
    (folder / address.LIFETIME_LOCK_NAME).write_text(str(bystander.pid))
    listener = socket.socket(socket.AF_UNIX)
    with address.opened_folder(folder) as descriptor:
        listener.bind(f"/proc/self/fd/{descriptor}/{address.SOCKET_NAME}")
    listener.close()
    assert not stop_engine()
    assert EngineClient.connect().complete(call(repository))["model"] == "echo"
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


@pytest.mark.parametrize("kind", ["link", "file", "folder"])
def test_something_else_in_the_sockets_place_is_refused(repository, kind, tmp_path):
    """It is neither followed nor removed; the command says so and works without the engine."""
    folder = address.prepare_folder()
    trap = folder / address.SOCKET_NAME
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    if kind == "link":
        trap.symlink_to(elsewhere)
    elif kind == "file":
        trap.write_text("precious")
    else:
        trap.mkdir()
    done = codebuddy(repository, "complete", "cart.py:6", "--model", "echo", "--retrieve", "never")
    assert done.returncode == 0
    assert done.stdout != ""
    assert "is not a socket of this user; working without it" in done.stderr
    assert os.path.lexists(trap)
    assert elsewhere.read_text() == "precious"
    trap.rename(folder / "aside")


def test_what_is_waited_for_is_wiped_before_a_note_is_written(repository):
    """On a terminal the line `the engine reads and writes` does not stand before a sentence."""
    from tests.support.tui import TerminalProgram

    folder = address.prepare_folder()
    trap = folder / address.SOCKET_NAME
    trap.write_text("precious")
    program = TerminalProgram(repository, "complete", "cart.py:6", "--model", "echo")
    try:
        assert program.end() == 0
    finally:
        program.close()
        trap.rename(folder / "aside")
    before, _, rest = program.output.partition(b"note: ")
    assert rest
    assert before.endswith(b"\r\x1b[K")


def test_a_linked_folder_is_refused(tmp_path):
    """The engine's folder is never reached through a link."""
    target = tmp_path / "target"
    target.mkdir()
    paths.cache_folder().mkdir(parents=True)
    paths.runtime_folder().symlink_to(target)
    with pytest.raises(EngineError, match="cannot be used"):
        EngineClient.connect()
    assert list(target.iterdir()) == []


def test_folder_and_socket_are_for_this_user_alone():
    """0700 and 0600, also where they were wider before; the log too."""
    folder = paths.ensure_folder(paths.runtime_folder())
    folder.chmod(0o777)
    status = EngineClient.connect().status()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert Path(status["socket"]).stat().st_mode & 0o777 == 0o600
    assert Path(status["log"]).stat().st_mode & 0o777 == 0o600


def test_another_user_gets_no_connection():
    """Not even one that could enter the folder: the engine asks the system who calls.

    Only root can become somebody else; others check the modes that keep somebody else out.
    """
    status = EngineClient.connect().status()
    file = Path(status["socket"])
    if os.geteuid() != 0:
        assert file.parent.stat().st_mode & 0o077 == file.stat().st_mode & 0o077 == 0
        return
    for each in file.parents:
        if each != Path("/"):
            each.chmod(each.stat().st_mode | 0o055)
    file.chmod(0o666)
    program = (
        "import os, socket, sys\n"
        "os.chdir(sys.argv[1]); os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(10)\n"
        "try:\n"
        "    s.connect('engine.sock')\n"
        "    s.sendall(b'GET /v1/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "    print(len(s.recv(100)))\n"
        "except ConnectionError:\n"
        "    print(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file.parent)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() == "0", done.stderr
    assert EngineClient.connect().status()["pid"] == status["pid"]
    assert "refused a connection of user 65534" in Path(status["log"]).read_text()


def test_a_folder_of_somebody_else_is_refused():
    """A folder that another user made in our place is not used."""
    folder = paths.ensure_folder(paths.runtime_folder())
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    else:
        folder = Path("/")
    with pytest.raises(EngineError, match="belongs to user"), address.opened_folder(folder):
        pass
    if os.geteuid() == 0:
        with pytest.raises(EngineError, match="belongs to user 65534"):
            EngineClient.connect()
        os.chown(folder, 0, 0)


def test_the_runtime_folder_is_xdgs_only_if_it_is_there_and_ours(monkeypatch, tmp_path):
    """A missing, foreign or open XDG_RUNTIME_DIR is passed over for the cache folder."""
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own))
    assert paths.runtime_folder() == own / "codebuddy"
    for bad in ("", "relative", str(tmp_path / "missing"), "/tmp", "/", "/etc/passwd"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", bad)
        if bad == "/" and os.geteuid() == 0:
            continue
        assert paths.runtime_folder() == paths.cache_folder() / "run"


def test_a_path_longer_than_a_socket_may_have_works(monkeypatch, tmp_path, repository):
    """The system allows 107 bytes; the folder's descriptor is the short way there."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    client = EngineClient.connect()
    assert len(str(client.status()["socket"])) > 107
    assert client.complete(call(repository))["model"] == "echo"
    stop_engine()


def test_an_engine_that_cannot_start_says_why_and_the_command_goes_on(repository, monkeypatch):
    """No folder for the socket: one sentence, and the work is done in the command's process."""
    paths.cache_folder().mkdir(parents=True)
    paths.runtime_folder().write_text("in the way")
    done = codebuddy(
        repository, "complete", "cart.py:6", "--model", "echo", "--retrieve", "never", "--json"
    )
    assert json.loads(done.stdout)["engine"] is None
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("note: cannot create the folder")


def test_a_command_without_free_descriptors_still_answers(repository):
    """Where no socket can be opened, the engine is left out or the error is one sentence."""
    program = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))\n"
        "from codebuddy.cli import main\n"
        "main(['complete', 'cart.py:6', '--model', 'echo', '--retrieve', 'never'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=repository, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr


def test_status_and_logs_tell_a_person(repository):
    """Both say what runs; the log holds no code."""
    EngineClient.connect().complete(call(repository, text="secret_word = 1\n", line=1))
    shown = codebuddy(repository, "engine", "status")
    assert f"process {engine_pid()}" in shown.stdout
    assert "1 completions (0 from the cache, 0 cancelled, 0 refused as busy)" in shown.stdout
    logs = codebuddy(repository, "engine", "logs", "-n", "1000").stdout
    assert f"model worker started: process {worker_pid()}" in logs
    assert "secret_word" not in logs
    assert "cart" not in logs


def test_start_loads_the_model_and_says_so(repository):
    """`engine start` returns once a completion would be warm."""
    found = json_of(codebuddy(repository, "engine", "start", "--model", "echo", "--json"))
    assert (found["running"], found["model"]) == (True, "echo")
    assert found["pid"] == engine_pid()
    assert found["workers"]["model"] == worker_pid()


def test_a_start_that_cannot_load_the_model_is_a_known_error(repository):
    """The engine stays, the command says what to do."""
    done = codebuddy(repository, "engine", "start", "--model", "no-such-model")
    assert done.returncode == 1
    assert "no-such-model" in done.stderr
    assert "hint:" in done.stderr
