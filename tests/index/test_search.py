"""Searching: each channel finds what it promises, and no query is an error but the empty one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from codebuddy.errors import IndexingError, UsageError
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.terms import terms
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.index import index, make_repository, module, write

FILES: dict[str, str | bytes] = {
    "shop/pricing.py": (
        "def apply_discount(amount_cents, percent):\n"
        '    """The amount after a discount."""\n'
        "    return amount_cents * (100 - percent) // 100\n"
        "\n\n"
        "def shipping_cost(weight_grams):\n"
        "    return 499 if weight_grams < 2000 else 999\n"
    ),
    "shop/cart.py": (
        "import json\n"
        "from shop.pricing import apply_discount\n"
        "\n\n"
        "class Cart:\n"
        "    def open(self):\n"
        "        return self\n"
        "\n"
        "    def total(self, items, percent):\n"
        "        return apply_discount(sum(items), percent)\n"
    ),
    "shop/store.py": (
        "class Store:\n"
        "    def open(self):\n"
        "        return self\n"
        "\n"
        "    def close(self):\n"
        "        return None\n"
    ),
    "web/parseHttp.js": (
        "export function parseHttpResponse(body) {\n  return JSON.parse(body);\n}\n"
    ),
    "docs/价格.md": "# 价格\n\n折扣计算方法和运费\n",
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory):
    root = make_repository(tmp_path_factory.mktemp("search") / "r", FILES)
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as found:
        yield found


def _places(results) -> list[tuple[str, str]]:
    return [(result.chunk.path, result.chunk.symbol) for result in results]


def test_the_lexical_channel_ranks_the_chunk_that_holds_the_words(opened):
    """Parts of names match words of prose, and the score is BM25's."""
    (best, *_) = opened.search("weight in grams for shipping", channel="lexical")
    assert "weight_grams" in best.chunk.text
    assert best.channels == {"lexical": best.score}
    assert best.channel == "lexical"


def test_the_symbol_channel_finds_a_definition_by_each_form_of_its_name(opened):
    """Exact, other case, split words, qualified and beginning: surer forms score higher."""
    scores = {}
    for query in ("parseHttpResponse", "parse_http_response", "parse http response", "parsehttp"):
        (best, *_) = opened.search(query, channel="symbol")
        assert (best.chunk.path, best.chunk.symbol) == ("web/parseHttp.js", "parseHttpResponse")
        scores[query] = best.score
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    assert scores["parseHttpResponse"] == 1.0
    assert all(0 < score <= 1 for score in scores.values())


def test_a_qualified_name_finds_the_right_one_of_two(opened):
    """`Store.open` is the store's, `Cart.open` the cart's."""
    assert opened.search("Store.open", channel="symbol")[0].chunk.path == "shop/store.py"
    assert opened.search("Cart.open", channel="symbol")[0].chunk.path == "shop/cart.py"


def test_hybrid_search_puts_the_definition_first(opened):
    """Where both channels agree the result says so and comes first."""
    (best, *_) = opened.search("apply_discount")
    assert best.chunk.path == "shop/pricing.py"
    assert best.chunk.text.startswith("def apply_discount")
    assert set(best.channels) == {"lexical", "symbol"}
    assert best.channel == "hybrid"


def test_top_k_and_the_limit_per_file_hold(opened):
    """No more results than asked for, and no more of one file."""
    assert len(opened.search("return", top_k=2)) == 2
    limited = opened.search("return self open total close", top_k=10, max_per_file=1)
    paths = [result.chunk.path for result in limited]
    assert len(paths) == len(set(paths)) > 1


def test_excluded_chunks_give_way_to_the_next_ones(opened):
    """`exclude` takes chunks out without shortening the list."""
    everything = opened.lexical(terms("return self"), 10)
    without = opened.lexical(
        terms("return self"), 10, exclude=lambda chunk: chunk.path == "shop/store.py"
    )
    assert _places(without) == [
        place for place in _places(everything) if place[0] != "shop/store.py"
    ]


def test_a_filter_that_wants_nothing_ends(opened):
    """No results, however many candidates there are."""
    assert opened.lexical(terms("return self"), 3, exclude=lambda _: True) == []


def test_repeated_terms_count_repeatedly(opened):
    """A term given twice weighs twice, as in the library."""
    (once,) = opened.lexical(["weight_grams"], 1)
    (twice,) = opened.lexical(["weight_grams"] * 2, 1)
    assert twice.score == pytest.approx(2 * once.score)


def test_definitions_by_name(opened):
    """Known names give their places, unknown ones are left out."""
    found = opened.definitions(["apply_discount", "open", "nowhere"])
    assert {name: [d.path for d in known] for name, known in found.items()} == {
        "apply_discount": ["shop/pricing.py"],
        "open": ["shop/cart.py", "shop/store.py"],
    }
    (definition,) = found["apply_discount"]
    assert (definition.kind, definition.line, definition.qualified) == (
        "function",
        1,
        "apply_discount",
    )
    (chunk,) = opened.chunks([definition.chunk_id])
    assert "def apply_discount" in chunk.text
    assert [len(known) for known in opened.definitions(["open"], per_name=1).values()] == [1]


