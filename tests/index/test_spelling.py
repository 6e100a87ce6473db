"""Slips of the keyboard in a question: what is read as what, and what stays as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from codebuddy.index.build import update_index
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.search_response import search_response
from codebuddy.index.spelling import Reading, read, slips_of
from codebuddy.robustness.queries import with_slip
from codebuddy.service.request import SearchRequest
from codebuddy.settings import IndexSettings, Settings
from codebuddy.vcs.repository import open_repository
from tests.support.index import make_repository

FILES: dict[str, str | bytes] = {
    "shop/invoices.py": "def cancel_invoice(number):\n    # Refunds what the customer paid.\n"
    "    return refund(number)\n",
    "shop/quibbles.py": "def settle_quibbleton(customer):\n    return customer.quibbleton\n",
    "notes.md": "# Notes\n\nWarehouses keep parcels until they are collected.\n",
}
WORDS = {"cancel": 9, "canal": 1, "invoice": 5, "refunds": 2, "the": 50, "warehouse": 3}


def _read(text: str) -> Reading:
    return read(
        text, lambda word: word.lower() in WORDS, lambda words: {w: WORDS.get(w, 0) for w in words}
    )


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory):
    """A few files, with vectors."""
    root = make_repository(tmp_path_factory.mktemp("slips") / "r", FILES)
    repository = open_repository(root)
    update_index(repository, Settings())
    with RepositoryIndex.open(repository, Settings()) as opened:
        yield opened


@pytest.mark.parametrize("word", ["cancel", "invoice", "refunds", "warehouse"])
def test_every_slip_of_one_letter_is_read_as_the_word(word):
    """As the measurement makes them; also where the first two letters changed places."""
    for seed in range(60):
        assert _read(with_slip(word, seed)).text == word
    assert _read(word[1] + word[0] + word[2:]).text == word


def test_the_commoner_word_and_the_likelier_slip_are_meant():
    """`canel` may be both words; a letter beside the right one is likelier than any other."""
    assert _read("canel").text == "cancel"
    both = {"pale": 1, "page": 1}
    found = read("pahe", lambda _word: False, lambda words: {w: both.get(w, 0) for w in words})
    assert found.text == "page"


def test_the_case_and_the_rest_of_the_question_stay():
    """Only the word is exchanged, wherever it stands."""
    found = _read("Cancle the INVIOCE (cancle)!")
    assert found.text == "Cancel the INVOICE (cancel)!"
    assert found.read_as == {"Cancle": "Cancel", "INVIOCE": "INVOICE", "cancle": "cancel"}


@pytest.mark.parametrize(
    "text",
    [
        "cancel",
        "teh",
        "cancle_invoice",
        "cancleInvoice",
        "cancle2",
        "cäncel",
        "x" * 30,
        "zzzz",
        "",
        '"cancle"',
        'the "cancle the"',
    ],
)
def test_what_is_known_short_or_no_word_stays(text):
    """Names are left alone, and so is what is no slip of anything."""
    assert _read(text) == Reading(text)


def test_a_name_and_a_short_word_are_no_slips_of_common_words():
    """A product that is not there must be missed by `ask`, not read as something else."""
    common = dict.fromkeys(["plain", "paid", "cancel"], 9)
    for text in ("how does plaid linking work", "how does Cancle linking work"):
        found = read(
            text,
            lambda word: word not in ("plaid", "Cancle"),
            lambda words: {w: common.get(w, 0) for w in words},
        )
        assert found == Reading(text)


def test_slips_are_few_and_never_the_word_itself():
    """Their number is bounded by the letters, whatever the word."""
    for word in ("aaaa", "warehouse", "q" * 20):
        found = slips_of(word)
        assert word not in found
        assert len(found) <= 54 * len(word)
        assert all(0 < weight <= 1 for weight in found.values())


def test_a_long_question_costs_no_more_than_a_short_one():
    """Of many unknown words only the first ones are looked up."""
    asked: list[str] = []

    def is_known(word: str) -> bool:
        asked.append(word)
        return False

    many = " ".join(f"wo{'xyz'[i % 3]}{'abc' * (i % 4)}rd" for i in range(500))
    read("abcdx " * 3 + many, is_known, lambda _words: {})
    assert len(asked) <= 5


def test_a_search_reads_a_slip_and_says_so(index):
    """Of a word that the repository alone has, and one that the encoder knows."""
    assert index.read("refund of a cancled invoice").text == "refund of a canceled invoice"
    found = index.read("how is a quibleton settled")
    assert found.read_as == {"quibleton": "quibbleton"}
    slipped = index.search("how is a quibleton settled", 1)
    assert slipped[0].chunk.path == "shop/quibbles.py"


def test_a_response_says_what_was_read_and_whole_words_stay(index):
    """The key is there only where a word was read as another one; the query stays as it was."""
    asked = SearchRequest("/nowhere", "how is a quibleton settled", 3, wants_missing=True)
    found = search_response(index, asked, "")
    assert found["query"] == asked.query
    assert found["read_as"] == {"quibleton": "quibbleton"}
    assert found["missing"] == []
    assert "read_as" not in search_response(index, replace(asked, query="quibbleton"), "")
    whole = search_response(index, replace(asked, whole_words=True), "")
    assert ("read_as" in whole, whole["results"]) == (False, [])


@pytest.mark.parametrize(
    "query",
    ["warehouses keep parcels", "shop/invoicse.py", "cancel_invioce(3)", "kafka", "Kubernetes pods",
     "return refnud(number)"],
)  # fmt: skip
def test_words_paths_and_code_are_left_alone(index, query):
    """A word that stands nowhere is no slip where it is a word."""
    assert index.read(query) == Reading(query)


def test_an_index_without_vectors_reads_as_written(tmp_path: Path):
    """Without the encoder nothing tells a word from a slip."""
    repository = open_repository(make_repository(tmp_path / "r", FILES))
    settings = Settings(index=IndexSettings(embedder="none"))
    update_index(repository, settings)
    with RepositoryIndex.open(repository, settings) as opened:
        assert opened.read("a cancled invoice").read_as == {}
