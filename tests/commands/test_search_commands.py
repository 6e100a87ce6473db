"""`codebuddy index` and `codebuddy search` as a person or a script meets them."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.engine import codebuddy
from tests.support.index import LONG_FUNCTION, database, index, make_repository, module, write

PACKAGE_PARENT = str(Path(__file__).parents[2])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with two modules."""
    return make_repository(
        tmp_path / "r", {"alpha.py": module("alpha"), "pkg/beta.py": module("beta")}
    )


@pytest.mark.process
def test_index_reports_what_it_did(root):
    """The stable keys, on stdout alone, and nothing changed the second time."""
    done = codebuddy(root, "index", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report.pop("seconds") > 0
    n_chunks = report.pop("chunks")
    assert n_chunks > 0
    assert report == {
        "files": 2,
        "languages": {"python": 2},
        "added": 2,
        "updated": 0,
        "removed": 0,
        "skipped": {},
        "skipped_files": [],
        "lines": 26,
        "embedder": "default",
        "vectors": n_chunks,
        "vectors_made": n_chunks,
    }
    again = json.loads(codebuddy(root / "pkg", "index", "--json").stdout)
    assert (again["files"], again["added"], again["updated"], again["removed"]) == (2, 0, 0, 0)
    assert (again["vectors"], again["vectors_made"]) == (n_chunks, 0)


@pytest.mark.process
def test_index_tells_a_person_in_three_lines(root):
    """Without --json: counts, then languages, then whose vectors."""
    done = codebuddy(root, "index", "--force")
    assert done.stdout.splitlines()[0].startswith("2 files, ")
    assert "(2 added, 0 updated, 0 removed)" in done.stdout
    assert done.stdout.splitlines()[1:] == [
        "languages: python 2",
        "embedder: default, 2 vectors (2 made now)",
    ]


@pytest.mark.process
def test_index_names_what_it_skipped(tmp_path):
    """A few paths in plain words, up to 100 in JSON, those of the rarest reason first."""
    pictures: dict[str, str | bytes] = {f"{i:03}.png": b"\x89PNG\0" for i in range(120)}
    root = make_repository(tmp_path / "r", {**pictures, "a.py": "x = 1\n", "x\ny/.env": "KEY=1\n"})
    report = json.loads(codebuddy(root, "index", "--json").stdout)
    assert report["skipped"] == {"binary": 120, "secret": 1}
    assert len(report["skipped_files"]) == 100
    assert report["skipped_files"][:2] == [
        {"path": "x\ny/.env", "reason": "secret"},
        {"path": "000.png", "reason": "binary"},
    ]
    assert codebuddy(root, "index").stdout.splitlines()[3:] == [
        "skipped: binary 120, secret 1",
        "  x^Jy/.env (secret)",
        "  000.png (binary)",
        "  001.png (binary)",
        "  002.png (binary)",
        "  003.png (binary)",
        "  and 116 more",
    ]


@pytest.mark.process
def test_without_a_place_for_the_index_a_completion_goes_on(root, tmp_path):
    """It is an error of the index, whose remedy is named; completing does without lookups."""
    (root / ".git" / "codebuddy").symlink_to(tmp_path)
    occupied = tmp_path / "occupied"
    occupied.write_text("no folder")
    environment = {**os.environ, "PYTHONPATH": PACKAGE_PARENT, "XDG_CACHE_HOME": str(occupied)}
    done = {
        arguments[0]: subprocess.run(
            [sys.executable, "-P", "-m", "codebuddy", *arguments],
            cwd=root,
            capture_output=True,
            text=True,
            env=environment,
        )
        for arguments in (["index"], ["complete", "alpha.py:6", "--model", "echo"])
    }
    assert done["index"].returncode == 1
    complaint, hint = done["index"].stderr.splitlines()
    assert complaint.startswith(f"error: cannot create the folder {occupied}/codebuddy/")
    assert hint == "hint: set XDG_CACHE_HOME to a folder that you can write"
    assert done["complete"].returncode == 0
    assert "completing without lookups" in done["complete"].stderr


@pytest.mark.process
def test_search_brings_the_index_up_to_date_first(root):
    """No `index` is needed before, and a change is found at once."""
    first = json.loads(codebuddy(root, "search", "keep_alpha", "--json").stdout)
    assert first["results"][0]["path"] == "alpha.py"
    write(root, {"gamma.py": module("gamma")})
    second = json.loads(codebuddy(root / "pkg", "search", "keep_gamma", "--json").stdout)
    assert second["results"][0]["path"] == "gamma.py"


@pytest.mark.process
def test_search_prints_the_keys_that_scripts_rely_on(root):
    """Every key of the contract, with the chunk's whole text."""
    write(root, {"prices.py": f"import alpha\n\n\n{LONG_FUNCTION}\n\n{module('gamma') * 3}"})
    answer = json.loads(codebuddy(root, "search", "price_of", "-k", "1", "--json").stdout)
    assert answer["query"] == "price_of"
    assert {"update", "search"} <= set(answer["timings_ms"])
    (result,) = answer["results"]
    assert set(result) == {
        "path",
        "line",
        "start_line",
        "end_line",
        "kind",
        "symbol",
        "score",
        "channel",
        "channels",
        "explain",
        "why",
        "text",
    }
    assert (result["path"], result["symbol"]) == ("prices.py", "price_of")
    assert result["kind"] == "function"
    lines = (root / "prices.py").read_text().splitlines(keepends=True)
    expected = "".join(lines[result["start_line"] - 1 : result["end_line"]])
    assert result["text"].strip() == expected.strip()


@pytest.mark.process
def test_search_tells_a_person_place_symbol_and_score(root):
    """One title line a result, then an excerpt."""
    write(root, {"prices.py": f"import alpha\n\n\n{LONG_FUNCTION}\n\n{module('gamma') * 3}"})
    done = codebuddy(root, "search", "price_of", "-k", "1", "--channel", "symbol")
    title, *excerpt = done.stdout.splitlines()
    assert title.startswith("prices.py:")
    assert title.endswith("function price_of  [symbol 1.0000]")
    assert any("def price_of" in line for line in excerpt)
    assert done.stderr == ""


@pytest.mark.process
def test_several_words_are_one_query(root):
    """Words need no quotes."""
    apart = json.loads(codebuddy(root, "search", "keep", "alpha", "--json").stdout)
    quoted = json.loads(codebuddy(root, "search", "keep alpha", "--json").stdout)
    assert apart["query"] == "keep alpha"
    assert apart["results"] == quoted["results"] != []


@pytest.mark.process
def test_nothing_found_is_no_error(root):
    """An empty answer on stdout, a word on stderr, exit code 0."""
    done = codebuddy(root, "search", "zzzznowhere")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "nothing found\n")


