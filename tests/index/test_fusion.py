"""Fusion of rankings, and what completion retrieves with it."""

from __future__ import annotations

import pytest

from codebuddy.completion.retrieval import retrieve
from codebuddy.index.build import update_index
from codebuddy.index.fusion import reciprocal_rank_fusion
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.completion import context_at

_CONSTANT = 60


def test_agreement_beats_a_single_first_place():
    """What two rankings place well comes before what one places first."""
    fused = reciprocal_rank_fusion(
        {"a": [(1, 9.0), (2, 8.0)], "b": [(2, 0.9), (3, 0.8)]}, _CONSTANT
    )
    assert [each for each, _, _ in fused] == [2, 1, 3]
    assert fused[0][1] == pytest.approx(1 / (_CONSTANT + 2) + 1 / (_CONSTANT + 1))
    assert fused[0][2] == {"a": 8.0, "b": 0.9}


def test_equal_scores_share_a_place():
    """Between equals of one ranking, the other one decides."""
    fused = reciprocal_rank_fusion({"a": [(1, 5.0), (2, 5.0)], "b": [(2, 1.0)]}, _CONSTANT)
    assert fused[0][0] == 2
    assert fused[1][1] == pytest.approx(1 / (_CONSTANT + 1))


def test_weights_count():
    """A channel can weigh its entries by their scores."""
    fused = reciprocal_rank_fusion(
        {"a": [(1, 1.0)], "b": [(2, 0.1)]},
        _CONSTANT,
        lambda channel, score: score if channel == "b" else 1.0,
    )
    assert [each for each, _, _ in fused] == [1, 2]
    assert reciprocal_rank_fusion({}, _CONSTANT) == []


@pytest.fixture
def index(repository):
    """The index of the small shop, with a copy of the cart and a third module."""
    (repository / "copy.py").write_text((repository / "cart.py").read_text())
    (repository / "other.py").write_text(
        "".join(f"def helper_{i}():\n    pass\n" for i in range(9))
    )
    opened = open_repository(repository)
    update_index(opened, Settings())
    with RepositoryIndex.open(opened, Settings()) as found:
        yield found


def test_what_is_called_is_retrieved_but_no_copy_of_the_file(index, repository):
    """The other file's definition; never the text at the cursor, nor a copy of the file."""
    text = (repository / "cart.py").read_text().replace("apply_discount(\n", "apply_discount(‸\n")
    results = retrieve(context_at(text, "cart.py"), index, 8)
    paths = [result.chunk.path for result in results]
    assert "pricing.py" in paths[:3]
    assert "call" in next(r for r in results if r.chunk.path == "pricing.py").channels
    assert not {"cart.py", "copy.py"} & set(paths)


def test_the_line_behind_a_resemblance_is_retrieved(repository):
    """A sibling that does nearly the same shows what comes next, and precedes imported names."""
    body = """def {name}(client):
    reply = client.get("/items")
    if reply.status != 200:
        raise LookupError(reply.reason)
"""
    (repository / "orders.py").write_text(
        body.format(name="orders")
        + "    return sorted(reply.json(), key=lambda each: each['created'])\n"
    )
    opened = open_repository(repository)
    update_index(opened, Settings())
    typed = "import pricing\n\n\n" + body.format(name="refunds") + "    ‸\n"
    with RepositoryIndex.open(opened, Settings()) as index:
        results = retrieve(context_at(typed, "refunds.py"), index, 8)
    assert "key=lambda each: each['created']" in results[0].chunk.text


def test_at_most_two_chunks_of_a_file(index):
    """No file fills the prompt alone."""
    results = retrieve(context_at("helper_1(helper_2(helper_3(helper_4(‸\n", "new.py"), index, 8)
    paths = [result.chunk.path for result in results]
    assert paths
    assert max(paths.count(path) for path in paths) <= 2
