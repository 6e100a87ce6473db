"""What the tables of a head say, on holes of which the truth is known."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys

import pytest

from codebuddy import heads
from codebuddy.completion.confidence import NAMES as TEXT_FEATURES
from codebuddy.completion.decision import is_cheaper_than_retry
from codebuddy.completion.features import NAMES
from codebuddy.settings import CompletionSettings
from codebuddy.training.head.assess import (
    TokenCosts,
    confidence_policy,
    policies,
    predict_left_out,
    retry_rates,
    summed_up,
    two_stage_policy,
)
from codebuddy.training.head.examples import LabelledCompletion, append_example, write_header
from codebuddy.training.head.fit import AFTER_FEATURES
from codebuddy.training.head.metrics import calibration_error, classifier_report, interval_over
from codebuddy.training.head.report import curve_points, personal_lines
from tests.bench.quality_corpora import load_corpora
from tests.completion.test_head import synthetic_examples

COSTS = TokenCosts(prompt_token_ms=2.0, written_token_ms=10.0)


@pytest.fixture(scope="module")
def examples():
    """Holes in which an unsure text is a poor one, and a lookup then helps."""
    rng = random.Random(3)
    found = []
    for each in synthetic_examples(240):
        is_poor = each.gain > 0
        texts = {name: rng.uniform(-1, 1) for name in TEXT_FEATURES}
        texts["mean_logprob"] = rng.gauss(-1.5 if is_poor else -0.2, 0.3)
        after = texts | {"mean_logprob": -0.1 if each.gain >= 0 else -3.0}
        lookups = {"lookup_ms": 5.0}
        found.append(
            dataclasses.replace(each, confidence=texts, confidence_after=after, found=lookups)
        )
    return found


@pytest.fixture(scope="module")
def judged(examples):
    """Each judged by a head that never saw its repository."""
    return predict_left_out(examples, NAMES, AFTER_FEATURES)


def test_a_prompt_costs_what_its_tokens_cost():
    """Milliseconds are tokens read and tokens written, each at its price."""
    assert (
        COSTS.of(
            LabelledCompletion(0.0, exact=False, prompt_tokens=100, generated_tokens=5, ms=1.0)
        )
        == 250.0
    )


def test_the_second_stage_tells_what_the_first_cannot(examples, judged):
    """With the text's own probabilities the better judgement is the later one."""
    gains = [each.gain for each in examples]
    of_each = [each.repository for each in examples]
    before = classifier_report([each.before.probability for each in judged], gains, of_each)
    after = classifier_report([each.after.probability for each in judged], gains, of_each)
    assert 0.6 < before["auroc"] < after["auroc"]
    assert before["auroc_within"] == pytest.approx(before["auroc"], abs=0.05)
    assert after["even_calibration_error"] < 0.2
    low, high = after["auroc_interval"]
    assert low < after["auroc"] < high
    assert after["calibration_error"] < 0.15
    assert after["majority_accuracy"] < after["accuracy"]


def test_calibration_is_measured_by_bins():
    """Half a yes at 0.5 is right, certainty about the wrong half is not."""
    assert calibration_error([0.5] * 4, [True, False, True, False]) == 0.0
    assert calibration_error([1.0] * 4, [True, False, True, False]) == 0.5
    # Ten alike bins each by itself: none hides another's error.
    chances, labels = [i / 100 + 0.4 for i in range(20)], [True, False] * 10
    assert calibration_error(chances, labels, is_even=True) == pytest.approx(0.05, abs=0.01)


def test_auroc_within_repositories_does_not_compare_across_them():
    """What tells repositories apart, and nothing inside of one, is worth nothing there."""
    of_each, gains = ["a"] * 40 + ["b"] * 40, [1.0] * 30 + [0.0] * 20 + [1.0] * 2 + [0.0] * 28
    found = classifier_report([0.9] * 40 + [0.1] * 40, gains, of_each)
    assert found["auroc"] > 0.7
    assert found["auroc_within"] == 0.5


def test_intervals_draw_repositories():
    """Holes of one repository stay together: two values of forty holes give three means."""
    values = [0.0] * 20 + [1.0] * 20

    def mean(rows):
        return sum(values[row] for row in rows) / len(rows)

    assert interval_over(["a"] * 20 + ["b"] * 20, mean) == (0.0, 1.0)
    assert interval_over(["a"] * 40, mean) is None


def test_policies_keep_their_bounds(judged):
    """Nothing beats the oracle, chance looks up as often as the head, always costs one."""
    found = policies(judged, 8.0, COSTS, retry_rates(judged, COSTS))
    results = {name: summed_up(name, each, judged, COSTS) for name, each in found.items()}
    best = results["oracle"].edit_similarity
    assert all(each.edit_similarity <= best for each in results.values())
    assert results["always"].relative_ms == pytest.approx(1.0)
    assert results["always"].against_always == 0.0
    assert (results["never"].lookup_rate, results["always"].lookup_rate) == (0.0, 1.0)
    for name in ("auto", "shown"):
        chance = results[f"chance_{name}"]
        assert chance.lookup_rate == pytest.approx(results[name].lookup_rate)
        assert results[name].edit_similarity > chance.edit_similarity
    rates = [results[name].lookup_rate for name in ("after", "shown", "auto")]
    assert rates == sorted(rates)
    assert results["auto"].relative_first_ms == results["auto"].relative_ms
    assert results["shown"].relative_first_ms <= results["shown"].relative_ms
    assert results["after"].relative_first_ms == pytest.approx(results["never"].relative_ms)


