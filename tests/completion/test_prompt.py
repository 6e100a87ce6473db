"""Prompts: token order, budgets, and a window that seldom moves."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codebuddy.completion.prompt import build_prompt, pack_chunks, prefix_window, suffix_window
from codebuddy.datatypes import Chunk, SearchResult
from codebuddy.inference.echo import EchoGenerator
from codebuddy.settings import CompletionSettings
from tests.support.completion import context_at

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
    """Typing on and adding lines leaves the window's beginning where it is, mostly.

    Of what it holds it may give up a tenth: with lines of 15 tokens and a budget of 600, it
    can stay for 4 lines.
    """
    lines = [f"line_{i} = {i}\n" for i in range(400)]
    starts = [
        bytes(prefix_window("".join(lines[:count]) + typed, 600, EchoGenerator()))[:9]
        for count in range(200, 232)
        for typed in ("", "x", "x =")
    ]
    assert sum(a != b for a, b in itertools.pairwise(starts)) <= 32 / 4 * 1.5


LINES = st.one_of(
    st.text("abc def()[]{}\t\u00e9\u4e2d\U0001f600", max_size=200),
    st.sampled_from(["", " " * 300, "word " * 200, "x" * 3000, "=" * 600]),
)
PREFIXES = st.builds(
    lambda lines, end, last: end.join(lines) + last,
    st.lists(LINES, max_size=60),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\n", "x = "]),
)


class _Words(EchoGenerator):
    """Tokens of very different lengths: a run of one character is one token, however long."""

    def tokenize(self, text: str) -> list[int]:
        """One id for each run of a character."""
        return [ord(run[0]) for run in re.findall(r"((?s:.))\1*", text)]


@settings(max_examples=200)
@given(
    prefix=PREFIXES, budget=st.integers(1, 900), generator=st.sampled_from([EchoGenerator, _Words])
)
def test_the_window_is_nearly_full_whatever_the_lines_are_like(prefix, budget, generator):
    """It ends at the cursor, keeps to its budget, and holds 90% of it where there is so much."""
    whole = generator().tokenize(prefix)
    window = prefix_window(prefix, budget, generator())
    assert window == whole[len(whole) - len(window) :]
    assert len(window) <= budget
    assert len(window) >= min(len(whole), 0.9 * budget)


@pytest.mark.parametrize("budget", [1, 16, 768])
@pytest.mark.parametrize(
    "prefix",
    [
        ("word " * 200 + "\n") * 14,
        "x" * 50_000,
        "x = [" + "1234, " * 9_000,
        "\u4e2d\u6587" * 5_000,
        "\n" * 5_000,
        ("a\r\n" * 3 + "b" * 900 + "\r\n") * 40,
        " " * 100_000 + "end",
    ],
)
def test_long_lines_leave_no_window_empty(prefix, budget, default_model):
    """The same with the default model's tokens, whose lengths nobody can foresee."""
    whole = default_model.tokenize(prefix)
    window = prefix_window(prefix, budget, default_model)
    assert min(len(whole), 0.9 * budget) <= len(window) <= budget
    text = b"".join(default_model.vocabulary.piece(token) for token in window)
    assert prefix.encode().endswith(text)
    after = suffix_window(prefix, budget, default_model)
    assert len(after) == min(len(whole), budget)


def test_typing_in_one_long_line_leaves_the_window_where_it_is():
    """Where a single line exceeds the budget, the window begins within it, and seldom moves."""
    line = "".join(f"{number}, " for number in range(4000))
    starts = [
        len(line[: 9000 + count]) - len(prefix_window(line[: 9000 + count], 600, EchoGenerator()))
        for count in range(600)
    ]
    assert sum(a != b for a, b in itertools.pairwise(starts)) <= 600 / 60 * 2


def test_a_high_limit_of_tokens_leaves_the_prefix_its_room():
    """What may be written takes half of the model's context at most."""
    context = context_at("".join(f"line_{i} = {i}\n" for i in range(9000)) + "x = \u2038\n")
    settings = CompletionSettings(max_tokens=8192, prefix_tokens=65536)
    generator = EchoGenerator()
    generator.n_ctx = 4096
    tokens = list(build_prompt(context, [], generator, settings, "r").tokens)
    assert tokens.index(SUFFIX) - tokens.index(PREFIX) > 1000
    assert len(tokens) < 4096


def test_long_names_leave_room_for_the_file():
    """Of a path of thousands of characters the end is enough."""
    context = context_at("x = 1\ny = \u2038\n", "folder/" * 500 + "module.py")
    generator = EchoGenerator()
    generator.n_ctx = 512
    tokens = list(build_prompt(context, [], generator, SETTINGS, "shop" * 300).tokens)
    assert len(tokens) < 512
    assert bytes(t for t in tokens if t < 256).count(b"module.py") == 1


@settings(max_examples=100)
@given(lines=st.lists(st.integers(0, 120), min_size=1, max_size=40), budget=st.integers(10, 1500))
def test_a_chunk_that_is_cut_fills_its_budget_with_whole_lines(lines, budget):
    """As many lines as fit, wherever the long ones stand."""
    text = "".join("x" * size + "\n" for size in lines)
    packed = pack_chunks([result(1, text, "a.py")], budget, EchoGenerator())
    room = budget - len("a.py") - 3
    if not packed or sum(lines) == 0:
        return
    [(_, tokens)] = packed
    whole = text.rstrip() + "\n"
    assert whole.startswith(bytes(tokens).decode())
    assert len(tokens) <= room
    if len(tokens) < len(whole):
        rest = whole[len(tokens) :].partition("\n")[0]
        assert len(tokens) + len(rest) + 1 > room


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
