"""Tuning on questions: how they are made, what is read of repositories, and that it learns."""

from __future__ import annotations

import dataclasses
import pickle
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest

from codebuddy.training.embedder.asking import question_of
from codebuddy.training.embedder.examples import (
    Example,
    commands,
    examples_of,
    question_titles,
    read_examples,
    recipes,
    write_examples,
)
from codebuddy.training.embedder.pairs import parse_files
from codebuddy.training.embedder.teaching import (
    Origin,
    clone,
    cut_examples,
    is_held_out,
    load_origins,
)
from codebuddy.training.embedder.tuning import Teaching, TuningConfig, Vectors, tune
from codebuddy.training.embedder.vocabulary import train_vocabulary
from tests.training.test_embedder_data import STORE, wheel

DATA = Path(__file__).parents[2] / "models" / "embedder" / "data.toml"
TITLES = (
    "annotation_tool/data/code_solution_labeled_data/source/"
    "sql_how_to_do_it_by_classifier_multiple_qid_to_title.pickle"
)
SOURCE = b'''\
def total_grams(parcels):
    """Returns the weight of all parcels."""
    grams = 0
    for parcel in parcels:
        grams += parcel
    return grams
'''


def test_documentation_is_asked_for_as_people_type():
    """The verb is another one or an imperative, articles are gone, the language may be named."""
    rng = random.Random(0)
    line = "Returns True if the string is valid JSON."
    asked = {question_of(line, "python", rng) for _ in range(200)}
    assert "python check if string is valid json" in asked
    assert "how to check if string is valid json in python" in asked
    assert not any("returns" in each.lower() for each in asked)
    asked = {question_of("Deletes a row (see insert).", "go", rng) for _ in range(200)}
    assert {"delete row", "remove row", "how to drop row"} <= asked
    # What begins with no verb that is known stays as it is.
    assert {question_of("The largest", "go", rng).split()[-1] for _ in range(9)} <= {
        "largest",
        "go",
    }


def test_a_documented_function_is_an_example_with_its_documentation():
    """`asked` keeps the documentation in the text, `doc` does not."""
    found = examples_of(parse_files([("store.py", STORE)], 1), 1)
    asked = next(each for each in found if each.kind == "asked" and "order" in each.symbol)
    doc = next(each for each in found if each.kind == "doc" and each.query == asked.query)
    assert (asked.symbol, asked.path, asked.language) == ("read_order_lines", "store.py", "python")
    assert "Read the lines of an order" in asked.query
    assert asked.query in " ".join(asked.text.split())
    assert asked.query not in " ".join(doc.text.split())


def test_examples_are_read_back(tmp_path):
    example = Example("asked", "a \x00 \u2028", "p", "s", "t\n", "go")
    write_examples(tmp_path / "x.jsonl", [example])
    assert read_examples(tmp_path / "x.jsonl") == [example]


@pytest.fixture
def origin(tmp_path: Path) -> tuple[Origin, Path]:
    """A repository with a recipe of either kind of licence, titles and commands; its clone."""
    root = tmp_path / "origin"
    files = {
        "recipes/Python/1_Total/README.md": b"## Add up all weights  \nOriginally published: 2001",
        "recipes/Python/1_Total/LICENSE.md": b"Permission is hereby granted, free of charge",
        "recipes/Python/1_Total/recipe-1.py": SOURCE,
        "recipes/Python/2_Other/README.md": b"## Other",
        "recipes/Python/2_Other/LICENSE.md": b"GNU General Public License",
        "recipes/Python/2_Other/recipe-2.py": SOURCE,
        TITLES: pickle.dumps({7: "How to sum a column?", 8: "Join two tables"}, protocol=0),
        "data/bash/all.nl": b"Find all files\nFind all files\nCount lines\n",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments],
            capture_output=True,
            check=True,
            text=True,
        )
        return done.stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "all")
    found = Origin("recipes", str(root), git("rev-parse", "HEAD"), "MIT")
    assert clone(found, tmp_path / "clone.git")
    return found, tmp_path / "clone.git"


def test_recipes_under_a_licence_that_allows_it_are_read_from_a_clone(origin):
    """And titles and commands; each from the very commit."""
    found, folder = origin
    (recipe,) = recipes(folder, found.commit)
    assert (recipe.query, recipe.symbol) == ("Add up all weights", "total_grams")
    assert question_titles(folder, found.commit) == ["How to sum a column?", "Join two tables"]
    assert commands(folder, found.commit) == ["Count lines", "Find all files"]
    assert not clone(dataclasses.replace(found, commit="0" * 40), folder)


def test_a_pickle_that_names_something_to_call_is_refused(tmp_path, origin):
    """Third-party data runs nothing."""
    _, folder = origin
    root = folder.parent / "origin"
    (root / TITLES).write_bytes(pickle.dumps({1: Path("x")}))
    for arguments in (["add", "."], ["commit", "-qm", "planted"]):
        subprocess.run(
            ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments],
            check=True,
        )
    with pytest.raises(pickle.UnpicklingError, match="which nothing here needs"):
        question_titles(root / ".git", "HEAD")


def test_packages_that_are_measured_on_are_not_cut(tmp_path):
    archive = wheel(tmp_path / "shop-1.0-py3-none-any.whl", "MIT")
    assert cut_examples([archive], tmp_path / "out", frozenset({"pypi-shop"}), 1) == 0
    assert cut_examples([archive], tmp_path / "in", frozenset(), 1) == 1


def test_every_repository_of_the_data_list_has_a_commit_and_a_licence():
    origins = load_origins(DATA)
    assert {each.name for each in origins} == {"recipes", "titles", "commands"}
    assert all(len(each.commit) == 40 and each.licence for each in origins)
    assert {is_held_out(f"title {number}") for number in range(50)} == {True, False}


def test_tuning_brings_a_question_to_its_function():
    """Words that only questions have come to lie beside those of the code that answers them."""
    nouns = ["order", "parcel", "cart", "bill", "price", "grams", "shop", "rate"]
    examples = [
        Example("asked", f"Deletes {noun}", f"{noun}.py", f"drop_{noun}", f"def x({noun})", "go")
        for noun in nouns
    ]
    tokenizer = train_vocabulary(
        [each.query + each.text + each.symbol for each in examples] * 9, 99
    )
    rows = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 8)).astype(np.float32)

    def vectors_of(texts) -> Vectors:
        """The same for texts that name the same thing."""
        found = [[float(noun in text) for noun in nouns] for text in texts]
        lengths = np.sqrt(np.maximum(1, np.sum(found, axis=1)))
        return np.asarray(np.array(found) / lengths[:, None], np.float32)

    teaching = Teaching([examples], ["order of a shop", "a bill"], vectors_of)
    said: list[str] = []
    config = TuningConfig(
        steps=100,
        pairs=8,
        run=8,
        asked=8,
        titles=2,
        said=8,
        learning_rate=0.1,
        warmup=5,
        kept=0.0,
        shares={"asked": 1.0},
    )
    after = tune(tokenizer, rows, teaching, config, said.append)
    losses = [float(each.rpartition(" ")[2]) for each in said]
    assert losses[-1] < losses[0]
    half = tune(tokenizer, rows, teaching, dataclasses.replace(config, kept=0.5), said.append)
    assert np.allclose(half, (rows + after) / 2, atol=1e-5)
    assert rows.shape == after.shape
    # Tokens that no example holds stay where they were.
    assert (np.abs(after - rows).sum(axis=1) == 0).any()
