"""A file's own path as query: the file comes first, by its end, with a line, among many alike."""

from __future__ import annotations

import json
import random

import pytest

from codebuddy.index.path_channel import PathFinder, line_asked
from codebuddy.index.search import RepositoryIndex
from codebuddy.settings import Settings
from codebuddy.vcs.repository import open_repository
from tests.support.engine import codebuddy
from tests.support.index import index, make_repository, module

LONG = "\n\n".join(module(f"part_{number}") for number in range(12))
FILES: dict[str, str | bytes] = {
    "packages/db/src/errors.ts": "export class Failure {}\n",
    "packages/db/src/errors_more.ts": "import { errors } from './src/errors.ts'\n",
    "packages/query/lib/src/errors.ts": "export class Other {}\n",
    "docs/errors.md": "# errors.ts\n\nsrc errors ts src/errors.ts packages\n",
    "src/long.py": LONG,
    "Makefile": "all:\n\ttrue\n",
    "bin/configure": "#!/bin/sh\necho set up\n",
    "setup.py": "def configure():\n    return 1\n",
    "README.md": "# Makefile\n\nMakefile, Makefile.\n",
    "notes/my notes.md": "# Zebra\n",
    "odd:3": "odd\n",
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory):
    root = make_repository(tmp_path_factory.mktemp("paths") / "r", FILES)
    index(root)
    with RepositoryIndex.open(open_repository(root), Settings()) as found:
        yield found


def paths(results) -> list[str]:
    return [result.chunk.path for result in results]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("packages/db/src/errors.ts", ["packages/db/src/errors.ts"]),
        ("src/errors.ts", ["packages/db/src/errors.ts", "packages/query/lib/src/errors.ts"]),
        ("errors.ts", ["packages/db/src/errors.ts", "packages/query/lib/src/errors.ts"]),
        ("lib/src/errors.ts:1", ["packages/query/lib/src/errors.ts"]),
        ("./setup.py:2:5", ["setup.py"]),
        ("lib\\src\\errors.ts", ["packages/query/lib/src/errors.ts"]),
        ("Makefile", ["Makefile"]),
        ("my notes.md", ["notes/my notes.md"]),
        ("odd:3", ["odd:3"]),
    ],
)
def test_a_path_finds_its_files_the_shortest_path_first(opened, query, first):
    """Whole or from a slash on, with a line, and a bare name: these files before all others."""
    results = opened.search(query)
    assert paths(results)[: len(first)] == first
    assert [result.channel for result in results[: len(first)]] == ["path"] * len(first)
    assert all("path" not in result.channels for result in results[len(first) :])


def test_all_chunks_of_the_file_come_first_and_none_twice(opened):
    """In their order; the one that holds the line asked for comes before them."""
    chunks = [chunk.id for chunk in opened.chunks_of("src/long.py")]
    assert len(chunks) > 3
    found = [result.chunk.id for result in opened.search("long.py", 50)]
    assert found[: len(chunks)] == chunks
    assert len(found) == len(set(found))
    wanted = opened.chunks_of("src/long.py")[2]
    placed = [result.chunk.id for result in opened.search(f"long.py:{wanted.end_line}", 50)]
    assert placed[: len(chunks)] == [wanted.id, *(each for each in chunks if each != wanted.id)]


def test_a_bare_word_that_code_defines_is_a_name(opened):
    """`configure` is the function, though a script is called so."""
    assert paths(opened.search("configure"))[0] == "setup.py"
    assert paths(opened.search("bin/configure"))[0] == "bin/configure"


def test_other_queries_and_channels_know_no_paths(opened):
    """What is no path, or the end of one elsewhere than at a slash, is ranked as ever."""
    for query in ("rrors.ts", "src/errors", "errors.t", "\ud800/a.py", "a\0.py", "/", "x" * 9_000):
        assert all("path" not in each.channels for each in opened.search(query)), query
    assert opened.search("src/errors.ts", channel="lexical")[0].channel == "lexical"


