"""`lsp` and `serve` where the engine cannot be started: they go on in their own process."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from codebuddy import paths
from codebuddy.config import load_settings
from codebuddy.datatypes import OnText
from codebuddy.engine import address
from codebuddy.engine.client import EngineClient
from codebuddy.engine.failover import FailoverClient, open_client
from codebuddy.engine.protocol import CompletionCall
from codebuddy.errors import CodebuddyError, EngineError, SupersededError
from codebuddy.service.in_process_client import InProcessClient
from codebuddy.service.response import CompletionResponse
from tests.serve.test_serve_http import HOLE
from tests.support.engine import wait_until
from tests.support.lsp import editing
from tests.support.serve import serving

ECHOED = "return apply_discount("


@pytest.fixture
def blocked(tmp_path: Path) -> dict[str, str]:
    """Variables that switch the engine on, and a file where its folder would have to be."""
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "run" / "codebuddy").write_text("no folder")
    return {"CODEBUDDY_ENGINE_ENABLED": "true", "XDG_RUNTIME_DIR": str(tmp_path / "run")}


@pytest.mark.process
def test_the_language_server_completes_without_an_engine(repository, tmp_path, blocked):
    """The suggestion comes, and the editor's log says once why it took another way."""
    with editing(repository, tmp_path / "other", **blocked) as client:
        client.initialize()
        uri = client.open("cart.py", (repository / "cart.py").read_text())
        assert client.suggested(uri, 5, 26) == ECHOED
        assert client.suggested(uri, 4, 10)
        receipt = client.request("workspace/executeCommand", {"command": "codebuddy.receipt"})
        assert "engine" not in receipt["result"]
        (message,) = client.messages()
        assert "completing without the engine" in message
        assert str(tmp_path / "run" / "codebuddy") in message
        assert client.end() == 0


@pytest.mark.process
def test_the_language_server_says_one_sentence_where_both_ways_fail(repository, tmp_path, blocked):
    """Without an engine and without the model there is no suggestion, and one clear reason."""
    model = str(tmp_path / "absent.gguf")
    with editing(repository, tmp_path / "other", model=model, **blocked) as client:
        client.initialize()
        uri = client.open("cart.py", (repository / "cart.py").read_text())
        for line in (5, 4):
            answer = client.inline(uri, line, 10)
            assert answer["result"]["items"] == []
        (message,) = client.messages()
        assert "absent.gguf" in message
        assert "Traceback" not in message


@pytest.mark.process
def test_the_http_server_completes_without_an_engine(repository, tmp_path, blocked):
    """Over a real socket: the answer, the reason in its receipt, and one line on stderr."""
    with serving(repository, tmp_path / "other", **blocked) as server:
        first = server.request("POST", "/infill", HOLE).json()
        second = server.request("POST", "/infill", HOLE).json()
        server.process.send_signal(signal.SIGTERM)
        _, told = server.process.communicate(timeout=30)
    for answer in (first, second):
        assert answer["content"] == "x("
        (warning,) = answer["codebuddy"]["warnings"]
        assert warning.endswith("; completing without the engine")
    assert told.count("warning: cannot create the folder") == 1
    assert "Traceback" not in told


def call(root: Path, **more: object) -> CompletionCall:
    fields: dict[str, object] = {"model": "echo", "client": "editor", "priority": "typing"}
    return CompletionCall(str(root / "cart.py"), 6, **(fields | more))  # type: ignore[arg-type]


def make_completer() -> FailoverClient:
    """One that looks for the engine at each call, since a test has little patience."""
    settings = load_settings().settings.engine
    engine = EngineClient(settings)
    return FailoverClient(engine, "echo", pause_s=0.0)


@pytest.mark.usefixtures("engine")
def test_an_engine_that_is_well_again_is_used_again(repository):
    """The work goes on here while the engine cannot start, and moves back once it can."""
    folder = paths.runtime_folder()
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    completer = make_completer()
    alone = completer.complete(call(repository, retrieve="never"))
    assert alone["text"] == ECHOED
    (warning,) = alone["warnings"]
    assert warning.startswith(f"cannot create the folder {folder}")
    folder.unlink()
    assert wait_until(lambda: completer.complete(call(repository)).get("engine"))
    assert completer.complete(call(repository))["warnings"] == []


@pytest.mark.usefixtures("engine")
def test_an_engine_that_dies_costs_no_suggestion(repository):
    """It is killed and its place taken: the next call is answered in this process."""
    completer = make_completer()
    assert completer.complete(call(repository))["engine"]
    status = EngineClient.connect(may_start=False).status()
    # Looked up while they live: they end with it, perhaps before it can be asked for them.
    workers = [psutil.Process(pid) for pid in status["workers"].values()]
    psutil.Process(status["pid"]).kill()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []
    shutil.rmtree(paths.runtime_folder())
    paths.runtime_folder().write_text("in the way")
    assert completer.complete(call(repository))["text"] == ECHOED
    paths.runtime_folder().unlink()


@pytest.mark.process
def test_a_call_cancelled_before_it_falls_back_is_not_worked_on(repository, tmp_path, monkeypatch):
    """A cancellation finds its call wherever the call is by then."""
    monkeypatch.setenv("CODEBUDDY_ENGINE_ENABLED", "true")
    paths.runtime_folder().parent.mkdir(parents=True)
    paths.runtime_folder().write_text("in the way")
    completer = make_completer()
    completer.cancel("editor", "gone")
    with pytest.raises(SupersededError):
        completer.complete(call(repository, request="gone"))
    assert completer.complete(call(repository, request="here"))["text"] == ECHOED