@pytest.mark.parametrize("options", [["--no-engine"], []])
def test_a_search_where_nothing_is_indexed_says_so(engine, tmp_path, options):
    """No files that git lists, or all of them left out; not that nothing was found."""
    bare = make_repository(tmp_path / "bare")
    done = codebuddy(bare, "search", "x", *options)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("nothing is indexed: git lists no files here")
    binary = make_repository(tmp_path / "r", {"a.png": b"\0", "b.png": b"\0", ".env": "KEY=1\n"})
    done = codebuddy(binary, "search", "x", *options)
    assert done.stderr == "nothing is indexed: 3 files left out (binary 2, secret 1)\n"
    found = json.loads(codebuddy(binary, "search", "x", "--json", *options).stdout)
    assert (found["results"], found["reason"]) == ([], done.stderr.strip())
    write(binary, {"a.py": module("alpha")})
    found = json.loads(codebuddy(binary, "search", "zzzznowhere", "--json", *options).stdout)
    assert found["results"] == []
    assert "reason" not in found


@pytest.mark.process
def test_no_update_searches_the_index_as_it_stands(root):
    """What came later is not found, and without an index the remedy is named."""
    missing = codebuddy(root, "search", "alpha", "--no-update")
    assert missing.returncode == 1
    assert "hint: run 'codebuddy index'" in missing.stderr
    index(root)
    write(root, {"gamma.py": module("gamma")})
    done = codebuddy(root, "search", "keep_gamma", "--no-update", "--channel", "symbol", "--json")
    assert all(result["path"] != "gamma.py" for result in json.loads(done.stdout)["results"])


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments",
    [
        ("search", ""),
        ("search", " ", ""),
        ("search",),
        ("search", "x", "-k", "0"),
        ("search", "x", "--channel", "sparse"),
        ("search", "--frobnicate"),
        ("index", "--jobs", "many"),
        ("index", "--jobs", "-1"),
        ("index", "--jobs", "9999"),
        ("index", "extra"),
    ],
)
def test_wrong_calls_are_usage_errors(root, arguments):
    """Exit code 2, one sentence, no traceback, nothing on stdout."""
    done = codebuddy(root, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.process
def test_outside_a_repository_both_are_usage_errors(tmp_path):
    """Exit code 2, with the folder's name."""
    for arguments in (("index",), ("search", "x")):
        done = codebuddy(tmp_path, *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {tmp_path} is not inside a git repository")


@pytest.mark.process
def test_a_damaged_index_heals_during_a_search(root):
    """The search says so and still answers."""
    index(root)
    file = database(root)
    bad = bytearray(file.read_bytes())
    bad[len(bad) // 2] ^= 1
    file.write_bytes(bad)
    done = codebuddy(root, "search", "keep_alpha", "--json")
    assert json.loads(done.stdout)["results"][0]["path"] == "alpha.py"
    assert "damaged" in done.stderr
    assert codebuddy(root, "search", "keep_alpha").stderr == ""


@pytest.mark.terminal
def test_escape_sequences_in_names_and_code_never_reach_the_terminal(tmp_path):
    """Control characters of a file's name and text are shown, on a real terminal too."""
    hostile = "evil\x1b]52;c;aGk=\x07\x9b.py"
    text = "def trap():\n    '\x1b[2J\x1b]0;title\x07 \u202e hidden'\n"
    root = make_repository(tmp_path / "r", {hostile: text})
    done = codebuddy(root, "search", "trap", "-k", "3")
    assert done.returncode == 0
    for stream in (done.stdout, done.stderr, _on_a_terminal(root, "search", "trap")):
        assert "\x1b]" not in stream
        assert "\x1b[2J" not in stream
        assert "\x07" not in stream
        assert "\x9b" not in stream
        assert "\u202e" not in stream
    assert "evil^[]52;c;aGk=^G" in done.stdout


def _on_a_terminal(folder: Path, *arguments: str) -> str:
    """What the command writes to a pseudo-terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "codebuddy", *arguments],
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "PYTHONPATH": PACKAGE_PARENT, "TERM": "xterm"},
    )
    os.close(slave)
    pieces = []
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(master)
    assert process.wait(60) == 0
    return b"".join(pieces).decode("utf-8", "replace")


@pytest.mark.slow
@pytest.mark.terminal
def test_a_progress_bar_on_a_terminal_goes_away_again(tmp_path):
    """A long build shows a bar; the answer is what remains, and the terminal is as it was."""
    files: dict[str, str | bytes] = {
        f"m{i}.py": "".join(module(f"name_{i}_{j}") for j in range(100)) for i in range(80)
    }
    root = make_repository(tmp_path / "r", files)
    shown = _on_a_terminal(root, "index", "--jobs", "1")
    assert "80 files, " in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h"), "the cursor is shown again"


@pytest.mark.process
def test_watch_follows_changes_until_ctrl_c(root):
    """A file that appears is indexed and told; the interrupt ends it with 130."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-P", "-m", "codebuddy", "index", "--watch", "--json"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": PACKAGE_PARENT},
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["added"] == 2
    # Whole at once: a file that is seen while it is written changes again.
    write(root.parent, {"gamma.py": module("gamma")})
    (root.parent / "gamma.py").replace(root / "gamma.py")
    assert json.loads(process.stdout.readline())["added"] == 1
    (root / "gamma.py").unlink()
    assert json.loads(process.stdout.readline())["removed"] == 1
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint.strip()) == (130, "stopped watching")


@pytest.mark.process
@pytest.mark.parametrize("verb", ["index", "search"])
def test_help_has_an_example(tmp_path, verb):
    """`--help` works anywhere and shows a call."""
    done = codebuddy(tmp_path, verb, "--help")
    assert done.returncode == 0
    assert f"Example: codebuddy {verb}" in done.stdout


@pytest.mark.process
def test_help_loads_no_heavy_library(tmp_path):
    """Neither numpy nor git nor a grammar is imported to show help."""
    code = (
        "import sys; from codebuddy.cli import run; run(['search', '--help']);"
        "print(sorted({'numpy', 'git', 'rank_bm25', 'tree_sitter', 'rich', 'pathspec'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": PACKAGE_PARENT},
    )
    assert done.stdout.splitlines()[-1] == "[]"
