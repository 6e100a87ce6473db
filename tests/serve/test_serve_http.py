"""`codebuddy serve`, over real sockets: what clients ask, and what nobody should."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from codebuddy.service.context import RepositoryContext
from codebuddy.service.refresh import open_index
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.serve import (
    LLAMA_VIM_REQUEST,
    LLAMA_VIM_WARM_UP,
    Server,
    environment_for,
    serving,
)

pytestmark = pytest.mark.process

# The cursor stands at the end of `prompt`; echo repeats the line before it that has text.
HOLE = {
    "input_prefix": "def total(items):\n    first()\n",
    "input_suffix": "\n",
    "prompt": "    x(",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that only ask, in a repository with one file."""
    folder = tmp_path_factory.mktemp("serve")
    root = folder / "repo"
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / "cart.py").write_text("def total(items):\n    first()\n    x(\n    return items\n")
    with serving(root, folder / "home") as running:
        yield running


def test_infill_answers_with_the_fields_of_llama_server(server):
    """Every field that llama.vscode reads is there, and the receipt says why."""
    answer = server.request("POST", "/infill", HOLE).json()
    assert answer["content"] == "x("
    assert answer["stop"] is True
    assert answer["truncated"] is False
    assert answer["tokens_cached"] == 0
    for name in ("prompt", "predicted"):
        assert answer["timings"][f"{name}_n"] > 0
        assert {f"{name}_ms", f"{name}_per_second"} <= set(answer["timings"])
    assert answer["codebuddy"]["decision"]["mode"] == "auto"


def test_a_request_recorded_from_llama_vim_is_answered(server):
    """What llama.vim sends is taken as it is, and answered in the form that it looks for."""
    request = LLAMA_VIM_REQUEST | {"prompt": "    x("}
    answer = server.request("POST", "/infill", request)
    # Its test before it parses: `"content":"` without a blank.
    assert b'"content":"' in answer.body
    assert b"\n" not in answer.body
    assert set(answer.json()) == set(LLAMA_VIM_REQUEST["response_fields"])
    assert answer.json()["content"] == "x("


def test_the_warm_up_of_llama_vim_is_answered_at_once(server):
    """The request that only fills a server's cache generates nothing."""
    assert server.request("POST", "/infill", LLAMA_VIM_WARM_UP).json() == {}


def test_a_request_of_llama_vscode_is_answered(server):
    """It asks for several completions and reads the whole answer; one object is one of them."""
    request = HOLE | {
        "id_slot": 0,
        "input_extra": [{"text": "a = 1\n", "time": 5, "filename": "/elsewhere/b.py"}],
        "n_predict": 128,
        "n_cmpl": 3,
        "top_k": 40,
        "top_p": 0.99,
        "stream": False,
        "samplers": ["top_k", "top_p", "infill"],
        "cache_prompt": True,
        "n_indent": 4,
        "t_max_prompt_ms": 500,
        "t_max_predict_ms": 2500,
        "lora": [{"id": 0, "scale": 0.5}],
    }
    assert server.request("POST", "/infill", request).json()["content"] == "x("


def test_streams_end_as_their_protocols_say(server):
    """Both streams are events whose pieces make the whole text."""
    events = server.request("POST", "/infill", HOLE | {"stream": True}).body.decode()
    pieces = [json.loads(line[6:]) for line in events.split("\n\n") if line]
    assert "".join(piece["content"] for piece in pieces) == "x("
    assert [piece["stop"] for piece in pieces][-1] is True
    openai = {"prompt": "def f():\n    y(", "suffix": "\n", "stream": True}
    answer = server.request("POST", "/v1/completions", openai)
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line[6:] for line in answer.body.decode().split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "y("
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_openai_completions_and_models(server):
    """An OpenAI client gets a text completion, its cost, and the name of the model."""
    request = {"model": "any", "prompt": "def f():\n    y(", "suffix": "\n", "max_tokens": 16}
    answer = server.request("POST", "/v1/completions", request).json()
    assert answer["object"] == "text_completion"
    assert answer["choices"][0]["text"] == "y("
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + 2 + 1
    models = server.request("GET", "/v1/models").json()
    assert [model["id"] for model in models["data"]] == ["echo"]
    assert server.request("GET", "/health", is_authorised=False).json() == {"status": "ok"}


