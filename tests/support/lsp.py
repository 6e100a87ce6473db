"""A plain client of the Language Server Protocol over a real process's stdin and stdout."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.serve import environment_for

INLINE: dict[str, dict[str, dict[str, object]]] = {"textDocument": {"inlineCompletion": {}}}


class Client:
    """One editor: requests wait for their answer, and notifications are kept."""

    def __init__(self, process: subprocess.Popen[bytes], root: Path) -> None:
        self.process = process
        self.root = root
        self.notifications: list[dict[str, Any]] = []
        self.answers: dict[int, dict[str, Any]] = {}
        self._next_id = 0
        self._held: list[bytes] | None = None

    def send_bytes(self, content: bytes) -> None:
        assert self.process.stdin is not None
        if self._held is not None:
            self._held.append(content)
            return
        self.process.stdin.write(content)
        self.process.stdin.flush()

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """What is sent within arrives in one piece, however slow this process is."""
        self._held = []
        yield
        content, self._held = b"".join(self._held), None
        self.send_bytes(content)

    def send(self, message: dict[str, Any] | list[Any]) -> None:
        body = json.dumps(message).encode()
        self.send_bytes(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def receive(self) -> dict[str, Any]:
        """The next message; every byte on stdout belongs to one."""
        assert self.process.stdout is not None
        length = 0
        while line := self.process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            assert name in (b"Content-Length", b"Content-Type"), line
            if name == b"Content-Length":
                length = int(value)
        assert length, "the server ended its output"
        message: dict[str, Any] = json.loads(self.process.stdout.read(length))
        return message

    def notify(self, method: str, params: Any) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, method: str, params: Any) -> int:
        """Send a request; `answer` waits for what comes back."""
        self._next_id += 1
        message = {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params}
        self.send(message)
        return self._next_id

    def answer(self, request: int) -> dict[str, Any]:
        while request not in self.answers:
            message = self.receive()
            if "id" in message and "method" not in message:
                self.answers[message["id"]] = message
            else:
                self.notifications.append(message)
        return self.answers[request]

    def request(self, method: str, params: Any) -> dict[str, Any]:
        return self.answer(self.ask(method, params))

    def initialize(self, capabilities: Any = INLINE, **more: Any) -> dict[str, Any]:
        folder = {"uri": self.root.as_uri(), "name": "root"}
        params = {
            "processId": os.getpid(),
            "rootUri": self.root.as_uri(),
            "workspaceFolders": [folder],
            "capabilities": capabilities,
        }
        answer = self.request("initialize", params | more)
        self.notify("initialized", {})
        return answer

    def uri(self, path: str) -> str:
        return (self.root / path).as_uri()

    def open(self, path: str, text: str, language: str = "python") -> str:
        uri = path if ":" in path else self.uri(path)
        item = {"uri": uri, "languageId": language, "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})
        return uri

    def change(self, uri: str, *changes: dict[str, Any], version: int = 2) -> None:
        document = {"uri": uri, "version": version}
        self.notify(
            "textDocument/didChange", {"textDocument": document, "contentChanges": list(changes)}
        )

    def inline(self, uri: str, line: int, character: int, **context: Any) -> dict[str, Any]:
        return self.request("textDocument/inlineCompletion", place(uri, line, character, context))

    def suggested(self, uri: str, line: int, character: int) -> str:
        """The text of the one suggestion, or an empty one."""
        items = self.inline(uri, line, character)["result"]["items"]
        return items[0]["insertText"] if items else ""

    def messages(self) -> list[str]:
        """What the server logged, up to an answer of its own."""
        self.request("workspace/executeCommand", {"command": "codebuddy.receipt"})
        logged = [n for n in self.notifications if n["method"] == "window/logMessage"]
        return [each["params"]["message"] for each in logged]

    def end(self) -> int:
        """Say goodbye; the exit code."""
        self.request("shutdown", None)
        self.notify("exit", None)
        return self.process.wait(timeout=60)


def place(uri: str, line: int, character: int, context: Any = None) -> dict[str, Any]:
    return {
        "textDocument": {"uri": uri},
        "position": {"line": line, "character": character},
        "context": {"triggerKind": 1} | (context or {}),
    }


@contextlib.contextmanager
def editing(root: Path, home: Path, *, model: str = "echo", **variables: str) -> Iterator[Client]:
    """An editor with a server of its own, which is gone afterwards."""
    program = [sys.executable, "-m", "codebuddy", "-C", str(root), "lsp", "--model", model]
    process = subprocess.Popen(
        program,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment_for(home, **variables),
    )
    try:
        yield Client(process, root)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            # What was not sent yet has nobody to read it.
            with contextlib.suppress(BrokenPipeError):
                stream.close()
