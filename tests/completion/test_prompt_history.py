"""Prompt memory: chunks stay in their places while they are still worth it."""

from __future__ import annotations

from dataclasses import replace

from codebuddy.completion.prompt_history import PromptHistory, stable_chunk_order
from codebuddy.datatypes import Chunk, PackedChunk, SearchResult


def result(name: str, score: float = 1.0, text: str = "") -> SearchResult:
    """A search result that its name tells from others."""
    body = text or f"def {name}(): pass"
    chunk = Chunk(hash(name) % 999, f"{name}.py", "python", "function", name, "", 1, 1, 0, 9, body)
    return SearchResult(chunk, score, {"lexical": score})


def names(results: list[SearchResult]) -> str:
    """The results' names in order."""
    return "".join(each.chunk.symbol for each in results)


def ranking(order: str) -> list[SearchResult]:
    """One result for each letter, best first."""
    return [result(letter, 1 / rank) for rank, letter in enumerate(order, 1)]


def test_without_a_past_the_ranking_stands():
    """A file's first prompt takes the results as they were found."""
    assert names(stable_chunk_order([], ranking("abc"))) == "abc"
    assert stable_chunk_order(ranking("ab"), []) == []


def test_a_marginal_change_leaves_the_prompt_as_it_was():
    """While all held chunks are found and the best is one of them, order and choice stay."""
    assert names(stable_chunk_order(ranking("abc"), ranking("bacde"))) == "abc"
    assert names(stable_chunk_order(ranking("abc"), ranking("adebc"))) == "abc"


def test_scores_are_the_new_ones():
    """The receipt tells what the index says now."""
    settled = stable_chunk_order(ranking("ab"), ranking("ba"))
    assert [each.score for each in settled] == [0.5, 1.0]


def test_a_new_best_chunk_comes_in_behind_what_stays():
    """What is better than all that was held gets its place; what still ranks high stays first."""
    assert names(stable_chunk_order(ranking("abc"), ranking("xbaqc"))) == "abxqc"


def test_what_is_gone_or_changed_is_dropped():
    """A chunk that is not found any more, or whose text changed, does not linger."""
    assert names(stable_chunk_order(ranking("abc"), ranking("ba"))) == "ab"
    changed = [result("a", text="def a(): return 1"), result("b")]
    settled = stable_chunk_order(ranking("ab"), changed)
    assert {each.chunk.text for each in settled} == {"def a(): return 1", "def b(): pass"}


def window(first: int, score: float = 1.0, path: str = "w.py") -> SearchResult:
    """Twenty numbered lines of a file."""
    text = "".join(f"line {number}\n" for number in range(first, first + 20))
    chunk = Chunk(1, path, "python", "window", "", "", first, first + 19, 0, 0, text)
    return SearchResult(chunk, score, {"lexical": score})


def test_a_window_that_moves_a_little_stays_where_it_was():
    """The held window is shown while half of it is found, with the new score; then the new one."""
    held = [window(10, 3.0)]
    (kept,) = stable_chunk_order(held, [window(20, 2.0)])
    assert (kept.chunk.start_line, kept.score) == (10, 2.0)
    (moved,) = stable_chunk_order(held, [window(21)])
    assert moved.chunk.start_line == 21
    (other,) = stable_chunk_order(held, [window(10, path="v.py")])
    assert other.chunk.path == "v.py"


def test_a_window_whose_file_changed_is_replaced():
    """Old lines do not linger in a prompt."""
    changed = window(12)
    text = changed.chunk.text.replace("line 15", "line fifteen")
    changed = replace(changed, chunk=replace(changed.chunk, text=text))
    assert stable_chunk_order([window(10)], [changed]) == [changed]


def test_files_do_not_share_their_memory():
    """Each file has its own past; a prompt without chunks leaves it."""
    memory = PromptHistory()
    memory.record("one.py", [PackedChunk(each, 5) for each in ranking("ab")], 1)
    memory.record("one.py", [], 1)
    assert names(memory.stable_chunk_order("one.py", ranking("ba"))) == "ab"
    assert names(memory.stable_chunk_order("two.py", ranking("ba"))) == "ba"
