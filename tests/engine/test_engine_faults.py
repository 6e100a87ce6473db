"""What the engine's socket and workers go through: garbage, slowness, crashes, hangs, crowds."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from codebuddy import paths
from codebuddy.engine import address
from codebuddy.engine.client import EngineClient, stop_engine
from codebuddy.engine.protocol import call_to_message, encode_message
from codebuddy.errors import (
    CodebuddyError,
    DocumentError,
    EngineBusyError,
    EngineError,
    GenerationError,
    IndexingError,
    UsageError,
)
from codebuddy.service.request import MAX_TEXT_BYTES, SearchRequest
from codebuddy.settings import EngineSettings
from tests.conftest import SMALL_MODEL
from tests.support.engine import (
    call,
    codebuddy,
    engine_pid,
    is_gone,
    post,
    raw,
    read_all,
    wait_until,
    worker_pid,
)

pytestmark = pytest.mark.usefixtures("engine")

LONG: dict[str, Any] = {"model": str(SMALL_MODEL), "max_tokens": 1500, "max_lines": 1000}
# Reading its end takes the small model over a second.
COUNTING = "x = [\n" + "".join(f"    {number},\n" for number in range(400))


def is_well(repository):
    """The engine answers somebody else as if nothing had happened."""
    return EngineClient.connect(may_start=False).complete(call(repository))["text"] != ""


GARBAGE = {
    "noise": bytes(range(256)) * 40,
    "no request": b"\r\n\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300,
    "endless line": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    "endless header": b"GET /v1/status HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    "bad length": b"POST /v1/complete HTTP/1.1\r\nHost: e\r\nContent-Length: -5\r\n\r\n",
    "two lengths": b"POST /v1/complete HTTP/1.1\r\nHost: e\r\nContent-Length: 1\r\n"
    b"Content-Length: 9\r\n\r\n",
    "huge length": post("/v1/complete", b"").replace(b": 0", b": 10737418240"),
    "endless length": post("/v1/complete", b"").replace(b": 0", b": " + b"9" * 5000),
    "unknown path": post("/v1/delete", b"{}\n"),
    "wrong method": b"DELETE /v1/complete HTTP/1.1\r\nHost: e\r\n\r\n",
    "websocket": b"GET /v1/status HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "empty body": post("/v1/complete", b""),
    "no json": post("/v1/complete", b"nonsense\n"),
    "deep json": post("/v1/complete", b"[" * 500_000 + b"\n"),
    "list": post("/v1/complete", b"[]\n"),
    "no call": post("/v1/complete", b"{}\n"),
    "call of a number": post("/v1/complete", b'{"call": 5}\n'),
    "relative file": post("/v1/complete", b'{"call": {"file": "a", "line": 1}}\n'),
    "no wish": post("/v1/search", b"{}\nquery"),
    "odd count": post("/v1/accepted", b'{"characters": 1e99}\n'),
    "chunked nonsense": b"POST /v1/complete HTTP/1.1\r\nHost: e\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}


def test_garbage_is_answered_with_a_refusal_and_harms_nobody(repository):
    """Whatever is sent, the answer is none or an HTTP error, and the engine goes on."""
    EngineClient.connect().load("echo")
    pid = engine_pid()
    for name, content in GARBAGE.items():
        answer = raw(content + b"", 20)
        status = answer[9:12]
        is_refused = answer == b"" or (answer.startswith(b"HTTP/1.1 ") and status[:1] == b"4")
        assert is_refused or name == "websocket", (name, answer[:200])
        assert b"Traceback" not in answer
    assert is_well(repository)
    assert engine_pid() == pid
    assert EngineClient.connect().status()["restarts"] == 0


def test_wishes_of_a_wrong_kind_are_refused_by_whoever_reads_them(repository):
    """A message that is well formed and makes no sense costs an error and no worker."""
    client = EngineClient.connect()
    settings = {"environment": {}, "user_file": "/nowhere"}
    options: list[tuple[str, dict[str, Any]]] = [
        ("/v1/search", {"wish": {"folder": 7, "top_k": "x"}, "settings": settings}),
        ("/v1/search", {"wish": {}, "settings": settings}),
        ("/v1/search", {"wish": {"folder": str(repository)}, "settings": None}),
        ("/v1/load", {"model": 5, "settings": settings}),
        ("/v1/load", {"model": "echo", "settings": 5}),
        (
            "/v1/complete",
            {
                "call": {"file": str(repository / "cart.py"), "line": 1},
                "settings": {"environment": {"CODEBUDDY_NOT_A_KEY": "1"}, "user_file": "/x"},
            },
        ),
    ]
    for path, head in options:
        answer = raw(post(path, encode_message(head), "Connection: close\r\n"))
        assert b'"type": "error"' in answer or b" 400 " in answer, (path, head, answer)
    assert is_well(repository)
    assert client.status()["restarts"] == 0


@pytest.mark.slow
def test_half_a_request_and_one_byte_a_second_are_cut_off(repository):
    """A connection that does not get on is closed, in its head and in its body."""
    EngineClient.connect().load("echo")
    started = time.monotonic()

    def dawdle(beginning: bytes) -> bytes:
        connection = address.connect(5)
        assert connection is not None
        connection.settimeout(30)
        connection.sendall(beginning)
        slow = threading.Event()

        def drip():
            while not slow.wait(0.5):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        answer = read_all(connection)
        slow.set()
        dripping.join()
        connection.close()
        return answer

    beginnings = (
        b"",
        b"POST /v1/comp",
        b"POST /v1/complete HTTP/1.1\r\nHost: e\r\nContent-Length: 500\r\n\r\n{",
    )
    with ThreadPoolExecutor(len(beginnings)) as pool:
        for answer in pool.map(dawdle, beginnings):
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert time.monotonic() - started < 60
    assert is_well(repository)


def test_the_largest_document_is_taken_and_a_larger_one_is_refused(repository):
    """32 MiB of text go through without costing memory for good; one byte more is an error."""
    client = EngineClient.connect()
    client.complete(call(repository))
    text = b"x = 1\n" * (MAX_TEXT_BYTES // 6)
    found = client.complete(call(repository, text=text, line=2, max_lines=1))
    assert found["line"] == 2
    with pytest.raises(DocumentError, match="larger than 32 MiB"):
        client.complete(call(repository, text=b"x" * (MAX_TEXT_BYTES + 1), line=1))
    with pytest.raises(UsageError, match="a request may have"):
        client.complete(call(repository, text=b"x" * (2 * MAX_TEXT_BYTES), line=1))
    assert is_well(repository)


@pytest.mark.model
def test_a_client_that_vanishes_ends_its_generation(repository):
    """Nobody waits for the answer, so the model stops and is free for others."""
    client = EngineClient.connect()
    client.load(str(SMALL_MODEL))
    head, body = call_to_message(call(repository, text=COUNTING, line=402, **LONG))
    connection = address.connect(5)
    assert connection is not None
    connection.sendall(
        post(
            "/v1/complete",
            encode_message({"call": head, "settings": client._settings, "wants_text": True}, body),
        )
    )
    assert wait_until(lambda: client.status()["queue"]["running"] == "complete")
    pid = worker_pid()
    connection.close()
    assert wait_until(lambda: client.status()["queue"]["running"] is None)
    assert client.status()["requests"]["cancelled"] == 1
    assert worker_pid() == pid
    assert is_well(repository)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGABRT, "ended by SIGABRT"),
        (signal.SIGSEGV, "ended by SIGSEGV"),
        (signal.SIGKILL, "ended by SIGKILL, perhaps for want of memory"),
    ],
)
def test_a_crash_of_native_code_is_an_error_with_a_reason_and_a_restart(repository, number, reason):
    """The request that ran is answered, the next one finds a new worker, the engine lives."""
    client = EngineClient.connect()
    client.load("echo")
    pid, worker = engine_pid(), worker_pid()
    told: list[CodebuddyError] = []

    def ask():
        with pytest.raises(GenerationError) as caught:
            client.complete(call(repository))
        told.append(caught.value)

    os.kill(worker, signal.SIGSTOP)
    asking = threading.Thread(target=ask)
    asking.start()
    assert wait_until(lambda: client.status()["queue"]["running"] == "complete")
    os.kill(worker, number)
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker, signal.SIGCONT)
    asking.join(30)
    assert reason in told[0].message
    assert is_well(repository)
    status = client.status()
    assert (status["pid"], status["restarts"]) == (pid, 1)
    assert status["last_restarts"][0]["reason"] == reason
    assert status["workers"]["model"] != worker


@pytest.mark.model
def test_three_crashes_in_a_row_are_followed_by_a_pause(repository):
    """A worker that dies each time is not started for ever; the error says for how long."""
    client = EngineClient.connect()

    def crash():
        """The worker's end under a request; killed before it can answer."""
        told: list[str] = []

        def ask():
            with pytest.raises(GenerationError) as caught:
                client.complete(call(repository, text="x\n" * 2_000_000, line=1, **LONG))
            told.append(caught.value.message)

        asking = threading.Thread(target=ask)
        asking.start()
        assert wait_until(lambda: client.status()["workers"].get("model"))
        os.kill(worker_pid(), signal.SIGKILL)
        asking.join(60)
        return told[0]

    for _ in range(3):
        assert "ended by SIGKILL" in crash()
    with pytest.raises(GenerationError, match=r"crashed 3 times in a row .* another [0-9]+ s"):
        client.complete(call(repository))
    assert client.status()["restarts"] == 3


