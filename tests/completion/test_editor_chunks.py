"""Pieces of files that an editor sends along (`input_extra`): from the request to the prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from codebuddy.completion.prompt import build_prompt
from codebuddy.completion.retrieval import with_editor_chunks
from codebuddy.datatypes import Chunk, SearchResult
from codebuddy.engine.client import EngineClient
from codebuddy.engine.protocol import MAX_EXTRAS, CompletionCall, call_from_message, call_to_message
from codebuddy.errors import UsageError
from codebuddy.inference.echo import EchoGenerator
from codebuddy.service.context import RepositoryContext
from codebuddy.service.refresh import open_index
from codebuddy.settings import CompletionSettings, Settings
from codebuddy.vcs.repository import open_repository
from tests.support.completion import context_at
from tests.support.serve import LLAMA_VIM_REQUEST, serving

TAX = "def add_tax(amount_cents):\n    return amount_cents * 119 // 100\n"
RATE = "RATE_OF_TAX = 19\nRATE_OF_REDUCED_TAX = 7\n"


def found(path: str, text: str) -> SearchResult:
    chunk = Chunk(1, path, "python", "function", "", "", 1, 2, 0, len(text), text)
    return SearchResult(chunk, 1.0, {"call": 1.0})


def paths(results: list[SearchResult]) -> list[str]:
    return [result.chunk.path for result in results]


def test_they_come_after_what_was_looked_up():
    """Ours first, the editor's in their order, each of channel `editor` and without lines."""
    context = context_at("total = add_tax(‸\n")
    results = with_editor_chunks(
        [found("a.py", "def ours():\n")], context, [("b.py", TAX), ("c.py", RATE)]
    )
    assert paths(results) == ["a.py", "b.py", "c.py"]
    assert [result.channel for result in results] == ["call", "editor", "editor"]
    assert (results[1].chunk.start_line, results[1].chunk.end_line) == (0, 0)
    assert results[1].chunk.text == TAX


@pytest.mark.parametrize(
    "text",
    [
        TAX,
        TAX.replace("\n", "\r\n"),
        TAX + "\n\n",
        "   \n",
        "",
        "    return amount_cents * 119 // 100",
    ],
)
def test_what_is_known_already_is_left_out(text):
    """A near-copy of a result, of the text at the cursor or of another piece teaches nothing."""
    elsewhere = context_at("x = ‸\n")
    assert paths(with_editor_chunks([found("a.py", TAX)], elsewhere, [("b.py", text)])) == ["a.py"]
    here = context_at(f"{TAX}total = ‸\n")
    assert with_editor_chunks([], here, [("b.py", text)]) == []
    twice = with_editor_chunks([], elsewhere, [("b.py", TAX), ("c.py", text)])
    assert paths(twice) == ["b.py"]


def test_they_take_what_is_left_of_the_budget():
    """A piece never takes the place of a result, and the budget holds."""
    context = context_at("total = add_tax(‸\n")
    results = with_editor_chunks([found("a.py", TAX)], context, [("b.py", RATE * 40)])
    wide = CompletionSettings(context_tokens=4000)
    narrow = CompletionSettings(context_tokens=len(TAX) + 20)
    for settings, expected in ((wide, ["a.py", "b.py"]), (narrow, ["a.py"])):
        prompt = build_prompt(context, results, EchoGenerator(), settings, "shop")
        assert [chunk.result.chunk.path for chunk in prompt.chunks] == expected
        assert sum(chunk.tokens for chunk in prompt.chunks) <= settings.context_tokens


def test_a_call_carries_them_and_checks_them():
    """They arrive as they were sent; too many, too long and other things are named errors."""
    call = CompletionCall("/r/a.py", 1, extras=(("b.py", TAX), ("ü.py", "\ud800")))
    head, body = call_to_message(call)
    head["extras"] = [list(each) for each in head["extras"]]
    assert call_from_message(head, body).extras == call.extras
    wrong: list[Any] = [
        [["a", "b"]] * (MAX_EXTRAS + 1),
        [["a", "b", "c"]],
        [["a", 1]],
        ["ab"],
        [["a", "x" * 100_000]],
    ]
    for extras in wrong:
        with pytest.raises(UsageError, match="extras must be"):
            call_from_message(head | {"extras": extras}, body)


