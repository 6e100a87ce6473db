"""Paths that are not UTF-8 and files in other encodings, through every command that meets them."""

from __future__ import annotations

import codecs
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from codebuddy import paths
from codebuddy.engine.protocol import CompletionCall
from tests.support.hook import Project
from tests.support.index import make_repository, run_git

NAME = b"caf\xe9.py"
SHOWN = "caf\\xe9.py"
QUOTED = "caf%E9.py"
CODE = "def odd_name(value):\n    return value\n"


def _run(root: Path, *arguments: str | bytes, stdin: bytes | None = None) -> Any:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "codebuddy", *arguments],
        cwd=root, capture_output=True, input=stdin, env={**os.environ}, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout) if "--json" in arguments else done.stdout.decode()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a file whose name is Latin-1."""
    found = make_repository(tmp_path / "r", {"use.py": "from odd import odd_name\n\nodd_name(\n"})
    (found / os.fsdecode(NAME)).write_text(CODE)
    return found


@pytest.mark.process
def test_a_path_in_json_comes_with_its_bytes(root):
    """Under a key of its own, only where the path shown is not the path."""
    (found,) = _run(root, "search", "odd_name", "--channel", "symbol", "--no-engine", "--json")[
        "results"
    ]
    assert (found["path"], found["path_bytes"]) == (SHOWN, QUOTED)
    assert Path(os.fsdecode(root), os.fsdecode(unquote_to_bytes(found["path_bytes"]))).exists()
    others = _run(root, "search", "use.py", "-k", "1", "--no-engine", "--json")["results"]
    assert [each["path"] for each in others] == ["use.py"]
    assert "path_bytes" not in others[0]
    (root / os.fsdecode(b"\xff.bin")).write_bytes(b"\0")
    skipped = _run(root, "index", "--json")["skipped_files"]
    assert skipped == [{"path": "\\xff.bin", "path_bytes": "%FF.bin", "reason": "binary"}]


@pytest.mark.process
@pytest.mark.parametrize("name", [NAME, QUOTED])
def test_a_file_is_taken_by_its_bytes_and_as_json_wrote_it(root, name):
    """By `complete`, `search` and `search --near`; with the engine the same (next test)."""
    target = os.fsencode(name) + b":2:5"
    options = ("--no-engine", "--model", "echo", "--retrieve", "always", "--json")
    found = _run(root, "complete", target, *options)
    assert (found["file"], found["file_bytes"]) == (SHOWN, QUOTED)
    found = _run(root, "complete", "use.py:3", *options)
    assert {"path": SHOWN, "path_bytes": QUOTED}.items() <= found["chunks"][0].items()
    found = _run(root, "search", os.fsencode(name) + b":1", "--no-engine", "--json")
    assert found["results"][0]["path_bytes"] == QUOTED
    _run(root, "search", "value", "--near", name, "--no-engine", "--json")


def test_the_engine_takes_and_gives_the_same(engine, root):
    """Nothing is lost between the processes."""
    found = _run(root, "complete", QUOTED + ":2:5", "--model", "echo", "--json")
    assert (found["file"], found["file_bytes"]) == (SHOWN, QUOTED)
    found = _run(root, "search", NAME + b":1", "--json")
    assert found["results"][0]["path_bytes"] == QUOTED


def test_a_name_that_is_there_is_never_decoded(tmp_path, monkeypatch):
    """`a%41.py` is that file where there is one."""
    monkeypatch.chdir(tmp_path)
    for name in ("a%41.py", "aA.py"):
        Path(name).touch()
    assert paths.given_file("a%41.py") == "a%41.py"
    Path("a%41.py").unlink()
    assert paths.given_file("a%41.py") == "aA.py"
    assert paths.given_file("b%41.py") == "b%41.py"
    assert paths.given_file("%00\0") == "%00\0"
    assert paths.given_file("\udce9%41") == "\udce9%41"


@pytest.mark.process
def test_the_hook_names_such_a_file_too(tmp_path):
    """In its JSON."""
    project = Project(tmp_path / "r", {"a.py": "x = 1\n"})
    (project.root / os.fsdecode(NAME)).write_text("breakpoint()\n")
    run_git(project.root, "add", "-A")
    found = _run(project.root, "hook", "run", "--json")["findings"]
    assert found[0]["path_bytes"] == QUOTED


ENCODED = {
    "utf-8-sig": codecs.BOM_UTF8 + b"value_here = \n# \xc3\xa9\n",
    "utf-16-le": codecs.BOM_UTF16_LE + "value_here = \n# é\n".encode("utf-16-le"),
    "utf-16-be": codecs.BOM_UTF16_BE + "value_here = \n# é\n".encode("utf-16-be"),
    "cp1252": b"value_here = \n# \xe9\n",
    "utf-8": b"value_here = \r\n# \x81\r\n",
}


@pytest.mark.process
@pytest.mark.parametrize("encoding", ENCODED)
def test_a_file_in_any_encoding_is_indexed_found_completed_and_written(tmp_path, encoding):
    """Index, `search` and `complete` read it alike; a mark is never shown and never a column."""
    content = ENCODED[encoding]
    text = "\n".join(f"value_{number} = {number}" for number in range(8))
    root = make_repository(tmp_path / "r", {"f.py": content, "other.py": text})
    report = _run(root, "index", "--json")
    assert (report["files"], report["skipped"]) == (2, {})
    shown = _run(root, "search", "value_here", "--no-engine", "-k", "1", "--no-update")
    assert shown.startswith("f.py:1 ")
    assert "    value_here = \n".replace(" \n", "\n") in shown
    for mark in ("\ufeff", "<U+FEFF>", "\0", "ÿþ"):
        assert mark not in shown
    (item,) = _run(root, "search", "value_here", "-k", "1", "--no-engine", "--json")["results"]
    assert item["text"].startswith("value_here = ")
    done = _run(root, "complete", "f.py:1:14", "--model", "echo", "--no-engine", "--json")
    assert (done["line"], done["column"]) == (1, 14)
    applied = _run(
        root, "complete", "f.py:1", "--model", "echo", "--no-engine", "--apply", "--json"
    )
    assert applied["column"] == 14
    new = (root / "f.py").read_bytes()
    if applied["applied"]:
        at = content.index("= ".encode(encoding.replace("-sig", ""))) + len(
            "= ".encode(encoding.replace("-sig", ""))
        )
        inserted = applied["text"].encode(encoding.replace("-sig", ""))
        assert new == content[:at] + inserted + content[at:]
    else:
        assert new == content


@pytest.mark.process
@pytest.mark.parametrize(
    "content", ["x = 1\n".encode("utf-16-le"), "x = 1\n".encode("utf-32"), b"\xff\xfex\0y"]
)
def test_what_is_not_read_is_told_alike(tmp_path, content):
    """`index` names it as skipped for its encoding, `complete` says so and what to do."""
    root = make_repository(tmp_path / "r", {"f.py": content})
    assert _run(root, "index", "--json")["skipped"] == {"encoding": 1}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "codebuddy", "complete", "f.py:1", "--model", "echo"],
        cwd=root, capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: f.py ")
    assert b"UTF-8" in done.stderr
    assert (root / "f.py").read_bytes() == content


def test_a_mark_that_an_editor_sends_is_no_column():
    """Its own count of characters includes the mark; the text that is completed does not."""
    call = CompletionCall("/r/f.py", 1, 6, text="\ufeffx = \ny\n")
    assert (call.text, call.line, call.column) == ("x = \ny\n", 1, 5)
    call = CompletionCall("/r/f.py", 2, 2, text="\ufeffx = \ny\n")
    assert (call.text, call.column) == ("x = \ny\n", 2)
    assert CompletionCall("/r/f.py", 1, None, text="\ufeffx").column is None
    assert CompletionCall("/r/f.py", 1, 1, text="\ufeffx").column == 1
    assert CompletionCall("/r/f.py", 1, 5, text=b"\xef\xbb\xbfx = ").column == 5


@pytest.mark.process
def test_a_buffer_on_stdin_with_a_mark(tmp_path):
    """As a file with one."""
    root = make_repository(tmp_path / "r", {"a.py": "x = 1\n"})
    options = ("--stdin", "--model", "echo", "--no-engine", "--retrieve", "never", "--json")
    marked = _run(root, "complete", "a.py:1:5", *options, stdin=b"\xef\xbb\xbfx = \nx = 1\n")
    plain = _run(root, "complete", "a.py:1:5", *options, stdin=b"x = \nx = 1\n")
    assert (marked["text"], marked["column"]) == (plain["text"], plain["column"])