def test_limits_of_a_request_hold(server):
    """Tokens, stop texts and a file's name are what the request says."""
    whole = HOLE | {"prompt": "    compute_total("}
    ask = lambda **more: server.request("POST", "/infill", whole | more).json()  # noqa: E731
    assert ask()["content"] == "compute_total("
    assert ask(n_predict=7)["content"] == "compute"
    assert ask(n_predict=7)["stop_type"] == "limit"
    assert ask(stop=["_to"])["content"] == "compute"
    stopped = server.request("POST", "/v1/completions", {"prompt": "    a_b(\n", "stop": ["_b"]})
    choice = stopped.json()["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("a", "stop")
    assert ask(filename="deep/new.rs")["codebuddy"]["file"] == "deep/new.rs"
    refused = server.request("POST", "/infill", whole | {"filename": "../x.py"})
    assert refused.status == 400
    assert "outside the repository" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    "field",
    [
        {"n_predict": -2},
        {"n_predict": 10**9},
        {"n_predict": 1.5},
        {"n_predict": "12"},
        {"n_predict": True},
        {"n_discard": -1},
        {"seed": -5},
        {"seed": 2**64},
        {"temperature": -1},
        {"t_max_predict_ms": -1},
        {"stop": [1]},
        {"stop": ["x"] * 17},
        {"stop": "x" * 1000},
        {"input_extra": "x"},
        {"input_extra": [1]},
        {"input_prefix": 5},
        {"prompt": [1, 2]},
        {"grammar": "root ::= root root"},
        {"json_schema": {}},
        {"filename": "x" * 5000},
        {"filename": "/etc/passwd"},
        {"filename": "a\0b"},
        {"stream": "yes"},
        {"no_such_field": 1},
    ],
    ids=str,
)
def test_a_bad_field_is_named(server, field):
    """Fields of another type, out of their bounds or unknown are refused with a sentence."""
    answer = server.request("POST", "/infill", HOLE | field)
    assert answer.status == 400
    assert next(iter(field)) in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"\xff\xfe",
        b'{"n_predict": NaN}',
        b'{"temperature": Infinity}',
        b'{"n_predict": ' + b"9" * 5000 + b"}",
        b'{"lora": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000,
    ],
    ids=lambda body: str(body[:20]),
)
def test_a_body_that_is_no_request_is_refused(server, body):
    """Broken, endless or absurd JSON is a 400, and the server goes on."""
    answer = server.request("POST", "/infill", body)
    assert answer.status == 400
    assert answer.json()["error"]["message"].startswith("the body")
    assert server.request("POST", "/infill", HOLE).status == 200


