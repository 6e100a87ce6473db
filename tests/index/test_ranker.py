"""What kind of query a text is, and what moves a fused ranking, by how much and why."""

from __future__ import annotations

import pytest

from codebuddy.index.query import kind_of
from codebuddy.index.ranker import ChunkLocation, RankingWeights, rank

KINDS = {
    "name": ["parse_config", "Store.open", "HTTPServer", "std::io::Read", "open", "loadModel()"],
    "path": [
        "src/app.ts",
        "codebuddy/index/",
        "setup.py",
        "a\\b\\c.rs",
        "src/app.ts:12",
        "app.ts:3:7",
    ],
    "words": [
        "read a config file",
        "where is the lock taken?",
        "give up after three failures",
        "价格 计算",
        "!!!",
        "don't retry; fail",
    ],
    "sentence": [
        "retry, then give up (after 3 s)",
        "the name of the function that is called, or nothing",
        "how to check if a string is valid json",
        "Which function is called when a file changes",
        "python read file line by line?",
    ],
    "documentation": [
        "Return the name of the function that is called.",
        "Opens the file, or fails.",
        "The number of bytes that were read so far",
    ],
    "error": [
        "ValueError: invalid literal for int() with base 10: 'x'",
        "error[E0382]: borrow of moved value: `x`",
        "panic: runtime error: index out of range",
        "java.io.IOException: No such file",
        "Uncaught TypeError: x is not a function",
    ],
    "code": [
        "total = price * count",
        "def load(self, path):",
        "for (const x of xs) { go(x); }",
        "return items[0]",
        "warnings.warn('Plural value must be an integer, got %s' % n)",
        "raise ProtocolError(message, request=request) from exc",
        "fn main() -> Result<(), Error> {",
    ],
    "fragment": ["a\nb", "for each in found:\n    print(each)"],
}
PLACES = {
    1: ChunkLocation("src/cart.py", "code"),
    2: ChunkLocation("tests/test_cart.py", "test"),
    3: ChunkLocation("vendor/cart.py", "vendored"),
    4: ChunkLocation("src/other.py", "code"),
}


@pytest.mark.parametrize(("kind", "text"), [(k, t) for k, texts in KINDS.items() for t in texts])
def test_the_kind_of_a_query(kind, text):
    """Names, paths, prose and code are told apart by the text alone."""
    assert kind_of(text) == kind


def _order(query: str, ids: list[int], **more) -> list[int]:
    ranked = rank(
        query,
        "words",
        {"lexical": [(each, 1.0 / place) for place, each in enumerate(ids, 1)]},
        PLACES.__getitem__,
        more.pop("weights", RankingWeights()),
        **more,
    )
    return [each.chunk_id for each in ranked]


def test_tests_and_copies_of_others_stand_back():
    """Behind code that ranked a little below them."""
    assert _order("total amount", [3, 2, 1]) == [1, 2, 3]


def test_who_asks_for_tests_or_from_a_test_gets_them():
    """The penalty is lifted by the query's words or by the file that it comes from."""
    assert _order("test of the amount", [2, 4]) == [2, 4]
    assert _order("amount", [2, 4], own_role="test") == [2, 4]
    assert _order("amount", [2, 4]) == [4, 2]


def test_words_of_the_path_count():
    """A file named like the query comes up."""
    assert _order("cart total", [4, 1]) == [1, 4]


def test_a_ranking_says_what_made_it():
    """Rank and score of each channel, and each factor that is not 1."""
    weights = RankingWeights(channels={"words": {"lexical": 1.0, "symbol": 2.0}})
    first, second = rank(
        "cart",
        "words",
        {"lexical": [(2, 9.0), (1, 8.0)], "symbol": [(2, 0.5)]},
        PLACES.__getitem__,
        weights,
    )
    assert (first.chunk_id, second.chunk_id) == (2, 1)
    assert first.channels == {"lexical": 9.0, "symbol": 0.5}
    assert first.ranks == {"lexical": 1, "symbol": 1}
    assert first.factors == {"path": 1.4, "test": 0.85}
    assert first.score == pytest.approx((1 / (20 + 1) + 2 * 0.5**3 / (20 + 1)) * 1.4 * 0.85)
    assert second.ranks == {"lexical": 2}


def test_vectors_weigh_more_in_a_sentence_than_in_a_few_words():
    """The dense channel's first overtakes the lexical one's only where there is prose."""
    rankings = {"lexical": [(4, 2.0), (1, 1.0)], "dense": [(1, 0.9), (4, 0.4)]}

    def first(query: str) -> int:
        kind = kind_of(query)
        return rank(query, kind, rankings, PLACES.__getitem__, RankingWeights())[0].chunk_id

    assert first("add prices") == 4
    assert first("adds up the prices of every order") == 1


def test_only_a_sure_name_comes_before_what_is_alike_in_a_few_words():
    """One common word of a question is no reason to lift what is called so."""
    faint = {"lexical": [(4, 2.0)], "dense": [(4, 0.8)], "symbol": [(1, 0.45)]}
    sure = {"lexical": [(4, 2.0)], "dense": [(4, 0.8)], "symbol": [(1, 0.85)]}
    for rankings, first in ((faint, 4), (sure, 1)):
        found = rank("check valid json", "words", rankings, PLACES.__getitem__, RankingWeights())
        assert found[0].chunk_id == first


def test_the_querys_words_in_their_order_come_first_and_say_so():
    """Of two chunks with the same words, that which has them in a row; the factor is named."""
    found = rank(
        "cannot read nil body",
        "error",
        {"lexical": [(4, 2.0), (1, 1.9)]},
        PLACES.__getitem__,
        RankingWeights(),
        verbatim={1: 1.0, 4: 0.0},
    )
    assert [each.chunk_id for each in found] == [1, 4]
    assert found[0].factors["verbatim"] == 4.0
    assert "verbatim" not in found[1].factors


def test_a_channel_without_weight_is_left_out():
    """It neither ranks nor is named."""
    weights = RankingWeights(channels={"words": {"lexical": 1.0, "dense": 0.0}})
    found = rank(
        "x", "words", {"lexical": [(1, 1.0)], "dense": [(4, 1.0)]}, PLACES.__getitem__, weights
    )
    assert [each.chunk_id for each in found] == [1]
