"""`codebuddy mcp` as a process: stdin and stdout, streamable HTTP, and hostile clients."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.streamable_http_manager import (
    StreamableHTTPASGIApp,
    StreamableHTTPSessionManager,
)

from codebuddy.serve.agents.transports import MAX_FRAME_BYTES, build_app
from codebuddy.serve.guard import Rules
from tests.support.agents import agent_server, child, command_of, error_of, text_of
from tests.support.serve import Server, environment_for

pytestmark = pytest.mark.process

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def call(number: int, tool: str, **arguments: Any) -> dict[str, Any]:
    """A call as it goes over the wire."""
    parameters = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": parameters}


@contextlib.contextmanager
def started(root: Path, home: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process with pipes; killed if it does not end."""
    process = subprocess.Popen(
        command_of(root, *flags),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment_for(home),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


def talk(root: Path, home: Path, *lines: bytes) -> tuple[list[dict[str, Any]], int]:
    """What is answered to lines of stdin that then ends, and the exit code."""
    with started(root, home) as process:
        out, err = process.communicate(b"".join(lines), timeout=120)
        assert b"Traceback" not in err, err.decode()
        return [json.loads(line) for line in out.splitlines()], process.returncode


def frame(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


@pytest.mark.asyncio
async def test_the_official_client_starts_it_and_is_answered(repository, tmp_path):
    """Tools, a resource and a refusal, over stdin and stdout."""
    async with Client(child(repository, tmp_path / "home")) as client:
        found = await text_of(client, "search", query="amount after a discount")
        assert "pricing.py:1-7 function apply_discount" in found
        assert "outside the repository" in await error_of(client, "read", path="../x")
        read = await client.read_resource("codebuddy:///cart.py")
        assert read.contents[0].text.startswith("from pricing import")  # type: ignore[union-attr]
        texts = await asyncio.gather(*(text_of(client, "outline") for _ in range(100)))
        assert len(set(texts)) == 1


def test_an_agent_that_leaves_ends_it(repository, tmp_path):
    """With exit code 0, once all it asked is answered, and nothing but messages on stdout."""
    answers, code = talk(repository, tmp_path / "home", frame(HELLO))
    assert code == 0
    assert [each["id"] for each in answers] == [1]
    assert answers[0]["result"]["serverInfo"]["name"] == "codebuddy"


def test_garbage_is_no_end(repository, tmp_path):
    """Lines that are no message, too long or too deep are passed over; later calls are answered."""
    garbage = [
        b"\n",
        b"not json\n",
        b"\xff\xfe\x00\n",
        b"[]\n",
        b"{}\n",
        b"[" * 100_000 + b"\n",
        b'{"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": 7}\n',
        b'{"jsonrpc": "2.0", "id": 6, "method": "no/such"}\n',
        b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 99}}\n',
        b"x" * (MAX_FRAME_BYTES * 2 + 17) + b"\n",
    ]
    with started(repository, tmp_path / "home") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(frame(HELLO))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        process.stdin.write(frame(READY) + b"".join(garbage))
        process.stdin.write(frame(call(7, "outline")))
        process.stdin.flush()
        while True:
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read().decode()
            answer = json.loads(line)
            if answer.get("id") == 7:
                break
        assert "cart.py" in answer["result"]["content"][0]["text"]


def greet(process):
    """Say hello over stdio, and take the answer."""
    process.stdin.write(frame(HELLO))
    process.stdin.flush()
    assert process.stdout.readline()


