"""Models behind llama-server and Ollama, over real sockets."""

from __future__ import annotations

import dataclasses
import os
import re
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from codebuddy.cancellation import CancellationToken
from codebuddy.completion.pipeline import complete
from codebuddy.completion.pipeline_run import PipelineRequest, PipelineResources
from codebuddy.completion.prompt import build_prompt
from codebuddy.datatypes import GenerationSettings, GenerationStats
from codebuddy.diagnosis import diagnose
from codebuddy.engine.client import EngineClient
from codebuddy.engine.protocol import CompletionCall
from codebuddy.errors import (
    CodebuddyError,
    ConfigError,
    GenerationError,
    ModelError,
    SupersededError,
)
from codebuddy.inference.fim_families import spelling_of
from codebuddy.inference.http_stream import ModelServer
from codebuddy.inference.remote import connect
from codebuddy.settings import CompletionSettings, ModelSettings
from tests.support import serve as serve_support
from tests.support.completion import context_at, document_at
from tests.support.engine import wait_until
from tests.support.model_server import PIECES, serving

ANSWER = "".join(PIECES)


def settings(url: str, name: str = "qwen2.5-coder:1.5b", **more) -> ModelSettings:
    """Settings that name a server."""
    return ModelSettings(name=name, url=url, **more)


def opened(how: ModelSettings) -> Any:
    """The generator behind the address; each kind can be closed."""
    return connect(how)


def generated(generator, tokens, token=None, **how):
    """The text and what it cost."""
    stats = GenerationStats()
    asked = GenerationSettings(**{"max_tokens": 9, **how})
    pieces = generator.generate(tokens, asked, stats, token)
    return "".join(pieces), stats


def test_llama_server_gets_token_ids_and_tells_its_counts():
    """Prompt tokens go out as they are, with the cache asked for; counts come back."""
    with serving("llama-server") as server:
        generator = opened(settings(server.url))
        tokens = [generator.fim.prefix, *generator.tokenize("x = "), generator.fim.middle]
        text, stats = generated(generator, tokens, seed=3)
        generator.close()
    assert text == ANSWER
    [body] = server.bodies("/completion")
    assert body["prompt"] == [1000, *b"x = ", 1002]
    assert body["cache_prompt"] is True
    assert (body["n_predict"], body["temperature"], body["seed"]) == (9, 0.0, 3)
    assert (stats.prompt_tokens, stats.evaluated_tokens, stats.reused_tokens) == (6, 5, 1)
    assert (stats.generated_tokens, stats.finish_reason) == (4, "length")


def test_llama_server_tells_what_it_is():
    """Name, context and markers come from the server; a started sequence is noticed."""
    with serving("llama-server") as server:
        generator = opened(settings(server.url))
        generator.close()
    assert (generator.name, generator.n_ctx, generator.bos) == ("small-coder", 512, 1)
    assert generator.fim.is_supported
    assert generator.fim.separator == 1004
    assert generator.runtime["backend"] == "llama-server"
    assert generator.runtime["url"] == server.url


def test_user_text_is_never_parsed_for_special_tokens():
    """Text that spells a marker is sent to be tokenized as text, and asked for once."""
    with serving("llama-server") as server:
        generator = opened(settings(server.url))
        before = len(server.bodies("/tokenize"))
        assert generator.tokenize("<|fim_middle|>") == list(b"<|fim_middle|>")
        assert generator.tokenize("<|fim_middle|>") == list(b"<|fim_middle|>")
        asked = server.bodies("/tokenize")[before:]
        generator.close()
    assert asked == [{"content": "<|fim_middle|>", "parse_special": False, "add_special": False}]


def test_a_conversation_is_framed_by_the_servers_own_template():
    """The template's marks are tokens; the texts are sent as text, and never to the template."""
    with serving("llama-server") as server:
        generator = opened(settings(server.url))
        tokens = generator.tokenize_chat("be good", "<|fim_middle|>")
        generator.close()
    assert tokens == [1, 1004, *b"be good", 1003, *b"<|fim_middle|>", 1002]
    (asked,) = server.bodies("/apply-template")
    assert "be good" not in str(asked)


def test_the_whole_path_runs_on_a_server():
    """The pipeline completes through llama-server as through any generator."""
    document, position = document_at("def double(price):\n    ‸\n")
    with serving("llama-server") as server:
        generator = opened(settings(server.url))
        resources = PipelineResources(
            generator, None, CompletionSettings(prefix_tokens=100), "shop"
        )
        suggestion = complete(PipelineRequest(document, position, "python", "never"), resources)
        generator.close()
    assert suggestion.text == "return price * 2"
    assert suggestion.receipt.model == "small-coder"
    # The server's counts, though the stream is left before its end.
    stats = suggestion.receipt.stats
    assert (stats.evaluated_tokens, stats.generate_ms) == (5, 8.5)
    assert stats.reused_tokens == stats.prompt_tokens - 5


