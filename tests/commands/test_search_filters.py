"""`lang:`, `path:`, `kind:`, `-w`, `--files` and `--open` of `codebuddy search`."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from codebuddy.commands.editor import arguments_for, editor_command
from codebuddy.errors import UsageError
from tests.support.engine import codebuddy
from tests.support.index import make_repository

FILES: dict[str, str | bytes] = {
    "src/shop.py": '"""Retry and prices."""\n\n\nclass Retry:\n    limit = 3\n\n\n'
    "def retry_once(price):\n    return price\n\n\ndef total(price):\n    subtotal = price\n"
    "    return subtotal\n",
    "src/shop.go": "package shop\n\nfunc Retry(price int) int {\n\treturn price\n}\n",
    "docs/retry.md": "# Retry\n\nHow a retry works: lang:go is text here.\n",
    "tests/test_shop.py": "def test_retry():\n    assert retry_once(1)\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Python, Go and a document."""
    return make_repository(tmp_path / "r", FILES)


def found(root: Path, *query: str) -> list[dict[str, Any]]:
    """The results."""
    done = codebuddy(root, "search", *query, "--json", "--no-engine")
    assert done.returncode == 0, done.stderr
    results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return results


@pytest.mark.process
@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("retry lang:go", {"src/shop.go"}),
        ("lang:golang retry", {"src/shop.go"}),
        ("retry lang:py", {"src/shop.py", "tests/test_shop.py"}),
        ("retry lang:md,go", {"docs/retry.md", "src/shop.go"}),
        ("retry path:src/", {"src/shop.go", "src/shop.py"}),
        ("retry path:*.md", {"docs/retry.md"}),
        ("retry path:src lang:python", {"src/shop.py"}),
        ("retry kind:class", {"src/shop.py"}),
        ("retry kind:doc", {"docs/retry.md"}),
        ("retry kind:function", {"src/shop.py", "src/shop.go", "tests/test_shop.py"}),
        ("retry lang:rust", set()),
        ("retry LANG:Go", {"src/shop.go"}),
        ("KIND:class Path:SRC/ retry", {"src/shop.py"}),
    ],
)
def test_a_filter_says_where(root, query, paths):
    """Whatever channel finds a result, it is one of those."""
    assert {each["path"] for each in found(root, query)} == paths


@pytest.mark.process
def test_a_kind_is_what_the_result_is_called(root):
    """The definition of that kind is the one that is named, at its line."""
    (result,) = found(root, "retry", "kind:class")
    assert (result["kind"], result["symbol"], result["line"]) == ("class", "Retry", 4)
    for result in found(root, "price", "kind:function"):
        assert result["kind"] == "function"


@pytest.mark.process
@pytest.mark.parametrize(
    "query", ["\\lang:go", '"lang:go"', "works \\lang:go", 'works "lang:go"', "retry\nlang:go"]
)
def test_text_that_looks_like_a_filter_stays_searchable(root, query):
    """In quotes, behind a backslash, in several lines."""
    assert found(root, query)[0]["path"] == "docs/retry.md"


@pytest.mark.process
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("retry lang:pyton", "there is no language pyton; did you mean lang:python?"),
        ("retry lang:qqqqqq", "there is no language qqqqqq\n"),
        ("retry kind:functoin", "there is no kind functoin; did you mean kind:function?"),
        ("retry kind:fn", "there is no kind fn; did you mean kind:function?"),
        ("retry KIND:zzzzzz", "kinds are block, class, code"),
        ("lang:go kind:class", "filters and nothing to look for"),
        ("lang:go", "filters and nothing to look for"),
    ],
)
def test_an_unknown_name_is_one_sentence(root, query, words):
    """With the nearest name, and how to look for the text."""
    for more in ([], ["--no-engine"]):
        done = codebuddy(root, "search", query, *more)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr


@pytest.mark.process
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("retry path:nonexistent", "no path of an indexed file holds nonexistent"),
        ("retry path:a.py path:*.rb", "holds a.py or *.rb"),
        ("retry lang:c++", "no indexed file is c++"),
        ("retry lang:go path:docs", "no indexed file is go and has docs in its path"),
        ("total kind:class path:.go", "nothing found with path:.go and kind:class; without there"),
        ("zzqqy path:src", "nothing found"),
    ],
)
def test_a_filter_that_fits_nothing_is_to_blame(root, query, words):
    """It is named, with and without the engine, in the JSON, and by `ask`."""
    for more in ([], ["--no-engine"]):
        done = codebuddy(root, "search", "--channel", "lexical", query, *more)
        assert (done.returncode, done.stdout) == (0, "")
        assert words in done.stderr
    if words != "nothing found":
        asked = codebuddy(root, "ask", "--no-model", query)
        assert words in asked.stderr
        assert asked.stdout == "not found\n"


@pytest.mark.process
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("retry -path:tests", "-path:tests is looked for as text: filters say what is taken"),
        ("retry path:", "path: has no name behind it, and is looked for as text"),
        ("retry Lang: x", "Lang: has no name behind it"),
    ],
)
def test_what_looks_like_a_filter_and_is_none_is_said(root, query, words):
    """With and without the engine."""
    for more in ([], ["--no-engine"]):
        done = codebuddy(root, "search", *more, "--", query)
        assert done.returncode == 0
        assert f"warning: {words}" in done.stderr


