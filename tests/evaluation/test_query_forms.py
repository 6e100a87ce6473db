"""The forms of a completion's query: what each asks, and that the last one is what is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from codebuddy.completion import retrieval
from codebuddy.completion.context import build_context
from codebuddy.evaluation.holes import cut_holes
from codebuddy.evaluation.masked_index import mask
from codebuddy.evaluation.retrieval import TOP_K
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.bench.query_forms import (
    AS_IT_IS,
    Answer,
    _channels,
    _fused,
    form_lines,
    measure_forms,
    results_by_form,
    statement_at,
)
from tests.support.index import index, make_repository

FILES: dict[str, str | bytes] = {
    "shop/rates.py": "def parcel_rate(grams, zone):\n    return grams * zone\n",
    "shop/other.py": "def unrelated(value):\n    return value\n",
    "app.py": (
        "from shop.rates import parcel_rate\n\n\n"
        "def total(basket):\n"
        "    weight = sum(basket)\n"
        "    return parcel_rate(weight, 2)\n"
    ),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A call of a function of another file."""
    return make_repository(tmp_path / "r", FILES)


def test_the_parts_put_together_are_what_completion_looks_up(root):
    """With no list left out the forms' own fusion gives what `retrieve` gives, place by place."""
    index(root)
    repository = open_repository(root)
    with RepositoryIndex.open(repository, Settings()) as opened:
        (hole,) = cut_holes(repository, opened, ["call"], 5, 0)
        masked = mask(opened, hole)
        context = build_context(hole.as_document(repository), hole.position, hole.language)
        together = _fused(_channels(context, masked))
        used = retrieval.retrieve(context, masked, TOP_K)
        found = results_by_form(context, masked)
    assert [each.chunk.id for each in together] == [each.chunk.id for each in used] != []
    assert [each.chunk.id for each in found[AS_IT_IS]] == [each.chunk.id for each in used]
    assert found["all lists without BM25"][0].chunk.path == "shop/rates.py"


def test_every_form_is_ranked_for_every_hole(root):
    """The imported function is found by the lists; a statement with nothing typed asks nothing."""
    (answer,) = measure_forms([root], 5, 0)
    assert answer.ranks[AS_IT_IS] == 1
    assert answer.ranks["all lists without BM25"] == 1
    assert not answer.is_callee_typed
    assert set(answer.ranks) >= {"BM25: the statement being typed", "without the list 'import'"}


@pytest.mark.parametrize(
    ("prefix", "statement"),
    [
        ("a = 1\nb = call(", "b = call("),
        ("a = 1\nb = call(\n    one,\n    two", "b = call(\n    one,\n    two"),
        ("f(1)\nx\n    .map(a)\n    .", "x\n    .map(a)\n    ."),
        ("if a {\n    b(c);\n    ", "    "),
        ("first(\n    a,\n)\nsecond", "second"),
        ("", ""),
    ],
)
def test_the_statement_is_the_line_and_what_is_still_open_above(prefix, statement):
    """Lines above belong to it while a bracket is open or a dot goes on; a brace is a block's."""
    assert statement_at(prefix) == statement


def test_the_table_says_how_far_each_form_is_behind():
    """Recall over all holes and by what is typed, and the difference hole by hole."""
    answers = [
        Answer("r", True, {"bare": 3, AS_IT_IS: 1}),
        Answer("r", True, {"bare": None, AS_IT_IS: 2}),
        Answer("s", False, {"bare": None, AS_IT_IS: None}),
        Answer("s", False, {"bare": None, AS_IT_IS: 4}),
    ]
    lines = form_lines(answers, 0)
    assert "all (4)" in lines[0]
    bare = [cell.split(" ")[0] for cell in lines[2].strip("| ").split(" | ")[1:]]
    assert bare == ["0.250", "0.500", "0.000", "+0.500"]
    by_repository = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    assert by_repository[-4][1:] == ["r (2)", "s (2)"]
    assert by_repository[-2:] == [["bare", "0.50", "0.00"], [AS_IT_IS, "1.00", "0.50"]]