@pytest.mark.usefixtures("engine")
def test_the_engine_completes_through_a_server(repository, monkeypatch):
    """`model.url` holds in the warm engine too, where a server that went is one sentence."""
    with serving("llama-server") as server:
        monkeypatch.setenv("CODEBUDDY_MODEL_URL", server.url)
        client = EngineClient.connect()
        call = CompletionCall(str(repository / "cart.py"), 6, retrieve="never")
        found = client.complete(call)
        assert found["text"] == "return price * 2"
        assert found["model"] == client.status()["model"] == "small-coder"
        assert found["runtime"]["backend"] == "llama-server"
        server.faults.add("garbage")
        with pytest.raises((GenerationError, ModelError)):
            client.complete(call)
        server.faults.clear()
        # Before each request the server is asked which model it has, and after a failure all anew.
        assert client.complete(call)["model"] == "small-coder"
        assert [path for path, _ in server.asked].count("/props") == 3
        # The built-in generator needs no server, and lets go of it.
        assert client.complete(dataclasses.replace(call, model="echo"))["model"] == "echo"
    for _ in range(2):
        with pytest.raises((GenerationError, ModelError), match=re.escape(server.url)):
            client.complete(call)
    assert client.status()["restarts"] == 0


@pytest.mark.process
def test_the_http_server_completes_through_a_server(repository, tmp_path):
    """Where `model.url` names a server, `serve` needs no weights, and says if none is there."""
    with serving("llama-server") as server:
        url = {"CODEBUDDY_MODEL_URL": server.url, "CODEBUDDY_MODEL_FOLDER": str(tmp_path / "none")}
        with serve_support.serving(repository, tmp_path / "o", model="any", **url) as front:
            hole = {"input_prefix": "def double(price):\n", "prompt": "    ", "input_suffix": "\n"}
            answer = front.request("POST", "/infill", hole).json()
    assert answer["content"] == "return price * 2"
    with (
        pytest.raises(AssertionError, match=re.escape(server.url)),
        serve_support.serving(repository, tmp_path / "o", model="any", **url),
    ):
        pass


@pytest.mark.process
def test_no_llama_cpp_is_needed_with_a_server(repository):
    """Where llama-cpp-python could not be compiled, a server's model completes all the same."""
    code = (
        "import sys; sys.modules['llama_cpp'] = None\n"
        "from codebuddy.cli import run\n"
        "sys.exit(run(['complete', 'cart.py:6', '--no-engine', '--no-update']))"
    )
    with serving("llama-server") as server:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            cwd=repository,
            capture_output=True,
            text=True,
            env={**os.environ, "CODEBUDDY_MODEL_URL": server.url},
        )
    assert (done.returncode, done.stdout) == (0, "return price * 2\n"), done.stderr


def test_doctor_looks_at_the_server(monkeypatch, tmp_path):
    """The server is what is diagnosed: neither weights nor llama.cpp are missed."""
    monkeypatch.setenv("CODEBUDDY_MODEL_FOLDER", str(tmp_path / "none"))
    with serving("llama-server") as server:
        monkeypatch.setenv("CODEBUDDY_MODEL_URL", server.url)
        report = diagnose()
        assert report["model"]["name"] == "small-coder"
        assert report["model"]["backend"] == "llama-server"
        assert report["runtime"] == {"model server": server.url}
        monkeypatch.setenv("CODEBUDDY_MODEL_ALLOW_REMOTE", "true")
        asked = len(server.asked)
        assert "context" not in diagnose()["model"]
        assert len(server.asked) == asked
    monkeypatch.setenv("CODEBUDDY_MODEL_ALLOW_REMOTE", "false")
    assert any(server.url in each["problem"] for each in diagnose()["problems"])


def test_ollama_gets_the_prompt_spelled_out():
    """The family's own marks stand around prefix and suffix, as text, untouched by a template."""
    with serving("ollama") as server:
        generator = opened(settings(server.url, "qwen2.5-coder-1.5b"))
        prompt = build_prompt(
            context_at("größe = ‸\nend\n"), [], generator, CompletionSettings(), "shop"
        )
        text, stats = generated(generator, prompt.tokens)
        generator.close()
    [body] = server.bodies("/api/generate")
    assert text == ANSWER
    assert body["raw"] is True
    assert body["model"] == "qwen2.5-coder:1.5b"
    assert body["prompt"] == (
        "<|repo_name|>shop\n<|file_sep|>module.py\n"
        "<|fim_prefix|>größe = <|fim_suffix|>\nend\n<|fim_middle|>"
    )
    assert body["options"]["num_predict"] == 9
    assert (stats.generated_tokens, stats.finish_reason, stats.generate_ms) == (4, "stop", 2.0)


def test_ollama_breaks_up_marks_that_a_file_spells():
    """A document about the marks cannot end its own prefix."""
    with serving("ollama") as server:
        generator = opened(settings(server.url))
        generated(generator, generator.tokenize("x = '<|fim_suffix|>'"))
        generator.close()
    [body] = server.bodies("/api/generate")
    assert body["prompt"] == "x = '< |fim_suffix|>'"


