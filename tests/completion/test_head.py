"""The decision head as data: what it computes, and which files it refuses."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import pytest

from codebuddy.completion.confidence import NAMES as TEXT_NAMES
from codebuddy.completion.context import build_context
from codebuddy.completion.features import NAMES, DefinitionCounts, extract_features
from codebuddy.completion.head import load_head
from codebuddy.datatypes import Document, Position
from codebuddy.errors import HeadError, TrainingError
from codebuddy.training.head.examples import (
    DamagedLabelsError,
    Example,
    LabelledCompletion,
    append_example,
    read_examples,
    read_folder,
    write_header,
)
from codebuddy.training.head.fit import FitConfig, fit_stage, head_content, out_of_fold_scores

FEATURES = ("callee_elsewhere", "elsewhere_6", "typed")


def example(number, rng):
    """A hole where a lookup helps when the callee is defined elsewhere, mostly."""
    callee = float(rng.random() < 0.5)
    helps = rng.random() < (0.8 if callee else 0.1)
    gain = rng.uniform(5, 40) if helps else rng.choice([0.0, 0.0, -10.0])
    features = dict.fromkeys(NAMES, 0.0)
    features |= {
        "callee_elsewhere": callee,
        "elsewhere_6": float(rng.randrange(4)),
        "typed": rng.random(),
    }
    never = LabelledCompletion(50.0, False, 500, 12, 900.0)
    return Example(
        repository=f"r{number % 4}",
        path=f"f{number % 17}.py",
        start=number,
        end=number + 9,
        kind="line",
        language="python",
        features=features,
        confidence=dict.fromkeys(TEXT_NAMES, 0.0) | {"first_logprob": -rng.random()},
        confidence_after=dict.fromkeys(TEXT_NAMES, 0.0),
        found={},
        never=never,
        always=LabelledCompletion(50.0 + gain, False, 900, 12, 1500.0),
    )


def synthetic_examples(count=400):
    """Holes of four repositories."""
    rng = random.Random(7)
    return [example(number, rng) for number in range(count)]


@pytest.fixture(scope="module")
def examples():
    """400 holes of four repositories."""
    return synthetic_examples()


@pytest.fixture(scope="module")
def fitted_head(examples):
    """A head fitted on them, as the text of a file."""
    stage = fit_stage(examples, FEATURES, FitConfig(strength=1.0))
    return json.dumps(head_content("test", {"model": "m"}, stage, None))


@pytest.fixture
def head_file(tmp_path, fitted_head):
    """A head fitted on them, as a file."""
    file = tmp_path / "head.json"
    file.write_text(fitted_head)
    return file


def test_a_head_learns_what_makes_lookups_help(head_file):
    """Where the callee is defined elsewhere probability and gain are high, else low."""
    head = load_head(head_file, NAMES, TEXT_NAMES)
    values = dict.fromkeys(NAMES, 0.0) | {"typed": 0.5, "elsewhere_6": 1.0}
    low = head.syntax.predict(values)
    high = head.syntax.predict(values | {"callee_elsewhere": 1.0})
    assert low.probability < 0.3 < 0.6 < high.probability
    assert low.gain < 3 < 10 < high.gain
    assert high.features[0][0] == "callee_elsewhere"


def test_the_exported_weights_equal_the_regression_of_scikit_learn(examples):
    """Scores of a linear stage are the library's own log-odds."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    stage = fit_stage(examples, FEATURES, FitConfig(strength=0.1))
    inputs = np.array([[e.features[f] for f in FEATURES] for e in examples])
    helped = np.array([e.helps for e in examples])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1)).fit(inputs, helped)
    actual = [stage.predict(e.features).score for e in examples]
    assert np.abs(model.decision_function(inputs) - actual).max() < 1e-6


def test_fitting_is_deterministic(examples):
    """The same examples and seed give the same head, byte for byte."""
    one, two = (
        json.dumps(head_content("h", {}, fit_stage(examples, FEATURES), None)) for _ in range(2)
    )
    assert one == two


def test_scores_out_of_fold_come_from_a_fit_that_never_saw_the_repository(examples):
    """An example's score does not depend on the labels of its own repository."""
    before = out_of_fold_scores(examples, FEATURES, FitConfig())
    changed = [
        e
        if e.repository != "r0"
        else Example(**{**{s: getattr(e, s) for s in e.__slots__}, "always": e.never})
        for e in examples
    ]
    after = out_of_fold_scores(changed, FEATURES, FitConfig())
    own = [row for row, e in enumerate(examples) if e.repository == "r0"]
    assert [before[row] for row in own] == [after[row] for row in own]