def test_a_worker_that_dies_as_it_starts_is_given_up_for_a_while(repository, monkeypatch):
    """A broken installation costs three tries and an error, not a loop."""
    monkeypatch.setenv("PYTHONHASHSEED", "not a number")
    with pytest.raises(EngineError, match="ended while it started"):
        EngineClient.connect()


@pytest.mark.slow
@pytest.mark.parametrize("role", ["model", "index"])
def test_a_hung_worker_is_told_from_a_busy_one_and_killed(repository, monkeypatch, role):
    """No sign of life for `engine.hang_seconds`: the client hears why, the next one is served."""
    monkeypatch.setenv("CODEBUDDY_ENGINE_HANG_SECONDS", "4")
    client = EngineClient.connect()
    client.complete(call(repository, retrieve="auto"))
    worker = worker_pid(role)
    os.kill(worker, signal.SIGSTOP)
    if role == "model":
        with pytest.raises(GenerationError, match=r"gave no sign of life for [45] s"):
            client.complete(call(repository))
    else:
        with pytest.raises(IndexingError, match=r"gave no sign of life for [45] s"):
            client.search(SearchRequest(str(repository), "discount", channel="lexical"))
    assert wait_until(lambda: is_gone(worker))
    assert is_well(repository)
    assert client.search(SearchRequest(str(repository), "discount", channel="lexical"))["results"]