def test_no_answer_can_be_read_by_a_web_page(server):
    """There are no CORS headers on any answer, refusals included."""
    answers = [
        server.request("GET", "/health"),
        server.request("POST", "/infill", HOLE),
        server.request("OPTIONS", "/infill", headers={"Origin": "http://evil.example"}),
        server.request("POST", "/infill", HOLE, {"Content-Type": "text/plain"}),
        server.request("GET", "/nothing"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 403, 415, 404]
    for answer in answers:
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_strangers_are_refused_over_the_wire(server):
    """The rules hold for real requests, which are not completed."""
    for headers in ({"Host": "evil.example"}, {"Origin": "null"}):
        answer = server.request("POST", "/infill", HOLE, headers)
        assert answer.status == 403
        assert "content" not in answer.json()
    assert server.request("POST", "/infill", HOLE, is_authorised=False).status == 401
    assert server.request("PUT", "/infill", HOLE).status == 405
    assert server.request("GET", "/infill").status == 405


def test_huge_and_broken_requests_end_the_connection(server):
    """Bodies beyond 8 MiB are refused before they are read, and garbage gets no answer of ours."""
    host = f"Host: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.token}\r\n"
    head = f"POST /infill HTTP/1.1\r\n{host}Content-Type: application/json\r\n"
    for length in ("10000000000", "9" * 19):
        received = server.raw(f"{head}Content-Length: {length}\r\n\r\n{{".encode())
        assert received.startswith(b"HTTP/1.1 413")
    assert server.raw(f"{head}Content-Length: -1\r\n\r\n".encode()).startswith(b"HTTP/1.1 400")
    assert server.raw(b"\x16\x03\x01\x02\x00\x01").startswith((b"HTTP/1.1 400", b""))
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 10 + b"0\r\n\r\n"
    assert server.raw(chunked).startswith((b"HTTP/1.1 413", b""))
    assert server.request("GET", "/health").status == 200


def test_a_client_that_leaves_does_no_harm(server):
    """Half a request, or one whose client is gone, leaves the server as it was."""
    for content in (b"POST /infill HTTP/1.1\r\nHost: x", b"GET /health HTTP/1.1\r\n"):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(content)
    body = json.dumps(HOLE)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            f"POST /infill HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
    assert server.request("POST", "/infill", HOLE).json()["content"] == "x("


def test_a_client_that_dawdles_is_let_go(server):
    """A request whose head never ends is closed by the server, and not by a test's patience."""
    beginnings = (b"", b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
    with contextlib.ExitStack() as open_ones:
        connections = []
        for beginning in beginnings:
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
            open_ones.enter_context(connection)
            connection.sendall(beginning)
            connections.append(connection)
        for connection in connections:
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""


def test_a_body_that_dawdles_is_told_so(server):
    """A body that comes a byte at a time is cut off with 408, however alive its client is."""
    head = (
        f"POST /infill HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Type: application/json\r\n"
        "Content-Length: 1000\r\n\r\n{"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head.encode())
        is_over = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not is_over.wait(0.2):
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert connection.recv(64).startswith(b"HTTP/1.1 408")
        finally:
            is_over.set()
            thread.join()
    assert server.request("GET", "/health").status == 200


def test_a_hundred_requests_at_once_are_answered_or_told_busy(server):
    """More than the server takes are refused at once, and all others get their own answer."""

    def ask(number: int) -> tuple[int, str]:
        answer = server.request("POST", "/infill", HOLE | {"prompt": f"    x{number}("})
        is_json = answer.headers.get("content-type") == "application/json"
        return answer.status, answer.json().get("content", "") if is_json else ""

    with ThreadPoolExecutor(100) as threads:
        answers = list(threads.map(ask, range(100)))
    assert {status for status, _ in answers} <= {200, 429, 503}
    served = [(n, text) for n, (status, text) in enumerate(answers) if status == 200]
    assert served
    assert all(text == f"x{number}(" for number, text in served)
    assert server.request("POST", "/infill", HOLE).json()["content"] == "x("


def run(root: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "codebuddy", "-C", str(root), "serve", *arguments]
    return subprocess.run(
        program, capture_output=True, text=True, timeout=60, env=environment_for(home)
    )


def test_wrong_starts_are_told(repository, tmp_path):
    """A public address, a taken port, a bad token file and a missing model end with a remedy."""
    home = tmp_path / "other"
    echo = ("--model", "echo", "--port", "0")
    remote = run(repository, home, *echo, "--host", "0.0.0.0")
    assert remote.returncode == 2
    assert "--allow-remote" in remote.stderr
    assert run(repository, home, *echo, "--host", "0.0.0.0", "--allow-remote", "--no-token")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = run(repository, home, "--model", "echo", "--port", str(port))
    assert taken.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken" in taken.stderr
    missing = run(repository, home, "--port", "0", "--model", "/nowhere/model.gguf")
    assert missing.returncode == 1
    assert "hint:" in missing.stderr
    token = tmp_path / "token"
    token.write_text("x" * 40)
    token.chmod(0o644)
    shared = run(repository, home, *echo, "--token-file", str(token))
    assert shared.returncode == 1
    assert str(token) in shared.stderr


def test_it_ends_with_ctrl_c_and_says_where_it_was(repository, tmp_path):
    """The address and the token's place are the answer on stdout, and Ctrl-C ends it with 130."""
    program = [sys.executable, "-m", "codebuddy", "-C", str(repository), "serve"]
    process = subprocess.Popen(
        [*program, "--port", "0", "--model", "echo", "--no-token"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment_for(tmp_path / "other"),
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    port = int(line.strip().rpartition(":")[2])
    assert line.startswith(f"serving {os.path.realpath(repository)} with echo at http://127.0.0.1:")
    server = Server(port, "", tmp_path, process)
    while True:
        try:
            assert server.request("POST", "/infill", HOLE, is_authorised=False).status == 200
            break
        except ConnectionResetError:
            continue
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "any program of this machine may ask" in errors


def test_the_real_model_completes_what_llama_vim_asked(repository, tmp_path):
    """The recorded request is completed with the real model and a lookup in the repository."""
    open_index(RepositoryContext(open_repository(repository), Settings())).close()
    whole = {k: v for k, v in LLAMA_VIM_REQUEST.items() if k != "response_fields"}
    # On a busy machine the lookup would be left out for the plugin's own limits.
    whole |= {"t_max_prompt_ms": 60_000, "t_max_predict_ms": 60_000}
    always = {"CODEBUDDY_COMPLETION_RETRIEVE": "always"}
    home, model = tmp_path / "other", "qwen2.5-coder-1.5b"
    with serving(repository, home, model=model, **always) as server:
        answer = server.request("POST", "/infill", whole).json()
    assert "amount_cents" in answer["content"]
    # The file was recognised, and the definition was looked up in the other one.
    receipt = answer["codebuddy"]
    assert receipt["file"] == "cart.py"
    assert [chunk["path"] for chunk in receipt["chunks"]] == ["pricing.py"]