def test_the_probability_at_a_gain_is_where_the_gain_is_reached(head_file):
    """The threshold in probability and the one in gain are the same place."""
    stage = load_head(head_file, NAMES, TEXT_NAMES).syntax
    wanted = (stage.gains[0] + stage.gains[-1]) / 2
    threshold = stage.probability_at_gain(wanted)
    for score in (stage.knots[0], sum(stage.knots) / len(stage.knots), stage.knots[-1]):
        from codebuddy.completion.head import interpolate

        gain = interpolate(score, stage.knots, stage.gains)
        probability = interpolate(score, stage.knots, stage.probabilities)
        assert (gain >= wanted) == (probability >= threshold)
    assert stage.probability_at_gain(stage.gains[-1] + 1) == 1.0


def with_stage(content, **changes):
    """A head's content, its first stage changed."""
    return content | {
        "stages": {"syntax": content["stages"]["syntax"] | changes, "confidence": None}
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: "not json", "not JSON"),
        (lambda c: json.dumps([c]), "not a head"),
        (lambda c: json.dumps(c | {"format": "other"}), "not a head"),
        (lambda c: json.dumps(c | {"version": 99}), "another version"),
        (lambda c: json.dumps(c | {"retrieval_version": 99}), "another version"),
        (lambda c: json.dumps(c | {"stages": {}}), "damaged"),
        (lambda c: json.dumps(c).replace('"typed"', '"phase_of_the_moon"'), "other features"),
        (lambda c: json.dumps(c).replace('"base": ', '"base": NaN, "was": '), "damaged"),
        (
            lambda c: json.dumps(c).replace('"base": ', '"base": 1' + "0" * 400 + ', "was": '),
            "damaged",
        ),
        (lambda c: json.dumps(c).replace('"typed"', '"elsewhere_6"'), "there twice"),
        (lambda c: json.dumps(c).replace('"typed"', '"mean_logprob"'), "other features"),
        (lambda c: json.dumps(with_stage(c, weights=[1e308, 1.0, 1.0])), "out of bounds"),
        (lambda c: json.dumps(with_stage(c, means=[])), "differ in number"),
        (lambda c: json.dumps(with_stage(c, knots=[])), "differ in number"),
        (lambda c: json.dumps(with_stage(c, gains=c["stages"]["syntax"]["gains"][::-1])), "rise"),
        (lambda c: json.dumps(c | {"asked_again": -5}), "share"),
        (lambda c: json.dumps(c | {"stages": c["stages"] | {"confidence": []}}), "damaged"),
        (lambda c: "[" * 100_000, "not JSON"),
        (lambda c: json.dumps(c) + " " * 300_000, "larger"),
    ],
)
def test_a_head_that_is_damaged_or_foreign_is_refused(head_file, change, words):
    """One sentence says what is wrong with the file."""
    head_file.write_text(change(json.loads(head_file.read_text())))
    with pytest.raises(HeadError, match=words):
        load_head(head_file, NAMES, TEXT_NAMES)


def test_too_few_examples_are_refused_with_what_is_missing(examples):
    """Ten holes are not enough, and the sentence says how many more are."""
    with pytest.raises(TrainingError, match="50 more"):
        fit_stage(examples[:10], FEATURES)


def test_lookups_that_all_did_the_same_teach_nothing(examples):
    """In the target that is asked for, not only in another one."""
    after = dict.fromkeys(TEXT_NAMES, -9.0)
    same = [dataclasses.replace(e, confidence_after=after) for e in examples]
    assert len({each.helps for each in same}) == 2
    with pytest.raises(TrainingError, match="did the same"):
        fit_stage(same, FEATURES, FitConfig(ends_with="kept"))


def test_labels_survive_a_cut_last_row(tmp_path, examples):
    """What was being written when the process died is left out; all before it is kept."""
    file = tmp_path / "labels.jsonl"
    write_header(file, {"repository": "r"})
    for each in examples[:3]:
        append_example(file, each)
    file.write_text(file.read_text()[:-20])
    header, found = read_examples(file)
    assert header["repository"] == "r"
    assert found == examples[:2]