def test_a_text_that_is_written_again_costs_both(judged):
    """Time is that of both prompts, the first text's that of the one without a lookup."""
    (one, *_) = [each for each in judged if each.after.gain > 1]
    outcome = confidence_policy(0.0, COSTS)(one)
    never, always = COSTS.of(one.example.never), COSTS.of(one.example.always)
    assert (outcome.ms, outcome.first_ms) == (never + always, never)
    assert outcome.edit_similarity == one.example.kept.edit_similarity


def test_a_policy_decides_as_the_product_does(judged):
    """Hole by hole: the decisions of `decide` and `decide_after_generation` at the same cost."""
    asked = 0.3
    for is_shown in (False, True):
        policy = two_stage_policy(1.0, COSTS, lambda _: asked, is_shown=is_shown)
        for each in judged:
            price = COSTS.retrieval_cost(each.example, 1.0)
            cheap = is_cheaper_than_retry(price, asked, is_shown=is_shown)
            again = price.prompt_ms + COSTS.written_token_ms * each.example.never.generated_tokens
            if each.before.gain >= price.break_even_gain and cheap:
                assert policy(each).ms == COSTS.of(each.example.always)
            else:
                assert policy(each).lookups == (each.after.gain >= again / 1000)


def test_the_price_of_a_policy_knows_nothing_of_what_comes_out(judged):
    """Chunks that were found and tokens that were written are paid for, and not foreseen."""
    (one, *_) = judged
    dear = dataclasses.replace(one.example, always=dataclasses.replace(one.example.always, ms=1e9))
    long = dataclasses.replace(dear.always, prompt_tokens=9000, generated_tokens=900)
    dear = dataclasses.replace(dear, always=long)
    assert COSTS.retrieval_cost(dear, 1.0) == COSTS.retrieval_cost(one.example, 1.0)
    assert COSTS.of(dear.always) > COSTS.of(one.example.always)


def test_the_dearer_a_second_the_fewer_lookups(judged):
    """Along the curve lookups never become more."""
    for points in curve_points(judged, COSTS).values():
        rates = [result.lookup_rate for _, result in points]
        assert rates == sorted(rates, reverse=True)


@pytest.mark.slow
def test_personalisation_is_replayed_where_there_are_enough_holes(examples):
    """A row for each look of each repository with sixty holes or more."""
    told = "\n".join(personal_lines(examples, COSTS))
    for name in ("r0", "r1", "r2", "r3"):
        assert told.count(f"| {name} ") == 2
    assert personal_lines(examples[:120], COSTS) == []


@pytest.mark.process
@pytest.mark.slow
def test_fit_and_report_from_a_folder_of_labels(tmp_path, examples):
    """The commands write a head that loads, and tables between the page's markers."""
    labels = tmp_path / "labels"
    for name in ("r0", "r1", "r2", "r3"):
        about = heads.trained_for("m", CompletionSettings()) | {"repository": name}
        write_header(labels / f"{name}.jsonl", about)
        for each in examples[:120]:
            if each.repository == name:
                append_example(labels / f"{name}.jsonl", each)
    about = heads.trained_for("small", CompletionSettings()) | {"repository": "r0"}
    write_header(tmp_path / "labels-small/r0.jsonl", about)
    for each in examples[:40:4]:
        append_example(tmp_path / "labels-small/r0.jsonl", each)
    page, out = tmp_path / "page.md", tmp_path / "head.json"
    page.write_text(
        "before\n<!-- head figures: begin -->\nold\n<!-- head figures: end -->\nafter\n"
    )
    command = [sys.executable, "-m", "codebuddy.training.head"]
    subprocess.run([*command, "fit", "--labels", labels, "--out", out], check=True)
    subprocess.run([*command, "report", page, "--labels", labels], check=True)
    head = heads.load_head_file(out)
    assert head.name == "codebuddy, 120 holes of m"
    assert head.trained_for["model"] == "m"
    assert head.confidence is not None
    assert 0 < head.asked_again < 1
    assert len(json.dumps(json.loads(out.read_text()))) < 200_000
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| oracle, knows the better text" in text
    assert "| auto: both stages" in text
    assert "The same heads with small, of which they never saw a hole (10 holes):" in text
    assert page.with_suffix(".svg").read_text().lstrip().startswith("<?xml")


def test_the_data_list_names_what_the_labels_come_from():
    """Beside the head stand the packages and versions that are fetched, and no others."""
    folder = heads.default_labels_folder()
    page = (folder.parent / "README.md").read_text()
    corpora = [each for each in load_corpora() if each.use == "head"]
    assert {each.name for each in corpora} == {file.stem for file in folder.glob("*.jsonl")}
    for each in corpora:
        (row,) = (line for line in page.split("\n") if line.startswith(f"| {each.name} |"))
        assert f": {each.package} | {', '.join(each.versions)} |" in row
