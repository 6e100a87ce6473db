"""`/v1/completions` over a real socket: what the clients in use send, and what they read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.serve import Server, serving

pytestmark = pytest.mark.process

PATH = "/v1/completions"
# Echo repeats the line before the cursor that has text.
PROMPT = "def f():\n    y("
QWEN = f"<|fim_prefix|>{PROMPT}<|fim_suffix|>\n    return 1\n<|fim_middle|>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests, in a repository with one file."""
    folder = tmp_path_factory.mktemp("openai")
    root = folder / "repo"
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / "cart.py").write_text("def total(items):\n    first()\n    x(\n    return items\n")
    # The index grows meanwhile, and prompts are compared here.
    never = {"CODEBUDDY_COMPLETION_RETRIEVE": "never"}
    with serving(root, folder / "home", **never) as running:
        yield running


def ask(server: Server, **body: Any) -> Any:
    answer = server.request("POST", PATH, {"prompt": PROMPT, **body})
    assert answer.status == 200, answer.body
    return answer.json()


def events(server: Server, **body: Any) -> list[Any]:
    """The events of a streamed answer, which ends as it should."""
    answer = server.request("POST", PATH, {"prompt": PROMPT, "stream": True, **body})
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in answer.body.decode().split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def refusal(server: Server, **body: Any) -> str:
    answer = server.request("POST", PATH, {"prompt": PROMPT, **body})
    assert answer.status == 400, answer.body
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    return str(error["message"])


def test_a_prompt_with_fim_tokens_is_completed_between_its_parts(server):
    """The same text as with prompt and suffix apart, streamed too; the file's name is used."""
    apart = ask(server, suffix="\n    return 1\n")
    assert apart["choices"][0]["text"] == "y("
    for prompt in (
        QWEN,
        QWEN.replace("<|", "<").replace("|>", ">"),
        f"[SUFFIX]\n    return 1\n[PREFIX]{PROMPT}",
        f"<PRE> {PROMPT} <SUF>\n    return 1\n <MID>",
    ):
        assert ask(server, prompt=prompt)["choices"][0]["text"] == "y("
        assert ask(server, prompt=prompt)["usage"] == apart["usage"]
        streamed = events(server, prompt=prompt)
        assert "".join(piece["choices"][0]["text"] for piece in streamed) == "y("
    named = f"<|repo_name|>r\n<|file_sep|>b.rs\nfn b() {{}}\n<|file_sep|>src/new.rs\n{QWEN}"
    receipt = ask(server, prompt=named)["codebuddy"]
    assert receipt["file"] == "src/new.rs"
    # A name that leads out of the repository is only a name.
    outside = f"<|file_sep|>../../x.py\n{QWEN}"
    assert ask(server, prompt=outside)["choices"][0]["text"] == "y("


def test_fim_tokens_in_a_document_need_a_suffix_of_their_own(server):
    """A document about them is told apart by its suffix, which may be empty."""
    prompt = "MARKS = ['<|fim_middle|>', '<|fim_prefix|>']\ny("
    assert "prompt and the text after it as suffix" in refusal(server, prompt=prompt)
    for suffix in ("", "\n"):
        assert ask(server, prompt=prompt, suffix=suffix)["choices"][0]["text"] == "y("


@pytest.mark.parametrize(
    "field",
    [
        {"top_k": 40},
        {"top_k": -1},
        {"min_p": 0.05},
        {"cache_prompt": True},
        {"n_predict": 64},
        {"max_completion_tokens": 64},
        {"keep_alive": "5m"},
        {"keep_alive": -1},
        {"metadata": {"user": "me"}},
        {"store": False},
        {"user": "x" * 5000},
        {"temperature": -1},
        {"top_p": 2},
        {"seed": -5},
        {"repeat_penalty": 1.1},
        {"repetition_penalty": 1.1},
        {"presence_penalty": 3},
        {"logit_bias": {"50256": -100}},
        {"skip_special_tokens": True},
        {"raw": True},
        {"options": {"num_ctx": 4096}},
        {"language": "python"},
        {"stream_options": None, "suffix": None, "stop": None, "logprobs": None},
        {"logprobs": False, "echo": False, "suffix": False},
        {"stop": [f"<|token_{number}|>" for number in range(40)]},
        {"never_heard_of": {"deep": [1, 2, 3]}},
        {"model": "gpt-3.5-turbo-instruct"},
        {"best_of": 1},
        {"n": 1, "best_of": 20},
    ],
    ids=str,
)
def test_fields_that_change_nothing_are_taken(server, field):
    """Sampling fields, other servers' fields and unknown ones do no harm."""
    assert ask(server, **field)["choices"][0]["text"] == "y("


@pytest.mark.parametrize(
    ("limit", "text"),
    [({"max_tokens": 1}, "y"), ({"max_completion_tokens": 1}, "y"), ({"n_predict": 1}, "y")]
    + [({"max_tokens": each}, "y(") for each in (8193, 10**9, 2**62, -1, -5, None)],
)
def test_the_number_of_tokens_is_clamped(server, limit, text):
    """More than is possible is as much as is possible, less than nothing is no limit."""
    answer = ask(server, **limit)
    assert answer["choices"][0]["text"] == text
    # A large limit takes no room from the prompt.
    assert answer["usage"]["prompt_tokens"] == ask(server)["usage"]["prompt_tokens"]


