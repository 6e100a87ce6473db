"""A stand-in for llama-server and Ollama: real sockets, their documented JSON, a byte tokenizer.

It answers each prompt with a fixed text, a piece at a time, and records what it was asked.
`faults` names what it does wrong: `PATH is silent` takes a request and says nothing, `PATH has
slow headers` and `PATH has endless headers` never end the head of an answer.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# From the first marker's id on, of the first model; another one begins elsewhere.
FIRST_MARK = 1000
MARKS = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>"]
PIECES = ["return", " price", " * 2", "\n"]


class ModelServerStandIn(ThreadingHTTPServer):
    """The server; `asked` holds every (path, body), `faults` what to do wrong."""

    # Each connection is over before the test is.
    daemon_threads = False

    def __init__(self, kind: str, faults: set[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kind = kind
        self.faults = faults
        # What `GET /lora-adapters` lists; nothing knows of adapters where it is None.
        self.adapters: list[dict[str, Any]] | None = None
        self.n_ctx = 512
        # What it has loaded, and where the ids of that model's markers begin.
        self.model = "small-coder"
        self.first_mark = FIRST_MARK
        self.asked: list[tuple[str, Any]] = []
        self.sent = 0
        # Requests that are being answered with silence.
        self.hanging = 0
        self.is_client_gone = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def bodies(self, path: str) -> list[Any]:
        """What was posted to `path`."""
        return [body for asked, body in self.asked if asked == path]


@contextmanager
def serving(kind: str, *faults: str) -> Iterator[ModelServerStandIn]:
    """A running stand-in of `llama-server` or `ollama`."""
    server = ModelServerStandIn(kind, set(faults))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ModelServerStandIn

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.server.asked.append((self.path, None))
        if self._hang():
            return
        if self.server.kind == "llama-server" and self.path == "/props":
            self._reply(
                {
                    "default_generation_settings": {"n_ctx": self.server.n_ctx},
                    "model_alias": "",
                    "model_path": f"/models/{self.server.model}.gguf",
                    "build_info": "b1-test",
                }
            )
        elif self.path == "/lora-adapters" and self.server.adapters is not None:
            self._reply(self.server.adapters)
        elif self.server.kind == "ollama" and self.path == "/api/tags":
            self._reply({"models": [{"name": "qwen2.5-coder:1.5b"}, {"name": "other:latest"}]})
        else:
            self._reply({"error": "not found"}, 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        if self._hang():
            return
        if self.path == "/tokenize":
            text = body["content"]
            is_mark = body["parse_special"] and text in MARKS
            first = self.server.first_mark
            tokens = [first + MARKS.index(text)] if is_mark else list(text.encode())
            self._reply({"tokens": [1, *tokens] if body["add_special"] else tokens})
        elif self.path == "/apply-template" and self.server.kind == "llama-server":
            system, user = (message["content"] for message in body["messages"])
            self._reply({"prompt": f"{MARKS[4]}{system}{MARKS[3]}{user}{MARKS[2]}"})
        elif self.path in ("/completion", "/api/generate"):
            self._stream(body)
        else:
            self._reply({"error": "not found"}, 404)

    def _hang(self) -> bool:
        """Whether the request is answered with silence, or with a head that has no end."""
        drips = {
            "is silent": b"",
            "has slow headers": b"X",
            # Any number of interim answers may come before the real one.
            "has endless headers": b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
        }
        for way, drip in drips.items():
            if f"{self.path} {way}" in self.server.faults:
                self.close_connection = True
                if way == "has slow headers":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                self._wait_for_the_client_to_go(drip)
                return True
        return False

    def _wait_for_the_client_to_go(self, drip: bytes = b"") -> None:
        self.server.hanging += 1
        self.connection.settimeout(0.02)
        try:
            while True:
                if drip:
                    self.wfile.write(drip)
                try:
                    if not self.connection.recv(1):
                        break
                except TimeoutError:
                    continue
        except OSError:
            pass
        finally:
            self.server.hanging -= 1
            self.server.is_client_gone.set()

    def _stream(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        is_llama = self.server.kind == "llama-server"
        try:
            if "garbage" in self.server.faults:
                self.wfile.write(b"<html>\n")
                return
            if "error" in self.server.faults:
                self._send({"error": {"message": "slot lost"} if is_llama else "model crashed"})
                return
            if "half a line" in self.server.faults:
                self.wfile.write(b'{"content": "ret')
                self._wait_for_the_client_to_go()
                return
            pieces = PIECES * 500 if "endless" in self.server.faults else PIECES
            for piece in pieces:
                told: dict[str, Any] = {"content": piece, "stop": False}
                if body.get("timings_per_token"):
                    told["timings"] = _LAST_LLAMA["timings"]
                self._send(told if is_llama else {"response": piece, "done": False})
                self.server.sent += 1
                if "endless" in self.server.faults:
                    time.sleep(0.01)
                if "stalls" in self.server.faults:
                    self._wait_for_the_client_to_go()
                    return
                if "blank lines" in self.server.faults:
                    self._wait_for_the_client_to_go(b"\n: still here\n\n" * 100)
                    return
                if "breaks off" in self.server.faults:
                    self.connection.close()
                    return
            self._send(_LAST_LLAMA if is_llama else _LAST_OLLAMA)
        except OSError:
            self.server.is_client_gone.set()
        self.close_connection = True

    def _send(self, event: dict[str, Any]) -> None:
        mark = b"data: " if self.server.kind == "llama-server" else b""
        self.wfile.write(mark + json.dumps(event).encode() + b"\n" + (b"\n" if mark else b""))
        self.wfile.flush()

    def _reply(self, content: Any, status: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


_LAST_LLAMA = {
    "content": "",
    "stop": True,
    "stop_type": "limit",
    "tokens_evaluated": 20,
    "timings": {"cache_n": 15, "prompt_n": 5, "predicted_n": 4, "predicted_ms": 8.5},
}
_LAST_OLLAMA = {
    "response": "",
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 7,
    "eval_count": 4,
    "eval_duration": 2_000_000,
}