def test_ctrl_c_ends_it(repository, tmp_path):
    """At once, though its stdin is still open."""
    with started(repository, tmp_path / "home") as process:
        greet(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130


def test_an_agent_that_dies_ends_it(repository, tmp_path):
    """Nobody reads the answers: that is the end of the connection, and no bug."""
    home = tmp_path / "home"
    with started(repository, home) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        greet(process)
        process.stdout.close()
        process.stdin.write(frame(READY) + frame(call(2, "outline")))
        process.stdin.flush()
        # Its stdin is open still.
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == b""
        process.stdin.close()
        process.stdin = process.stdout = None
    assert not list(home.rglob("bug-*.log"))


def test_ctrl_c_ends_it_while_nobody_reads_its_answers(repository, tmp_path):
    """A write that waits is given up."""
    # Each answer has some thousand bytes.
    listed = {"jsonrpc": "2.0", "method": "tools/list"}
    many = b"".join(frame(listed | {"id": number}) for number in range(2, 100))
    with started(repository, tmp_path / "home") as process:
        greet(process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(frame(READY) + many)
        process.stdin.flush()
        _wait_until_full(process.stdout.fileno())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130


def _wait_until_full(pipe: int) -> None:
    """Until what waits in the pipe grows no more."""
    seen, waiting = -1, 0
    while waiting == 0 or waiting != seen:
        time.sleep(0.5)
        seen = waiting
        raw = fcntl.ioctl(pipe, termios.FIONREAD, struct.pack("i", 0))
        (waiting,) = struct.unpack("i", raw)


@contextlib.contextmanager
def over_http(root: Path, home: Path) -> Iterator[Server]:
    """The process on a free port."""
    with started(root, home, "--http", "0", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert line, process.stderr.read().decode()
        told = json.loads(line)
        assert told["url"].startswith("http://127.0.0.1:")
        assert told["url"].endswith("/mcp")
        port = int(told["url"].rpartition(":")[2].partition("/")[0])
        file = Path(told["token_file"])
        yield Server(port, file.read_text().strip(), file, process)  # type: ignore[arg-type]
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("mcp")
    root = folder / "repo"
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / "cart.py").write_text("def total(items):\n    return sum(items)\n")
    with over_http(root, folder / "home") as running:
        yield running


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_is_answered_over_http(server, mode):
    """With the token; a hundred calls at once, too."""
    headers = {"Authorization": f"Bearer {server.token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        transport = streamable_http_client(f"http://127.0.0.1:{server.port}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            assert "cart.py:1-2 function total" in await text_of(client, "definition", name="total")
            texts = await asyncio.gather(*(text_of(client, "outline") for _ in range(40)))
            assert len(set(texts)) == 1


MODERN = {"Accept": "application/json, text/event-stream"}


def test_http_is_guarded_as_serve_is(server):
    """Host, Origin, token, method and type, before anything is read; nothing but its path."""

    def status(method="POST", path="/mcp", body: Any = HELLO, is_authorised=True, **headers: str):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = server.request(method, path, body, MODERN | named, is_authorised=is_authorised)
        return answer.status

    assert status() == 200
    assert status(is_authorised=False) == 401
    assert status(is_authorised=False, Authorization="Bearer wrong") == 401
    assert status(Host="evil.example") == 403
    assert status(Origin="https://evil.example") == 403
    assert status(Origin="null") == 403
    assert status(Content_Type="text/plain") == 415
    assert status("GET", body=None) == 405
    assert status("DELETE", body=None) == 405
    assert status("OPTIONS", body=None) == 405
    assert status(path="/") == 404
    assert status(path="/mcp/") == 404
    assert status(body=b"x" * (MAX_FRAME_BYTES + 1)) == 413
    assert status(body=b"not json") == 400
    assert status(body=b"[" * 100_000) == 400
    assert status() == 200


@pytest.mark.asyncio
async def test_a_client_that_leaves_over_http_cancels_its_call(repository, monkeypatch):
    """The work hears of it as soon as the connection is gone."""
    begun, heard = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(_name, _given, token):
        with token.on_cancel(heard.set):
            loop.call_soon_threadsafe(begun.set)
            heard.wait(60)
        token.check()

    body = frame(call(1, "outline"))
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        if messages:
            return messages.pop()
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(_message):
        raise AssertionError("nobody is there")

    headers = {"host": "here:1", "content-type": "application/json", **MODERN}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": raw}
    rules = Rules(frozenset({"here:1"}), frozenset(), "")
    with agent_server(repository) as agents:
        monkeypatch.setattr(agents._tools, "call", slow)
        manager = StreamableHTTPSessionManager(agents.protocol, json_response=True, stateless=True)
        async with manager.run():
            app = build_app(StreamableHTTPASGIApp(manager), rules)
            await app({**scope, "query_string": b"", "root_path": ""}, receive, send)
        assert await asyncio.to_thread(heard.wait, 60)
        assert not agents._tokens


def test_the_port_listens_on_this_machine_alone(repository, tmp_path):
    """A port that is taken is an error, and so are flags of HTTP without it."""
    home = tmp_path / "home"
    with (
        over_http(repository, home) as server,
        started(repository, home, "--http", str(server.port)) as second,
    ):
        _, err = second.communicate(timeout=60)
        assert second.returncode == 1
        assert b"is taken" in err


def test_wrong_calls_say_why(repository, tmp_path):
    """Outside of a repository; flags that go with --http."""
    home = tmp_path / "home"
    with started(tmp_path, home) as process:
        out, err = process.communicate(b"", timeout=60)
        assert process.returncode == 2
        assert b"not inside a git repository" in err
        assert out == b""
    with started(repository, home, "--json") as process:
        _, err = process.communicate(b"", timeout=60)
        assert process.returncode == 2
        assert b"go with --http" in err