def test_an_unknown_family_gets_prefix_and_suffix_as_fields():
    """Ollama's own template joins them; chunks come as comments before the prefix."""
    with serving("ollama") as server:
        generator = opened(settings(server.url, "other"))
        prompt = build_prompt(context_at("a = ‸\nb\n"), [], generator, CompletionSettings(), "shop")
        generated(generator, prompt.tokens)
        generator.close()
    [body] = server.bodies("/api/generate")
    assert (body["prompt"], body["suffix"]) == ("a = ", "\nb\n")
    assert "raw" not in body


def test_a_model_that_ollama_lacks_is_named_with_those_it_has():
    """The error says what to set."""
    with serving("ollama") as server, pytest.raises(ModelError) as caught:
        connect(settings(server.url, "missing"))
    assert "no model missing" in caught.value.message
    assert "qwen2.5-coder:1.5b" in caught.value.hint


@pytest.mark.parametrize("kind", ["llama-server", "ollama"])
def test_closing_the_iterator_closes_the_connection(kind):
    """A consumer that has enough stops the server."""
    with serving(kind, "endless") as server:
        generator = opened(settings(server.url))
        tokens = generator.tokenize("x")
        pieces = generator.generate(tokens, GenerationSettings(99), GenerationStats())
        assert next(pieces) == PIECES[0]
        pieces.close()
        assert server.is_client_gone.wait(60)
        generator.close()
    assert server.sent < 2000


@pytest.mark.parametrize("kind", ["llama-server", "ollama"])
def test_cancel_from_another_thread_ends_the_stream(kind):
    """A cancelled request is an error that says so, and the next one works."""
    with serving(kind, "endless") as server:
        generator = opened(settings(server.url))
        tokens = generator.tokenize("x")
        token = CancellationToken()

        def cancel_once_it_streams() -> None:
            if wait_until(lambda: server.sent, 60):
                token.cancel()

        other = threading.Thread(target=cancel_once_it_streams)
        other.start()
        with pytest.raises(SupersededError, match="cancelled"):
            generated(generator, tokens, token, max_tokens=2000)
        other.join()
        server.faults.clear()
        assert generated(generator, tokens)[0] == ANSWER
        generator.close()


@pytest.mark.parametrize("kind", ["llama-server", "ollama"])
def test_a_budget_ends_the_stream_with_what_there_is(kind):
    """The text so far, and the reason."""
    with serving(kind, "endless") as server:
        generator = opened(settings(server.url))
        text, stats = generated(generator, generator.tokenize("x"), budget_ms=1500, max_tokens=2000)
        generator.close()
    assert stats.finish_reason == "budget"
    assert (ANSWER * 500).startswith(text)
    assert 0 < len(text) < len(ANSWER) * 500


@pytest.mark.parametrize("kind", ["llama-server", "ollama"])
@pytest.mark.parametrize("fault", ["garbage", "error", "breaks off"])
def test_a_failing_server_is_one_sentence(kind, fault):
    """Nonsense and reported failures become errors of ours."""
    with serving(kind, fault) as server:
        generator = opened(settings(server.url))
        with pytest.raises(CodebuddyError) as caught:
            generated(generator, generator.tokenize("x"))
        generator.close()
    expected = {"garbage": "JSON", "error": "slot lost|crashed", "breaks off": "broke off"}[fault]
    assert any(word in caught.value.message for word in expected.split("|"))


def test_a_prompt_that_does_not_fit_is_refused():
    """The server's own context length counts."""
    with serving("llama-server") as server:
        generator = opened(settings(server.url))
        with pytest.raises(GenerationError, match="does not fit into 512"):
            generated(generator, generator.tokenize("x" * 600))
        generator.close()


def test_nothing_listening_is_said_with_the_address():
    """A dead address names itself and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ModelError, match=f"127.0.0.1:{port} cannot be reached"):
        connect(settings(f"http://127.0.0.1:{port}"))


@pytest.mark.parametrize(
    "url", ["ftp://localhost", "http://", "http://localhost:99999", "http://a:b@localhost", "::"]
)
def test_a_wrong_address_is_refused(url):
    """What is no http address is a wrong setting."""
    with pytest.raises(ConfigError, match="not an address"):
        connect(settings(url))


@pytest.mark.parametrize(
    "host", ["example.org", "192.0.2.1", "127.0.0.1.example.org", "[2001:db8::1]"]
)
def test_another_machine_needs_leave(host):
    """Code is not sent elsewhere unless that was said."""
    with pytest.raises(ConfigError, match="another machine"):
        connect(settings(f"http://{host}:8080"))


def test_families_are_known_by_name():
    """The longest matching family decides; unknown ones have no spelling."""
    spelled = spelling_of("Qwen2.5-Coder:7b-base")
    assert spelled is not None
    assert spelled.separator == "<|file_sep|>"
    assert spelling_of("starcoder2:3b") == spelling_of("starcoder:1b")
    assert spelling_of("llama3") is None


def test_a_server_that_closes_after_each_answer_is_asked_again():
    """As servers do that speak HTTP/1.0, and llama-server while it loads its model."""

    class Closing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Closing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asked = ModelServer(f"http://127.0.0.1:{server.server_port}", may_be_remote=False)
        assert [asked.ask("/props") for _ in range(3)] == [{}, {}, {}]
        asked.close()
        server.shutdown()
