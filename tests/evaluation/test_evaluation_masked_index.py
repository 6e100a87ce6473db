"""A masked index answers as if the hole had never been in its file."""

from __future__ import annotations

import inspect

import pytest

from codebuddy.code_index import CodeIndex
from codebuddy.evaluation.holes import KINDS, cut_holes
from codebuddy.evaluation.masked_index import mask
from codebuddy.index.outline import signature_form
from codebuddy.index.search import RepositoryIndex
from codebuddy.index.terms import terms
from tests.support.evaluation import FILES, indexed, make_shop

CANARY = '''\
from shop.pricing import apply_discount


def outer(value):
    """Keeps."""
    first = value + 1

    def zanzibar(inner):
        from shop import cart

        quetzal = cart.label(inner)
        return quetzal
    return first


def later(value):
    reduced = apply_discount(value, 3)
    return zanzibar(reduced)
'''


@pytest.fixture
def masked(tmp_path):
    """The index of a repository, masked by a hole that holds a definition of its own."""
    root = make_shop(tmp_path / "r", {**FILES, "shop/canary.py": CANARY})
    with indexed(root) as (repository, index):
        cut = (h for seed in range(20) for h in cut_holes(repository, index, ["block"], 50, seed))
        hole = next(h for h in cut if "def zanzibar" in h.text)
        yield mask(index, hole), index, hole


def test_chunks_together_are_the_document(masked):
    """The chunks of the file cover the document without the hole, byte for byte."""
    view, _, hole = masked
    chunks = view.chunks_of(hole.path)
    assert "".join(chunk.text for chunk in chunks) == hole.document
    assert chunks[0].start_byte == 0
    assert chunks[-1].end_byte == len(hole.document.encode())
    for chunk in chunks:
        before = hole.document.encode()[: chunk.start_byte].count(b"\n") + 1
        assert chunk.start_line == before


def test_definitions_inside_are_gone_and_later_ones_move_up(masked):
    """What the hole defines is unknown; what follows stands where the document has it."""
    view, index, hole = masked
    assert index.definitions(["zanzibar"])
    assert view.definitions(["zanzibar"]) == {}
    lines = hole.document.split("\n")
    found = view.definitions_of(hole.path)
    assert {each.name for each in found} == {"outer", "later"}
    for each in found:
        assert f"def {each.name}(" in lines[each.line - 1]


def test_counts_from_elsewhere_leave_the_hole_out(masked):
    """To another file, a name that only the hole defines is defined nowhere."""
    view, index, hole = masked
    assert index.definition_counts(["zanzibar"], "shop/cart.py") == {"zanzibar": 1}
    assert view.definition_counts(["zanzibar"], "shop/cart.py") == {"zanzibar": 0}
    counts = view.definition_counts(["apply_discount", "outer"], hole.path)
    assert counts == {"apply_discount": 1, "outer": 0}


def test_rankings_never_show_a_chunk_of_the_hole(masked):
    """A query made of the hole's own words does not find it, by any channel."""
    view, index, hole = masked
    words = terms(hole.text)
    assert any(r.chunk.path == hole.path for r in index.lexical(words, 10))
    for result in view.lexical(words, 10):
        assert "quetzal" not in result.chunk.text
    for result in view.search("zanzibar quetzal", 10):
        assert "quetzal" not in result.chunk.text


def test_rankings_and_definitions_show_no_copy_of_the_file(tmp_path):
    """Whatever share of the file the hole is."""
    files = {**FILES, "shop/canary.py": CANARY, "build/lib/shop/canary.py": CANARY}
    with indexed(make_shop(tmp_path / "r", files)) as (repository, index):
        cut = (h for seed in range(20) for h in cut_holes(repository, index, ["block"], 50, seed))
        hole = next(h for h in cut if "def zanzibar" in h.text)
        view = mask(index, hole)
        found = {each.chunk.path for each in view.lexical(terms(hole.text), 50)}
        assert found
        assert not {each for each in found if "build" in each}
        assert "build/lib/shop/canary.py" in {
            each.path for each in index.definitions(["zanzibar"])["zanzibar"]
        }
        assert not view.definitions(["zanzibar"]).get("zanzibar")


def test_a_filter_is_shown_no_hidden_text(masked):
    """A filter that the caller passes sees the chunks as they are answered."""
    view, _, _ = masked
    seen = []

    def is_unwanted(chunk):
        seen.append(chunk.text)
        return False

    view.lexical(["def", "value", "return"], 20, is_unwanted)
    assert seen
    assert not any("quetzal" in text for text in seen)


def test_imports_and_uses_inside_the_hole_do_not_count(masked):
    """What only the hole imports or names is neither imported nor used by its file."""
    view, index, hole = masked
    assert "shop" in " ".join(index.imports(hole.path))
    assert view.imports(hole.path) == ("shop.pricing",)
    assert view.imports("shop/cart.py") == index.imports("shop/cart.py")
    assert "shop/cart.py" not in view.imported_files(hole.path)
    assert index.usage_counts(["quetzal", "later"]) == {"quetzal": 1, "later": 1}
    assert view.usage_counts(["quetzal", "later"]) == {"quetzal": 0, "later": 1}


def test_signatures_of_the_hole_are_gone(masked):
    """A chunk's signatures are those of the definitions that are left in it."""
    view, _, hole = masked
    definitions = view.definitions_of(hole.path)
    shown = "\n".join(signature_form(each, definitions) for each in view.chunks_of(hole.path))
    assert "def outer(value):" in shown
    assert "zanzibar" not in shown


def test_every_method_of_the_protocol_is_there(masked):
    """Whatever the pipeline may ask of an index, the masked one answers."""
    view, _, _ = masked
    wanted = [name for name, _ in inspect.getmembers(CodeIndex, inspect.isfunction)]
    for name in wanted:
        if not name.startswith("_"):
            assert callable(getattr(view, name))
            assert hasattr(RepositoryIndex, name)


def test_every_hole_of_a_repository_can_be_masked(tmp_path):
    """For each kind the chunks of the file are the document, and other files are untouched."""
    root = make_shop(tmp_path / "r")
    with indexed(root) as (repository, index):
        holes = cut_holes(repository, index, KINDS, 50, 3)
        assert len(holes) > 20
        for hole in holes:
            view = mask(index, hole)
            text = "".join(chunk.text for chunk in view.chunks_of(hole.path))
            assert text == hole.document
            other = "shop/pricing.py" if hole.path == "shop/cart.py" else "shop/cart.py"
            assert view.chunks_of(other) == index.chunks_of(other)
