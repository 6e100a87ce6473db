"""What the candidates' files add to a ranking."""

from __future__ import annotations

import pytest

from codebuddy.index.file_ranking import NameWords, coherence_factors, spread_factors
from codebuddy.index.ranker import ChunkLocation, RankingWeights, rank

SENTENCE = "where are the prices of an order added up"
# By chunk: two files of code, a test and what explains the code.
PLACES = {
    1: ChunkLocation("src/a.py", "code"),
    2: ChunkLocation("src/b.py", "code"),
    3: ChunkLocation("src/b.py", "code"),
    4: ChunkLocation("src/b.py", "code"),
    5: ChunkLocation("docs/a.md", "documentation"),
    6: ChunkLocation("tests/test_a.py", "test"),
}


def ranked(query: str, kind, ids: list[int], **more):
    """Ranked by vectors alone, the first of `ids` nearest."""
    rankings = {"dense": [(each, 1.0 - place / 100) for place, each in enumerate(ids)]}
    weights = more.pop("weights", RankingWeights(channels={kind: {"dense": 1.0}}))
    return rank(query, kind, {**rankings, **more}, PLACES.__getitem__, weights)


def order(query: str, kind, ids: list[int], **more) -> list[int]:
    return [each.chunk_id for each in ranked(query, kind, ids, **more)]


def test_the_best_chunk_of_a_file_gains_by_its_others():
    """The file with the largest sum gains most; other chunks and an empty ranking gain nothing."""
    factors = coherence_factors([("a", 4.0), ("b", 3.0), ("b", 2.0), ("b", 1.0)], 0.5)
    assert factors == pytest.approx([1 + 0.5 * 4 / 6, 1 + 0.5 * 4 / 3, 1, 1])
    assert coherence_factors([], 0.5) == []
    assert coherence_factors([("a", 0.0)], 0.5) == [1.0]
    assert coherence_factors([("a", 2.0), ("b", 1.0)], 0.0) == [1.0, 1.0]


def test_further_chunks_of_a_file_count_less_and_less():
    """Each one once more than that before."""
    assert spread_factors(["a", "b", "a", "a"], 0.5) == [1.0, 1.0, 0.5, 0.25]
    assert spread_factors(["a", "a"], 1.0) == [1.0, 1.0]
    assert spread_factors([], 0.5) == []


def test_a_question_goes_to_the_file_that_has_most_of_it():
    """Where three chunks stand behind one of another file, and no name is asked for."""
    assert order(SENTENCE, "sentence", [1, 2, 3, 4])[0] == 2
    assert order(SENTENCE, "words", [1, 2, 3, 4])[0] == 1
    # The symbol channel knows a definition of nearly that name.
    assert order(SENTENCE, "sentence", [1, 2, 3, 4], symbol=[(1, 0.6)])[0] == 1


def test_what_files_did_to_a_score_is_said():
    """The factors multiply to the score, those of its file included."""
    found = ranked(SENTENCE, "sentence", [1, 2, 3, 4, 5, 6])
    for each in found:
        plain = 1 / (20 + each.ranks["dense"])
        for factor in each.factors.values():
            plain *= factor
        assert each.score == pytest.approx(plain, rel=1e-3)
    by_id = {each.chunk_id: each.factors for each in found}
    assert by_id[2]["file"] > by_id[1]["file"] > 1
    assert by_id[4]["spread"] == round(0.97**2, 4)
    assert by_id[5]["documentation"] == 0.6
    assert by_id[6]["test"] == 0.7


@pytest.mark.parametrize(
    ("query", "kind", "first"),
    [
        ("where are prices added up", "sentence", 1),
        ("AddedPrices", "name", 1),
        ("an example of how prices are added up", "sentence", 5),
        ("which guide tells how prices are added", "sentence", 5),
        # Few words may as well be a heading.
        ("added prices", "words", 5),
        ("ValueError: added prices", "error", 5),
    ],
)
def test_documentation_stands_back_where_code_is_asked_for(query, kind, first):
    """In sentences and names, unless the query asks for it."""
    assert order(query, kind, [5, 1])[0] == first


def test_a_file_from_documentation_asks_for_documentation():
    """As a test does for tests."""
    rankings = {"dense": [(5, 0.9), (1, 0.8)]}
    weights = RankingWeights(channels={"sentence": {"dense": 1.0}})
    found = rank(SENTENCE, "sentence", rankings, PLACES.__getitem__, weights, "documentation")
    assert found[0].chunk_id == 5


def test_words_of_a_files_name_count_in_all_their_forms():
    """Rare ones more than such as many files have; folders and words of every question do not."""
    names = NameWords(
        "How are the session cookies handled?",
        ["src/cookie.py", "src/session.py", "src/session_store.py", "src/how.py", "cookie/a.py"],
    )
    assert names.share("src/cookie.py") > names.share("src/session.py") > 0
    assert names.share("src/session.py") == names.share("src/session_store.py")
    assert names.share("src/how.py") == names.share("cookie/a.py") == 0
    assert NameWords("", ["a.py"]).share("a.py") == 0


def test_a_path_without_its_suffix_finds_the_file():
    """It is ranked, and the words of the name decide."""
    places = {1: ChunkLocation("src/a.py", "code"), 2: ChunkLocation("src/shipping.py", "code")}
    rankings = {"lexical": [(1, 2.0), (2, 1.0)]}
    found = rank("src/shipping", "path", rankings, places.__getitem__, RankingWeights(path=0.0))
    assert found[0].chunk_id == 2
    assert found[0].factors["file name"] > 1
