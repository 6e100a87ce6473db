"""Which model a llama-server has now, and texts that are no JSON to it."""

from __future__ import annotations

from codebuddy.inference.remote import connect
from codebuddy.service.in_process_client import InProcessClient
from codebuddy.service.request import CompletionRequest
from codebuddy.settings import ModelSettings
from tests.support.model_server import serving


def test_a_server_with_another_model_gets_the_tokens_of_that_one(tmp_path, monkeypatch):
    """One that was started anew is not sent ids of the old vocabulary, nor called by its name."""
    file = tmp_path / "a.py"
    file.write_text("def double(price):\n    \n")
    with serving("llama-server") as server:
        monkeypatch.setenv("CODEBUDDY_MODEL_URL", server.url)
        client = InProcessClient()
        request = CompletionRequest(str(file), 2, retrieve="never")
        assert client.complete(request)["model"] == "small-coder"
        server.model, server.first_mark = "other-coder", 5000
        answers = [client.complete(request) for _ in range(2)]
        client.close()
    assert [each["model"] for each in answers] == ["other-coder"] * 2
    first, *later = [body["prompt"] for body in server.bodies("/completion")]
    assert (max(first), [max(each) for each in later]) == (1004, [5004, 5004])


def test_a_server_that_stayed_the_same_is_recognized_once(tmp_path, monkeypatch):
    """Before a request it says what it has; its vocabulary is known."""
    file = tmp_path / "a.py"
    file.write_text("def double(price):\n    \n")
    with serving("llama-server") as server:
        monkeypatch.setenv("CODEBUDDY_MODEL_URL", server.url)
        client = InProcessClient()
        client.complete(CompletionRequest(str(file), 2, retrieve="never"))
        known = len(server.bodies("/tokenize"))
        client.complete(CompletionRequest(str(file), 2, retrieve="never"))
        client.close()
    assert len(server.bodies("/tokenize")) == known


def test_a_byte_that_is_no_utf8_reaches_a_server_as_a_question_mark():
    """A lone surrogate is no JSON to llama-server."""
    with serving("llama-server") as server:
        generator = connect(ModelSettings(name="small-coder", url=server.url))
        generator.tokenize("x = '\udcff'")
        generator.close()
    assert server.bodies("/tokenize")[-1]["content"] == "x = '?'"
