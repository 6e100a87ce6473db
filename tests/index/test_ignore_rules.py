"""`.codebuddyignore`: what its patterns take away is what git takes away, in bounded time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from codebuddy.errors import IndexingError
from codebuddy.index import file_walker, ignore_rules
from codebuddy.index.ignore_rules import IgnoreRules
from codebuddy.vcs.repository import open_repository
from tests.support.index import make_repository, module, run_git, write

NAMES = ["a", "b", "ab", "a.c", "b.c", "aab", "!a", "#a", "a b", "a ", "[a]", "-", "é", "a\\b", "]"]
FOLDERS = ["", "a/", "b/", "a/b/", "a/b/a/", "ab/a/", "b/a/b/a/", "[a]/", "é/"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A work tree with every name in every folder, as far as a file and a folder can be both."""
    root = tmp_path_factory.mktemp("tree")
    run_git(root, "init", "-q")
    folders = {folder.rstrip("/") for folder in FOLDERS}
    paths = [folder + name for folder in FOLDERS for name in NAMES]
    inner = {prefix for f in folders for prefix in _prefixes(f)}
    kept = [path for path in paths if path not in inner]
    write(root, dict.fromkeys(kept, "x"))
    return root, [os.fsencode(path) for path in kept]


def _prefixes(folder: str) -> list[str]:
    parts = folder.split("/")
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


def by_git(root: Path, content: bytes) -> set[bytes]:
    """The files that git takes away by these patterns alone."""
    file = root.parent / "patterns"
    file.write_bytes(content)
    found = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "-o", "-i", f"--exclude-from={file}"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    return set(found.stdout.split(b"\0")) - {b""}


def by_us(content: bytes, paths: list[bytes]) -> set[bytes]:
    """The files that our rules take away."""
    rules = IgnoreRules(content)
    return {path for path in paths if rules.match(path)}


PIECES = st.sampled_from(
    ["a", "b", "c", ".", "*", "**", "?", "/", "!", "#", " ", "\\", "[", "]", "[ab]", "[!a]", "[^b]"]
    + [
        "[a-c]",
        "[c-a]",
        "[]a]",
        "[!]a]",
        "[a-]",
        "[[:alpha:]]",
        "[[:nope:]]",
        "[[:",
        ":]",
        "-",
        "é",
    ]
    + ["**/", "/**", "/**/", "\r", "\t", "***"]
)
# git cuts a pattern's plain beginning off first and takes stars behind it for the first ones, so
# that `a**/b` means more to it than its manual says.
LINES = (
    st.lists(PIECES, max_size=7)
    .map("".join)
    .filter(lambda line: "/" not in line or re.search(r"[^/*]\*\*", line) is None)
)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(lines=st.lists(LINES, min_size=1, max_size=4))
@example(lines=["/**\\/**"])
@example(lines=["**\\/b", "!a/**\\/**\\/b"])
def test_what_is_taken_away_is_what_git_takes_away(tree, lines):
    """Any patterns, any order, with and without `!`: git is the judge, on real files."""
    root, paths = tree
    content = "\n".join(lines).encode()
    assert by_us(content, paths) == by_git(root, content)


@pytest.mark.parametrize(
    "content",
    [
        b"a/**/a\n",
        b"**/b/**\n!a/b/a/a.c\n",
        b"a/\n!a/b\n",
        b"/*\n!/a\n",
        b"a\\ \n",
        b"\xef\xbb\xbfa\r\n*.c\r\n",
        b"[[:alpha:]]b\n",
        b"a[/]b\na[!x]b\n",
        b"b/**/**/a\n",
        b"**/\n",
        b"**\n!*.c\n",
    ],
)
def test_known_forms_are_as_gits(tree, content):
    """The forms that gitignore's manual speaks of."""
    root, paths = tree
    assert by_us(content, paths) == by_git(root, content)
    assert by_git(root, content)


@pytest.mark.process
@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (b"*a" * 12 + b"b", b"a" * 200),
        (b"**/a/" * 12 + b"b", b"a/" * 120 + b"c"),
        (b"**/*a" * 12 + b"*b", b"aa/" * 80 + b"c"),
        (b"*/" * 12 + b"*a*a*a*a*b", b"a" * 60 + b"/" + b"a/" * 11 + b"a" * 200),
        (b"*?" * 20 + b"b", b"a" * 200),
        (b"*[!b]" * 20 + b"b", b"a" * 200),
        (b"**" * 20 + b"b", b"a" * 200),
        (b"a/**/" * 10 + b"**/b", b"a/" * 100 + b"a"),
    ],
)
def test_a_pattern_that_tries_every_combination_is_matched_at_once(pattern, path):
    """Cut off after a while if it were not; each would take longer than the universe is old."""
    program = (
        "import sys\n"
        "from codebuddy.index.ignore_rules import IgnoreRules\n"
        "print(IgnoreRules(bytes.fromhex(sys.argv[1])).match(bytes.fromhex(sys.argv[2])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, pattern.hex(), path.hex()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout.strip() == "None"


def test_a_hostile_ignore_file_does_not_keep_a_repository_from_its_index(tmp_path):
    """The pattern and the name that belong to each other, in a repository."""
    name = "a" * 200
    root = make_repository(tmp_path / "r", {"m.py": module("one"), name: "text"})
    write(root, {".codebuddyignore": "*a" * 10 + "*b\n*.log\n", "x.log": "gone"})
    found = set(file_walker.candidates(open_repository(root), 1000))
    assert found == {b"m.py", name.encode(), b".codebuddyignore"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"x\n" * (ignore_rules.MAX_PATTERNS + 1), "more than 5,000 patterns"),
        (b"x" * (ignore_rules.MAX_PATTERN_BYTES + 1), "a pattern of more than 1,000 bytes"),
        (b"# \n" * 100_000, "larger than"),
    ],
    ids=["many", "long", "large"],
)
def test_rules_beyond_all_measure_are_an_error_that_names_the_file(tmp_path, content, why):
    """Nothing is indexed that the file may have meant to take away."""
    root = make_repository(tmp_path / "r", {".codebuddyignore": content})
    with pytest.raises(IndexingError, match=why) as caught:
        file_walker.candidates(open_repository(root), 1000)
    assert ".codebuddyignore" in caught.value.message
    assert "delete it" in caught.value.hint


def test_matching_that_takes_too_long_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    """A time that is up ends it, however much there is left to compare."""
    monkeypatch.setattr(ignore_rules, "_TIMEOUT_S", -1.0)
    monkeypatch.setattr(ignore_rules, "_CLOCK_INTERVAL", 1)
    root = make_repository(tmp_path / "r", {".codebuddyignore": "x\n", "m.py": "a = 1\n"})
    with pytest.raises(IndexingError, match="takes too long"):
        file_walker.candidates(open_repository(root), 1000)


def test_a_folder_that_is_brought_back_brings_back_what_it_holds(tmp_path):
    """`!folder/` undoes git's `folder/` for all of it, but for what a later pattern takes away."""
    root = make_repository(tmp_path / "r", {"m.py": "", "out/a.py": "", "out/b.tmp": ""})
    write(root, {".gitignore": "out/\n", ".codebuddyignore": "!out/\n*.tmp\n"})
    assert b"out/a.py" in file_walker.candidates(open_repository(root), 1000)
    assert b"out/b.tmp" not in file_walker.candidates(open_repository(root), 1000)
