"""The figures of the embedder are what they claim to be, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from codebuddy.training.embedder import bench
from codebuddy.training.embedder.measure import (
    bm25_scores,
    discrimination,
    isotropy,
    mean_cosine,
    ndcg_at_10,
    ranks,
)
from codebuddy.training.embedder.reference import KeptEncoder
from codebuddy.training.embedder.tasks import Task
from codebuddy.training.packages import Package

TASK = Task(
    kind="docstring",
    repository=Package("pypi", "shop", "1"),
    language="python",
    documents=("read a file", "write a file", "add two numbers"),
    queries=("read", "numbers added"),
    answers=(0, 2),
)


def test_ranks_count_what_is_before_and_half_of_what_is_equal():
    """First is 1; among five equal scores the middle place is given."""
    scores = np.array([[3.0, 2, 1], [1, 2, 3]])
    assert ranks(scores, [0, 0]).tolist() == [1, 3]
    assert ranks(np.zeros((1, 5)), [2]).tolist() == [3]


def test_ndcg_is_the_discount_of_the_place():
    """First gives 1, second 1 / log2(3), eleventh nothing."""
    assert ndcg_at_10(np.array([1, 2, 10, 11])).tolist() == pytest.approx(
        [1, 0.63093, 0.28906, 0], abs=1e-5
    )


def test_bm25_finds_the_only_document_with_the_word():
    """The word decides; a word that stands nowhere changes nothing."""
    scores = bm25_scores(TASK)
    assert scores.argmax(axis=1).tolist() == [0, 2]
    assert scores[1, 0] == scores[1, 1] == 0


def test_isotropy_is_1_for_a_sphere_and_near_0_for_a_line():
    """A round cloud uses all directions, a line one."""
    generator = np.random.default_rng(1)
    cloud = generator.normal(size=(20_000, 16)).astype("f4")
    line = np.outer(generator.normal(size=2000), np.ones(16)).astype("f4")
    assert isotropy(cloud) > 0.98
    assert isotropy(line) == pytest.approx(0, abs=1e-3)


def test_mean_cosine_is_that_of_all_different_pairs():
    """Worked out by hand for three unit vectors."""
    vectors = np.array([[1, 0], [0, 1], [1, 0]], "f4")
    assert mean_cosine(vectors) == pytest.approx(1 / 3)


def test_discrimination_is_1_where_meaning_decides_and_a_half_where_it_does_not():
    """Equal vectors for equal meanings give 1, one vector for everything a half."""
    assert discrimination(np.eye(50, dtype="f4"), np.eye(50, dtype="f4"), 1) == 1
    same = np.ones((50, 4), "f4")
    assert discrimination(same, same, 1) == 0.5


def test_two_tiers_rescore_the_best_and_leave_the_others_behind():
    """The second method orders what the first recalled, however high it scores the rest."""
    first = np.zeros((1, 100))
    first[0, :40] = np.arange(40, 0, -1) / 40
    second = np.arange(100.0)[None, :] / 100
    task = Task("docstring", TASK.repository, "python", ("d",) * 100, ("q",), (0,))
    scores = bench.in_two_tiers(lambda _: first, lambda _: second)(task)
    order = np.argsort(-scores[0])
    assert order[: bench.RESCORED].tolist() == list(range(bench.RESCORED - 1, -1, -1))
    assert order[bench.RESCORED] == bench.RESCORED


def test_a_comparison_names_the_lead_with_its_interval():
    """A method that is always right leads one that is always wrong by 1, surely."""
    right = np.array([[1.0, 0, 0], [0, 0, 1]])
    wrong = np.array([[0.0] * 100 + [1] * 100] * 2)
    many = Task("docstring", TASK.repository, "python", ("d",) * 200, TASK.queries, TASK.answers)
    methods = {
        "right": lambda task: np.pad(right, ((0, 0), (0, 197))),
        "wrong": lambda task: wrong,
    }
    report = bench.compare(methods, "wrong", [many], seed=1)["docstring"]
    assert report["right"]["ndcg_at_10"] == 1
    assert report["right"]["lead_interval"] == [1, 1]
    assert report["wrong"]["lead"] == 0


def test_kept_vectors_are_not_computed_again(tmp_path):
    """A text that was encoded in an earlier run is read from the folder."""

    class Counting:
        """Encodes a text as its length, and counts how often it is asked."""

        dim, fingerprint, asked = 1, "length", 0

        def encode(self, texts):
            self.asked += len(texts)
            return np.array([[len(text)] for text in texts], "f4")

    encoder = Counting()
    first = KeptEncoder(tmp_path, lambda: encoder, lambda _: None)
    assert first.encode(["a", "bbb", "a"]).tolist() == [[1], [3], [1]]
    second = KeptEncoder(tmp_path, lambda: encoder, lambda _: None)
    assert second.encode(["bbb", "cc"]).tolist() == [[3], [2]]
    assert encoder.asked == 3