def test_definition_counts_leave_one_file_out(opened):
    """How many other files define a name; the file itself never counts."""
    assert opened.definition_counts(["open", "apply_discount", "nowhere"], "shop/cart.py") == {
        "open": 1,
        "apply_discount": 1,
        "nowhere": 0,
    }
    assert opened.definition_counts(["open"], "not/indexed.py") == {"open": 2}


def test_what_a_file_holds_is_kept_until_the_index_changes(tmp_path):
    """Who changes a list that was returned changes no other, and an update is seen at once."""
    root = make_repository(tmp_path / "r", {"a.py": "def first():\n    return 1\n"})
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as opened:
        opened.chunks_of("a.py").clear()
        opened.definitions_of("a.py").clear()
        assert "first" in opened.chunks_of("a.py")[0].text
        assert [each.name for each in opened.definitions_of("a.py")] == ["first"]
        (root / "a.py").write_text("def second():\n    return 2\n")
        index(root)
        assert "second" in opened.chunks_of("a.py")[0].text
        assert [each.name for each in opened.definitions_of("a.py")] == ["second"]


def test_chunks_of_a_file_cover_it(opened):
    """The chunks in order are the file, and an unknown file has none."""
    chunks = opened.chunks_of("shop/cart.py")
    assert "".join(chunk.text for chunk in chunks) == FILES["shop/cart.py"]
    assert opened.chunks(tuple(chunk.id for chunk in chunks)) == chunks
    assert opened.chunks_of("nowhere.py") == []
    assert "json" in opened.imports("shop/cart.py")


def test_stats_count_what_is_there(opened):
    """Files, languages, lines and bytes are those of the repository."""
    stats = opened.stats()
    assert (stats.files, stats.skipped) == (5, {})
    assert stats.languages == {"python": 3, "javascript": 1, "markdown": 1}
    contents = [c.encode() if isinstance(c, str) else c for c in FILES.values()]
    assert stats.source_bytes == sum(map(len, contents))
    assert stats.lines == sum(c.count(b"\n") for c in contents)


def test_other_scripts_are_searched(opened):
    """A word inside a run without spaces is found."""
    assert opened.search("运费", channel="lexical")[0].chunk.path == "docs/价格.md"


@pytest.mark.parametrize("channel", ["lexical", "symbol", "hybrid"])
@pytest.mark.parametrize(
    "query",
    [
        "()[]{}",
        "'; DROP TABLE files; --",
        '"unbalanced AND NEAR(a b',
        "* OR ^col:x",
        "%_%",
        "\x00\x1b[2J",
        "\ud800 lone",
        "مرحبا שלום",
        "a" * 1_000_000,
        "apply_discount " * 70_000,
        " ".join(f"word{i}" for i in range(30_000)),
    ],
    ids=["punctuation", "sql", "fts", "operators", "like", "control", "surrogate", "scripts"]
    + ["one word of 1 MB", "1 MB of one word", "many words"],
)
def test_no_query_is_an_error(opened, query, channel):
    """Every text is taken as words; nothing in it is syntax."""
    results = opened.search(query, channel=channel)
    assert len(results) <= 10
    if query.startswith("apply_discount"):
        assert results[0].chunk.path.startswith("shop/")


@pytest.mark.parametrize("query", ["", "  \n\t"])
def test_an_empty_query_is_a_usage_error(opened, query):
    """There is nothing to look for."""
    with pytest.raises(UsageError, match="the query is empty"):
        opened.search(query)


@pytest.mark.process
def test_equal_scores_come_in_a_fixed_order(tmp_path):
    """A hundred equal chunks come in the order of the index, however many are asked for."""
    root = make_repository(tmp_path / "r", {f"f{i:03}.txt": "same words\n" for i in range(100)})
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as opened:
        everything = [each.chunk.id for each in opened.lexical(["same"], 100)]
        assert everything == sorted(everything)
        assert [each.chunk.id for each in opened.lexical(["same"], 7)] == everything[:7]


def test_a_repository_without_an_index_says_what_to_do(tmp_path):
    """Opening names the repository and the command."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha")})
    with pytest.raises(IndexingError, match=re.escape(f"{root} is not indexed yet")) as caught:
        RepositoryIndex.open(open_repository(root), Settings())
    assert caught.value.hint == "run 'codebuddy index'"


def test_an_empty_index_answers_with_nothing(tmp_path):
    """No files give no results and no error."""
    root = make_repository(tmp_path / "r")
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as opened:
        assert opened.search("anything") == []
        assert opened.stats().files == 0


def test_an_index_that_is_gone_is_reported(tmp_path):
    """Deleted under an open reader: a known error with the remedy."""
    root = make_repository(tmp_path / "r", {"a.py": module("alpha")})
    index(root)
    repository = open_repository(root)
    with RepositoryIndex.open(repository, Settings()) as opened:
        Path(repository.index_folder / "index.db").unlink()
        with pytest.raises(IndexingError, match="is gone"):
            opened.search("alpha")
    write(root, {"b.py": module("beta")})
    assert index(root).files == 2