@pytest.mark.slow
def test_an_engine_that_was_stopped_for_a_while_goes_on(repository, monkeypatch):
    """After a suspend nothing is taken for hung, though much time has passed."""
    monkeypatch.setenv("CODEBUDDY_ENGINE_HANG_SECONDS", "4")
    client = EngineClient.connect()
    client.complete(call(repository))
    status = client.status()
    pids = [status["pid"], *status["workers"].values()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(6)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert client.complete(call(repository))["text"]
    after = client.status()
    assert (after["pid"], after["workers"]["model"]) == (pids[0], pids[1])
    assert after["restarts"] == 0


def test_a_hundred_parallel_requests_are_served_or_told_busy(repository, monkeypatch):
    """The queue is bounded: every client gets an answer or a word, one at a time is worked on."""
    monkeypatch.setenv("CODEBUDDY_ENGINE_QUEUE_LENGTH", "8")
    monkeypatch.setenv("CODEBUDDY_ENGINE_HANG_SECONDS", "240")
    client = EngineClient.connect()
    client.load("echo")
    worker = worker_pid()
    os.kill(worker, signal.SIGSTOP)
    answers: list[str] = []
    lock = threading.Lock()

    def ask(number):
        try:
            found = client.complete(call(repository, client=f"c{number}", priority="typing"))
            outcome = found["text"]
        except EngineBusyError as error:
            outcome = error.message
        with lock:
            answers.append(outcome)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    assert wait_until(lambda: client.status()["requests"]["busy"] >= 91, 60)
    os.kill(worker, signal.SIGCONT)
    for thread in threads:
        thread.join(60)
    busy = [each for each in answers if each.startswith("the engine is busy: 8 requests")]
    # One runs and eight wait; the first may still be waiting when the ninth comes.
    assert (len(answers), len(busy) in (91, 92)) == (100, True)
    assert client.status()["requests"]["busy"] == len(busy)


def test_busy_is_429(repository, monkeypatch):
    """Over HTTP a full queue has its own status, with the sentence."""
    monkeypatch.setenv("CODEBUDDY_ENGINE_QUEUE_LENGTH", "1")
    monkeypatch.setenv("CODEBUDDY_ENGINE_HANG_SECONDS", "240")
    client = EngineClient.connect()
    client.load("echo")
    worker = worker_pid()
    os.kill(worker, signal.SIGSTOP)
    threads = []
    for number in range(2):
        request = call(repository, client=f"c{number}", priority="typing")
        threads.append(threading.Thread(target=client.complete, args=(request,)))
        threads[-1].start()
        assert wait_until(lambda: client.status()["queue"]["running"] is not None)
    assert wait_until(lambda: client.status()["queue"]["waiting"] == 1)
    head, body = call_to_message(call(repository))
    content = encode_message({"call": head, "settings": client._settings}, body)
    answer = raw(post("/v1/complete", content, "Connection: close\r\n"))
    os.kill(worker, signal.SIGCONT)
    for thread in threads:
        thread.join(30)
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["kind"] == "EngineBusyError"


def test_a_search_never_waits_for_a_generation(repository):
    """While the model is held up, searches are answered."""
    client = EngineClient.connect()
    client.complete(call(repository, retrieve="auto"))
    os.kill(worker_pid("model"), signal.SIGSTOP)
    found = client.search(SearchRequest(str(repository), "shipping", channel="lexical"))
    os.kill(worker_pid("model"), signal.SIGCONT)
    assert found["results"][0]["path"] == "pricing.py"


@pytest.mark.model
def test_a_model_that_is_replaced_while_mapped_is_loaded_anew(repository, tmp_path):
    """The old bytes are never used under the new file's name."""
    model = tmp_path / "model.gguf"
    shutil.copy(SMALL_MODEL, model)
    client = EngineClient.connect()
    request = call(repository, model=str(model), max_tokens=2)
    client.complete(request)
    log = paths.engine_log_file()
    assert log.read_text().count("loaded model in") == 1
    client.complete(request)
    assert log.read_text().count("loaded model in") == 1
    other = tmp_path / "other.gguf"
    shutil.copy(SMALL_MODEL, other)
    other.replace(model)
    assert client.complete(request)["model"] == "model"
    assert log.read_text().count("loaded model in") == 2
    model.write_bytes(b"<html>not found</html>")
    with pytest.raises(CodebuddyError, match=r"model\.gguf"):
        client.complete(request)
    assert is_well(repository)


def test_an_engine_out_of_descriptors_recovers(repository):
    """When clients take every descriptor, the engine waits for one and then serves again."""
    client = EngineClient.connect()
    client.complete(call(repository))
    pid = engine_pid()
    used = psutil.Process(pid).num_fds()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 4, used + 4))
    crowd = [address.connect(5) for _ in range(20)]
    assert wait_until(lambda: psutil.Process(pid).num_fds() >= used + 4)
    for each in crowd:
        assert each is not None
        each.close()
    assert wait_until(lambda: is_well(repository), 30)
    assert engine_pid() == pid