def test_no_tokens_at_all_is_an_empty_answer(server):
    """How clients warm a cache; as a stream it is one too."""
    assert ask(server, max_tokens=0)["choices"][0]["text"] == ""
    assert [e["choices"][0]["text"] for e in events(server, max_tokens=0)] == [""]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"prompt": ["a", "b"]}, "2 texts, and one is completed at a time"),
        ({"prompt": [1, 2, 3]}, "token ids"),
        ({"prompt": [[1, 2]]}, "token ids"),
        ({"prompt": []}, "prompt is empty"),
        ({"prompt": None}, "prompt is missing"),
        ({"prompt": None, "messages": [{"role": "user", "content": "hi"}]}, "chat"),
        ({"n": 0}, "n must be"),
        ({"n": "2"}, "n must be"),
        ({"n": 3, "best_of": 2}, "best_of must be at least n"),
        ({"echo": True}, "echo"),
        ({"max_tokens": "many"}, "max_tokens must be a whole number"),
        ({"max_tokens": 1.5}, "max_tokens must be a whole number"),
        ({"logprobs": 3}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"grammar": "root ::= x"}, "grammar"),
        ({"tools": []}, "tools"),
        ({"stop": [1]}, "stop"),
        ({"stream_options": "yes"}, "stream_options"),
        ({"suffix": 5}, "suffix"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_in_words_that_fit(server, body, words):
    """Each says what was wrong with it."""
    assert words in refusal(server, **body)


def test_one_prompt_in_a_list_is_one_prompt(server):
    """The OpenAI form of a batch of one."""
    assert ask(server, prompt=[PROMPT])["choices"][0]["text"] == "y("


def test_fewer_choices_than_asked_for_are_said(server):
    """Choices that would repeat another one are left out, and how many there are is said."""
    for wanted in (3, 8, 100):
        answer = ask(server, n=wanted, best_of=wanted)
        (warning,) = answer["warnings"]
        assert warning.startswith(f"{len(answer['choices'])} of {wanted} choices")
        assert [each["index"] for each in answer["choices"]] == list(range(len(answer["choices"])))
        last = events(server, n=wanted)[-1]
        assert last["warnings"] == [warning]
    assert "warnings" not in ask(server, n=1)


def test_a_stream_ends_with_its_cost_where_that_is_asked_for(server):
    """OpenAI's `include_usage`: one more event, without choices."""
    *pieces, last = events(server, stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0
    assert all("usage" not in piece for piece in pieces)
    assert pieces[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_slash_at_the_end_changes_nothing(server):
    """No redirect, which would lose the body."""
    for path in (PATH + "/", "/infill/"):
        answer = server.request("POST", path, {"prompt": PROMPT})
        assert answer.status == 200
    assert server.request("GET", "/v1/models/").json() == server.request("GET", "/v1/models").json()
    assert server.request("GET", "/health/", is_authorised=False).status == 200


def test_one_model_can_be_asked_for(server):
    """`models.retrieve` of OpenAI's client."""
    assert server.request("GET", "/v1/models/echo").json()["id"] == "echo"
    missing = server.request("GET", "/v1/models/gpt-4")
    assert missing.status == 404
    assert "echo" in missing.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("POST", "/v1/chat/completions", "does not chat; send prompt and suffix"),
        ("POST", "/v1/chat/completions/", "does not chat"),
        ("POST", "/chat/completions", "does not chat"),
        ("POST", "/v1/v1/chat/completions", "does not chat"),
        ("POST", "/v1/responses", "does not chat"),
        ("POST", "/v1/messages", "does not chat"),
        ("POST", "/v1/fim/completions", "POST /v1/completions"),
        ("POST", "/completion", "POST /v1/completions"),
        ("POST", "/completions", "POST /v1/completions"),
        ("POST", "/v1/v1/completions", "POST /v1/completions"),
        ("POST", "/v1/infill", "POST /infill"),
        ("POST", "/api/generate", "not Ollama"),
        ("GET", "/api/tags", "not Ollama"),
        ("POST", "/v1/embeddings", "no embeddings"),
        ("GET", "/", "POST /infill"),
        ("GET", "/props", "GET /v1/models"),
        ("GET", "/nothing/at/all", "POST /infill"),
    ],
)
def test_an_unknown_path_says_what_there_is_instead(server, method, path, words):
    """In the API's own JSON, and only to who has the token."""
    answer = server.request(method, path, {} if method == "POST" else None)
    assert answer.status == 404
    error = answer.json()["error"]
    assert error["type"] == "not_found_error"
    assert words in error["message"]
    assert server.request(method, path, {}, is_authorised=False).status == 401


def test_a_wrong_method_says_which_one_is_right(server):
    """405, with the header that HTTP asks for."""
    for method, path, right in (("GET", PATH, "POST"), ("POST", "/v1/models", "GET")):
        answer = server.request(method, path, {} if method == "POST" else None)
        assert answer.status == 405
        assert f"is asked with {right}" in answer.json()["error"]["message"]
        assert right in answer.headers["allow"]