@pytest.mark.process
def test_a_phrase_is_found_at_its_line(tmp_path):
    """The first one that holds it, not one with its words apart."""
    text = "def task(store):\n    task, store = 1, 2\n    return store  # the task store\n"
    root = make_repository(tmp_path / "p", {"a.py": "\n" * 90 + text})
    (result,) = found(root, "-w", '"task store"')
    assert result["line"] == 93


@pytest.mark.process
def test_whole_words_stand_as_they_are_written(root):
    """No part of a word, no other case; the line is the first that has them."""
    assert {each["path"] for each in found(root, "-w", "Retry")} == {
        *("src/shop.py", "src/shop.go", "docs/retry.md")
    }
    (result,) = found(root, "-w", "subtotal")
    assert (result["path"], result["line"]) == ("src/shop.py", 13)
    assert found(root, "-w", "sub") == found(root, "-w", "retry zebra") == []
    (result,) = found(root, "-w", '"return price" lang:go')
    assert (result["path"], result["line"]) == ("src/shop.go", 4)
    assert found(root, "-w", "Retry(price", "int)")[0]["line"] == 3


@pytest.mark.process
def test_files_group_the_results(root):
    """Each file once, its lines in order, with the numbers that --open takes."""
    done = codebuddy(root, "search", "retry", "--files", "--no-engine")
    titles = [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert sorted(titles) == sorted(set(titles))
    assert set(titles) == {each["path"] for each in found(root, "retry")}
    numbers = [int(each) for each in re.findall(r"#(\d+)  ", done.stdout)]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


@pytest.mark.process
def test_open_starts_the_editor_at_the_line(root, tmp_path):
    """Its words are split as a shell would, and no shell sees them."""
    told = tmp_path / "told"
    program = tmp_path / "my editor" / "vim"
    program.parent.mkdir()
    text = (
        f"#!{sys.executable}\nimport sys\nopen({str(told)!r}, 'w').write('|'.join(sys.argv[1:]))\n"
    )
    program.write_text(text)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    editor = f"'{program}' -R '$(touch {tmp_path}/evil)' ;"
    done = codebuddy(root, "search", "total", "--open", "1", VISUAL=editor, EDITOR="false")
    assert done.returncode == 0, done.stderr
    expected = ["-R", f"$(touch {tmp_path}/evil)", ";", "+12", str(root.resolve() / "src/shop.py")]
    assert told.read_text().split("|") == expected
    assert not (tmp_path / "evil").exists()
    assert done.stdout == ""


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "environment", "code", "words"),
    [
        (["--open", "1"], {"VISUAL": "", "EDITOR": " "}, 2, "neither $VISUAL nor $EDITOR"),
        (["--open", "99"], {"VISUAL": "true"}, 2, "there is no result 99 to open"),
        (["--open", "0"], {"VISUAL": "true"}, 2, "0 is not in the range"),
        (["--open", "1"], {"VISUAL": "/gone/editor"}, 2, "/gone/editor cannot be started"),
        (["--open", "1"], {"VISUAL": "'vim"}, 2, "$VISUAL cannot be read"),
        (["--open", "1"], {"VISUAL": "false"}, 1, "ended with exit code 1"),
        (["--open", "1", "--json"], {"VISUAL": "true"}, 2, "give one of them"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(root, arguments, environment, code, words):
    """No editor, no such result, no such program."""
    done = codebuddy(root, "search", "total", *arguments, **environment)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("editor", "call"),
    [
        ("vim", ["vim", "+7", "/r/a b.py"]),
        ("/usr/bin/nvim --clean", ["/usr/bin/nvim", "--clean", "+7", "/r/a b.py"]),
        ("emacsclient -nw", ["emacsclient", "-nw", "+7", "/r/a b.py"]),
        ("hx", ["hx", "/r/a b.py:7"]),
        ("code --wait", ["code", "--wait", "--goto", "/r/a b.py:7"]),
        ("pycharm", ["pycharm", "--line", "7", "/r/a b.py"]),
        ("my-editor", ["my-editor", "/r/a b.py"]),
    ],
)
def test_each_editor_gets_the_line_in_its_own_way(editor, call):
    """One that is not known gets the file."""
    assert arguments_for(editor_command({"EDITOR": editor}), "/r/a b.py", 7) == call


def test_the_visual_editor_comes_first():
    """As other programs do it."""
    assert editor_command({"VISUAL": "a", "EDITOR": "b"}) == ["a"]
    with pytest.raises(UsageError, match="neither"):
        editor_command({})


@pytest.mark.process
@pytest.mark.skipif(os.name == "nt", reason="pseudo terminals")
def test_a_terminal_is_told_why_in_colours(root):
    """One line of reason, the line that matched in colours; not with NO_COLOR, not in a pipe."""
    from tests.commands.test_search_commands import _on_a_terminal

    shown = _on_a_terminal(root, "search", "total")
    assert "named as the query says" in shown
    assert (
        "\x1b[35m\x1b[1mdef" in shown or "\x1b[1m\x1b[35mdef" in shown or "\x1b[35;1mdef" in shown
    )
    piped = codebuddy(root, "search", "total").stdout
    assert "named as" not in piped
    assert "\x1b" not in piped
    assert "why" in found(root, "total")[0]