@pytest.mark.process
def test_the_line_asked_for_is_the_line_shown(tmp_path):
    """`FILE:LINE` shows that line, and `FILE` its first line with text; `--explain` says why."""
    root = make_repository(tmp_path / "r", FILES)
    done = codebuddy(root, "search", "src/long.py:40", "-k", "1", "--explain", "--no-engine")
    title, why, *_ = done.stdout.splitlines()
    assert title.startswith("src/long.py:40 (")
    assert title.endswith("[path 1.0000]")
    assert why == "    why: path #1 (1.000)"
    (found,) = json.loads(codebuddy(root, "search", "long.py", "-k", "1", "--json").stdout)[
        "results"
    ]
    assert (found["path"], found["line"]) == ("src/long.py", 1)


@pytest.mark.parametrize(
    ("folder", "query", "first"),
    [
        ("packages/query/lib", "src/errors.ts:1", "packages/query/lib/src/errors.ts"),
        ("packages/query/lib/src", "errors.ts", "packages/query/lib/src/errors.ts"),
        ("packages/query/lib/src", "./errors.ts:1:2", "packages/query/lib/src/errors.ts"),
        ("packages/query", "../db/src/errors.ts:1", "packages/db/src/errors.ts"),
        ("packages/query", "lib\\src\\errors.ts:1", "packages/query/lib/src/errors.ts"),
        ("docs", "src/errors.ts:1", "packages/db/src/errors.ts"),
    ],
)
def test_the_file_of_the_folder_comes_first(opened, folder, query, first):
    """As it is named from there, `..` and all; the others of the name follow."""
    results = opened.search(query, folder=folder)
    assert paths(results)[0] == first
    named = {each.chunk.path for each in results if each.channel == "path"}
    assert named == {"packages/db/src/errors.ts", "packages/query/lib/src/errors.ts"} or (
        named == {first}
    )


@pytest.mark.parametrize(
    ("query", "missing"),
    [
        ("src/nowhere.py:3", "src/nowhere.py"),
        ("nowhere.py:3:1", "nowhere.py"),
        ("src/long.py:3", ""),
        ("errors.ts:1", ""),
        ("nowhere.py", ""),
        ("src/nowhere", ""),
        ("word:3", ""),
        ("ValueError: 3", ""),
        ("a/" * 5_000 + "b.py:3", ""),
        ("\ud800/a.py:3", ""),
    ],
)
def test_a_place_in_a_file_that_is_not_there_is_told(opened, query, missing):
    """Only where the query is `FILE:LINE`."""
    assert opened.missing_file(query) == missing


@pytest.mark.process
def test_a_place_is_looked_for_from_the_callers_folder(tmp_path):
    """There first; a file that is not there, or not indexed, is said in one sentence."""
    root = make_repository(tmp_path / "r", {**FILES, "packages/query/lib/src/blob.ts": b"\0\0"})
    folder = root / "packages/query/lib"
    done = codebuddy(folder, "search", "src/errors.ts:1", "-k", "1", "--json", "--no-engine")
    (found,) = json.loads(done.stdout)["results"]
    assert found["path"] == "packages/query/lib/src/errors.ts"
    assert "no file" not in done.stderr
    done = codebuddy(folder, "search", "src/errrors.ts:1", "--no-engine")
    assert done.stderr.splitlines()[-1] == (
        "warning: there is no file src/errrors.ts; these results are for the words of its name"
    )
    done = codebuddy(folder, "search", "src/blob.ts:1", "-k", "1", "--no-engine")
    assert "warning: src/blob.ts is not indexed: binary;" in done.stderr


def test_the_ends_of_paths_are_those_of_a_plain_loop():
    """Against `endswith` over random paths, and one that is asked for whole."""
    chance = random.Random(3)
    known = {
        "/".join(
            chance.choice(["a", "b", "ab", "c.py", "a.py"]) for _ in range(chance.randint(1, 5))
        )
        for _ in range(300)
    }
    finder = PathFinder(path.encode() for path in known)
    for end in [*known, "py", ".py", "a", "b/a.py", "", "a/", "nowhere"]:
        plain = [path for path in known if end and f"/{path}".endswith(f"/{end}")]
        expected = [path.encode() for path in sorted(plain, key=lambda path: (len(path), path))]
        assert finder.ending_in(end) == expected, end
    assert PathFinder([]).ending_in("a.py") == []


@pytest.mark.parametrize(
    ("query", "line"),
    [("a.py:12", 12), ("a.py:12:3", 12), ("a.py:12:", 12), ("a.py", 0), ("a.py:x", 0)],
)
def test_the_line_of_a_query(query, line):
    """A number behind a colon, with a column or not."""
    assert line_asked(query) == line