def test_the_engine_is_left_out_where_it_is_switched_off(repository):
    """`engine.enabled = false` starts nothing, and nothing is said about it."""
    client = open_client(load_settings().settings, "echo")
    answer = client.complete(call(repository, retrieve="never"))
    assert answer["warnings"] == []
    assert not paths.runtime_folder().exists()


class _Watched(InProcessClient):
    """The real one, which notes what is open, and lets a test hold a call inside."""

    opened: ClassVar[list[_Watched]] = []
    inside = threading.Event()
    go_on = threading.Event()

    def __init__(self, model: str | None) -> None:
        super().__init__(model)
        self.closed = 0
        self.uses_after_close = 0
        self.opened.append(self)

    def complete(
        self, request: CompletionCall, on_text: OnText | None = None
    ) -> CompletionResponse:
        """As the real one, once the test says so."""
        self.inside.set()
        assert self.go_on.wait(60)
        self.uses_after_close += self.closed
        return super().complete(request, on_text)

    def close(self) -> None:
        """As the real one, and counted."""
        self.closed += 1
        super().close()


@pytest.mark.usefixtures("engine")
def test_the_model_of_this_process_is_freed_once_and_not_under_a_call(repository, monkeypatch):
    """The engine is well again while a call is inside: the call ends first, then the model goes."""
    monkeypatch.setattr("codebuddy.service.in_process_client.InProcessClient", _Watched)
    monkeypatch.setattr(_Watched, "opened", [])
    monkeypatch.setattr(_Watched, "inside", threading.Event())
    monkeypatch.setattr(_Watched, "go_on", threading.Event())
    folder = paths.runtime_folder()
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    completer = make_completer()
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(completer.complete, call(repository, request="held"))
        try:
            assert _Watched.inside.wait(60)
            folder.unlink()
            # Each of these looks for the engine; the first one that finds it is answered there.
            assert wait_until(lambda: _is_served(completer, repository))
            assert _Watched.opened[0].closed == 0
        finally:
            _Watched.go_on.set()
        assert held.result(60)["text"] == ECHOED
    assert wait_until(lambda: all(each.closed for each in _Watched.opened))
    assert [each.uses_after_close for each in _Watched.opened] == [0] * len(_Watched.opened)
    # Nothing is loaded here any more, and nothing is freed again.
    assert completer.complete(call(repository))["engine"]
    assert [each.closed for each in _Watched.opened] == [1] * len(_Watched.opened)


def _is_served(completer: FailoverClient, root: Path) -> bool:
    """Whether the engine is used again, without waiting for who is held inside."""
    completer._schedule_probe()
    return not completer._last_error


@pytest.mark.usefixtures("engine")
def test_a_cancellation_between_two_ways_is_not_lost(repository, monkeypatch):
    """It comes while this process makes its own completer ready, and ends the call all the same."""
    paths.runtime_folder().parent.mkdir(parents=True)
    paths.runtime_folder().write_text("in the way")
    completer = make_completer()
    threads = []

    class Slow(InProcessClient):
        """Somebody cancels while it is made: the cancellation has to wait for it."""

        def __init__(self, model: str | None) -> None:
            thread = threading.Thread(target=completer.cancel, args=("editor", "gone"))
            thread.start()
            threads.append(thread)
            thread.join(0.3)
            super().__init__(model)

        def complete(
            self, request: CompletionCall, on_text: OnText | None = None
        ) -> CompletionResponse:
            threads[0].join(60)
            return super().complete(request, on_text)

    monkeypatch.setattr("codebuddy.service.in_process_client.InProcessClient", Slow)
    with pytest.raises(SupersededError):
        completer.complete(call(repository, request="gone"))
    assert completer.complete(call(repository, request="here"))["text"] == ECHOED


def test_a_call_that_the_engine_still_has_is_cancelled_there_when_another_one_failed(repository):
    """Only the failed call is worked on here; the first one's cancellation is the engine's."""
    folder = address.prepare_folder()
    listener = address.listen(folder)
    is_held, may_end = threading.Event(), threading.Event()

    def serve() -> bytes:
        held, _ = listener.accept()
        held.recv(65536)
        is_held.set()
        failing, _ = listener.accept()
        failing.close()
        cancelling, _ = listener.accept()
        told = b""
        while b'"held"' not in told:
            told += cancelling.recv(65536)
        cancelling.close()
        assert may_end.wait(60)
        held.close()
        return told

    with ThreadPoolExecutor(2) as threads:
        server = threads.submit(serve)
        engine = EngineClient(load_settings().settings.engine, may_start=False)
        completer = FailoverClient(engine, "echo")
        first = threads.submit(completer.complete, call(repository, request="held"))
        assert is_held.wait(60)
        completer.load("echo")
        with contextlib.suppress(EngineError):
            completer.cancel("editor", "held")
        may_end.set()
        told = server.result(60)
        with contextlib.suppress(CodebuddyError):
            first.result(60)
    listener.close()
    (folder / address.SOCKET_NAME).unlink()
    assert told.startswith(b"POST /v1/cancel")
