"""`codebuddy serve` as a client of the warm engine, over real sockets."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from codebuddy.engine.client import engine_status, stop_engine
from codebuddy.engine.status import EngineStatus
from tests.conftest import SMALL_MODEL
from tests.serve.test_serve_http import HOLE
from tests.support.engine import MODEL_SECONDS, wait_until
from tests.support.serve import serving


def running_engine() -> EngineStatus:
    """The status of the engine, which runs."""
    found = engine_status()
    assert found is not None
    return found


@pytest.mark.model
@pytest.mark.process
@pytest.mark.parametrize("is_stream", [True, False])
def test_a_client_that_leaves_ends_its_generation(repository, tmp_path, monkeypatch, is_stream):
    """The engine hears that the HTTP client is gone, and stops the model for it."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    variables = {"CODEBUDDY_ENGINE_ENABLED": "true", "XDG_RUNTIME_DIR": str(folder)}
    body: dict[str, Any] = {
        "input_prefix": "x = [\n" + "    1,\n" * 200,
        "prompt": "    ",
        "input_suffix": "\n",
    }
    body |= {"n_predict": 1500, "stream": is_stream, "filename": "ones.py"}
    model = {"model": str(SMALL_MODEL)}
    try:
        with serving(repository, tmp_path / "other", **model, **variables) as server:
            assert wait_until(lambda: (found := engine_status()) and found["model"], MODEL_SECONDS)
            content = json.dumps(body)
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(
                    f"POST /infill HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
                    f"Authorization: Bearer {server.token}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(content)}\r\n\r\n{content}".encode()
                )
                assert wait_until(lambda: running_engine()["queue"]["running"] == "complete")
            assert wait_until(lambda: running_engine()["requests"]["cancelled"] == 1)
            assert wait_until(lambda: running_engine()["queue"]["running"] is None)
            assert server.request("POST", "/infill", HOLE | {"n_predict": 4}).status == 200
    finally:
        stop_engine()
