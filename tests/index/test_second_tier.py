"""The second tier: a model's order of a question's best results, and its vectors on disk."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codebuddy import diagnosis, paths
from codebuddy.errors import ModelError
from codebuddy.index import embed, second_tier, vector_cache
from codebuddy.index.rerank import combined
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.search_response import search_response
from codebuddy.index.second_tier import CACHE_NAME, SecondTier, body_text
from codebuddy.index.vector_cache import VectorCache
from codebuddy.index.vectors import Vectors
from codebuddy.service.request import SearchRequest
from codebuddy.settings import ModelSettings, SearchSettings, Settings
from codebuddy.vcs.repository import open_repository
from tests.bench.rerank import Judged, Weights
from tests.bench.search_tasks import Task
from tests.support.engine import codebuddy, json_of
from tests.support.index import index, make_repository, module

MODEL = str(paths.shipped_models_folder() / "embedder")
QUESTION = "where is the total of first and second added up"


class Counting:
    """An encoder that likes one word, and counts its texts."""

    dim = 2
    fingerprint = "counting"

    def __init__(self, liked: str) -> None:
        self.liked = liked
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        """The first axis for texts that hold the word, and for the question."""
        self.seen += texts
        likes = [self.liked in text or text == QUESTION for text in texts]
        return np.array([[float(like), float(not like)] for like in likes], np.float32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three modules."""
    files: dict[str, str | bytes] = {f"{n}.py": module(n) for n in ("alpha", "beta", "gamma")}
    return make_repository(tmp_path / "r", files)


def test_a_question_is_ordered_by_both(root, monkeypatch):
    """What the model likes comes up; the vectors are made once, and by content."""
    index(root)
    encoder = Counting("gamma")
    monkeypatch.setattr(embed, "encoder_named", lambda _: encoder)
    settings = Settings(search=SearchSettings(reranker="counting"))
    with RepositoryIndex.open(open_repository(root), settings) as opened:
        results = opened.search(QUESTION, 50)
        ordered, similarities = opened.second_tier().order(QUESTION, results)
        assert {each.chunk.id for each in ordered} == {each.chunk.id for each in results}
        assert "gamma" in ordered[0].chunk.text
        assert similarities[ordered[0].chunk.id] == 1.0
        n_seen = len(encoder.seen)
        assert n_seen == 2 * len(results) + 1
        opened.second_tier().order(QUESTION, results)
        assert len(encoder.seen) == n_seen + 1
        encoder.fingerprint = "another"
        opened.second_tier().order(QUESTION, results)
        assert len(encoder.seen) == 2 * n_seen + 1
    assert opened.second_tier().order(QUESTION, []) == ([], {})


def test_a_model_without_usable_vectors_is_an_error(root, monkeypatch):
    """Another dimension than it says, or no numbers."""
    index(root)
    settings = Settings(search=SearchSettings(reranker="counting"))
    for bad in (np.ones((1, 3), np.float32), np.full((1, 2), np.nan, np.float32)):
        encoder = Counting("x")
        monkeypatch.setattr(encoder, "encode", lambda texts, bad=bad: np.repeat(bad, len(texts), 0))
        monkeypatch.setattr(embed, "encoder_named", lambda _, encoder=encoder: encoder)
        with RepositoryIndex.open(open_repository(root), settings) as opened:
            results = opened.search(QUESTION)
            with pytest.raises(ModelError, match="gives no vectors of 2 numbers"):
                opened.second_tier().order(QUESTION, results)


@pytest.mark.parametrize(
    "query",
    [
        "where is " + "a total " * 125_000,
        "合計はどこで計算されますか",
        "how --best is -k 0 --",
        "why \x00\ud800",
    ],
    ids=["1 MB", "another script", "options", "no text"],
)
def test_any_text_may_be_ordered_again(root, query):
    """What a person pastes is a question like any other."""
    index(root)
    settings = Settings(search=SearchSettings(reranker=MODEL))
    with RepositoryIndex.open(open_repository(root), settings) as opened:
        request = SearchRequest(str(root), query, is_best=True)
        found = search_response(opened, request, "")
        plain = search_response(opened, dataclasses.replace(request, is_best=False), "")
        assert len(found["results"]) == len(plain["results"])
        assert "reranker" not in plain
        assert found["reranker"] in (MODEL, None)


def test_combinations():
    """The first tier alone at weight 0, the model alone, and both; as measured, too."""
    scores, similarities = (4.0, 2.0, 1.0), (0.1, 0.2, 0.9)
    assert combined(scores, similarities, 0.0) == [0, 1, 2]
    assert combined(scores, similarities, 50.0) == [2, 1, 0]
    assert combined((), (), 1.0) == []
    assert combined((0.0,), (0.5,), 1.0) == [0]
    judged = Judged(
        Task("question", QUESTION, frozenset(), ""), scores, similarities, {0: 0.9, 1: 0.1}, ()
    )
    assert judged.order(Weights(0.0, 0.0)) == [0, 1, 2]
    assert judged.order(Weights(50.0, 0.0)) == [1, 0, 2]
    assert judged.order(Weights(0.0, 50.0)) == [0, 1, 2]


