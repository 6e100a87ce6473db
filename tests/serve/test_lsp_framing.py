"""Bytes that are no messages: the language server closes cleanly, and never hangs or grows."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from codebuddy.serve.framing import MAX_MESSAGE_BYTES, FramedInput
from tests.support.lsp import editing

BODY = b'{"jsonrpc": "2.0"}'
GOOD = b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


def bodies(content: bytes) -> tuple[list[bytes], list[str]]:
    """The bodies that are read off `content`, and what was said about the rest."""
    troubles: list[str] = []
    framed = FramedInput(io.BytesIO(content), troubles.append)
    found = []
    while header := framed.readline():
        assert framed.readline() == b"\r\n"
        found.append(framed.read(int(header.partition(b":")[2])))
    return found, troubles


@pytest.mark.parametrize(
    "frame",
    [
        GOOD,
        b"content-length:%d\n\n%s" % (len(BODY), BODY),
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n" + GOOD,
    ],
)
def test_messages_are_taken_off_the_stream(frame):
    """A body is read whole, whatever else its header says."""
    assert bodies(frame * 3) == ([BODY] * 3, [])


BAD = {
    "negative": b"Content-Length: -5\r\n\r\n",
    "zero": b"Content-Length: 0\r\n\r\n",
    "twice": b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "huge": b"Content-Length: 99999999999\r\n\r\n{",
    "beyond numbers": b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{",
    "above the cap": b"Content-Length: %d\r\n\r\n{" % (MAX_MESSAGE_BYTES + 1),
    "no number": b"Content-Length: five\r\n\r\nabcde",
    "signed": b"Content-Length: +5\r\n\r\nabcde",
    "hexadecimal": b"Content-Length: 0x5\r\n\r\nabcde",
    "missing": b"Content-Type: x\r\n\r\n{}",
    "no header": b"\r\n{}",
    "plain JSON": b'{"jsonrpc": "2.0"}\r\n\r\n',
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an endless line": b"x" * 100_000,
    "endless headers": b"a: b\r\n" * 1000,
    "cut body": b"Content-Length: 50\r\n\r\n{}",
    "cut header": b"Content-Length: 5",
    "binary": bytes(range(256)) * 10,
}


@pytest.mark.parametrize("name", BAD)
def test_a_frame_that_cannot_be_read_ends_the_input(name):
    """What came before it counts, nothing after it does, and one sentence says why."""
    found, troubles = bodies(GOOD + BAD[name] + GOOD)
    assert found == [BODY]
    assert len(troubles) == 1


@pytest.mark.process
def test_the_server_closes_on_a_bad_frame(repository, tmp_path):
    """The process ends with 1 while its stdin is still open, and says why in the editor's log."""
    for name in ("negative", "twice", "huge", "endless headers"):
        with editing(repository, tmp_path / "other") as client:
            client.initialize()
            client.send_bytes(BAD[name])
            message = client.receive()
            assert message["method"] == "window/logMessage"
            assert client.process.wait(timeout=60) == 1
            assert client.process.stderr is not None
            assert b"Traceback" not in client.process.stderr.read()


@pytest.mark.process
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"5",
        b"null",
        b"\xff\xfe",
        b'{"id": 5}',
        b'{"jsonrpc": "1.0", "id": 1, "method": "x"}',
        b'{"jsonrpc": "2.0", "method": 5, "id": []}',
        b'{"jsonrpc": "2.0", "id": 77, "result": {}}',
        b"[" * 100_000 + b"]" * 100_000,
        b'{"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {}}',
        b'{"jsonrpc": "2.0", "method": "textDocument/didChange", "params": null}',
        json.dumps({"jsonrpc": "2.0", "method": "x" * 10_000, "params": {}}).encode(),
    ],
    ids=lambda body: str(body[:40]),
)
def test_a_message_that_says_nothing_is_survived(serving_editor, body):
    """Broken JSON, wrong shapes and unknown methods leave the server as it was."""
    client = serving_editor
    client.send_bytes(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    uri = client.open("after.py", "def f():\n    call_it(\n")
    assert client.suggested(uri, 1, 12) == "call_it("


@pytest.fixture(scope="module")
def serving_editor(tmp_path_factory: pytest.TempPathFactory):
    """One initialised editor for the messages that say nothing."""
    import subprocess

    folder: Path = tmp_path_factory.mktemp("framing")
    subprocess.run(["git", "init", "-q", str(folder / "repo")], check=True)
    with editing(folder / "repo", folder / "home") as client:
        client.initialize()
        yield client
