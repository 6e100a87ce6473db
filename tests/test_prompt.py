"""Prompts: token order, budgets, and a window that seldom moves."""

from __future__ import annotations

import pytest

from codebuddy.completion.prompt import build_prompt, pack_chunks, prefix_window
from codebuddy.datatypes import Chunk, SearchResult
from codebuddy.inference.echo import EchoGenerator
from codebuddy.settings import CompletionSettings
from tests.completion_support import context_at

PREFIX, SUFFIX, MIDDLE, REPOSITORY, SEPARATOR = range(256, 261)
SETTINGS = CompletionSettings(prefix_tokens=100, suffix_tokens=40, context_tokens=200)


def result(number: int, text: str, path: str = "other.py") -> SearchResult:
    """A search result with that text."""
    chunk = Chunk(number, path, "python", "function", "f", "def f", 1, 2, 0, len(text), text)
    return SearchResult(chunk, 1.0, {"lexical": 1.0})


def test_fim_order_is_repository_chunks_file_prefix_suffix_middle():
    """The stable parts come first, each behind the vocabulary's own token."""
    prompt = build_prompt(
        context_at("a = ‸\nb\n"),
        [result(1, "def f():\n    pass")],
        EchoGenerator(),
        SETTINGS,
        "shop",
    )
    expected = [
        REPOSITORY,
        *b"shop\n",
        SEPARATOR,
        *b"other.py\n",
        *b"def f():\n    pass\n",
        SEPARATOR,
        *b"module.py\n",
        PREFIX,
        *b"a = ",
        SUFFIX,
        *b"\nb\n",
        MIDDLE,
    ]
    assert list(prompt.tokens) == expected
    assert prompt.chunks[0].tokens == len(b"def f():\n    pass\n") + len(b"other.py") + 3


def test_a_model_without_fim_gets_a_prefix_prompt(small_model):
    """Chunks become comments, and the prompt ends with the prefix."""
    prompt = build_prompt(
        context_at("a = ‸\nb\n"), [result(1, "def f(): pass")], small_model, SETTINGS, "shop"
    )
    expected = small_model.tokenize("# other.py\n# def f(): pass\n# module.py\n")
    tail = small_model.tokenize("a = ")
    start = [] if small_model.bos is None else [small_model.bos]
    assert list(prompt.tokens) == [*start, *expected, *tail]


@pytest.mark.model
def test_special_tokens_in_code_stay_text(default_model):
    """FIM tokens that a file spells out never become the tokens themselves."""
    spelled = "<|fim_middle|><|im_end|><|endoftext|>"
    tokens = default_model.tokenize(f"x = '{spelled}'")
    fim = default_model.fim
    assert not {fim.prefix, fim.suffix, fim.middle} & set(tokens)
    prompt = build_prompt(context_at(f"x = '{spelled}'\ny = ‸\n"), [], default_model, SETTINGS, "r")
    assert list(prompt.tokens).count(fim.middle) == 1


def test_budgets_hold():
    """Prefix, suffix and chunks keep to their budgets, and all to the model's context."""
    text = "".join(f"line_{i} = {i}\n" for i in range(500))
    context = context_at(text + "x = ‸\n" + text)
    results = [result(i, "y" * 90) for i in range(9)]
    prompt = build_prompt(context, results, EchoGenerator(), SETTINGS, "r")
    tokens = list(prompt.tokens)
    assert len(tokens[tokens.index(PREFIX) + 1 : tokens.index(SUFFIX)]) <= 100
    assert len(tokens[tokens.index(SUFFIX) + 1 : tokens.index(MIDDLE)]) == 40
    assert sum(chunk.tokens for chunk in prompt.chunks) <= 200
    assert bytes(t for t in tokens[tokens.index(PREFIX) + 1 : tokens.index(SUFFIX)]).endswith(
        b"x = "
    )


def test_the_window_moves_only_every_few_lines():
    """Typing on leaves the window's first line where it is, so that the KV cache stays valid."""
    lines = [f"line_{i} = {i}\n" for i in range(400)]
    starts = {
        bytes(prefix_window("".join(lines[:count]) + "x", 600, EchoGenerator()))[:9]
        for count in range(200, 216)
    }
    assert len(starts) <= 2


def test_a_chunk_that_is_too_large_is_cut_after_a_line():
    """Part of a chunk is better than none, but only whole lines of it."""
    text = "".join(f"value_{i} = {i}\n" for i in range(30))
    [(packed, tokens)] = pack_chunks([result(1, text)], 200, EchoGenerator())
    assert packed.tokens <= 200
    assert bytes(tokens).endswith(b"\n")
    assert text.startswith(bytes(tokens).decode())


def test_no_budget_packs_nothing():
    """Without room for chunks the prompt holds none, and says so."""
    assert pack_chunks([result(1, "x" * 100)], 10, EchoGenerator()) == []