def test_a_full_disk_under_the_log_harms_nothing(repository):
    """The log stops, the engine does not."""
    file = paths.engine_log_file()
    paths.ensure_folder(file.parent)
    file.symlink_to("/dev/full")
    client = EngineClient.connect()
    for _ in range(3):
        assert client.complete(call(repository))["text"]
    assert client.status()["restarts"] == 0


def test_a_log_that_cannot_be_made_harms_nothing(repository):
    """Where the log's folder is a file, the engine works without a log."""
    folder = paths.log_folder()
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    assert EngineClient.connect().complete(call(repository))["text"]


def test_an_index_that_is_damaged_heals_during_a_search(repository):
    """What the engine holds open is not believed more than the file."""
    client = EngineClient.connect()
    assert client.search(SearchRequest(str(repository), "discount", channel="lexical"))["results"]
    file = repository / ".git" / "codebuddy" / "index.db"
    content = bytearray(file.read_bytes())
    content[2000:] = b"\x5a" * (len(content) - 2000)
    file.write_bytes(content)
    found = client.search(SearchRequest(str(repository), "discount", channel="lexical"))
    assert found["results"][0]["path"] == "pricing.py"


def test_a_repository_that_is_removed_is_an_error_and_no_more(repository, tmp_path):
    """Open indexes of folders that are gone do not bring the worker down."""
    client = EngineClient.connect()
    assert client.search(SearchRequest(str(repository), "discount", channel="lexical"))["results"]
    shutil.rmtree(repository)
    with pytest.raises(CodebuddyError):
        client.search(SearchRequest(str(repository), "discount", channel="lexical"))
    assert client.status()["restarts"] == 0


