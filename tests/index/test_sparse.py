"""BM25 from postings equals rank_bm25.BM25Okapi on real code, fresh and after changes."""

from __future__ import annotations

import asyncio
import email
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from rank_bm25 import BM25Okapi

import codebuddy.completion
from codebuddy.index.lexical import LexicalRanker
from codebuddy.index.sparse import CorpusStatistics, SparseBM25
from codebuddy.index.store import Store
from codebuddy.index.terms import count_terms, terms
from tests.support.index import database, index, make_repository


def _copy_sources(package: Path, target: Path) -> None:
    for file in sorted(package.rglob("*.py")):
        copy = target / package.name / file.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of this project and three packages of the standard library."""
    root = tmp_path_factory.mktemp("corpus") / "r"
    root.mkdir()
    for package in (codebuddy.completion, email, json, asyncio):
        assert package.__file__ is not None
        _copy_sources(Path(package.__file__).parent, root)
    return make_repository(root)


def _check_scores(root: Path, n_queries: int) -> None:
    """Every chunk's score for real queries against the library's, to 1e-9."""
    store = Store.open(database(root))
    with store.snapshot():
        chunks = [chunk for stored in store.files() for chunk in store.chunks_of(stored)]
        library = BM25Okapi([terms(chunk.text) for chunk in chunks])
        ranker = LexicalRanker(store)
        assert ranker.bm25.average_idf == pytest.approx(library.average_idf, abs=1e-9)
        rng = random.Random(3)
        queries = [rng.choice(chunks).text[:400] for _ in range(n_queries)]
        queries += [
            "self",
            "return self def",
            "def def import",
            "nowhere_to_be_found",
            "load settings",
        ]
        n_floored = 0
        for query in queries:
            scores = dict(ranker.ranked(count_terms(query)))
            expected = library.get_scores(terms(query))
            found = np.array([scores.get(chunk.id, 0.0) for chunk in chunks])
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
            ordered = list(scores.values())
            assert ordered == sorted(ordered, reverse=True)
            floor = library.epsilon * library.average_idf
            n_floored += any(library.idf.get(term) == floor for term in terms(query))
        assert n_floored > 0, "no query met the floor for negative idf"
    store.close()


@pytest.mark.process
def test_scores_equal_the_library_on_a_fresh_index(corpus):
    """A fresh index of real packages scores every chunk as the library does."""
    index(corpus, jobs=2)
    _check_scores(corpus, 25)


@pytest.mark.process
def test_scores_equal_the_library_after_adds_edits_and_removals(corpus):
    """Tombstones, several segments and merged ones change no score."""
    index(corpus, jobs=2)
    files = sorted(corpus.rglob("*.py"))
    rng = random.Random(5)
    for round_ in range(4):
        for file in rng.sample(files, 5):
            if round_ % 2:
                file.unlink(missing_ok=True)
            elif file.exists():
                file.write_text(file.read_text() + f"\n\ndef added_{round_}():\n    return self\n")
        (corpus / f"extra_{round_}.py").write_text(f"value_{round_} = 'self return'\n")
        index(corpus)
        _check_scores(corpus, 5)


@pytest.mark.parametrize("n_documents", [1, 2, 3, 10])
def test_idf_equals_the_library_for_every_document_frequency(n_documents):
    """Each possible frequency, the negative ones with their floor included, has its idf."""
    documents = [
        [f"t{frequency}" for frequency in range(1, n_documents + 1) if place < frequency]
        for place in range(n_documents)
    ]
    library = BM25Okapi(documents)
    histogram = dict.fromkeys(range(1, n_documents + 1), 1)
    ours = SparseBM25(CorpusStatistics(n_documents, sum(map(len, documents)), histogram))
    assert {f"t{f}": ours.idf_of(f) for f in histogram} == pytest.approx(library.idf, abs=1e-12)


def test_an_empty_corpus_scores_nothing():
    """No documents mean no division by zero, where the library would fail."""
    ours = SparseBM25(CorpusStatistics(0, 0, {}))
    assert (ours.average_idf, ours.avgdl) == (0.0, 0.0)