def test_only_the_best_are_read_a_second_time(root, monkeypatch):
    """By their names and documentation; the others stay behind them, in their own order."""
    index(root)
    encoder = Counting("gamma")
    monkeypatch.setattr(embed, "encoder_named", lambda _: encoder)
    monkeypatch.setattr(second_tier, "BODY_POOL", 1)
    settings = Settings(search=SearchSettings(reranker="counting"))
    with RepositoryIndex.open(open_repository(root), settings) as opened:
        results = opened.search(QUESTION, 50)
        ordered, _ = opened.second_tier().order(QUESTION, results)
        bodies = [each for each in encoder.seen if each in {body_text(r.chunk) for r in results}]
        assert bodies == [body_text(ordered[0].chunk)]
        assert len(ordered) == len(results)


def test_vectors_are_bounded_private_and_may_be_lost(tmp_path, monkeypatch):
    """Damage, links, locks and too many of them cost time, and nothing else."""
    monkeypatch.setattr(vector_cache, "MAX_ROWS", 5)
    monkeypatch.setattr(vector_cache, "_EVICTED_AT_ONCE", 1)
    monkeypatch.setattr(vector_cache, "_TIMEOUT_S", 0.01)
    file = tmp_path / "v.db"
    cache = VectorCache(file, "model", 2)
    vectors = np.array([[0.5, 1.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    cache.put(["a", "b", "\ud800"], vectors)
    assert {place: each.tolist() for place, each in cache.get(["b", "x", "a", "b"]).items()} == {
        0: [1.0, 0.0],
        2: [0.5, 1.0],
        3: [1.0, 0.0],
    }
    assert file.stat().st_mode & 0o077 == 0
    assert (
        VectorCache(file, "other", 2).get(["a"]) == VectorCache(file, "model", 3).get(["a"]) == {}
    )
    cache.put(["c", "d", "e"], vectors)
    assert cache.get(["a"]) == {}
    assert len(cache.get(["c", "d", "e"])) == 3
    holder = sqlite3.connect(file)
    holder.execute("BEGIN EXCLUSIVE")
    assert cache.get(["c"]) == {}
    cache.put(["f"], vectors[:1])
    holder.close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE vectors SET vector = ?", (np.full(2, np.nan, "f2").tobytes(),))
    assert cache.get(["c", "d", "e"]) == {}
    file.write_bytes(b"no database at all" * 100)
    assert cache.get(["c"]) == {}
    cache.put(["c"], vectors[:1])
    assert len(cache.get(["c"])) == 1
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    file.unlink()
    file.symlink_to(elsewhere)
    cache.put(["c"], vectors[:1])
    assert elsewhere.read_bytes() == b"mine"


def best(root: Path, *query: str, **environment: str) -> dict[str, Any]:
    """What `search --best --json` answers with our own embedder as the model."""
    environment = {"CODEBUDDY_SEARCH_RERANKER": MODEL, **environment}
    arguments = ("search", *query, "--best", "--json")
    return json_of(codebuddy(root, *arguments, stdin=None, **environment))


@pytest.mark.process
@pytest.mark.usefixtures("engine")
def test_search_waits_for_it_with_best(root):
    """Through the engine and here; a name is left to the first tier, and torch is not needed.

    The engine has the repository's index open already, for a call that named no model.
    """
    plain = json.loads(codebuddy(root, "search", QUESTION, "--json").stdout)
    assert "reranker" not in plain
    found = best(root, QUESTION)
    assert found["reranker"] == MODEL
    assert all("similarity" in each for each in found["results"])
    here = best(root, QUESTION, CODEBUDDY_ENGINE_ENABLED="false")
    assert here["results"] == found["results"]
    assert (open_repository(root).index_folder / CACHE_NAME).is_file()
    name = best(root, "keep_alpha")
    assert name["reranker"] is None
    assert "similarity" not in name["results"][0]


@pytest.mark.process
def test_it_is_off_and_says_so(root, tmp_path):
    """Where none is set, or it is gone; a repository may not set it."""
    done = codebuddy(root, "search", QUESTION, "--best")
    assert (done.returncode, done.stdout) == (1, "")
    assert "search.reranker names no model" in done.stderr
    gone = str(tmp_path / "gone")
    for variable in (gone, "./gone"):
        done = codebuddy(root, "search", QUESTION, "--best", CODEBUDDY_SEARCH_RERANKER=variable)
        assert done.returncode == 1
        assert f"the second tier {variable} is no folder" in done.stderr
    doctor = json_of(codebuddy(root, "doctor", "--json"))
    assert doctor["repository"]["reranker"].startswith("off")
    (root / ".codebuddy.toml").write_text(f'[search]\nreranker = "{MODEL}"\n')
    done = codebuddy(root, "search", QUESTION)
    assert done.returncode == 0
    assert "search.reranker is ignored, because a repository may not set it" in done.stderr


@pytest.mark.process
@pytest.mark.usefixtures("engine")
def test_a_failed_search_says_its_warnings_too(root):
    """Of the settings and the query, with and without the engine; the hint says what to set."""
    (root / ".codebuddy.toml").write_text(f'[search]\nreranker = "{MODEL}"\n')
    for more in ([], ["--no-engine"]):
        done = codebuddy(root, "search", "--best", *more, "--", QUESTION + " -path:tests")
        assert (done.returncode, done.stdout) == (1, "")
        assert "search.reranker is ignored, because a repository may not set it" in done.stderr
        assert "warning: -path:tests is looked for as text" in done.stderr
        assert "CODEBUDDY_SEARCH_RERANKER" in done.stderr


@pytest.mark.process
def test_doctor_names_it_before_there_is_an_index(tmp_path):
    """In a repository that is not indexed yet, and outside of any."""
    fresh = make_repository(tmp_path / "fresh", {"a.py": "x = 1\n"})
    outside = tmp_path / "outside"
    outside.mkdir()
    for folder in (fresh, outside):
        doctor = json_of(codebuddy(folder, "doctor", "--json"))
        assert doctor["repository"]["reranker"] == "off (search.reranker names no model)"


def test_a_look_at_the_disk_tells_what_is_missing(tmp_path, monkeypatch):
    """A model that was not pulled, a folder that is gone, a name that the hub's cache lacks."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "hub" / "models--sentence-transformers--known").mkdir(parents=True)
    faults = {
        "all-minilm-l6-v2": "is not installed",
        str(tmp_path / "gone"): "is no folder",
        "./gone": "is no folder",
        "org/unknown": "is not in the hub's cache, and the network is not used",
        "known": "",
        "./there": "",
        "": "",
    }
    model = ModelSettings(folder=str(tmp_path / "models"))
    for name, fault in faults.items():
        settings = Settings(search=SearchSettings(reranker=name), model=model)
        tier = SecondTier(settings, tmp_path)
        assert (name, tier.fault()) == (name, fault)
        if fault:
            with pytest.raises(ModelError, match=f"the second tier {name} {fault}") as error:
                tier.check()
            assert "codebuddy models pull all-minilm-l6-v2" in (error.value.hint or "")
    (tmp_path / "models" / "all-minilm-l6-v2").mkdir(parents=True)
    settings = Settings(search=SearchSettings(reranker="all-minilm-l6-v2"), model=model)
    assert SecondTier(settings, tmp_path).fault() == ""


@pytest.mark.parametrize("name", ["all-minilm-l6-v2", "own"])
def test_a_damaged_one_is_named_with_what_to_do(root, tmp_path, name):
    """The remedy is of the second tier, not of the index's embedder."""
    folder = tmp_path / "models" / name
    shutil.copytree(MODEL, folder)
    (folder / "model.safetensors").write_bytes(b"junk")
    named = name if name in second_tier.PULLED else str(folder)
    model = ModelSettings(folder=str(folder.parent))
    settings = Settings(search=SearchSettings(reranker=named), model=model)
    index(root)
    with RepositoryIndex.open(open_repository(root), settings) as opened:
        results = opened.search(QUESTION)
    with pytest.raises(ModelError, match=f"the second tier {named} cannot be used") as error:
        SecondTier(settings, tmp_path).order(QUESTION, results)
    assert "codebuddy models pull all-minilm-l6-v2" in (error.value.hint or "")
    assert "--embedder" not in (error.value.hint or "")


def test_doctor_says_that_it_is_not_installed(tmp_path, monkeypatch):
    """In the section and among the problems, with the command that helps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CODEBUDDY_MODEL_FOLDER", str(tmp_path / "models"))
    monkeypatch.setenv("CODEBUDDY_SEARCH_RERANKER", "all-minilm-l6-v2")
    report = diagnosis.diagnose()
    assert report["repository"]["reranker"] == "all-minilm-l6-v2 (is not installed)"
    remedies = [p["remedy"] for p in report["problems"] if "all-minilm-l6-v2" in p["problem"]]
    assert remedies == ["codebuddy models pull all-minilm-l6-v2"]


@pytest.mark.process
def test_nothing_of_it_is_loaded_for_another_search(root):
    """No torch, no sentence-transformers, no cache."""
    done = codebuddy(root, "search", QUESTION, "--json", CODEBUDDY_SEARCH_RERANKER=MODEL)
    assert done.returncode == 0
    assert not os.path.exists(open_repository(root).index_folder / CACHE_NAME)  # noqa: PTH110
