"""Starts `codebuddy serve` as a process of its own and talks to it over a real socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import REAL_MODELS

# Recorded from llama.vim a1c8e6e in Vim 9.0, at the end of line 6 of the shop's cart.py.
LLAMA_VIM_REQUEST: dict[str, Any] = {
    "id_slot": 0,
    "input_prefix": "from pricing import apply_discount\n\n\ndef total(items, percent):\n"
    "    amount_cents = sum(item.price_cents for item in items)\n",
    "input_suffix": "\n\n\ndef label(name):\n    return name.title()\n",
    "input_extra": [],
    "prompt": "    return apply_discount(",
    "n_predict": 128,
    "stop": [],
    "n_indent": 4,
    "top_k": 40,
    "top_p": 0.9,
    "samplers": ["top_k", "top_p", "infill"],
    "stream": False,
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 250,
    "response_fields": [
        "content",
        "timings/prompt_n",
        "timings/prompt_ms",
        "timings/prompt_per_token_ms",
        "timings/prompt_per_second",
        "timings/predicted_n",
        "timings/predicted_ms",
        "timings/predicted_per_token_ms",
        "timings/predicted_per_second",
        "truncated",
        "tokens_cached",
    ],
    "model": "",
}
# What it sends while nobody types, to have the server read its ring of chunks.
LLAMA_VIM_WARM_UP: dict[str, Any] = {
    "id_slot": 0,
    "input_prefix": "",
    "input_suffix": "",
    "input_extra": [
        {"filename": "cart.py", "time": [1795200666, 254330], "text": "def label(name):\n"}
    ],
    "prompt": "",
    "n_predict": 0,
    "temperature": 0.0,
    "samplers": [],
    "stream": False,
    "cache_prompt": True,
    "t_max_prompt_ms": 1,
    "t_max_predict_ms": 1,
    "response_fields": [""],
    "model": "",
}


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """A running `codebuddy serve`."""

    port: int
    token: str
    token_file: Path
    process: subprocess.Popen[str]

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | dict | None = None,
        headers: dict[str, str] | None = None,
        *,
        is_authorised: bool = True,
    ) -> Answer:
        """One request over a connection of its own; JSON is announced as JSON."""
        sent = {"Content-Type": "application/json"} if body is not None else {}
        if is_authorised:
            sent["Authorization"] = f"Bearer {self.token}"
        sent |= headers or {}
        content = json.dumps(body) if isinstance(body, dict) else body
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=240)
        try:
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def raw(self, content: bytes) -> bytes:
        """What comes back for bytes as they are, until the server closes or is silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(content)
            received = b""
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                while part := connection.recv(65536):
                    received += part
            return received


def environment_for(home: Path, **variables: str) -> dict[str, str]:
    """The current environment with another home, without the engine unless asked for."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CODEBUDDY_", "XDG_"))}
    return kept | {
        "HOME": str(home),
        "CODEBUDDY_MODEL_FOLDER": str(REAL_MODELS),
        "CODEBUDDY_ENGINE_ENABLED": "false",
        **variables,
    }


@contextlib.contextmanager
def serving(
    root: Path, home: Path, *flags: str, model: str = "echo", **variables: str
) -> Iterator[Server]:
    """A server for the repository at `root` on a free port, ended with SIGTERM."""
    program = [sys.executable, "-m", "codebuddy", "-C", str(root), "serve"]
    process = subprocess.Popen(
        [*program, "--port", "0", "--json", "--model", model, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment_for(home, **variables),
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            assert process.stderr is not None
            raise AssertionError(process.stderr.read())
        told = json.loads(line)
        file = Path(told["token_file"] or "/dev/null")
        token = file.read_text().strip() if told["token_file"] else ""
        yield Server(int(told["url"].rpartition(":")[2]), token, file, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