def piece(filename: str, text: str, **more: Any) -> dict[str, Any]:
    return {"filename": filename, "text": text, "time": 1} | more


SENT = [
    piece("old.py", RATE),
    piece(".env", "PASSWORD_OF_SHOP=hunter22\n"),
    piece("key.txt", f"-----BEGIN PRIVATE KEY-----\n{'M' * 64}\n-----END PRIVATE KEY-----\n"),
    piece("/elsewhere/new.py", TAX),
    # What the repository's own lookup brings.
    piece("pricing.py", "def apply_discount(amount_cents: int, percent: int) -> int:\n"),
    piece("cart.py", "    amount_cents = sum(item.price_cents for item in items)\n"),
]


@pytest.fixture
def indexed(repository: Path) -> Path:
    """The shop, with its index."""
    open_index(RepositoryContext(open_repository(repository), Settings())).close()
    return repository


@pytest.mark.process
def test_the_pieces_of_llama_vim_reach_the_prompt(indexed, tmp_path):
    """The newest first and after our own; neither secrets, copies nor paths of this machine."""
    request = {k: v for k, v in LLAMA_VIM_REQUEST.items() if k != "response_fields"}
    variables = {
        "CODEBUDDY_COMPLETION_CONTEXT_TOKENS": "4000",
        "CODEBUDDY_COMPLETION_RETRIEVE": "always",
    }
    with serving(indexed, tmp_path / "other", **variables) as server:
        receipt = server.request("POST", "/infill", request | {"input_extra": SENT}).json()[
            "codebuddy"
        ]
        chunks = [(chunk["path"], chunk["channel"]) for chunk in receipt["chunks"]]
        assert receipt["file"] == "cart.py"
        assert chunks[0][0] == "pricing.py"
        assert [path for path, channel in chunks if channel == "editor"] == ["new.py", "old.py"]
        assert chunks[-2:] == [("new.py", "editor"), ("old.py", "editor")]
        for wrong in ({"filename": 3, "text": "x"}, {"filename": "a", "text": ["x"]}):
            answer = server.request("POST", "/infill", request | {"input_extra": [wrong]})
            assert answer.status == 400
            assert "input_extra" in answer.json()["error"]["message"]
        odd = [piece("a\0b", "x" * 9), piece("..", "\ud800 lone surrogate"), piece("", "y" * 9)]
        odd += [piece(f"{i}.py", f"value_{i} = {'1' * 4000}\n") for i in range(30)]
        assert server.request("POST", "/infill", request | {"input_extra": odd}).status == 200


@pytest.mark.process
def test_where_no_lookup_is_wanted_they_stay_out(indexed, tmp_path):
    """`completion.retrieve = never` holds for the editor's pieces too."""
    variables = {"CODEBUDDY_COMPLETION_RETRIEVE": "never"}
    with serving(indexed, tmp_path / "other", **variables) as server:
        request = LLAMA_VIM_REQUEST | {"input_extra": SENT, "response_fields": ["codebuddy/chunks"]}
        answer = server.request("POST", "/infill", request).json()
    assert answer == {"codebuddy/chunks": []}


@pytest.mark.usefixtures("engine")
def test_they_travel_to_the_engine(indexed):
    """The engine's worker packs them as the server's own process would."""
    call = CompletionCall(
        str(indexed / "cart.py"), 6, model="echo", retrieve="always", extras=(("new.py", RATE),)
    )
    answer = EngineClient.connect().complete(call)
    assert [c["path"] for c in answer["chunks"] if c["channel"] == "editor"] == ["new.py"]
