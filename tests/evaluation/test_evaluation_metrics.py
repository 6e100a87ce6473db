"""Scores and statistics have the values that their definitions give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codebuddy.evaluation import statistics
from codebuddy.evaluation.codebleu import codebleu
from codebuddy.evaluation.metrics import (
    call_recall,
    customization_quality_index,
    edit_similarity,
    exact_match,
    identifier_f1,
    levenshtein,
    quality,
)
from codebuddy.evaluation.results import ModeResult, TaskResult
from codebuddy.evaluation.summary import summarize

BODY = "total = 0\n    for item in items:\n        total += item.price\n    return total"
BEFORE, AFTER = "def add(items):\n    ", "\n\n\ndef other():\n    return 1\n"


def _table_distance(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


@given(st.text("abé \n", max_size=150), st.text("abé \n", max_size=150))
@settings(max_examples=300, deadline=None)
def test_levenshtein_is_the_table_of_wagner_and_fischer(first, second):
    """The bit-parallel distance is the one that the plain table gives, past a machine word too."""
    assert levenshtein(first, second) == _table_distance(first, second)


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("kitten", "sitting", 100 * (1 - 3 / 7)),
        ("same", "same", 100.0),
        ("", "", 100.0),
        ("", "abcd", 0.0),
        ("  padded\n", "padded", 100.0),
    ],
)
def test_edit_similarity_is_one_minus_distance_over_the_longer(text, reference, expected):
    """Of the texts without outer space, from 0 to 100."""
    assert edit_similarity(text, reference) == pytest.approx(expected)


def test_exact_match_is_blind_to_white_space_alone():
    """Indentation and line breaks do not count, a missing character does."""
    assert exact_match("a = b\n  + c", "a = b + c")
    assert not exact_match("a = b", "a == b")


def test_identifiers_count_with_repetitions_and_without_keywords():
    """Two of three names right, one too few: precision 1, recall 2/3."""
    assert identifier_f1("foo(bar)", "foo(bar, bar)") == pytest.approx(2 * 2 / 5)
    assert identifier_f1("return x", "return y", frozenset({"return"})) == 0.0
    assert identifier_f1("1 + 2", "3") == 1.0


def test_call_recall_counts_calls_and_not_mentions():
    """A name counts where it is called; where nothing is to be called there is no score."""
    assert call_recall("load_file(a) + Store.open (b)", ("load_file", "open")) == 1.0
    assert call_recall("x = load_file", ("load_file",)) == 0.0
    assert call_recall("vec!(a); parse::<u8>(b)", ("vec", "parse")) == 1.0
    assert call_recall("anything()", ()) is None


def test_codebleu_orders_texts_by_likeness():
    """The same text has 1, a renamed one keeps its syntax, another one has little."""
    same = codebleu(BODY, BODY, BEFORE, AFTER, "python")
    renamed = codebleu(BODY.replace("total", "amount"), BODY, BEFORE, AFTER, "python")
    other = codebleu("print('no')", BODY, BEFORE, AFTER, "python")
    assert same == pytest.approx(1.0)
    assert 0.0 <= other < 0.3 < renamed < same
    assert codebleu("", BODY, BEFORE, AFTER, "python") == 0.0
    assert 0 < codebleu("a b c", "a b c", "", "", "text") <= 1


def test_codebleu_takes_hostile_code():
    """Deep nesting and broken code are scored, not failed at."""
    assert 0 <= codebleu("(" * 5000, BODY, BEFORE, AFTER, "python") <= 1
    assert 0 <= codebleu(BODY, "(" * 5000, BEFORE, AFTER, "python") <= 1


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()), max_size=40))
@settings(max_examples=100, deadline=None)
def test_auroc_is_that_of_scikit_learn(pairs):
    """With ties; and there is none without both answers."""
    from sklearn.metrics import roc_auc_score

    probabilities = [p for p, _ in pairs]
    labels = [y for _, y in pairs]
    found = statistics.auroc(probabilities, labels)
    if len(set(labels)) < 2:
        assert found is None
    else:
        assert found == pytest.approx(roc_auc_score(labels, probabilities))


def test_accuracy_precision_recall_and_brier():
    """Two yes said, one right; two yes true, one found."""
    decisions, labels = [True, True, False, False], [True, False, True, False]
    assert statistics.classification(decisions, labels) == (0.5, 0.5, 0.5)
    assert statistics.classification([False], [False]) == (1.0, None, None)
    assert statistics.brier([1.0, 0.0, 0.5], [True, True, False]) == pytest.approx(1.25 / 3)
    assert statistics.brier([], []) is None


def test_the_bootstrap_is_seeded_and_covers_the_mean():
    """The same seed gives the same interval, which for many values is that of the normal law."""
    values = np.random.default_rng(1).normal(5, 2, 400).tolist()
    found = statistics.mean_interval(values, 7)
    assert found is not None
    low, high = found
    assert (low, high) == statistics.mean_interval(values, 7)
    assert (low, high) != statistics.mean_interval(values, 8)
    spread = 1.96 * np.std(values) / 20
    assert low == pytest.approx(np.mean(values) - spread, abs=0.05)
    assert high == pytest.approx(np.mean(values) + spread, abs=0.05)
    assert statistics.mean_interval([3.0], 0) is None


def test_the_quality_index_goes_from_one_to_ten():
    """Nothing right is 1, everything right and a gain of ten points is 10; a loss takes nothing."""
    assert customization_quality_index(0.0, 0.0) == 1.0
    assert customization_quality_index(1.0, 0.9) == pytest.approx(10.0)
    assert customization_quality_index(0.5, 0.5) == pytest.approx(1 + 9 * 0.3)
    assert customization_quality_index(0.5, 0.9) == pytest.approx(1 + 9 * 0.3)
    assert customization_quality_index(0.5, 0.45) == pytest.approx(1 + 9 * (0.3 + 0.2))


def test_quality_is_a_mean_of_means():
    """Scores that do not exist for a task are left out of their own mean only."""
    scores: list[dict[str, float | None]] = [
        {"exact_match": 1.0, "edit_similarity": 100.0, "identifier_f1": 1.0, "call_recall": None},
        {"exact_match": 0.0, "edit_similarity": 50.0, "identifier_f1": 0.5, "call_recall": 1.0},
    ]
    assert quality(scores) == pytest.approx((0.5 + 0.75 + 0.75 + 1.0) / 4)
    assert quality([]) == 0.0


def _task(number: int, never: float, always: float, *, retrieve: bool) -> TaskResult:
    def arm(similarity: float, *, has_looked: bool, ms: float) -> ModeResult:
        scores = {"exact_match": float(similarity == 100), "edit_similarity": similarity}
        return ModeResult(
            text="",
            scores={**scores, "identifier_f1": 0.0, "call_recall": None, "codebleu": None},
            retrieve=has_looked,
            probability=0.9 if retrieve else 0.1,
            threshold=0.5,
            reason="",
            latency_ms=ms,
            timings_ms={},
            tokens={"prompt": 10, "evaluated": 10, "reused": 0, "generated": 1},
            chunks=[],
            has_answer_in_chunks=False,
            finish_reason="stop",
        )

    arms = {
        "never": arm(never, has_looked=False, ms=100),
        "always": arm(always, has_looked=True, ms=200),
        "auto": arm(always if retrieve else never, has_looked=retrieve, ms=150),
    }
    return TaskResult(
        str(number), "line" if number % 2 else "call", "a.py", 1, 1, "python", "x", "", False, arms
    )


def test_a_summary_says_what_the_tasks_say():
    """Means, rates, the oracle and the decision's figures of four tasks, worked out by hand."""
    tasks = [
        _task(0, 40, 100, retrieve=True),
        _task(1, 80, 80, retrieve=True),
        _task(2, 60, 20, retrieve=False),
        _task(3, 100, 100, retrieve=False),
    ]
    found = summarize(tasks, 0)
    assert found["tasks"] == 4
    arms = found["arms"]
    assert [arms[name]["edit_similarity"] for name in arms] == [70, 75, 85]
    assert [arms[name]["exact_match"] for name in arms] == [0.25, 0.5, 0.5]
    assert [arms[name]["retrieval_rate"] for name in arms] == [0, 1, 0.5]
    assert arms["always"]["latency_ms"] == {"p50": 200, "p95": 200}
    assert found["oracle"]["edit_similarity"] == 85
    assert found["oracle"]["retrieval_rate"] == 0.25
    assert found["head"]["precision"] == 0.5
    assert found["head"]["recall"] == 1.0
    assert found["head"]["accuracy"] == 0.75
    assert found["head"]["auroc"] == pytest.approx(5 / 6)
    assert found["head"]["brier"] == pytest.approx((0.01 + 0.81 + 0.01 + 0.01) / 4)
    assert found["differences"]["always-never"]["edit_similarity"] == 5
    assert found["differences"]["always-never"]["better"] == 0.25
    assert {kind: part["tasks"] for kind, part in found["kinds"].items()} == {"call": 2, "line": 2}
    interval = arms["never"]["intervals"]["edit_similarity"]
    assert interval is not None
    low, high = interval
    assert 40 <= low <= 70 <= high <= 100


def test_a_summary_of_nothing_has_no_figures():
    """Without a finished task there are no means, and no error."""
    found = summarize([], 0)
    assert found["tasks"] == 0
    assert found["cqi"]["index"] is None
    assert found["arms"] == {}