def test_labels_damaged_in_the_middle_are_refused(tmp_path, examples):
    """A hole in the file is named by its line."""
    file = tmp_path / "labels.jsonl"
    write_header(file, {})
    append_example(file, examples[0])
    file.write_text(file.read_text().replace('"path"', '"pa', 1) + "{}\n")
    with pytest.raises(TrainingError, match="line 2"):
        read_examples(file)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"typed":', '"typed":NaN,"was":'),
        ('"typed":', '"tipped":'),
        ('"typed":', '"typed":"much","was":'),
        ('"typed":', '"typed":1' + "0" * 400 + ',"was":'),
        ('"confidence_after":', '"was":'),
        ('"never":', '"never":3,"was":'),
        ('"kind":', '"kinds":'),
        ('"found":{}', '"found":' + "[" * 100_000),
    ],
)
def test_labels_that_make_no_sense_are_refused(tmp_path, examples, old, new):
    """A number that is none, or a column that is missing, is named before anything is fitted."""
    file = tmp_path / "labels.jsonl"
    write_header(file, {})
    for each in examples[:2]:
        append_example(file, each)
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(DamagedLabelsError, match=r"damaged"):
        read_examples(file)


def test_labels_of_several_repositories_are_read_together(tmp_path, examples):
    """A folder's files are one set of labels, unless they are for different models."""
    for name, rows in (("a", examples[:2]), ("b", examples[2:5])):
        write_header(tmp_path / f"{name}.jsonl", {"model": "m"})
        for row in rows:
            append_example(tmp_path / f"{name}.jsonl", row)
    about, found = read_folder(tmp_path)
    assert found == examples[:5]
    assert about["format"] == "codebuddy-head-labels"
    write_header(tmp_path / "c.jsonl", {"model": "n"})
    with pytest.raises(TrainingError, match=r"c\.jsonl has labels for model n"):
        read_folder(tmp_path)
    with pytest.raises(TrainingError, match="no labels"):
        read_folder(tmp_path / "none")


def test_labels_say_what_lookups_win_since(tmp_path, examples):
    """Expected gains are those of today's lookups; who asks what was measured gets that."""
    grown = [dataclasses.replace(each, gain_growth=1.5) for each in examples]
    before, after = (fit_stage(each, FEATURES, FitConfig()) for each in (examples, grown))
    assert after.weights == before.weights
    assert after.probabilities == before.probabilities
    assert after.gains == pytest.approx([1.5 * each for each in before.gains], rel=1e-3)
    write_header(tmp_path / "a.jsonl", {"model": "m"})
    append_example(tmp_path / "a.jsonl", grown[0])
    assert read_folder(tmp_path)[1] == grown[:1]
    assert read_folder(tmp_path, as_measured=True)[1] == examples[:1]


def place(text, language="python"):
    """The context at the mark `|` of `text`."""
    before, _, after = text.partition("|")
    lines = before.split("\n")
    document = Document("a.py", before + after, Path("/a.py"))
    return build_context(document, Position(len(lines), len(lines[-1]) + 1), language)


def test_features_of_a_call_to_something_elsewhere():
    """The callee, the import and the argument list are seen."""
    context = place("from store import open_store\n\n\ndef f(path):\n    return open_store(|\n")
    known = DefinitionCounts({"open_store": 1}, {"open_store": 1, "store": 0})
    found = extract_features(context, known)
    assert set(found) == set(NAMES)
    assert found["callee_elsewhere"] == 1
    assert found["in_arguments"] == 1
    assert found["after_return"] == 1
    assert found["imported_internal_near"] == 1
    assert found["elsewhere_nearest"] == 1


def test_features_of_a_call_to_something_here():
    """A name that the file defines asks for no lookup."""
    context = place("def grow(a):\n    return a\n\n\nx = grow(1)\ny = grow(|\n")
    found = extract_features(context, DefinitionCounts({}, {}))
    assert found["callee_here"] == 1
    assert found["callee_elsewhere"] == found["elsewhere_24"] == 0
    assert found["after_assignment"] == 1


def test_features_inside_a_comment():
    """Nothing of code is claimed inside a comment."""
    found = extract_features(place("x = 1\n# see f(|\n"), DefinitionCounts({}, {}))
    assert found["in_comment"] == 1
    assert found["in_arguments"] == found["after_assignment"] == 0
