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

from tests.index_support import database, index, make_repository, module, write

PACKAGE_PARENT = str(Path(__file__).parents[1])


def codebuddy(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "codebuddy", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": PACKAGE_PARENT},
    )


LONG_FUNCTION = "def price_of(order):\n" + "".join(
    f"    step_{i} = order.part_{i} * {i} + order.discount_of_part_{i}\n" for i in range(25)
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with two modules."""
    return make_repository(
        tmp_path / "r", {"alpha.py": module("alpha"), "pkg/beta.py": module("beta")}
    )


def test_index_reports_what_it_did(root):
    """The stable keys, on stdout alone, and nothing changed the second time."""
    done = codebuddy(root, "index", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report.pop("seconds") > 0
    assert report.pop("chunks") > 0
    assert report == {
        "files": 2,
        "languages": {"python": 2},
        "added": 2,
        "updated": 0,
        "removed": 0,
        "skipped": {},
        "lines": 26,
    }
    again = json.loads(codebuddy(root / "pkg", "index", "--json").stdout)
    assert (again["files"], again["added"], again["updated"], again["removed"]) == (2, 0, 0, 0)


def test_index_tells_a_person_in_two_lines(root):
    """Without --json: counts, then languages."""
    done = codebuddy(root, "index", "--force")
    assert done.stdout.splitlines()[0].startswith("2 files, ")
    assert "(2 added, 0 updated, 0 removed)" in done.stdout
    assert done.stdout.splitlines()[1] == "languages: python 2"


def test_search_brings_the_index_up_to_date_first(root):
    """No `index` is needed before, and a change is found at once."""
    first = json.loads(codebuddy(root, "search", "keep_alpha", "--json").stdout)
    assert first["results"][0]["path"] == "alpha.py"
    write(root, {"gamma.py": module("gamma")})
    second = json.loads(codebuddy(root / "pkg", "search", "keep_gamma", "--json").stdout)
    assert second["results"][0]["path"] == "gamma.py"


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
        "text",
    }
    assert (result["path"], result["symbol"]) == ("prices.py", "price_of")
    assert result["kind"] == "function"
    lines = (root / "prices.py").read_text().splitlines(keepends=True)
    expected = "".join(lines[result["start_line"] - 1 : result["end_line"]])
    assert result["text"].strip() == expected.strip()


def test_search_tells_a_person_place_symbol_and_score(root):
    """One title line a result, then an excerpt."""
    write(root, {"prices.py": f"import alpha\n\n\n{LONG_FUNCTION}\n\n{module('gamma') * 3}"})
    done = codebuddy(root, "search", "price_of", "-k", "1", "--channel", "symbol")
    title, *excerpt = done.stdout.splitlines()
    assert title.startswith("prices.py:")
    assert title.endswith("function price_of  [symbol 1.0000]")
    assert any("def price_of" in line for line in excerpt)
    assert done.stderr == ""


VAT = """\
RATES = {"food": 7, "books": 7}


def rate_of(kind):
    return RATES.get(kind, 19)


def vat_for_class(kind, cents):
    # Rounded up, as the office wants it.
    base = cents * rate_of(kind)
    return -(-base // 100)


class Receipt:
    def total(self):
        return 0
"""


def test_search_shows_the_line_that_matched_and_names_its_definition(tmp_path):
    """In a chunk of several definitions it is the one that was met, not the chunk's first."""
    root = make_repository(tmp_path / "r", {"shop/vat.py": VAT})
    done = codebuddy(root, "search", "vat_for_class", "--channel", "symbol")
    assert done.stdout.splitlines() == [
        "shop/vat.py:8 (1-16)  function vat_for_class  [symbol 1.0000]",
        "    ...",
        "",
        "",
        "    def vat_for_class(kind, cents):",
        "        # Rounded up, as the office wants it.",
        "        base = cents * rate_of(kind)",
        "        return -(-base // 100)",
        "    ...",
    ]
    for query, place, label in (
        ("vat class", 8, "function vat_for_class"),
        ("rounded office", 9, "function vat_for_class"),
        ("food books", 1, "variable RATES"),
        ("Receipt.total", 15, "method Receipt.total"),
        ("VatForClass", 8, "function vat_for_class"),
        ("receip", 14, "class Receipt"),
    ):
        title = codebuddy(root, "search", *query.split()).stdout.splitlines()[0]
        assert title.startswith(f"shop/vat.py:{place} (1-16)  {label}  ["), query
    (result,) = json.loads(codebuddy(root, "search", "office", "--json").stdout)["results"]
    assert (result["line"], result["kind"], result["symbol"]) == (9, "function", "vat_for_class")


def test_a_hit_outside_every_definition_has_no_symbol(tmp_path):
    """A line between definitions is not given to a neighbour; a comment above one is."""
    code = (
        "import zebra\n\n\ndef f():\n    return 1\n\n\n# About giraffes.\ndef g():\n    return 2\n"
    )
    root = make_repository(tmp_path / "r", {"a.py": code})
    loose = codebuddy(root, "search", "zebra", "--channel", "lexical").stdout.splitlines()[0]
    above = codebuddy(root, "search", "giraffes", "--channel", "lexical").stdout.splitlines()[0]
    assert loose.startswith("a.py:1 (1-10)  [lexical ")
    assert above.startswith("a.py:8 (1-10)  function g  [lexical ")


def test_the_excerpt_of_a_long_chunk_is_around_the_hit(tmp_path):
    """The last lines of a long function are shown where the hit is there, to the line."""
    root = make_repository(tmp_path / "r", {"a.py": f"\n\n{LONG_FUNCTION}    return elephant\n"})
    title, *excerpt = codebuddy(root, "search", "elephant").stdout.splitlines()
    assert title.startswith("a.py:29 (")
    assert "  function price_of  [" in title
    assert excerpt[0] == "    ..."
    assert excerpt[-1] == "        return elephant"
    assert len(excerpt) == 7


def test_a_newline_in_a_file_name_does_not_break_the_title(tmp_path):
    """The name is one line, with the newline shown."""
    root = make_repository(tmp_path / "r", {"a\nfake.py:1 (1-1)  x.py": VAT})
    done = codebuddy(root, "search", "vat_for_class")
    assert done.stdout.splitlines()[0].startswith("a^Jfake.py:1 (1-1)  x.py:8 (1-16)  function")


def test_several_words_are_one_query(root):
    """Words need no quotes."""
    apart = json.loads(codebuddy(root, "search", "keep", "alpha", "--json").stdout)
    quoted = json.loads(codebuddy(root, "search", "keep alpha", "--json").stdout)
    assert apart["query"] == "keep alpha"
    assert apart["results"] == quoted["results"] != []


def test_nothing_found_is_no_error(root):
    """An empty answer on stdout, a word on stderr, exit code 0."""
    done = codebuddy(root, "search", "zzzznowhere")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "nothing found\n")


def test_no_update_searches_the_index_as_it_stands(root):
    """What came later is not found, and without an index the remedy is named."""
    missing = codebuddy(root, "search", "alpha", "--no-update")
    assert missing.returncode == 1
    assert "hint: run 'codebuddy index'" in missing.stderr
    index(root)
    write(root, {"gamma.py": module("gamma")})
    done = codebuddy(root, "search", "keep_gamma", "--no-update", "--channel", "symbol", "--json")
    assert all(result["path"] != "gamma.py" for result in json.loads(done.stdout)["results"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", ""),
        ("search", " ", ""),
        ("search",),
        ("search", "x", "-k", "0"),
        ("search", "x", "--channel", "dense"),
        ("search", "--frobnicate"),
        ("index", "--jobs", "many"),
        ("index", "extra"),
    ],
)
def test_wrong_calls_are_usage_errors(root, arguments):
    """Exit code 2, one sentence, no traceback, nothing on stdout."""
    done = codebuddy(root, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_outside_a_repository_both_are_usage_errors(tmp_path):
    """Exit code 2, with the folder's name."""
    for arguments in (("index",), ("search", "x")):
        done = codebuddy(tmp_path, *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {tmp_path} is not inside a git repository")


def test_a_number_of_jobs_out_of_bounds_is_a_known_error(root):
    """The setting's bounds hold for the flag."""
    done = codebuddy(root, "index", "--jobs", "9999")
    assert done.returncode == 1
    assert "index.jobs must be between 0 and 256" in done.stderr


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


def test_a_progress_bar_on_a_terminal_goes_away_again(tmp_path):
    """A long build shows a bar; the answer is what remains, and the terminal is as it was."""
    files: dict[str, str | bytes] = {
        f"m{i}.py": "".join(module(f"name_{i}_{j}") for j in range(100)) for i in range(80)
    }
    root = make_repository(tmp_path / "r", files)
    shown = _on_a_terminal(root, "index", "--jobs", "1")
    assert "80 files, " in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h"), "the cursor is shown again"


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
    write(root, {"gamma.py": module("gamma")})
    assert json.loads(process.stdout.readline())["added"] == 1
    (root / "gamma.py").unlink()
    assert json.loads(process.stdout.readline())["removed"] == 1
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint.strip()) == (130, "error: interrupted")


@pytest.mark.parametrize("verb", ["index", "search"])
def test_help_has_an_example(tmp_path, verb):
    """`--help` works anywhere and shows a call."""
    done = codebuddy(tmp_path, verb, "--help")
    assert done.returncode == 0
    assert f"Example: codebuddy {verb}" in done.stdout


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