def test_an_answer_that_is_no_engines_is_an_error(repository, tmp_path):
    """Something else that listens at the socket gets the command to work without the engine."""
    folder = address.prepare_folder()
    listener = address.listen(folder)
    replies = [b"SSH-2.0-Hello\r\n", b"HTTP/1.1 200 OK\r\n\r\nnot json\n", b""]

    def serve():
        for reply in replies:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(reply)

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    client = EngineClient(EngineSettings(), may_start=False, timeout_s=1.0)
    for _ in replies:
        with pytest.raises(EngineError):
            client.complete(call(repository))
    listener.close()
    (folder / address.SOCKET_NAME).unlink()


@pytest.mark.model
def test_ctrl_c_during_a_completion_ends_the_request_and_leaves_the_engine(repository):
    """The command ends with 130, and the model is free again."""
    client = EngineClient.connect()
    client.load(str(SMALL_MODEL))
    (repository / "long.py").write_text(COUNTING)
    running = subprocess.Popen(
        [sys.executable, "-P", "-m", "codebuddy", "complete", "long.py:402", "--retrieve", "never",
         "--model", str(SMALL_MODEL), "--max-tokens", "1500", "--max-lines", "1000"],
        cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert wait_until(lambda: client.status()["queue"]["running"] == "complete")
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "Traceback" not in told
    assert wait_until(lambda: client.status()["queue"]["running"] is None)
    assert is_well(repository)


def test_no_engine_is_left_by_a_command_that_was_told_not_to_use_one(repository):
    """`--no-engine` and `engine.enabled = false` start none."""
    for flags, enabled in [(["--no-engine"], "true"), ([], "false")]:
        done = codebuddy(
            repository, "complete", "cart.py:6", "--model", "echo", *flags,
            CODEBUDDY_ENGINE_ENABLED=enabled,
        )  # fmt: skip
        assert done.returncode == 0
    assert not Path(paths.runtime_folder() / address.SOCKET_NAME).exists()
    assert not stop_engine()
